package web

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// healthPage is what health.html shows.
type healthPage struct {
	Whole  bool // the caller sees the checks
	Well   bool
	Cause  *troubleRow // the first of the problems: others may follow from it
	More   []troubleRow
	Good   []Check
	Status Status
	Uptime string
	Size   string // of the store
	Radio  string
}

// A troubleRow is one problem, with the commands of its fix taken out so that
// they can be copied.
type troubleRow struct {
	Problem
	Commands []string
}

// doctorFor bounds how long the page waits for the doctor.
const doctorFor = 10 * time.Second

func (s *Server) getHealthView(w http.ResponseWriter, r *http.Request, c caller) error {
	words := s.languageOf(r)
	st, err := s.config.Node.Status(r.Context())
	if err != nil {
		return err
	}
	p := healthPage{Whole: c.scope >= ScopeMember, Status: st, Well: len(st.Problems) == 0, Radio: radioState(st.Radio)}
	p.Uptime = spanWords(words, time.Duration(st.Node.UptimeMS)*time.Millisecond)
	p.Size = sizeWords(st.Store.Bytes)
	if !p.Whole {
		p.Status = st.guestView()
		return s.render(w, r, c, "health", p)
	}
	ctx, cancel := context.WithTimeout(r.Context(), doctorFor)
	defer cancel()
	checks, err := s.config.Node.Doctor(ctx)
	if err != nil {
		return err
	}
	var troubles []troubleRow
	for _, k := range checks {
		if k.Problem == nil {
			p.Good = append(p.Good, k)
			continue
		}
		troubles = append(troubles, troubleRow{*k.Problem, commandsIn(k.Problem.Fix)})
	}
	p.Well = len(troubles) == 0
	if !p.Well {
		p.Cause, p.More = &troubles[0], troubles[1:]
	}
	return s.render(w, r, c, "health", p)
}

var (
	quotedCommand = regexp.MustCompile(`'((?:drey|sudo|chmod|ulimit|ss|ip|ufw) [^']{1,200})'`)
	wholeCommand  = regexp.MustCompile(`^(?:drey|sudo|chmod|ulimit|ss|ip|ufw) [^.;:]{1,200}$`)
)

// commandsIn finds the commands that a fix names, which are for the machine's
// terminal: in quotes, or all of a part of it.
func commandsIn(fix string) []string {
	var found []string
	add := func(command string) {
		if !slices.Contains(found, command) {
			found = append(found, command)
		}
	}
	for _, m := range quotedCommand.FindAllStringSubmatch(fix, -1) {
		add(m[1])
	}
	for part := range strings.SplitSeq(fix, "; ") {
		part = strings.TrimPrefix(part, "run ")
		if part, _, _ = strings.Cut(part, ", then "); wholeCommand.MatchString(part) {
			add(part)
		}
	}
	return found
}

// Bare reports whether the commands say all that the fix says.
func (t troubleRow) Bare() bool { return t.Fix == strings.Join(t.Commands, "; ") }

// sizeWords writes a number of bytes as people read it.
func sizeWords(n int64) string {
	v := float64(n)
	for _, unit := range []string{"B", "kB", "MB"} {
		if v < 1000 {
			return shortNumber(v) + " " + unit
		}
		v /= 1000
	}
	return shortNumber(v) + " GB"
}

// helpPage is what help.html shows.
type helpPage struct {
	Code     string
	Paras    []string
	Commands []string
}

// getHelp answers GET /help/{code}: what a problem means, without a network.
func (s *Server) getHelp(w http.ResponseWriter, r *http.Request, c caller) error {
	code := r.PathValue("code")
	text, ok := s.config.Node.Explain(code)
	if !ok {
		return NewError(CodeNotFound, "there is no explanation of this code", "", "see what there is with 'drey help codes'", nil)
	}
	return s.render(w, r, c, "help", helpPage{code, []string{strings.Join(strings.Fields(text), " ")}, nil})
}

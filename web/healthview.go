package web

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// healthPage is what health.html shows.
type healthPage struct {
	Whole  bool // the caller sees the checks
	Well   bool
	Cause  *troubleRow // the first of the problems: others may follow from it
	More   []troubleRow
	Good   []goodRow
	Status Status
	Uptime string
	Size   string // of the store
	Radio  string
}

// A troubleRow is one problem, with the commands of its fix taken out so that
// they can be copied.
type troubleRow struct {
	toldProblem
	Commands []string
}

// A goodRow is one check that found nothing wrong.
type goodRow struct{ Name, Detail string }

// doctorFor bounds how long the page waits for the doctor.
const doctorFor = 10 * time.Second

func (s *Server) getHealthView(w http.ResponseWriter, r *http.Request, c caller) error {
	words := s.languageOf(r)
	st, err := s.config.Node.Status(r.Context())
	if err != nil {
		return err
	}
	p := healthPage{Whole: c.scope >= ScopeMember, Status: st, Well: len(st.Problems) == 0, Radio: radioState(st.Radio)}
	p.Uptime = words.Span(time.Duration(st.Node.UptimeMS) * time.Millisecond)
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
			p.Good = append(p.Good, goodRow{textOr(words, "checks.name-"+k.Name, k.Name), textOr(words, k.Said.Key, k.Detail, k.Said.Args...)})
			continue
		}
		told := sayProblem(words, *k.Problem)
		troubles = append(troubles, troubleRow{told, commandsIn(told.Fix)})
	}
	p.Well = len(troubles) == 0
	if !p.Well {
		p.Cause, p.More = &troubles[0], troubles[1:]
	}
	return s.render(w, r, c, "health", p)
}

// Bare reports whether the commands say all that the fix says.
func (t troubleRow) Bare() bool {
	return t.Fix == "`"+strings.Join(t.Commands, "")+"`"
}

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
type helpPage struct{ Code, Text string }

// getHelp answers GET /help/{code}: what a problem means, without a network.
func (s *Server) getHelp(w http.ResponseWriter, r *http.Request, c caller) error {
	code := r.PathValue("code")
	text := textOr(s.languageOf(r), "codes."+code, "")
	if text == "" {
		return NewError(CodeNotFound, "there is no explanation of this code", "", "see what there is with 'drey help codes'", nil)
	}
	return s.render(w, r, c, "help", helpPage{code, text})
}

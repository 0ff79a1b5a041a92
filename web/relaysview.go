package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"drey/web/lang"
)

// relaysPage is what relays.html shows.
type relaysPage struct {
	Nostr NostrStatus
	Up    int
	Whole bool // the caller sees which relays
	Radio string
	Test  *relayTest // made just now
}

// A relayTest is a RelayTest in the words of a language.
type relayTest struct {
	RelayTest
	Steps []relayStep
}

type relayStep struct {
	RelayStep
	Foreign bool // what it says has no text: it is in English, or the relay's own
}

func sayTest(words *lang.Catalogue, t *RelayTest) *relayTest {
	if t == nil {
		return nil
	}
	said := &relayTest{RelayTest: *t}
	for _, x := range t.Steps {
		step := relayStep{RelayStep: x}
		step.Name = textOr(words, "relays.step-"+strings.ReplaceAll(x.Name, " ", "-"), x.Name)
		step.Result = textOr(words, "relays.result-"+x.Result, x.Result)
		says, known := words.Recognise(x.Says)
		step.Says, step.Foreign = says, !known && words.Tag != lang.Base
		said.Steps = append(said.Steps, step)
	}
	return said
}

func (s *Server) getRelaysView(w http.ResponseWriter, r *http.Request, c caller) error {
	return s.showRelays(w, r, c, nil)
}

func (s *Server) showRelays(w http.ResponseWriter, r *http.Request, c caller, test *RelayTest) error {
	st, err := s.config.Node.Status(r.Context())
	if err != nil {
		return err
	}
	p := relaysPage{Nostr: st.filled().Nostr, Whole: c.scope >= ScopeMember, Radio: radioState(st.Radio), Test: sayTest(s.languageOf(r), test)}
	for _, x := range p.Nostr.Relays {
		if x.Up {
			p.Up++
		}
	}
	if !p.Whole {
		p.Nostr = st.guestView().Nostr
	}
	return s.render(w, r, c, "relays", p)
}

// relayOps are what the page can do with a relay.
var relayOps = []string{"add", "pause", "resume", "remove", "test"}

// postRelaysChange does one thing with one relay.
func (s *Server) postRelaysChange(w http.ResponseWriter, r *http.Request, c caller) error {
	form, err := smallForm(w, r)
	if err != nil {
		return err
	}
	op, at := form.Get("op"), form.Get("url")
	if !slices.Contains(relayOps, op) || at == "" {
		return usage(errors.New("the form is malformed"))
	}
	node := s.config.Node
	switch op {
	case "add":
		err = node.AddRelay(r.Context(), at)
	case "pause", "resume":
		err = node.PauseRelay(r.Context(), at, op == "pause")
	case "remove":
		err = node.RemoveRelay(r.Context(), at)
	case "test":
		return s.testRelayView(w, r, c, at)
	}
	if err != nil {
		return err
	}
	s.log.Info("relays changed", "op", op, "address", at)
	http.Redirect(w, r, "/relays", http.StatusSeeOther)
	return nil
}

// testRelayView tries a relay and shows what came of it, step by step.
func (s *Server) testRelayView(w http.ResponseWriter, r *http.Request, c caller, at string) error {
	ctx, cancel, err := patience(w, r, testRelayFor)
	if err != nil {
		return err
	}
	defer cancel()
	test, err := s.config.Node.TestRelay(ctx, at)
	if errors.Is(err, context.DeadlineExceeded) {
		return NewError(CodeTimeout, "the relay could not be tried in time", "", "try again later", err)
	}
	if err != nil {
		return err
	}
	return s.showRelays(w, r, c, test)
}

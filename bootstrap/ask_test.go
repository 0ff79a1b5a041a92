package bootstrap

import (
	"context"
	"errors"
	"testing"
	"time"

	"drey/mesh"
	"drey/mesh/roster"
)

// asked lets the house hear machines without an invite, and keeps who asked.
func (h *house) asked(list *[]Joiner) {
	h.Inviter.c.Ask = func(_ context.Context, j *Joiner) error {
		switch {
		case h.book.Banned(j.Record.Node, j.Record.Author):
			return ErrBanned
		case h.book.Admits(j.Record.Node):
			return nil
		}
		*list = append(*list, *j)
		return ErrWaiting
	}
}

func TestAskWaitsForYes(t *testing.T) {
	h := newHouse(t)
	var asked []Joiner
	h.asked(&asked)
	v, err := Knock(t.Context(), h.door)
	if err != nil {
		t.Fatal(err)
	}
	if v.Node != h.id.NodeKey() || v.Token != (mesh.InviteToken{}) {
		t.Fatalf("Knock = %v", v)
	}
	s := self(t, "clinic")
	var seen *Preview
	s.Confirm = func(p *Preview) error { seen = p; return nil }
	if _, err := Join(t.Context(), v, s); !errors.Is(err, ErrWaiting) {
		t.Fatalf("Join = %v, want ErrWaiting", err)
	}
	if seen == nil || seen.Community != h.member.Community {
		t.Errorf("the preview is %+v", seen)
	}
	if len(asked) != 1 || asked[0].Name != "clinic" || mesh.VerifyBinding(asked[0].Record, asked[0].Binding) != nil {
		t.Fatalf("asked: %+v", asked)
	}
	if err := h.Admit(t.Context(), &asked[0]); err != nil {
		t.Fatal(err)
	}
	w, err := Join(t.Context(), &mesh.Invite{Endpoints: []mesh.Endpoint{h.door}}, s)
	if err != nil {
		t.Fatal(err)
	}
	if w.Membership.Secret() != h.member.Secret() || w.Own.Node != s.Identity.NodeKey() {
		t.Error("the welcome is not whole")
	}
	d, err := h.book.DraftBan(roster.Subject{Node: s.Identity.NodeKey()}, "", mesh.UnixOf(h.now))
	if err != nil {
		t.Fatal(err)
	}
	e, err := h.id.Author.Sign(d)
	if err != nil {
		t.Fatal(err)
	}
	h.book.Apply(e)
	if _, err := Join(t.Context(), v, s); !errors.Is(err, ErrBanned) {
		t.Errorf("banned, Join = %v, want ErrBanned", err)
	}
}

// TestAskIsPaced floods the door with requests that cost no token.
func TestAskIsPaced(t *testing.T) {
	h := newHouse(t)
	var asked []Joiner
	h.asked(&asked)
	v, err := Knock(t.Context(), h.door)
	if err != nil {
		t.Fatal(err)
	}
	busy := 0
	for range 2 * maxGuesses {
		if _, err := Join(t.Context(), v, self(t, "clinic")); errors.Is(err, ErrBusy) {
			busy++
		}
	}
	if len(asked) >= maxGuesses || busy == 0 {
		t.Errorf("%d of %d requests were heard at once, and %d turned away", len(asked), 2*maxGuesses, busy)
	}
	h.wait(time.Minute)
	if _, err := Join(t.Context(), v, self(t, "clinic")); !errors.Is(err, ErrWaiting) {
		t.Errorf("a minute later Join = %v, want ErrWaiting", err)
	}
}

// TestAskLetsNobodyIn tries the ways around a token.
func TestAskLetsNobodyIn(t *testing.T) {
	h := newHouse(t)
	if _, err := Knock(t.Context(), h.door); !errors.Is(err, ErrUnknown) {
		t.Errorf("where nobody listens Knock = %v, want ErrUnknown", err)
	}
	var asked []Joiner
	h.asked(&asked)
	v, err := Knock(t.Context(), h.door)
	if err != nil {
		t.Fatal(err)
	}
	s := self(t, "thief")
	j, err := s.joiner(h.member.Community)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []byte{verbJoin, 3} {
		if _, err := ask(t.Context(), h.door, v, s, &request{verb: verb, joiner: *j}); !errors.Is(err, ErrBadRequest) {
			t.Errorf("verb %d without an invite gave %v, want ErrBadRequest", verb, err)
		}
	}
	real := h.issue(1)
	if _, err := ask(t.Context(), h.door, real, s, &request{verb: verbAsk, token: real.Token, joiner: *j}); !errors.Is(err, ErrBadRequest) {
		t.Errorf("asking with an invite gave %v, want ErrBadRequest", err)
	}
	other := *j
	other.Record = h.record // of another machine than the one that asks
	if _, err := ask(t.Context(), h.door, v, s, &request{verb: verbAsk, joiner: other}); !errors.Is(err, ErrBadRequest) {
		t.Errorf("another's record gave %v, want ErrBadRequest", err)
	}
	if h.admitted != 0 || len(asked) != 0 {
		t.Errorf("%d were admitted and %d heard", h.admitted, len(asked))
	}
}

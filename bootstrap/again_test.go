package bootstrap

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"drey/mesh"
	"drey/mesh/roster"
)

// visit opens an address as a browser would.
func visit(t *testing.T, url string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
}

func TestJoiningAgainGivesTheSame(t *testing.T) {
	h := newHouse(t)
	v := h.issue(1)
	s := self(t, "clinic")
	first, err := Join(t.Context(), v, s)
	if err != nil {
		t.Fatal(err)
	}
	for name, happens := range map[string]func(){
		"the joiner crashed":     func() {},
		"the inviter crashed":    h.open,
		"the invite ran out":     func() { h.wait(time.Hour) },
		"the invite was burnt":   func() { visit(t, v.Link()) },
		"a place was taken then": func() { Join(t.Context(), v, self(t, "thief")) },
	} {
		happens()
		again, err := Join(t.Context(), v, s)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again.Membership.Secret() != first.Membership.Secret() || len(again.Events) != len(first.Events) {
			t.Errorf("%s: another answer than at first", name)
		}
	}
	if h.admitted != 1 {
		t.Errorf("%d admissions were signed, want 1", h.admitted)
	}
}

func TestCrashBetweenAdmissionAndAnswer(t *testing.T) {
	h := newHouse(t)
	v := h.issue(1)
	s := self(t, "clinic")
	h.failLate = errors.New("power cut")
	if _, err := Join(t.Context(), v, s); err == nil || !strings.Contains(err.Error(), "problem of its own") {
		t.Errorf("Join = %v, want the inviter's own trouble", err)
	}
	h.failLate = nil
	h.open()
	if _, err := Join(t.Context(), v, s); err != nil {
		t.Errorf("after the crash: %v", err)
	}
	if h.admitted != 1 {
		t.Errorf("%d admissions were signed, want 1", h.admitted)
	}
}

func TestCrashBeforeAdmissionKeepsThePlace(t *testing.T) {
	h := newHouse(t)
	v := h.issue(1)
	h.fail = errors.New("power cut")
	if _, err := Join(t.Context(), v, self(t, "clinic")); err == nil {
		t.Fatal("Join is no error")
	}
	h.fail = nil
	h.open()
	if _, err := Join(t.Context(), v, self(t, "thief")); !errors.Is(err, ErrUsed) {
		t.Errorf("another machine takes the place: %v, want ErrUsed", err)
	}
	if _, err := Join(t.Context(), v, self(t, "clinic")); err != nil {
		t.Errorf("the machine whose place it is: %v", err)
	}
}

func TestRefusedJoinerLeavesThePlaceFree(t *testing.T) {
	for _, want := range []error{ErrBanned, ErrRefused} {
		h := newHouse(t)
		v := h.issue(1)
		h.fail = want
		if _, err := Join(t.Context(), v, self(t, "bad")); !errors.Is(err, want) {
			t.Errorf("Join = %v, want %v", err, want)
		}
		h.fail = nil
		if _, err := Join(t.Context(), v, self(t, "clinic")); err != nil {
			t.Errorf("after %v to another: %v", want, err)
		}
	}
}

func TestBannedMachineIsRefused(t *testing.T) {
	h := newHouse(t)
	v := h.issue(2)
	s := self(t, "clinic")
	if _, err := Join(t.Context(), v, s); err != nil {
		t.Fatal(err)
	}
	d, err := h.book.DraftBan(roster.Subject{Author: s.Identity.Author.PubKey()}, "stolen", mesh.UnixOf(h.now))
	if err != nil {
		t.Fatal(err)
	}
	e, err := h.id.Author.Sign(d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.book.Apply(e); err != nil {
		t.Fatal(err)
	}
	_, err = Join(t.Context(), v, s)
	if !errors.Is(err, ErrBanned) {
		t.Errorf("Join = %v, want ErrBanned", err)
	}
	var hint interface{ Hint() string }
	if !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "admin") {
		t.Errorf("%v has no hint that helps", err)
	}
}

// Whoever was removed needs another invite: the old one, spent, run out or burnt,
// must not let it in again behind everybody's back.
func TestRemovedMachineNeedsAnotherInvite(t *testing.T) {
	h := newHouse(t)
	v := h.issue(2)
	s := self(t, "clinic")
	if _, err := Join(t.Context(), v, s); err != nil {
		t.Fatal(err)
	}
	d, err := h.book.DraftRemove(roster.Subject{Node: s.Identity.NodeKey()}, "moved away", mesh.UnixOf(h.now))
	if err != nil {
		t.Fatal(err)
	}
	e, err := h.id.Author.Sign(d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.book.Apply(e); err != nil {
		t.Fatal(err)
	}
	for _, happens := range []func(){func() {}, h.open, func() { h.wait(time.Hour) }, func() { visit(t, v.Link()) }} {
		happens()
		if _, err := Join(t.Context(), v, s); !errors.Is(err, ErrUsed) {
			t.Errorf("Join = %v, want ErrUsed", err)
		}
	}
	if h.admitted != 1 || h.book.Admits(s.Identity.NodeKey()) {
		t.Errorf("%d admissions were signed, want 1; it belongs: %v", h.admitted, h.book.Admits(s.Identity.NodeKey()))
	}
	if _, err := Join(t.Context(), h.issue(1), s); err != nil || !h.book.Admits(s.Identity.NodeKey()) {
		t.Errorf("by another invite: %v, belongs: %v", err, h.book.Admits(s.Identity.NodeKey()))
	}
}

func TestOnePlaceForMany(t *testing.T) {
	h := newHouse(t)
	v := h.issue(3)
	var wg sync.WaitGroup
	results := make(chan error, 8)
	for i := range cap(results) {
		s := self(t, fmt.Sprint("machine ", i))
		wg.Go(func() {
			_, err := Join(t.Context(), v, s)
			results <- err
		})
	}
	wg.Wait()
	close(results)
	joined := 0
	for err := range results {
		if err == nil {
			joined++
		} else if !errors.Is(err, ErrUsed) {
			t.Error(err)
		}
	}
	if joined != 3 || h.admitted != 3 {
		t.Errorf("%d joined and %d were admitted, want 3", joined, h.admitted)
	}
}

func TestLargeRosterArrives(t *testing.T) {
	h := newHouse(t)
	v := h.issue(200)
	for i := range 120 {
		s := self(t, fmt.Sprint("machine ", i))
		if err := h.redeem(t.Context(), io.Discard, joinRequest(t, h, v, s)); err != nil {
			t.Fatal(err)
		}
	}
	w, err := Join(t.Context(), v, self(t, "clinic"))
	if err != nil {
		t.Fatal(err)
	}
	if len(w.Events) != 122 {
		t.Errorf("%d events arrive, want 122", len(w.Events))
	}
}

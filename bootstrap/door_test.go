package bootstrap

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"drey/mesh"
)

func TestAnyRequestForThePathBurns(t *testing.T) {
	h := newHouse(t)
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions} {
		v := h.issue(1)
		path := v.Link()[strings.Index(v.Link(), "/J/"):]
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != http.StatusGone || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v, want 410 and no-store", method, w.Code, w.Header())
		}
		if _, err := Join(t.Context(), v, self(t, "clinic")); !errors.Is(err, ErrBurnt) {
			t.Errorf("%s: Join = %v, want ErrBurnt", method, err)
		}
		w = httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != http.StatusGone || strings.Contains(w.Body.String(), pageBurnt.Title) {
			t.Errorf("%s a second time: %d %s", method, w.Code, w.Body)
		}
	}
	other := *h.issue(1)
	other.Node[0] ^= 1
	for name, path := range map[string]string{
		"another machine's": other.Link()[strings.Index(other.Link(), "/J/"):], "nonsense": "/J/AAAA", "nothing": "/J/", "too much": "/j/" + strings.Repeat("A", 5000),
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", name, w.Code)
		}
	}
}

func TestGuessingIsSlow(t *testing.T) {
	h := newHouse(t)
	v := h.issue(1)
	forged := *v
	try := func() error {
		forged.Token = mesh.NewInviteToken()
		_, err := Peek(t.Context(), &forged, self(t, "thief"))
		return err
	}
	for range maxGuesses {
		if err := try(); !errors.Is(err, ErrUnknown) {
			t.Fatalf("Peek = %v, want ErrUnknown", err)
		}
	}
	if err := try(); !errors.Is(err, ErrBusy) {
		t.Errorf("after %d guesses: %v, want ErrBusy", maxGuesses, err)
	}
	h.wait(guessEvery)
	if err := try(); !errors.Is(err, ErrUnknown) {
		t.Errorf("after a pause: %v, want one more try", err)
	}
	if err := try(); !errors.Is(err, ErrBusy) {
		t.Errorf("and another: %v, want ErrBusy", err)
	}
	h.wait(forgetGuesser)
	if _, err := Join(t.Context(), v, self(t, "clinic")); err != nil {
		t.Errorf("after a longer pause: %v", err)
	}
}

func TestGuessersAreBounded(t *testing.T) {
	g := make(guesses)
	now := time.Unix(0, 0)
	for i := range 3 * maxGuessers {
		g.missed(source(fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255)), now)
	}
	if len(g) > maxGuessers {
		t.Errorf("%d sources are remembered, limit %d", len(g), maxGuessers)
	}
	if a, b := source("[2001:db8::1]:1"), source("[2001:db8::ffff:2]:9"); a != b {
		t.Errorf("two addresses of one network count apart: %v and %v", a, b)
	}
	if a, b := source("10.0.0.1:1"), source("[::ffff:10.0.0.1]:2"); a != b {
		t.Errorf("one address in two forms counts apart: %v and %v", a, b)
	}
}

func TestLargeBodyIsRefused(t *testing.T) {
	h := newHouse(t)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/J/", bytes.NewReader(make([]byte, maxRequest+1))))
	if w.Code != http.StatusBadRequest {
		t.Errorf("%d bytes: status %d, want 400", maxRequest+1, w.Code)
	}
}

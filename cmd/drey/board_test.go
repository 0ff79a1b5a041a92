package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"drey/mesh"
	"drey/nostrbridge/pool"
	"drey/nostrbridge/pool/badrelay"
)

// notice is an announcement of a machine.
func notice(t *testing.T, by byte, content string) *mesh.Event {
	t.Helper()
	k, err := mesh.NewSecretKey([32]byte{31: by})
	if err != nil {
		t.Fatal(err)
	}
	e, err := k.Sign(mesh.Draft{CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindPeerRecord, Content: content, Tags: [][]string{{"d", "drey/peer/v1/1"}, {"t", "00ff"}}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func someRelay(t *testing.T, b badrelay.Behaviour) *badrelay.Relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := badrelay.Serve(l, b)
	t.Cleanup(r.Close)
	return r
}

// A relay that refuses, one that lies and one that is gone are named; the one
// that works holds the announcement, and is not asked again.
func TestBoardBelievesWhatItSees(t *testing.T) {
	t.Parallel()
	good := someRelay(t, badrelay.Behaviour{})
	refusing := someRelay(t, badrelay.Behaviour{Refuse: func(*mesh.Event) string { return "blocked: not you" }})
	lying := someRelay(t, badrelay.Behaviour{LieOK: true})
	const dead = "ws://127.0.0.1:1"
	urls := []string{good.URL, refusing.URL, lying.URL, dead, "ftp://no.relay"}
	p := pool.New(pool.Config{Side: urls, Log: slog.New(slog.DiscardHandler), Clock: time.Now})
	ctx, stop := context.WithTimeout(t.Context(), awaitPatience)
	ended := make(chan error, 2)
	go func() { ended <- p.Run(ctx) }()
	defer func() { stop(); <-ended; <-ended }()

	b := newBoard(p, urls)
	e := notice(t, 1, "here")
	err := b.Announce(ctx, e)
	for _, want := range []string{refusing.URL + ": blocked: not you", lying.URL + ": " + errNotShown.Error(), dead + ": " + pool.ErrDown.Error()} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), good.URL) || !errors.Is(err, pool.ErrDown) {
		t.Errorf("the good relay is blamed: %v", err)
	}
	refusing.Set(func(b *badrelay.Behaviour) { b.Refuse = nil })
	lying.Set(func(b *badrelay.Behaviour) { b.LieOK = false })
	if err := b.Announce(ctx, e); err == nil || strings.Count(err.Error(), "ws://") != 1 || !strings.Contains(err.Error(), dead) {
		t.Errorf("second attempt: %v, want only the dead relay named", err)
	}
	if n := good.Heard(e.ID()); n != 1 {
		t.Errorf("the good relay was given the announcement %d times", n)
	}

	// What the relays hold and get comes once, whatever is there at once.
	got := make(chan string, 10)
	go func() {
		ended <- b.Records(ctx, []mesh.Filter{{Kinds: []mesh.Kind{mesh.KindPeerRecord}, Tags: map[string][]string{"t": {"00ff"}}}}, func(_ string, e *mesh.Event) { got <- e.Content() })
	}()
	for i, want := range []string{"here", "there"} {
		select {
		case s := <-got:
			if s != want {
				t.Errorf("record %d is %q, want %q", i, s, want)
			}
		case <-ctx.Done():
			t.Fatalf("record %d did not come", i)
		}
		if i == 0 {
			later := notice(t, 2, "there")
			good.Put(later)
			lying.Put(later)
		}
	}
	if len(got) != 0 {
		t.Errorf("%d records too many", len(got))
	}
	if n := good.Counts().Dials; n != 1 {
		t.Errorf("%d connections to one relay", n)
	}
}

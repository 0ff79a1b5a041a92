package pool

import (
	"context"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"drey/mesh"
	"drey/nostrbridge/pool/relaystest"
)

// With a relay of foreign code, over sockets: what is there and what comes
// arrive, also by reconciliation; nothing is left behind.
func TestKhatru(t *testing.T) {
	if raceDetector {
		t.Skip("khatru v0.19.1 itself races: it reads its listeners without the lock")
	}
	relay := relaystest.Serve(t, nil)
	leaks := goleak.IgnoreCurrent() // khatru keeps one of its own
	old := numbered(60, time.Now().Add(-24*time.Hour), "old")
	house := newAttic(old[:50]...)
	p := New(Config{URLs: []string{relay.URL}, Signer: key(9), Archive: house, Log: discard, Clock: time.Now})
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	got := make(chan string, 100)
	ended := make(chan error, 2)
	go func() { ended <- p.Run(ctx) }()
	settle(ctx, t, p, Connected)
	for _, e := range old {
		if err := p.Publish(ctx, relay.URL, e); err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		ended <- p.Follow(ctx, Feed{
			Name: "test", Back: 48 * time.Hour,
			Filters: func(string) []mesh.Filter { return []mesh.Filter{{Kinds: []mesh.Kind{mesh.KindNote}}} },
			Found: func(_ context.Context, _ string, e *mesh.Event) error {
				got <- e.Content()
				return nil
			},
		})
	}()
	await := func(want []*mesh.Event) {
		t.Helper()
		var have []string
		for len(have) < len(want) {
			select {
			case s := <-got:
				if slices.Contains(contents(old[:50]), s) {
					continue // the one that opens the subscription, which may be any
				}
				have = append(have, s)
			case <-ctx.Done():
				t.Fatalf("%d of %d came", len(have), len(want))
			}
		}
		slices.Sort(have)
		if !slices.Equal(have, contents(want)) {
			t.Errorf("came %q", have)
		}
	}
	await(old[50:])
	live := numbered(3, time.Now(), "live")
	for _, e := range live {
		if err := p.Publish(ctx, relay.URL, e); err != nil {
			t.Fatal(err)
		}
	}
	await(live)
	if s := p.Relays()[0]; s.Sent != 63 || !slices.Contains(s.NIPs, nipSync) || !trusts(t, p, relay.URL) {
		t.Errorf("%+v, trusted %v", s, trusts(t, p, relay.URL))
	}
	steps, err := p.Test(ctx, relay.URL)
	if err != nil || slices.ContainsFunc(steps, func(s Step) bool { return s.Result == Fails }) {
		t.Errorf("%v, %v", steps, err)
	}
	stop()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	goleak.VerifyNone(t, leaks)
}

// settle waits until all relays of a pool are in a state.
func settle(ctx context.Context, t *testing.T, p *Pool, want State) {
	t.Helper()
	for {
		change := p.Changed()
		if !slices.ContainsFunc(p.Relays(), func(r Relay) bool { return r.State != want }) {
			return
		}
		select {
		case <-change:
		case <-ctx.Done():
			t.Fatalf("%+v", p.Relays())
		}
	}
}

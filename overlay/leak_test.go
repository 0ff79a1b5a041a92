package overlay

import (
	"context"
	"testing"

	"go.uber.org/goleak"
)

// runBoth runs two linked nodes until they are connected, and ends them.
func runBoth(t *testing.T) {
	one, two := testKey(t, 1), testKey(t, 2)
	roster := newTestRoster("town", publicOf(one), publicOf(two))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 2)
	run := func(c Config) *Overlay {
		c.Roster, c.Log, c.LAN = roster, testLog(t), true
		c.Listen = []string{"tls://127.0.0.1:0", "tcp://127.0.0.1:0"}
		o, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		go func() { ended <- o.Run(ctx) }()
		hostOf(t, o)
		return o
	}
	a := run(Config{Key: one})
	b := run(Config{Key: two})
	serveEcho(hostOf(t, b))
	for _, uri := range b.Listening() {
		if err := a.AddPeer(uri); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := echoOnce(ctx, hostOf(t, a), b.Key(), "hi"); err != nil || got != "hi" {
		t.Errorf("echo gave %q, %v", got, err)
	}
	until(t, "every link is up", func() bool {
		up := 0
		for _, l := range a.Links() {
			if l.Up && l.Source == SourceStatic {
				up++
			}
		}
		return up == 2
	})
	cancel()
	for range 2 {
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	if _, err := a.Host(t.Context()); err == nil {
		t.Error("a stopped overlay still has a host")
	}
}

// Two nodes in one process, twice over: nothing is left behind. (Listeners of
// Yggdrasil's own schemes, quic and ws, leave goroutines of Yggdrasil's.)
func TestNothingIsLeftAfterRun(t *testing.T) {
	before := goleak.IgnoreCurrent()
	for range 2 {
		runBoth(t)
		goleak.VerifyNone(t, before)
	}
}

// Schemes that are left to Yggdrasil's own links work too, without neighbour
// frames.
func TestYggdrasilsOwnSchemes(t *testing.T) {
	if raceDetector {
		t.Skip("ironwood's list of peers reads times that its actors write: a race of its own")
	}
	one, two := testKey(t, 1), testKey(t, 2)
	roster := newTestRoster("town", publicOf(one), publicOf(two))
	a := start(t, Config{Key: one, Roster: roster})
	b := start(t, Config{Key: two, Roster: roster, Listen: []string{"ws://127.0.0.1:0"}})
	join(t, a, b)
	until(t, "the link is up", func() bool {
		l := a.Links()
		return len(l) == 1 && l[0].Up && l[0].Key == b.Key() && l[0].Source == SourceStatic && !l[0].Neighbour
	})
	if err := a.RemovePeer(b.Listening()[0]); err != nil {
		t.Error(err)
	}
	until(t, "the link is gone", func() bool { return len(a.Links()) == 0 })
}

func TestRunFailsWhenThePortIsTaken(t *testing.T) {
	before := goleak.IgnoreCurrent()
	one, two := testKey(t, 1), testKey(t, 2)
	roster := newTestRoster("town", publicOf(one), publicOf(two))
	t.Run("second", func(t *testing.T) {
		a := start(t, Config{Key: one, Roster: roster})
		p, err := parsePeering(a.Listening()[0])
		if err != nil {
			t.Fatal(err)
		}
		b, err := New(Config{Key: two, Roster: roster, Listen: []string{p.uri}})
		if err != nil {
			t.Fatal(err)
		}
		err = b.Run(t.Context())
		fault, ok := err.(*Error)
		if !ok || fault.Code != "port-taken" || fault.Hint() == "" {
			t.Errorf("Run gave %v, want an *Error with code port-taken and a hint", err)
		}
		if want := "port " + p.url.Port() + " is in use"; ok && fault.Err.Error() != want {
			t.Errorf("the error says %q, want %q", fault.Err, want)
		}
		if _, err := b.Host(t.Context()); err == nil {
			t.Error("a node that did not start has a host")
		}
	})
	goleak.VerifyNone(t, before)
}

func TestPeersComeAndGo(t *testing.T) {
	one, two := testKey(t, 1), testKey(t, 2)
	roster := newTestRoster("town", publicOf(one), publicOf(two))
	a := start(t, Config{Key: one, Roster: roster})
	b := start(t, Config{Key: two, Roster: roster})
	join(t, a, b)
	up := func(o *Overlay, source Source) func() bool {
		return func() bool {
			l := o.Links()
			return len(l) == 1 && l[0].Up && l[0].Source == source && l[0].RTT > 0 && l[0].Neighbour
		}
	}
	until(t, "the caller lists the link", up(a, SourceStatic))
	until(t, "the called lists the link", up(b, SourceIncoming))
	if key := a.Links()[0].Key; key != b.Key() {
		t.Errorf("the link is to %s, want %s", key, b.Key())
	}
	uri := b.Listening()[0]
	if err := a.RemovePeer(uri); err != nil {
		t.Errorf("RemovePeer: %v", err)
	}
	until(t, "both forget the link", func() bool { return len(a.Links()) == 0 && len(b.Links()) == 0 })
	if err := a.RemovePeer(uri); err == nil {
		t.Error("removing a peer twice is no error, want not found")
	}
	for _, bad := range []string{"tls://[200::1]:3740", "tls://x", "gopher://x:1", "tls://h:1?key=zz", "tls://h:1?maxbackoff=1ms"} {
		if err := a.AddPeer(bad); err == nil {
			t.Errorf("AddPeer(%q) is no error", bad)
		}
	}
}

// A peer that shows another key than the pinned one is not linked.
func TestPinnedKey(t *testing.T) {
	one, two := testKey(t, 1), testKey(t, 2)
	roster := newTestRoster("town", publicOf(one), publicOf(two))
	a := start(t, Config{Key: one, Roster: roster})
	b := start(t, Config{Key: two, Roster: roster})
	p, err := parsePeering(b.Listening()[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := a.AddPeer(p.uri + "?key=" + a.Key().String()); err != nil {
		t.Fatal(err)
	}
	until(t, "the link is refused", func() bool {
		l := a.Links()
		return len(l) == 1 && !l[0].Up && l[0].Err != "calling"
	})
}

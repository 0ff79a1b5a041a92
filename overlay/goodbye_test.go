package overlay

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
)

// A node that ends tells its neighbours, and does not leave them to find out.
func TestGoodbye(t *testing.T) {
	one, two := testKey(t, 1), testKey(t, 2)
	roster := newTestRoster("town", publicOf(one), publicOf(two))
	probed := new(atomic.Bool)
	a := start(t, Config{Key: one, Roster: roster, Log: slog.New(ear{"hanging up: no answer", probed})})
	b, end := startOnce(t, Config{Key: two, Roster: roster})
	left, err := hostOf(t, a).EventBus().Subscribe(new(event.EvtPeerConnectednessChanged))
	if err != nil {
		t.Fatal(err)
	}
	defer left.Close()
	join(t, a, b)
	next := func() network.Connectedness {
		select {
		case e := <-left.Out():
			return e.(event.EvtPeerConnectednessChanged).Connectedness
		case <-time.After(time.Minute):
			t.Fatal("nothing was told of the neighbour for a minute")
			return 0
		}
	}
	if got := next(); got != network.Connected {
		t.Fatalf("the neighbour became %v, want connected", got)
	}
	// The call that a node was just making is given up without a word.
	until(t, "both have the connection, and neither calls", func() bool {
		return slices.Contains(b.Connected(), a.Key()) && !b.gate.calling(a.Key()) && !a.gate.calling(b.Key())
	})
	ended := make(chan struct{})
	go func() { end(); close(ended) }()
	if got := next(); got != network.NotConnected {
		t.Errorf("the neighbour became %v, want not connected", got)
	}
	if probed.Load() {
		t.Error("nobody said goodbye: the neighbour was missed by its silence")
	}
	<-ended
}

// An ear is a handler of logs that notes whether a message came.
type ear struct {
	message string
	heard   *atomic.Bool
}

func (e ear) Enabled(context.Context, slog.Level) bool { return true }
func (e ear) WithAttrs([]slog.Attr) slog.Handler       { return e }
func (e ear) WithGroup(string) slog.Handler            { return e }
func (e ear) Handle(_ context.Context, r slog.Record) error {
	if r.Message == e.message {
		e.heard.Store(true)
	}
	return nil
}

// A node that ended without a word and came back is not sought on its old
// connection.
func TestCrashedNeighbourComesBack(t *testing.T) {
	one, two := testKey(t, 1), testKey(t, 2)
	roster := newTestRoster("town", publicOf(one), publicOf(two))
	a := start(t, Config{Key: one, Roster: roster})
	b, end := startOnce(t, Config{Key: two, Roster: roster})
	join(t, a, b)
	until(t, "they connect", func() bool { return slices.Contains(a.Connected(), b.Key()) })
	id, err := PeerOf(b.Key())
	if err != nil {
		t.Fatal(err)
	}
	b.current().cancel() // the links go first, so that no goodbye gets through
	end()
	old := hostOf(t, a).Network().ConnsToPeer(id)
	if len(old) == 0 {
		t.Skip("the goodbye was faster than the cut")
	}
	b = start(t, Config{Key: two, Roster: roster})
	if err := a.AddPeer(b.Listening()[0]); err != nil {
		t.Fatal(err)
	}
	until(t, "only new connections lead there", func() bool {
		conns := hostOf(t, a).Network().ConnsToPeer(id)
		return len(conns) > 0 && !slices.ContainsFunc(conns, func(c network.Conn) bool { return slices.Contains(old, c) })
	})
}

// startOnce runs an overlay until end is called, at the latest until the test
// ends.
func startOnce(t *testing.T, c Config) (o *Overlay, end func()) {
	t.Helper()
	c.Listen, c.Log = []string{"tls://127.0.0.1:0"}, testLog(t)
	o, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	hostOf(t, o)
	return o, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

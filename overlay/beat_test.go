package overlay

import (
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A tape is a connection that keeps the times of what is written and says
// nothing.
type tape struct {
	net.Conn
	at []time.Time
}

func (t *tape) Write(p []byte) (int, error) { t.at = append(t.at, time.Now()); return len(p), nil }
func (t *tape) Close() error                { return nil }

// TestLinksPingAtOnce runs a link that came up between two beats: after its
// first ping it asks with all others, and misses who never answers.
func TestLinksPingAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		beat := time.Now()
		<-time.After(2*pingEvery + 500*time.Millisecond)
		conn, began := &tape{}, time.Now()
		n := newNeighbour(conn, began, new(atomic.Uint64), nil)
		n.beat = beat
		if err := n.run(nil); !errors.Is(err, errSilent) {
			t.Errorf("run ended with %v, want %v", err, errSilent)
		}
		want := []time.Time{began, beat.Add(3 * pingEvery), beat.Add(4 * pingEvery)}
		if !slices.EqualFunc(conn.at, want, time.Time.Equal) {
			t.Errorf("pings at %v, want %v", conn.at, want)
		}
		if missed := time.Since(began); missed > 12*time.Second {
			t.Errorf("missed after %v, want at most 12 s", missed)
		}
	})
}

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

// TestLinksPingAtOnce runs links that came up between two beats: after its first
// ping each asks with all others, and misses who never answers.
func TestLinksPingAtOnce(t *testing.T) {
	for _, late := range []time.Duration{0, time.Millisecond, time.Second, 3500 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			beat := time.Now()
			<-time.After(2*pingEvery + late)
			conn, began := &tape{}, time.Now()
			n := newNeighbour(conn, began, new(atomic.Uint64), nil)
			n.beat = beat
			if err := n.run(nil); !errors.Is(err, errSilent) {
				t.Errorf("run ended with %v, want %v", err, errSilent)
			}
			want := []time.Time{began}
			for at := beat.Add(3 * pingEvery); at.Sub(began) <= pingPatient; at = at.Add(pingEvery) {
				want = append(want, at)
			}
			if !slices.EqualFunc(conn.at, want, time.Time.Equal) {
				t.Errorf("%v late: pings at %v, want %v", late, conn.at, want)
			}
			if missed := time.Since(began); missed > 15*time.Second {
				t.Errorf("%v late: missed after %v, want at most 15 s", late, missed)
			}
		})
	}
}

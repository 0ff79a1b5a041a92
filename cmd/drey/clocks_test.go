package main

import (
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// TestAgreedTime has machines with clocks of their own measure each other: what
// they agree on is one time, and it stays so when they lose each other.
func TestAgreedTime(t *testing.T) {
	now := time.Unix(1_780_000_000, 0)
	for _, x := range []struct {
		name   string
		clocks []time.Duration // how far each is ahead of the right time
		synced bool            // the first one's is kept
		want   time.Duration   // of the first
	}{
		{"alone", []time.Duration{7 * time.Second}, false, 7 * time.Second},
		{"two", []time.Duration{-3 * time.Second, 7 * time.Second}, false, 2 * time.Second},
		{"three", []time.Duration{-7 * time.Second, 0, 9 * time.Second}, false, 0},
		{"two right ones and a wrong one", []time.Duration{-time.Hour, 0, 0}, false, 0},
		{"one kept by the system", []time.Duration{0, time.Hour, time.Hour}, true, 0},
	} {
		for i, own := range x.clocks {
			c := newClocks(nil, func() time.Time { return now.Add(own) }, func() bool { return i == 0 && x.synced }, slog.New(slog.DiscardHandler))
			for j, other := range x.clocks {
				if j != i {
					c.mu.ahead[peer.ID(rune(j))] = measured{ahead: other - own}
				}
			}
			for _, when := range []string{"together", "apart"} {
				if got := c.agreed().Sub(now); got != x.want && (i == 0 || !x.synced) {
					t.Errorf("%s, machine %d, %s: %v, want %v", x.name, i, when, got, x.want)
				}
				clear(c.mu.ahead)
			}
		}
	}
}

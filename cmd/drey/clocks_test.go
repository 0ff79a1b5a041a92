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
			c.agree()
			for _, when := range []string{"together", "apart"} {
				if got := c.agreed().Sub(now); got != x.want && (i == 0 || !x.synced) {
					t.Errorf("%s, machine %d, %s: %v, want %v", x.name, i, when, got, x.want)
				}
				clear(c.mu.ahead)
				c.agree()
			}
		}
	}
}

// TestClockThatIsSet forgets what was measured by a clock that was set since, and
// not what was measured by one that goes a little wrong.
func TestClockThatIsSet(t *testing.T) {
	now := time.Unix(1_780_000_000, 0)
	c := newClocks(nil, func() time.Time { return now }, func() bool { return false }, slog.New(slog.DiscardHandler))
	c.notice(0)
	c.mu.ahead["a"] = measured{ahead: 10 * time.Second}
	c.agree()
	for _, step := range []struct{ clock, monotonic, agreed time.Duration }{
		{time.Minute, time.Minute, 5 * time.Second},
		{time.Minute + 20*time.Millisecond, 2 * time.Minute, 5 * time.Second},
		{time.Hour, 3 * time.Minute, 0},
		{0, 4 * time.Minute, 0},
	} {
		now = time.Unix(1_780_000_000, 0).Add(step.monotonic + step.clock - time.Minute)
		c.notice(step.monotonic)
		if got := c.agreed().Sub(now); got != step.agreed || len(c.mu.ahead) > 0 != (step.agreed > 0) {
			t.Errorf("the clock is %v ahead of what it was: agreed %v ahead, %d measured; want %v", step.clock-time.Minute, got, len(c.mu.ahead), step.agreed)
		}
	}
}

package pool

import "time"

// Bounds of a learnt pace.
const (
	firstPace = 100 * time.Millisecond
	slowest   = 10 * time.Minute
)

// A pace is the distance between events that a relay bears, learnt from its
// complaints. The zero pace is as fast as events come.
type pace struct {
	gap  time.Duration
	next time.Time // no event before
	full time.Time // the last complaint; several about one burst count once
}

// take returns how long an event has to wait, and reserves its place.
func (p *pace) take(now time.Time) time.Duration {
	if p.gap == 0 {
		return 0
	}
	at := now
	if p.next.After(now) {
		at = p.next
	}
	p.next = at.Add(p.gap)
	return at.Sub(now)
}

// slower takes a complaint, and returns when the next event may come.
func (p *pace) slower(now time.Time) time.Duration {
	if p.gap == 0 || now.Sub(p.full) >= p.gap {
		p.gap = min(max(2*p.gap, firstPace), slowest)
		p.full = now
	}
	if earliest := now.Add(p.gap); p.next.Before(earliest) {
		p.next = earliest
	}
	return p.next.Sub(now)
}

// faster takes an acknowledgement.
func (p *pace) faster() {
	p.gap -= p.gap / 100
	if p.gap < firstPace/20 {
		p.gap = 0
	}
}

package bootstrap

import (
	"maps"
	"sync"
)

// Refusals that finders make themselves, before the Manager looks.
const (
	RefusedExpired Refusal = "expired" // its medium said until when it counts
	RefusedFuture  Refusal = "future"  // dated more than a quarter of an hour ahead
)

// A Picky finder refuses some of what it meets by itself.
type Picky interface {
	Finder
	// Refused returns how often, by reason.
	Refused() map[Refusal]uint64
}

// A tally counts refusals. The zero value is ready. Safe for concurrent use.
type tally struct {
	mu    sync.Mutex
	count map[Refusal]uint64
}

func (t *tally) add(why Refusal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == nil {
		t.count = map[Refusal]uint64{}
	}
	t.count[why]++
}

// Refused returns how often something was refused, by reason.
func (t *tally) Refused() map[Refusal]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.count)
}

// sum adds counts to counts; either may be nil.
func sum(a, b map[Refusal]uint64) map[Refusal]uint64 {
	if a == nil {
		return maps.Clone(b)
	}
	for why, n := range b {
		a[why] += n
	}
	return a
}

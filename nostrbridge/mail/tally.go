package mail

import (
	"maps"
	"sync"
)

// Why something that was sealed was not taken.
const (
	whyForged = "forged"      // a seal that proves nothing
	whyOther  = "not for us"  // addressed to this node, sealed for another key
	whyForm   = "form"        // a letter, a part of a bundle that nobody could have written
	whyMost   = "no room"     // of unfinished bundles, of receipts that wait
	whyWriter = "not members" // receipts are for members only
)

// A tally counts by reason. Safe for concurrent use.
type tally struct {
	mu struct {
		sync.Mutex
		by map[string]uint64
	}
}

func (t *tally) add(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.by == nil {
		t.mu.by = make(map[string]uint64)
	}
	t.mu.by[why]++
}

func (t *tally) all() map[string]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.mu.by)
}

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

// all returns every reason, with 0 where nothing was counted.
func (t *tally) all() map[string]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[string]uint64{whyForged: 0, whyOther: 0, whyForm: 0, whyMost: 0, whyWriter: 0}
	maps.Copy(all, t.mu.by)
	return all
}

package mesh

import (
	"maps"
	"sync"
)

// A Tally counts by reason. The zero Tally is empty. Safe for concurrent use.
type Tally struct {
	mu struct {
		sync.Mutex
		by map[string]uint64
	}
}

// Add counts one more.
func (t *Tally) Add(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.by == nil {
		t.mu.by = make(map[string]uint64)
	}
	t.mu.by[why]++
}

// All returns the counts, those of the named reasons also where they are 0. The
// map is the caller's.
func (t *Tally) All(named ...string) map[string]uint64 {
	all := make(map[string]uint64, len(named))
	for _, why := range named {
		all[why] = 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.Copy(all, t.mu.by)
	return all
}

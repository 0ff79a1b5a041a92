package bootstrap

import (
	"sync"

	"drey/mesh"
)

// A latest hands this node's newest record from Announce, which must not
// block, to a finder's Run. Safe for concurrent use.
type latest struct {
	news chan struct{} // holds one

	mu struct {
		sync.Mutex
		record *mesh.PeerRecord
	}
}

func newLatest() *latest { return &latest{news: make(chan struct{}, 1)} }

func (l *latest) set(r *mesh.PeerRecord) {
	l.mu.Lock()
	l.mu.record = r
	l.mu.Unlock()
	l.touch()
}

// get returns the newest record, nil before the first.
func (l *latest) get() *mesh.PeerRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.record
}

// touch makes the record be looked at again.
func (l *latest) touch() {
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// changed receives once after each change, or after several.
func (l *latest) changed() <-chan struct{} { return l.news }

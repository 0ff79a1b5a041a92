package nostrbridge

import (
	"slices"
	"sync"

	"drey/mesh"
)

// maxLanded bounds the events of which is remembered which relays have them:
// about 2 MB. What is forgotten is asked for.
const maxLanded = 1 << 14

// landed remembers which relays hold which events. Safe for concurrent use.
type landed struct {
	mu struct {
		sync.Mutex
		on    map[mesh.EventID][]string
		order []mesh.EventID // a ring once it is full
		next  int
	}
}

func newLanded() *landed {
	l := &landed{}
	l.mu.on = make(map[mesh.EventID][]string)
	return l
}

// add takes down that a relay has an event, and returns how many relays do. It
// reports whether that was new.
func (l *landed) add(id mesh.EventID, relay string) (n int, fresh bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	on, known := l.mu.on[id]
	if slices.Contains(on, relay) {
		return len(on), false
	}
	if !known {
		if len(l.mu.order) < maxLanded {
			l.mu.order = append(l.mu.order, id)
		} else {
			delete(l.mu.on, l.mu.order[l.mu.next])
			l.mu.order[l.mu.next] = id
			l.mu.next = (l.mu.next + 1) % maxLanded
		}
	}
	l.mu.on[id] = append(on, relay)
	return len(on) + 1, true
}

// has reports whether a relay is known to have an event.
func (l *landed) has(id mesh.EventID, relay string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.mu.on[id], relay)
}

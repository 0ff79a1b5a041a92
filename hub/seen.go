package hub

import (
	"time"

	"drey/mesh"
)

// seen remembers which events this node has lately taken, so that what comes
// again costs no look into the store. The store remembers for ever; only
// ephemeral events, which it does not keep, depend on this memory, so ttl must
// exceed the longest any carrier may hold one of those.
type seen struct {
	ttl  time.Duration
	most int // ids remembered; the oldest are forgotten first

	when  map[mesh.EventID]time.Time
	queue []sighting // oldest first; some no longer count
}

type sighting struct {
	id mesh.EventID
	at time.Time
}

func newSeen(ttl time.Duration, most int) *seen {
	return &seen{ttl: ttl, most: most, when: make(map[mesh.EventID]time.Time)}
}

// add records id and reports whether it is new.
func (s *seen) add(id mesh.EventID, now time.Time) bool {
	if s.has(id, now) {
		return false
	}
	s.when[id] = now
	s.queue = append(s.queue, sighting{id, now})
	for len(s.when) > s.most || len(s.queue) > 2*s.most {
		s.forget(s.queue[0])
		s.queue = s.queue[1:]
	}
	return true
}

// has reports whether id was recorded within the ttl.
func (s *seen) has(id mesh.EventID, now time.Time) bool {
	t, ok := s.when[id]
	return ok && now.Sub(t) < s.ttl
}

// forget drops what a sighting recorded, unless it was recorded again since.
func (s *seen) forget(g sighting) {
	if t, ok := s.when[g.id]; ok && t.Equal(g.at) {
		delete(s.when, g.id)
	}
}

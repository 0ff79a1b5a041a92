package web

import (
	"context"
	"sync"
	"time"

	"drey/mesh"
)

// Bounds of what is remembered of when members were last heard. Each question
// costs the store up to a millisecond, on a small machine ten.
const (
	heardFor     = 2 * time.Minute // an answer is believed
	heardAtATime = 50              // questions for one page; the next look asks the rest
	heardMost    = 4096            // members remembered
)

// A heardBook remembers when members were last heard. Safe for concurrent use.
type heardBook struct {
	mu struct {
		sync.Mutex
		by map[string]heardEntry // by npub
	}
}

type heardEntry struct{ at, asked time.Time }

// known returns what is remembered of a member, and whether it is fresh.
func (b *heardBook) known(npub string, now time.Time) (at time.Time, fresh bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.mu.by[npub]
	return e.at, ok && now.Sub(e.asked) < heardFor && !now.Before(e.asked)
}

func (b *heardBook) note(npub string, at, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.by == nil || len(b.mu.by) >= heardMost {
		b.mu.by = make(map[string]heardEntry)
	}
	b.mu.by[npub] = heardEntry{at, now}
}

// lastHeard returns a function that tells when this node last took in something
// that a member said, zero when it never did or does not know yet. The function
// is for one page: it asks the store heardAtATime times at most.
func (s *Server) lastHeard(ctx context.Context) func(npub string) time.Time {
	left := heardAtATime
	return func(npub string) time.Time {
		now := s.now()
		at, fresh := s.heard.known(npub, now)
		if fresh || left == 0 {
			return at
		}
		left--
		at = s.lastFrom(ctx, npub)
		s.heard.note(npub, at, now)
		return at
	}
}

// lastFrom asks the store for the newest of what an author said, which it finds
// at once by its date.
func (s *Server) lastFrom(ctx context.Context, npub string) time.Time {
	author, err := mesh.ParseAuthor(npub)
	if err != nil {
		return time.Time{}
	}
	for rec, err := range s.config.Node.Records(ctx, mesh.Filter{Authors: []mesh.PubKey{author}, Limit: 1}, mesh.Viewer{Member: true}) {
		if err == nil {
			return rec.Received
		}
	}
	return time.Time{}
}

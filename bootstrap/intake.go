package bootstrap

import (
	"bytes"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"drey/mesh"
)

// What one finder can make this node do.
const (
	intakeRoom = 64             // candidates that may wait to be looked at
	looksBurst = 64             // looked at at once,
	looks      = rate.Limit(20) // and then a second; each costs one signature check at most
	intakeSeen = 256            // candidates known again without a look
	maxURI     = 512            // bytes of a candidate's URI
)

// An intake holds what one finder has found until the Manager looks at it. A
// finder that offers more than is looked at loses some at random, so that one
// who shouts cannot silence who speaks once in a while for long.
type intake struct {
	news chan<- struct{} // of the Manager; holds one
	seed maphash.Seed    // immutable
	pace *rate.Limiter   // of looks; used by the Manager only

	mu struct {
		sync.Mutex
		waiting []Candidate
		found   uint64 // candidates handed over, ever
		flooded uint64 // of those, lost because too many waited
		last    time.Time
		seen    map[uint64]verdict
		order   []uint64 // of seen, the oldest first
		known   []string // sightings of contacts that were looked at before
	}
}

// A verdict is what became of a candidate that was looked at before.
type verdict struct {
	contact string // id of the contact it made or was of; "" when refused
	refused Refusal
}

func newIntake(news chan<- struct{}) *intake {
	i := &intake{news: news, seed: maphash.MakeSeed(), pace: rate.NewLimiter(looks, looksBurst)}
	i.mu.seen = map[uint64]verdict{}
	return i
}

// put takes a candidate; it copies what it keeps and never blocks.
func (i *intake) put(c Candidate, now time.Time) {
	if len(c.Record) > mesh.MaxSealedRecord {
		c.Record = c.Record[:mesh.MaxSealedRecord+1] // enough to be refused for its size
	}
	if len(c.URI) > maxURI {
		c.URI = c.URI[:maxURI+1]
	}
	name := i.name(c)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.mu.found++
	i.mu.last = now
	if v, ok := i.mu.seen[name]; ok {
		if v.refused == "" && len(i.mu.known) < intakeRoom {
			i.mu.known = append(i.mu.known, v.contact)
		}
	} else {
		c.Record = bytes.Clone(c.Record)
		if len(i.mu.waiting) < intakeRoom {
			i.mu.waiting = append(i.mu.waiting, c)
		} else {
			i.mu.flooded++
			i.mu.waiting[rand.IntN(intakeRoom)] = c
		}
	}
	select {
	case i.news <- struct{}{}:
	default:
	}
}

// take returns the next candidate when the pace allows a look, and whether
// more wait. later is when to come again if the pace does not allow it.
func (i *intake) take(now time.Time) (c Candidate, ok bool, later time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.mu.waiting) == 0 {
		return c, false, 0
	}
	if !i.pace.AllowN(now, 1) {
		return c, false, time.Second / looksPerSecond
	}
	c = i.mu.waiting[0]
	i.mu.waiting = append(i.mu.waiting[:0], i.mu.waiting[1:]...)
	return c, true, 0
}

const looksPerSecond = time.Duration(looks)

// sightings returns the contacts that were met again since the last call.
func (i *intake) sightings() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	known := i.mu.known
	i.mu.known = nil
	return known
}

// judge remembers what became of a candidate.
func (i *intake) judge(c Candidate, v verdict) {
	name := i.name(c)
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, known := i.mu.seen[name]; !known {
		if len(i.mu.order) == intakeSeen {
			delete(i.mu.seen, i.mu.order[0])
			i.mu.order = append(i.mu.order[:0], i.mu.order[1:]...)
		}
		i.mu.order = append(i.mu.order, name)
	}
	i.mu.seen[name] = v
}

// forget makes everything be looked at again: the roster, or a secret, has
// changed.
func (i *intake) forget() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.mu.seen)
	i.mu.order = i.mu.order[:0]
}

func (i *intake) name(c Candidate) uint64 {
	var h maphash.Hash
	h.SetSeed(i.seed)
	h.Write(c.Record)
	h.WriteByte(0)
	h.WriteString(c.URI)
	h.WriteByte(0)
	h.WriteString(c.From.String())
	return h.Sum64()
}

// counts returns what was handed over and lost, and when the last came.
func (i *intake) counts() (found, flooded uint64, last time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.mu.found, i.mu.flooded, i.mu.last
}

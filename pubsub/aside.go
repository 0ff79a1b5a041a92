package pubsub

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"drey/mesh"
)

// Bounds of what is remembered beside the archive.
const (
	maxNeighbours = 32     // of whom something is remembered
	maxAside      = 20_000 // ids of one neighbour's: about 2 MB
	maxRefused    = 20_000 // ids that this node would not take
	maxWitnessed  = 20_000 // ids that one neighbour has called gone for good
	maxClaims     = 40_000 // ids that sessions are fetching or have just fetched
)

// How long an id is left alone.
const (
	refusedFor = time.Hour        // policy said no; it may think again
	absentFor  = 10 * time.Minute // it could not be had just now
	claimFor   = 20 * time.Second // a neighbour is bringing it, or just has
)

// An aside remembers ids that are no part of the archive, so that nodes do not
// ask each other for the same thing for ever. In a comparison with a neighbour
// this node counts as known what that neighbour said is gone, and what came
// from it and was refused.
//
// A neighbour's word is not taken for more than its own archive: it may have
// pruned what others still hold, and a hostile one could bury what others want
// to read. So a tombstone enters this node's archive only for a reason that
// holds everywhere, and when a second neighbour says the same, or when there is
// no second one; in an open community never.
type aside struct {
	mu struct {
		sync.Mutex
		by       map[peer.ID]*heard
		refused  map[mesh.EventID]note
		witness  map[mesh.EventID]peer.ID // who called it gone for good first
		claims   map[mesh.EventID]claim   // what sessions under way are fetching or have fetched
		sessions int
	}
}

// heard is what one neighbour said.
type heard struct {
	notes   map[mesh.EventID]note
	horizon mesh.Unix // before it, there was too much to remember
	used    time.Time
}

// A note says why an id is left alone, and until when.
type note struct {
	item   mesh.Item
	until  time.Time // zero: for as long as the process lives
	roster bool      // and only until the roster changes
}

func (n note) over(now time.Time) bool { return !n.until.IsZero() && now.After(n.until) }

type claim struct {
	by   peer.ID
	at   time.Time
	done bool
}

func newAside() *aside {
	a := &aside{}
	a.mu.by = make(map[peer.ID]*heard)
	a.mu.refused = make(map[mesh.EventID]note)
	a.mu.witness = make(map[mesh.EventID]peer.ID)
	a.mu.claims = make(map[mesh.EventID]claim)
	return a
}

// items lists what counts as known towards a neighbour, and the time before
// which nothing is compared with it.
func (a *aside) items(p peer.ID, now time.Time) ([]mesh.Item, mesh.Unix) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.mu.by[p]
	if h == nil {
		return nil, 0
	}
	h.used = now
	items := make([]mesh.Item, 0, len(h.notes))
	for id, n := range h.notes {
		if n.over(now) {
			delete(h.notes, id)
			continue
		}
		items = append(items, n.item)
	}
	return items, h.horizon
}

// gone takes down that a neighbour holds only a tombstone, and reports whether
// this node should bury the event too. enough is how many neighbours have to
// agree.
func (a *aside) gone(p peer.ID, it mesh.Item, enough int, now time.Time) (bury bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.noteLocked(p, note{item: it}, now)
	switch it.Gone {
	case mesh.ReasonDeleted, mesh.ReasonSuperseded, mesh.ReasonExpired, mesh.ReasonBanned:
	default:
		return false // the neighbour's own housekeeping, or a reason from the future
	}
	if enough <= 1 {
		return true
	}
	first, known := a.mu.witness[it.ID]
	if known && first != p {
		delete(a.mu.witness, it.ID)
		return true
	}
	if !known {
		trim(a.mu.witness, maxWitnessed)
		a.mu.witness[it.ID] = p
	}
	return false
}

// absent takes down that a neighbour could not give what it seemed to have.
func (a *aside) absent(p peer.ID, it mesh.Item, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.noteLocked(p, note{item: it, until: now.Add(absentFor)}, now)
}

// refuse takes down that an event from a neighbour was not taken: for good with
// a zero span, or for so long, or until the roster changes.
func (a *aside) refuse(p peer.ID, it mesh.Item, span time.Duration, roster bool, now time.Time) {
	it.Gone = 0
	n := note{item: it, roster: roster}
	if span > 0 {
		n.until = now.Add(span)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	trim(a.mu.refused, maxRefused)
	a.mu.refused[it.ID] = n
	a.noteLocked(p, n, now)
}

// refusedBefore reports whether an id has been refused, from whomever; if so it
// is noted for this neighbour too.
func (a *aside) refusedBefore(p peer.ID, id mesh.EventID, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, ok := a.mu.refused[id]
	if !ok {
		return false
	}
	if n.over(now) {
		delete(a.mu.refused, id)
		return false
	}
	a.noteLocked(p, n, now)
	return true
}

// rosterChanged forgets refusals that may end otherwise now.
func (a *aside) rosterChanged() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, n := range a.mu.refused {
		if n.roster {
			delete(a.mu.refused, id)
		}
	}
	for _, h := range a.mu.by {
		for id, n := range h.notes {
			if n.roster {
				delete(h.notes, id)
			}
		}
		h.horizon = 0
	}
}

func (a *aside) noteLocked(p peer.ID, n note, now time.Time) {
	h := a.mu.by[p]
	if h == nil {
		if len(a.mu.by) >= maxNeighbours {
			a.forgetLocked()
		}
		h = &heard{notes: make(map[mesh.EventID]note)}
		a.mu.by[p] = h
	}
	h.used = now
	if _, known := h.notes[n.item.ID]; !known && len(h.notes) >= maxAside {
		// Newer things come first, so what lies further back is given up: the
		// neighbour has little of it left anyway.
		h.horizon = max(h.horizon, n.item.CreatedAt+1)
		return
	}
	h.notes[n.item.ID] = n
}

// forgetLocked drops the neighbour that was silent longest.
func (a *aside) forgetLocked() {
	var oldest peer.ID
	for p, h := range a.mu.by {
		if oldest == "" || h.used.Before(a.mu.by[oldest].used) {
			oldest = p
		}
	}
	delete(a.mu.by, oldest)
}

// trim makes room for one more by dropping any one.
func trim[V any](m map[mesh.EventID]V, most int) {
	if len(m) < most {
		return
	}
	for id := range m {
		delete(m, id)
		return
	}
}

// begin and end frame a session: while any is under way, no two of them fetch
// the same event.
func (a *aside) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.sessions++
}

// end gives up what p was asked for and did not bring, and reports whether
// there was such.
func (a *aside) end(p peer.ID) (left bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, c := range a.mu.claims {
		if c.by == p && !c.done {
			delete(a.mu.claims, id)
			left = true
		}
	}
	if a.mu.sessions--; a.mu.sessions == 0 {
		clear(a.mu.claims)
	}
	return left
}

// claim reports whether p is to be asked for id: nobody else has lately been
// asked. Who stalls keeps an event from the others for moments only.
func (a *aside) claim(p peer.ID, id mesh.EventID, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c, taken := a.mu.claims[id]; taken && now.Sub(c.at) < claimFor {
		return false
	}
	trim(a.mu.claims, maxClaims)
	a.mu.claims[id] = claim{by: p, at: now}
	return true
}

// fetched notes that a claimed event came.
func (a *aside) fetched(p peer.ID, id mesh.EventID, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.claims[id] = claim{by: p, at: now, done: true}
}

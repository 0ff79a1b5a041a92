package hub

import (
	"slices"
	"time"

	"drey/mesh"
)

// An arrival is an event on its way in.
type arrival struct {
	event    *mesh.Event
	carrier  string // "" for this node itself
	from     mesh.Origin
	at       time.Time // when it came
	verified bool      // its signature has been checked
	since    time.Time // when it came first; not zero once it waits
	again    bool      // it waited and tries again
	noRoom   bool      // it waits because the store was busy
}

// Bounds of the rooms.
const (
	roomEvents    = 1024           // events that wait
	roomBytes     = 4 << 20        // and their bytes
	roomPerAuthor = 64             // of one author
	roomAge       = 24 * time.Hour // how long one waits
)

// A room is where events wait that may be taken later: those whose author
// nobody has admitted yet. What was not taken in time, sync brings again.
type room struct {
	by       map[mesh.EventID]*arrival
	order    []mesh.EventID // oldest first
	byAuthor map[mesh.PubKey]int
	bytes    int
	dropped  uint64
}

func newRoom() *room {
	return &room{by: make(map[mesh.EventID]*arrival), byAuthor: make(map[mesh.PubKey]int)}
}

// has reports whether an event waits.
func (r *room) has(id mesh.EventID) bool { return r.by[id] != nil }

// add lets an arrival wait, at the cost of those who wait longest. It reports
// whether there was room: an author has only so much.
func (r *room) add(a *arrival, now time.Time) bool {
	id, author := a.event.ID(), a.event.Author()
	if r.has(id) {
		return true
	}
	if a.since.IsZero() {
		a.since = now
	}
	for len(r.order) > 0 && now.Sub(r.by[r.order[0]].since) > roomAge {
		r.drop(r.order[0])
	}
	size := sizeOf(a.event)
	if r.byAuthor[author] >= roomPerAuthor || size > roomBytes {
		r.dropped++
		return false
	}
	for len(r.order) >= roomEvents || r.bytes+size > roomBytes {
		r.drop(r.order[0])
	}
	r.by[id] = a
	i := len(r.order)
	for i > 0 && r.by[r.order[i-1]].since.After(a.since) {
		i-- // it waited before and keeps its turn
	}
	r.order = slices.Insert(r.order, i, id)
	r.byAuthor[author]++
	r.bytes += size
	return true
}

func (r *room) drop(id mesh.EventID) {
	r.dropped++
	r.remove(id)
}

func (r *room) remove(id mesh.EventID) {
	a := r.by[id]
	if a == nil {
		return
	}
	delete(r.by, id)
	r.order = slices.Delete(r.order, slices.Index(r.order, id), slices.Index(r.order, id)+1)
	r.bytes -= sizeOf(a.event)
	if r.byAuthor[a.event.Author()]--; r.byAuthor[a.event.Author()] == 0 {
		delete(r.byAuthor, a.event.Author())
	}
}

// list returns those who wait, oldest first.
func (r *room) list() []*arrival {
	all := make([]*arrival, 0, len(r.order))
	for _, id := range r.order {
		all = append(all, r.by[id])
	}
	return all
}

// sizeOf is about what an event weighs in memory.
func sizeOf(e *mesh.Event) int {
	n := 400 + len(e.Content())
	for _, t := range e.Tags() {
		n += 32
		for _, s := range t {
			n += 16 + len(s)
		}
	}
	return n
}

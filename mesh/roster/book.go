package roster

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"time"

	"drey/mesh"
)

// A Book is the roster of one community as far as this node knows it. It keeps
// nothing on disk: whoever owns it applies the stored events again at the next
// start. Safe for concurrent use.
type Book struct {
	community mesh.Community // immutable

	mu struct {
		sync.RWMutex
		graph   *graph
		verdict *verdict
		lot     *lot
		passes  *passes
		asks    asks
		nodes   []mesh.NodeKey // cache of Nodes; nil after a change
		digest  *[32]byte      // cache of Digest; nil after a change
		changed chan struct{}  // closed at the next change
	}
}

var _ mesh.Roster = (*Book)(nil)

// New returns a roster that knows nobody yet but the founder's key.
func New(c mesh.Community) *Book {
	b := &Book{community: c}
	b.mu.graph = newGraph(c.Founder)
	b.mu.verdict = newVerdict(b.mu.graph)
	b.mu.lot = newLot()
	b.mu.passes = newPasses()
	b.mu.asks = make(asks)
	b.mu.changed = make(chan struct{})
	return b
}

// Apply takes in a decision (mesh.KindRoster) or a pass (mesh.KindPass) whose
// signature the caller has verified. It reports whether anybody's standing may
// have changed; then Changed's channel is closed too.
//
// A decision whose past is not whole yet waits in a bounded room, without an
// error: keep it and pass it on, it counts as soon as the rest is here. What is
// already known changes nothing.
//
// Errors wrap mesh.ErrInvalid where the form is wrong; mesh.ErrRefused where
// the author can never have had the right, the book is full or the community
// is open; mesh.ErrBusy where the room is full; and mesh.ErrUnknownAuthor for a
// pass whose issuer is no machine of the community, and for a decision without
// a whole past where many wait that are by keys nobody has promoted yet: try
// such again when the roster has changed.
func (b *Book) Apply(e *mesh.Event) (changed bool, err error) {
	switch e.Kind() {
	case mesh.KindRoster, mesh.KindPass:
	default:
		return false, fmt.Errorf("%w: kind %d is not about belonging", mesh.ErrInvalid, e.Kind())
	}
	if b.community.Open {
		return false, fmt.Errorf("%w: an open community has no roster", mesh.ErrRefused)
	}
	if e.Kind() == mesh.KindPass {
		return b.applyPass(e)
	}
	if b.knows(e.ID()) {
		return false, nil
	}
	o, err := parseOp(b.community, e)
	if err != nil {
		return false, err
	}
	return b.applyOp(o)
}

func (b *Book) knows(id mesh.EventID) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.mu.graph.byID[id] != nil || b.mu.lot.parked[id]
}

func (b *Book) applyPass(e *mesh.Event) (changed bool, err error) {
	var add func() bool
	if verb, _ := e.Tag("op"); verb == "ask" {
		a, err := parseAsk(b.community, e)
		if err != nil {
			return false, err
		}
		add = func() bool { return b.mu.asks.add(a) }
	} else {
		p, err := parsePass(b.community, e)
		if err != nil {
			return false, err
		}
		add = func() bool { return b.mu.passes.add(p) }
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	issuer := b.standingLocked(e.Author())
	if issuer == mesh.Banned {
		return false, fmt.Errorf("%w: the pass is by a banned author", mesh.ErrRefused)
	}
	if issuer < mesh.Machine {
		return false, fmt.Errorf("%w: the pass is not by a machine of this community", mesh.ErrUnknownAuthor)
	}
	if changed = add(); changed {
		b.announceLocked()
	}
	return changed, nil
}

func (b *Book) applyOp(o *op) (changed bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.graph.byID[o.id()] != nil || b.mu.lot.parked[o.id()] {
		return false, nil
	}
	if head, lacks := b.mu.graph.missing(o); lacks {
		return false, b.mu.lot.park(o, head, b.mu.graph.promoted(o.signer()))
	}
	changed, whole, err := b.placeLocked(o)
	if err != nil {
		return false, err
	}
	if !whole {
		b.mu.verdict = judge(b.mu.graph)
	}
	if changed {
		b.announceLocked()
	}
	return changed, nil
}

// placeLocked adds o and all that waited for it. It reports whether standings
// may have changed, and whether the verdict already holds for all of it.
func (b *Book) placeLocked(o *op) (changed, whole bool, err error) {
	whole = true
	todo := []*op{o}
	for len(todo) > 0 {
		next := todo[0]
		todo = todo[1:]
		if head, lacks := b.mu.graph.missing(next); lacks {
			// There is room: it has just left.
			b.mu.lot.park(next, head, b.mu.graph.promoted(next.signer()))
			continue
		}
		v, failed := b.mu.graph.place(next)
		if failed == nil && !b.mu.verdict.wanted(v) {
			failed = fmt.Errorf("%w: too many decisions of %s do not count", mesh.ErrRefused, next.signer())
		}
		if failed != nil {
			if next == o {
				err = failed
			}
			continue // what waits for it waits in vain
		}
		b.mu.graph.insert(v)
		b.mu.digest = nil
		whole = whole && b.mu.verdict.extend(v)
		changed = changed || !whole || v.counts
		todo = append(todo, b.mu.lot.release(v.id())...)
	}
	return changed, whole, err
}

func (b *Book) announceLocked() {
	b.mu.nodes = nil
	close(b.mu.changed)
	b.mu.changed = make(chan struct{})
}

// Community returns the community whose roster this is.
func (b *Book) Community() mesh.Community { return b.community }

// Changed returns a channel that is closed when anybody's standing may have
// changed.
func (b *Book) Changed() <-chan struct{} {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.mu.changed
}

// Standing tells what an author is at a time. In an open community everybody
// is a person.
func (b *Book) Standing(author mesh.PubKey, now time.Time) mesh.Standing {
	if b.community.Open {
		return mesh.Person
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	s := b.standingLocked(author)
	if s != mesh.Stranger {
		return s
	}
	if _, ok := b.passLocked(author, now); ok {
		return mesh.Guest
	}
	return mesh.Stranger
}

// standingLocked is Standing without passes.
func (b *Book) standingLocked(author mesh.PubKey) mesh.Standing {
	g, d := b.mu.graph, b.mu.verdict
	if author == g.founder {
		return mesh.Founder
	}
	if slices.ContainsFunc(g.promotes[author], d.holds) {
		return mesh.Admin
	}
	s := mesh.Stranger
	for _, a := range g.admits[author] {
		if d.belongs(a) {
			if a.record != nil {
				return mesh.Machine
			}
			s = mesh.Person
		}
	}
	if s == mesh.Stranger && d.banned(d.byKey[author], g.admits[author]) {
		return mesh.Banned
	}
	return s
}

func isBan(v *vertex) bool { return v.verb == verbBan }

// Admits reports whether a machine belongs. Every machine belongs to an open
// community.
func (b *Book) Admits(node mesh.NodeKey) bool {
	if b.community.Open {
		return true
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.admitsLocked(node)
}

func (b *Book) admitsLocked(node mesh.NodeKey) bool {
	return slices.ContainsFunc(b.mu.graph.machines[node], b.mu.verdict.belongs)
}

// Banned reports whether a ban that counts lies on a machine, or on its author
// where author is not zero, and no later admission has lifted it.
func (b *Book) Banned(node mesh.NodeKey, author mesh.PubKey) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.bannedLocked(node, author)
}

func (b *Book) bannedLocked(node mesh.NodeKey, author mesh.PubKey) bool {
	if b.standingLocked(author) == mesh.Banned {
		return true
	}
	return !b.admitsLocked(node) && b.mu.verdict.banned(b.mu.verdict.byNode[node], b.mu.graph.machines[node])
}

// Nodes lists the machines that belong, sorted; none for an open community,
// where nobody keeps a list. The caller must not change it.
func (b *Book) Nodes() []mesh.NodeKey {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.nodes == nil {
		b.mu.nodes = []mesh.NodeKey{}
		for n := range b.mu.graph.machines {
			if b.admitsLocked(n) {
				b.mu.nodes = append(b.mu.nodes, n)
			}
		}
		slices.SortFunc(b.mu.nodes, func(x, y mesh.NodeKey) int { return bytes.Compare(x[:], y[:]) })
	}
	return b.mu.nodes
}

// Counts are sizes of a book.
type Counts struct {
	Decisions int    // in the graph
	Void      int    // of them such that do not count
	Waiting   int    // decisions whose past is not whole
	Dropped   uint64 // decisions turned away because too many waited
	Passes    int    // that have not been pushed out by newer ones
}

// Counts returns how much the book holds.
func (b *Book) Counts() Counts {
	b.mu.RLock()
	defer b.mu.RUnlock()
	c := Counts{
		Decisions: len(b.mu.graph.order),
		Waiting:   len(b.mu.lot.parked),
		Dropped:   b.mu.lot.dropped,
		Passes:    b.mu.passes.len(),
	}
	for _, v := range b.mu.graph.order {
		if !v.counts {
			c.Void++
		}
	}
	return c
}

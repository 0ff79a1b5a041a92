package roster

import (
	"fmt"
	"math"
	mathbits "math/bits"

	"drey/mesh"
)

// Limits of the graph, against an admin's machine gone mad.
const (
	maxEvents  = 1 << 16 // decisions that a book holds
	maxKeys    = 1 << 13 // of them promotions and revocations: each costs a bit in all later ones
	maxRevokes = 1 << 12 // of them demotions, removals and bans: each costs a look at all others
	maxRotates = 1 << 11 // of them rotations: each remembers its past
	maxVoid    = 1 << 10 // of one author, such that do not count
	maxIdle    = 1 << 5  // of them rotations
	maxParked  = 1 << 13 // decisions that wait for their past
	maxLotSize = 8 << 20 // and their bytes
	maxUnknown = 1 << 8  // of them such by keys that nobody has promoted yet
)

// bits is a set of small numbers.
type bits []uint64

func (b bits) has(i int) bool {
	return i>>6 < len(b) && b[i>>6]>>(i&63)&1 == 1
}

func (b *bits) add(i int) {
	for len(*b) <= i>>6 {
		*b = append(*b, 0)
	}
	(*b)[i>>6] |= 1 << (i & 63)
}

func (b bits) len() int {
	n := 0
	for _, w := range b {
		n += mathbits.OnesCount64(w)
	}
	return n
}

func (b *bits) addAll(c bits) {
	for len(*b) < len(c) {
		*b = append(*b, 0)
	}
	for i, w := range c {
		(*b)[i] |= w
	}
}

// A vertex is a decision in its place among the others. Everything but counts
// follows from its past alone and never changes.
type vertex struct {
	*op
	parents []*vertex
	index   int  // in the order of arrival, which is causal: parents first
	depth   int  // steps from the founder to whoever signed it
	key     int  // number among the keys, promotions and revocations; -1 for others
	keys    bits // the keys in its past
	past    bits // indices of all of its past; only kept for revocations and rotations
	first   bool // of a rotation: nothing in its past announces the same secret

	counts bool
}

// saw reports whether key k, a promotion or revocation, is in v's past.
func (v *vertex) saw(k *vertex) bool { return v.keys.has(k.key) }

// beside reports whether neither of v and the revocation r saw the other.
func (v *vertex) beside(r *vertex) bool {
	return v != r && !v.saw(r) && !r.past.has(v.index)
}

// A graph holds the decisions whose past is known.
type graph struct {
	founder  mesh.PubKey
	byID     map[mesh.EventID]*vertex
	order    []*vertex // by index
	tips     map[*vertex]struct{}
	keys     int // promotions and revocations so far
	promotes map[mesh.PubKey][]*vertex
	admits   map[mesh.PubKey][]*vertex  // found counts as one
	machines map[mesh.NodeKey][]*vertex // the admits that bring a node
	revokes  []*vertex
	rotates  []*vertex
}

func newGraph(founder mesh.PubKey) *graph {
	return &graph{
		founder:  founder,
		byID:     make(map[mesh.EventID]*vertex),
		tips:     make(map[*vertex]struct{}),
		promotes: make(map[mesh.PubKey][]*vertex),
		admits:   make(map[mesh.PubKey][]*vertex),
		machines: make(map[mesh.NodeKey][]*vertex),
	}
}

// missing returns a head of o that the graph lacks.
func (g *graph) missing(o *op) (mesh.EventID, bool) {
	for _, h := range o.heads {
		if g.byID[h] == nil {
			return h, true
		}
	}
	return mesh.EventID{}, false
}

// place finds where o belongs; its past is known. It refuses who could never
// act, and what would be too much.
func (g *graph) place(o *op) (*vertex, error) {
	isKey := o.verb == verbPromote || o.verb.revokes()
	switch {
	case len(g.order) >= maxEvents, isKey && g.keys >= maxKeys, o.verb.revokes() && len(g.revokes) >= maxRevokes,
		o.verb == verbRotate && len(g.rotates) >= maxRotates:
		return nil, fmt.Errorf("%w: the roster holds %d decisions, %d of them revocations, its limit", mesh.ErrRefused, len(g.order), len(g.revokes))
	}
	v := &vertex{op: o, index: len(g.order), key: -1}
	for _, h := range o.heads {
		v.parents = append(v.parents, g.byID[h])
	}
	v.keys = keysBehind(v.parents)
	v.depth = g.depthOf(v)
	if v.depth == math.MaxInt {
		return nil, fmt.Errorf("%w: %s is not an admin", mesh.ErrRefused, o.signer())
	}
	if isKey {
		v.key = g.keys
	}
	if o.verb.revokes() || o.verb == verbRotate {
		v.past = g.pastOf(v)
	}
	if o.verb == verbRotate {
		var epoch uint32
		if epoch, v.first = g.epochAfter(v.past, o.secret); epoch != o.epoch {
			return nil, fmt.Errorf("%w: a rotation to epoch %d, here it is %d", mesh.ErrRefused, o.epoch, epoch)
		}
	}
	return v, nil
}

// add gives o its place and keeps it there.
func (g *graph) add(o *op) (*vertex, error) {
	v, err := g.place(o)
	if err != nil {
		return nil, err
	}
	g.insert(v)
	return v, nil
}

func (g *graph) insert(v *vertex) {
	g.byID[v.id()] = v
	g.order = append(g.order, v)
	if v.key >= 0 {
		g.keys++
	}
	for _, p := range v.parents {
		delete(g.tips, p)
	}
	g.tips[v] = struct{}{}
	switch {
	case v.verb == verbPromote:
		g.promotes[v.author] = append(g.promotes[v.author], v)
	case v.verb.revokes():
		g.revokes = append(g.revokes, v)
	case v.verb == verbRotate:
		g.rotates = append(g.rotates, v)
	case v.verb == verbAdmit, v.verb == verbFound:
		g.admits[v.author] = append(g.admits[v.author], v)
		if v.record != nil {
			g.machines[v.node] = append(g.machines[v.node], v)
		}
	}
}

// keysBehind joins what the parents saw and the parents themselves. A line
// of admissions shares one set.
func keysBehind(parents []*vertex) bits {
	if len(parents) == 1 && parents[0].key < 0 {
		return parents[0].keys
	}
	var b bits
	for _, p := range parents {
		b.addAll(p.keys)
		if p.key >= 0 {
			b.add(p.key)
		}
	}
	return b
}

// depthOf counts the promotions between the founder and v's signer, by the
// shortest way that v saw, counting or not. It is math.MaxInt without any.
func (g *graph) depthOf(v *vertex) int {
	if v.signer() == g.founder {
		return 0
	}
	depth := math.MaxInt
	for _, p := range g.promotes[v.signer()] {
		if v.saw(p) {
			depth = min(depth, p.depth+1)
		}
	}
	return depth
}

// pastOf collects everything behind v.
func (g *graph) pastOf(v *vertex) bits {
	var past bits
	todo := append([]*vertex(nil), v.parents...)
	for len(todo) > 0 {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if past.has(p.index) {
			continue
		}
		past.add(p.index)
		todo = append(todo, p.parents...)
	}
	return past
}

// joined reports whether the newest vertex has all others in its past.
func (g *graph) joined() bool { return len(g.tips) == 1 }

// promoted reports whether anybody has ever made a key an admin, as far as is
// known.
func (g *graph) promoted(key mesh.PubKey) bool {
	return key == g.founder || len(g.promotes[key]) > 0
}

// A lot holds decisions whose past is not whole yet, each under one head that
// it waits for. When the lot is full, a newcomer is turned away and counted.
// Keys cost nothing, so those by keys that nobody has promoted yet share a
// small part of it.
type lot struct {
	waiting map[mesh.EventID][]*op // by a missing head
	parked  map[mesh.EventID]bool
	unknown map[mesh.EventID]bool // of those, by keys without a promotion
	size    int                   // of their events
	dropped uint64
}

func newLot() *lot {
	return &lot{
		waiting: make(map[mesh.EventID][]*op),
		parked:  make(map[mesh.EventID]bool),
		unknown: make(map[mesh.EventID]bool),
	}
}

// park lets o wait for head. known tells whether its signer was ever promoted.
func (l *lot) park(o *op, head mesh.EventID, known bool) error {
	switch {
	case !known && len(l.unknown) >= maxUnknown:
		l.dropped++
		return fmt.Errorf("%w: %s is no admin as far as is known here", mesh.ErrUnknownAuthor, o.signer())
	case len(l.parked) >= maxParked || l.size+o.size > maxLotSize:
		l.dropped++
		return fmt.Errorf("%w: %d decisions wait for those they name", mesh.ErrBusy, len(l.parked))
	}
	l.parked[o.id()] = true
	if !known {
		l.unknown[o.id()] = true
	}
	l.size += o.size
	l.waiting[head] = append(l.waiting[head], o)
	return nil
}

// release returns those that waited for head.
func (l *lot) release(head mesh.EventID) []*op {
	freed := l.waiting[head]
	delete(l.waiting, head)
	for _, o := range freed {
		delete(l.parked, o.id())
		delete(l.unknown, o.id())
		l.size -= o.size
	}
	return freed
}

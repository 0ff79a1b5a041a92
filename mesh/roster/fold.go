package roster

import (
	"bytes"
	"cmp"
	"slices"

	"drey/mesh"
)

// A verdict is what follows from a graph: which revocations count, by whom
// they fall upon. The other decisions follow from these.
type verdict struct {
	g       *graph
	counted []*vertex
	byKey   map[mesh.PubKey][]*vertex  // counting revocations, of rights or more, by author
	byNode  map[mesh.NodeKey][]*vertex // counting removals and bans, by machine
	void    map[mesh.PubKey]int        // decisions that do not count, by author
	idle    map[mesh.PubKey]int        // of them rotations
	acting  map[*vertex]bool           // memory of mayAct for promotions, under the present counted
}

func newVerdict(g *graph) *verdict {
	return &verdict{
		g:      g,
		byKey:  make(map[mesh.PubKey][]*vertex),
		byNode: make(map[mesh.NodeKey][]*vertex),
		void:   make(map[mesh.PubKey]int),
		idle:   make(map[mesh.PubKey]int),
		acting: make(map[*vertex]bool),
	}
}

// judge decides everything anew. It depends on the set of decisions only, not
// on the order in which they came.
func judge(g *graph) *verdict {
	d := newVerdict(g)
	for _, r := range inRank(g.revokes) {
		if r.counts = d.mayAct(r); r.counts {
			d.count(r)
		}
	}
	for _, v := range g.order {
		if !v.verb.revokes() {
			v.counts = d.mayAct(v)
		}
		if !v.counts {
			d.ignore(v)
		}
	}
	return d
}

// extend decides about v, the newest vertex, alone, and reports whether that
// was enough: what was decided before must not depend on v.
func (d *verdict) extend(v *vertex) bool {
	switch {
	case v.verb.revokes():
		if !d.g.joined() {
			return false
		}
	case v.record != nil:
		if d.widens(v) {
			return false
		}
	}
	if v.counts = d.mayAct(v); v.counts && v.verb.revokes() {
		d.count(v)
	}
	if !v.counts {
		d.ignore(v)
	}
	return true
}

// wanted reports whether to keep v, which is placed but not yet kept. A banned
// admin's machine could fill the book with what does not count.
func (d *verdict) wanted(v *vertex) bool {
	room := d.void[v.signer()] < maxVoid && (v.verb != verbRotate || d.idle[v.signer()] < maxIdle)
	return room || d.mayAct(v)
}

// ignore notes that v does not count.
func (d *verdict) ignore(v *vertex) {
	d.void[v.signer()]++
	if v.verb == verbRotate {
		d.idle[v.signer()]++
	}
}

// widens reports whether v ties a node and an author together of which some
// revocation names one, so that it falls on the other too, or makes a node the
// founder's, so that none falls on it.
func (d *verdict) widens(v *vertex) bool {
	if v.author == d.g.founder {
		return len(d.g.revokes) > 0
	}
	return slices.ContainsFunc(d.g.revokes, func(r *vertex) bool {
		return r.verb != verbDemote && (r.author == v.author || r.node == v.node)
	})
}

// count takes a revocation into account.
func (d *verdict) count(r *vertex) {
	d.counted = append(d.counted, r)
	clear(d.acting)
	authors, nodes := d.g.targets(r)
	for _, a := range authors {
		d.byKey[a] = append(d.byKey[a], r)
	}
	for _, n := range nodes {
		d.byNode[n] = append(d.byNode[n], r)
	}
}

// targets returns the keys on which a revocation falls: those it names, and
// unless it is a demotion those bound to them. Never the founder's.
func (g *graph) targets(r *vertex) (authors []mesh.PubKey, nodes []mesh.NodeKey) {
	if r.author != (mesh.PubKey{}) {
		authors = append(authors, r.author)
	}
	if r.verb != verbDemote {
		if r.node != (mesh.NodeKey{}) {
			nodes = append(nodes, r.node)
			for _, v := range g.machines[r.node] {
				authors = append(authors, v.author)
			}
		}
		for _, v := range g.admits[r.author] {
			if v.record != nil {
				nodes = append(nodes, v.node)
			}
		}
	}
	authors = slices.DeleteFunc(distinct(authors), func(a mesh.PubKey) bool { return a == g.founder })
	nodes = slices.DeleteFunc(distinct(nodes), func(n mesh.NodeKey) bool {
		return slices.ContainsFunc(g.machines[n], func(v *vertex) bool { return v.author == g.founder })
	})
	return authors, nodes
}

func distinct[K ~[32]byte](keys []K) []K {
	slices.SortFunc(keys, func(a, b K) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(keys)
}

// mayAct reports whether v's signer had the right to sign it, under the
// revocations counted so far.
func (d *verdict) mayAct(v *vertex) bool {
	who := v.signer()
	if who == d.g.founder {
		return true
	}
	against := d.byKey[who]
	for _, r := range against {
		if v.beside(r) {
			return false
		}
	}
	for _, p := range d.g.promotes[who] {
		if v.saw(p) && d.promoted(p) && !outlived(p, v, against) {
			return true
		}
	}
	return false
}

// promoted is mayAct for a promotion, remembered.
func (d *verdict) promoted(p *vertex) bool {
	may, known := d.acting[p]
	if !known {
		may = d.mayAct(p)
		d.acting[p] = may
	}
	return may
}

// outlived reports whether v saw a revocation that the grant did not.
func outlived(grant, v *vertex, against []*vertex) bool {
	return slices.ContainsFunc(against, func(r *vertex) bool { return v.saw(r) && !grant.saw(r) })
}

// holds reports whether a promotion that counts still holds.
func (d *verdict) holds(p *vertex) bool {
	return p.counts && !slices.ContainsFunc(d.byKey[p.author], func(r *vertex) bool { return !p.saw(r) })
}

// belongs reports whether an admission that counts still holds.
func (d *verdict) belongs(a *vertex) bool {
	if !a.counts {
		return false
	}
	ended := func(r *vertex) bool { return r.verb != verbDemote && !a.saw(r) }
	return !slices.ContainsFunc(d.byKey[a.author], ended) &&
		(a.record == nil || !slices.ContainsFunc(d.byNode[a.node], ended))
}

// banned reports whether one of these revocations is a ban that none of these
// admissions has lifted: one that counts and saw it, whatever became of it.
func (d *verdict) banned(revocations, admissions []*vertex) bool {
	return slices.ContainsFunc(revocations, func(r *vertex) bool {
		return isBan(r) && !slices.ContainsFunc(admissions, func(a *vertex) bool { return a.counts && a.saw(r) })
	})
}

// inRank returns the revocations so that each comes after those in its past;
// where that leaves a choice the one nearest to the founder comes first, then
// the lowest id.
func inRank(list []*vertex) []*vertex {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b *vertex) int {
		x, y := a.id(), b.id()
		return cmp.Or(cmp.Compare(a.depth, b.depth), bytes.Compare(x[:], y[:]))
	})
	ranked := make([]*vertex, 0, len(list))
	blocked := make([]int, len(list)) // revocations of its past that are not ranked yet
	for i, v := range list {
		for _, r := range list {
			if v.saw(r) {
				blocked[i]++
			}
		}
	}
	for len(ranked) < len(list) {
		i := slices.Index(blocked, 0)
		next := list[i]
		blocked[i] = -1
		ranked = append(ranked, next)
		for j, v := range list {
			if blocked[j] > 0 && v.saw(next) {
				blocked[j]--
			}
		}
	}
	return ranked
}

package roster

import (
	"iter"
	"slices"

	"drey/mesh"
)

// Proof returns decisions by which an empty book admits a machine, parents
// first, and as few as may be: its admission with the shortest past and all of
// that past. Where a revocation in it does not count, the reasons for that are
// added. It is nil for a machine that does not belong.
func (b *Book) Proof(node mesh.NodeKey) []*mesh.Event {
	b.mu.RLock()
	defer b.mu.RUnlock()
	g, d := b.mu.graph, b.mu.verdict
	var best bits
	for _, a := range g.machines[node] {
		if !d.belongs(a) {
			continue
		}
		if past := g.closure(a); best == nil || past.len() < best.len() {
			best = past
		}
	}
	if best == nil {
		return nil
	}
	if !g.proves(best, node) {
		for _, r := range d.counted {
			best.addAll(g.closure(r))
		}
		if !g.proves(best, node) {
			return g.pick(func(*vertex) bool { return true })
		}
	}
	return g.pick(func(v *vertex) bool { return best.has(v.index) })
}

// closure returns v and all of its past.
func (g *graph) closure(v *vertex) bits {
	past := g.pastOf(v)
	past.add(v.index)
	return past
}

// proves reports whether these decisions alone admit a machine.
func (g *graph) proves(set bits, node mesh.NodeKey) bool {
	if len(g.revokes) == 0 {
		return true // every admission holds, and its past holds what allows it
	}
	alone := newGraph(g.founder)
	for _, v := range g.order {
		if set.has(v.index) {
			if _, err := alone.add(v.op); err != nil {
				return false
			}
		}
	}
	return slices.ContainsFunc(alone.machines[node], judge(alone).belongs)
}

// Introduce returns every decision in the order in which a newcomer should get
// them: first those that prove its own admission, then the others. Each stands
// behind its parents.
func (b *Book) Introduce(newcomer mesh.NodeKey) []*mesh.Event {
	list := b.Proof(newcomer)
	first := make(map[mesh.EventID]bool, len(list))
	for _, e := range list {
		first[e.ID()] = true
	}
	for _, e := range b.Since(nil) {
		if !first[e.ID()] {
			list = append(list, e)
		}
	}
	return list
}

// Since returns what a book lacks that has these heads, parents first. Heads
// that this book does not know are left out of account.
func (b *Book) Since(heads []mesh.EventID) []*mesh.Event {
	b.mu.RLock()
	defer b.mu.RUnlock()
	g := b.mu.graph
	var has bits
	for _, h := range heads {
		if v := g.byID[h]; v != nil {
			has.addAll(g.closure(v))
		}
	}
	return g.pick(func(v *vertex) bool { return !has.has(v.index) })
}

// Events lists every decision whose past is whole, parents first.
func (b *Book) Events() iter.Seq[*mesh.Event] {
	return slices.Values(b.Since(nil))
}

// Missing lists the decisions that others name as heads and that are not here.
func (b *Book) Missing() []mesh.EventID {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var ids []mesh.EventID
	for id := range b.mu.lot.waiting {
		if !b.mu.lot.parked[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

func (g *graph) pick(want func(*vertex) bool) []*mesh.Event {
	var list []*mesh.Event
	for _, v := range g.order {
		if want(v) {
			list = append(list, v.event)
		}
	}
	return list
}

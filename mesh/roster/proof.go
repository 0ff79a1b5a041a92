package roster

import (
	"iter"
	"slices"

	"drey/mesh"
)

// Proof returns the fewest decisions by which an empty book admits a machine,
// parents first: its shortest admission and all of its past. It is nil for a
// machine that does not belong.
func (b *Book) Proof(node mesh.NodeKey) []*mesh.Event {
	b.mu.RLock()
	defer b.mu.RUnlock()
	g, d := b.mu.graph, b.mu.verdict
	var best bits
	var size int
	for _, a := range g.machines[node] {
		if !d.belongs(a) {
			continue
		}
		past := g.pastOf(a)
		past.add(a.index)
		if n := past.len(); best == nil || n < size {
			best, size = past, n
		}
	}
	return g.pick(func(v *vertex) bool { return best.has(v.index) })
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
			has.add(v.index)
			has.addAll(g.pastOf(v))
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

package roster

import (
	"bytes"
	"crypto/sha256"
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
func (b *Book) Introduce(newcomer mesh.NodeKey) []*mesh.Event { return b.Bring(newcomer, nil) }

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

// Locator names decisions by which another book can tell what this one holds:
// the newest that nothing follows, and of the others ever fewer the older they
// are, most recent first, 64 at most.
func (b *Book) Locator() []mesh.EventID {
	const most = 64
	b.mu.RLock()
	defer b.mu.RUnlock()
	g := b.mu.graph
	var ids []mesh.EventID
	seen := make(map[int]bool)
	add := func(i int) {
		if i >= 0 && !seen[i] && len(ids) < most {
			seen[i] = true
			ids = append(ids, g.order[i].id())
		}
	}
	tips := make([]int, 0, len(g.tips))
	for v := range g.tips {
		tips = append(tips, v.index)
	}
	slices.Sort(tips)
	slices.Reverse(tips)
	for _, i := range tips[:min(len(tips), most/2)] {
		add(i)
	}
	for back := 1; back <= len(g.order); back *= 2 {
		add(len(g.order) - back)
	}
	return ids
}

// Bring returns what a book lacks whose Locator this is, parents first; where
// the other judges whether node belongs, first of all what proves that.
func (b *Book) Bring(node mesh.NodeKey, locator []mesh.EventID) []*mesh.Event {
	lacks := b.Since(locator)
	if len(lacks) == 0 {
		return nil
	}
	missing := make(map[mesh.EventID]bool, len(lacks))
	for _, e := range lacks {
		missing[e.ID()] = true
	}
	list := slices.DeleteFunc(b.Proof(node), func(e *mesh.Event) bool { return !missing[e.ID()] })
	for _, e := range list {
		delete(missing, e.ID())
	}
	for _, e := range lacks {
		if missing[e.ID()] {
			list = append(list, e)
		}
	}
	return list
}

// Digest names the set of decisions whose past is whole: SHA-256 of their
// sorted ids.
func (b *Book) Digest() [32]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.digest == nil {
		ids := make([]mesh.EventID, 0, len(b.mu.graph.order))
		for _, v := range b.mu.graph.order {
			ids = append(ids, v.id())
		}
		slices.SortFunc(ids, func(x, y mesh.EventID) int { return bytes.Compare(x[:], y[:]) })
		h := sha256.New()
		for _, id := range ids {
			h.Write(id[:])
		}
		b.mu.digest = (*[32]byte)(h.Sum(nil))
	}
	return *b.mu.digest
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

package roster

import (
	"bytes"
	"cmp"
	"slices"

	"drey/mesh"
)

// A Member is one line of the list of those who belong, or are banned.
type Member struct {
	Name     string
	Standing mesh.Standing // Person and up, or Banned
	Author   mesh.PubKey
	Node     mesh.NodeKey     // zero for a person
	Record   *mesh.PeerRecord // as it was at the admission; nil for a person
	By       mesh.PubKey      // who admitted, or banned
	Since    mesh.Unix        // the date of that decision, by its author's clock
	Decision mesh.EventID     // that decision
	Reason   string           // of a ban
}

// Members lists who belongs, and after them who is banned: the highest
// standing first, then by name.
func (b *Book) Members() []Member {
	b.mu.RLock()
	defer b.mu.RUnlock()
	g, d := b.mu.graph, b.mu.verdict
	keys := make(map[mesh.PubKey]bool)
	for k := range g.admits {
		keys[k] = true
	}
	for k := range g.promotes {
		keys[k] = true
	}
	for k := range d.byKey {
		keys[k] = true
	}
	var list []Member
	for k := range keys {
		list = append(list, b.memberLocked(k)...)
	}
	slices.SortFunc(list, func(x, y Member) int {
		return cmp.Or(
			cmp.Compare(y.Standing, x.Standing),
			cmp.Compare(x.Name, y.Name),
			bytes.Compare(x.Author[:], y.Author[:]),
			bytes.Compare(x.Node[:], y.Node[:]),
		)
	})
	return list
}

// memberLocked lists an author once for each of his machines, or once.
func (b *Book) memberLocked(author mesh.PubKey) []Member {
	g, d := b.mu.graph, b.mu.verdict
	standing := b.standingLocked(author)
	switch {
	case standing == mesh.Banned:
		v := latest(slices.DeleteFunc(slices.Clone(d.byKey[author]), func(v *vertex) bool { return !isBan(v) }))
		m := memberOf(v, standing, author)
		m.Reason = v.event.Content()
		if a := latest(g.admits[author]); a != nil {
			m.Name, m.Node, m.Record = a.name, a.node, a.record
		}
		return []Member{m}
	case !standing.Member():
		return nil
	}
	byNode := make(map[mesh.NodeKey][]*vertex) // the zero node for a person's admissions
	for _, a := range g.admits[author] {
		if d.belongs(a) {
			byNode[a.node] = append(byNode[a.node], a)
		}
	}
	if len(byNode) > 1 {
		delete(byNode, mesh.NodeKey{})
	}
	var list []Member
	for node, of := range byNode {
		v := latest(of)
		m := memberOf(v, standing, author)
		m.Name, m.Node, m.Record = v.name, node, v.record
		if v.verb == verbFound {
			m.Name = v.machine
		}
		list = append(list, m)
	}
	if list != nil {
		return list
	}
	held := slices.DeleteFunc(slices.Clone(g.promotes[author]), func(p *vertex) bool { return !d.holds(p) })
	if p := latest(held); p != nil {
		return []Member{memberOf(p, standing, author)}
	}
	return []Member{{Standing: standing, Author: author}} // the founder, before his first event is here
}

func memberOf(v *vertex, s mesh.Standing, author mesh.PubKey) Member {
	return Member{
		Standing: s,
		Author:   author,
		By:       v.signer(),
		Since:    v.event.CreatedAt(),
		Decision: v.id(),
	}
}

// latest returns the decision of the latest date, the lowest id among equals.
func latest(list []*vertex) *vertex {
	if len(list) == 0 {
		return nil
	}
	return slices.MinFunc(list, func(x, y *vertex) int {
		i, j := x.id(), y.id()
		return cmp.Or(cmp.Compare(y.event.CreatedAt(), x.event.CreatedAt()), bytes.Compare(i[:], j[:]))
	})
}

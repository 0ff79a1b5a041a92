package main

import (
	"context"

	"drey/mesh"
)

// together reports whether every other machine of the community that has a radio
// is connected. One that has not said whether it has may have.
func (p *parts) together() bool {
	for _, m := range p.book.Members() {
		machine := m.Node != (mesh.NodeKey{}) && m.Standing.Member() && m.Node != p.who.NodeKey()
		if machine && !p.overlay.Met(m.Node) && p.mayHaveRadio(m.Author) {
			return false
		}
	}
	return true
}

// mayHaveRadio reports whether a machine has a radio by what it said of itself
// last, or has said nothing yet but what it was admitted with.
func (p *parts) mayHaveRadio(author mesh.PubKey) bool {
	f := mesh.Filter{Authors: []mesh.PubKey{author}, Kinds: []mesh.Kind{mesh.KindPeerRecord}, Tags: map[string][]string{"d": {recordName}}, Limit: 1}
	for rec, err := range p.store.Records(context.Background(), f, mesh.Self) {
		if r := publishedRecord(rec); err == nil && r != nil {
			return r.Abilities&mesh.AbleRadio != 0
		}
	}
	return true
}

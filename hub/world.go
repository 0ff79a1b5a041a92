package hub

import (
	"slices"

	"drey/mesh"
)

// fromWorld reports whether a record came from people outside of the community,
// by this node's own public carrier or by a gateway's.
func (h *Hub) fromWorld(rec *mesh.Record, a *arrival) bool {
	return h.public(a.carrier) || h.outside(rec)
}

// public reports whether a carrier reaches people outside of the community.
func (h *Hub) public(carrier string) bool {
	return slices.ContainsFunc(h.routes, func(r Route) bool { return r.Public && r.Carrier.Name() == carrier })
}

// Withdraw ends what is owed of an event to carriers that do not bear what came
// from the world: a gateway's word that it did came after the event itself.
// What a carrier has in hand already goes.
func (h *Hub) Withdraw(id mesh.EventID) {
	for i, r := range h.routes {
		if !r.Public && (r.World || !h.outboxes[i].limits.Scarce) {
			continue
		}
		for _, o := range h.outboxes[i].all() {
			o.withdraw(id)
		}
	}
}

// withdraw ends what waits here of an event.
func (o *outbox) withdraw(id mesh.EventID) {
	var ended []mesh.Key
	o.mu.Lock()
	for k, it := range o.mu.line.by {
		if k.ID == id && o.mu.line.remove(it) {
			o.endLocked(it)
			ended = append(ended, k)
		}
	}
	o.mu.Unlock()
	for _, k := range ended {
		o.settle(k)
		o.note(id, o.carrier, k.Target, "not sent: it came from a public relay")
	}
}

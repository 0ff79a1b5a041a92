package hub

import (
	"context"
	"fmt"
	"slices"

	"drey/mesh"
)

// owed lists who is to have a record: the targets of every carrier except the
// one it came from, which spreads it by its own means. It also tells which
// carriers cannot bear it, by name.
func (h *Hub) owed(rec *mesh.Record, a *arrival, p mesh.Priority) (all []mesh.Owed, tooLarge map[string]string) {
	if mesh.StaysHere(rec.Event) {
		return nil, nil
	}
	world := h.fromWorld(rec, a)
	size := 0
	for i, r := range h.routes {
		name := h.outboxes[i].carrier
		if name == a.carrier || r.Fast && a.from.History {
			continue
		}
		limits := h.outboxes[i].limits
		if world && (r.Public || limits.Scarce && !r.World) {
			continue
		}
		if rec.Event.Kind().Sealed() && !h.mails(rec.Event.Kind(), r) {
			continue
		}
		if r.Public && mesh.OffInternet(rec.Event) {
			continue // whoever said it on the air did not allow it there
		}
		if (limits.Scarce || r.Public) && !h.mayLeave(rec, r) || limits.Scarce && scarceless(rec, p) {
			continue
		}
		targets := r.targets(rec)
		if len(targets) == 0 {
			continue
		}
		if size == 0 && limits.MaxEvent > 0 {
			size = len(rec.Event.AppendBinary(nil))
		}
		if limits.MaxEvent > 0 && size > limits.MaxEvent {
			if tooLarge == nil {
				tooLarge = make(map[string]string)
			}
			tooLarge[name] = fmt.Sprintf("failed: %d bytes, limit %d", size, limits.MaxEvent)
			continue
		}
		for _, t := range targets {
			all = append(all, mesh.Owed{Key: mesh.Key{ID: rec.Event.ID(), Carrier: name, Target: t}, Priority: p})
		}
	}
	return all, tooLarge
}

// mails reports whether a route carries a kind of mail at all. Public ones carry
// wraps, and take those for outsiders out of what asks for that; a letter names
// its author, and word of what was taken its reader.
// In an open community nothing else does: it has no members whose machines could
// keep sealed mail for each other, and everybody would see who gets some.
func (h *Hub) mails(k mesh.Kind, r Route) bool {
	if r.Public {
		return k == mesh.KindGiftWrap || k == mesh.KindOutward
	}
	return !h.roster.Community().Open
}

func (r *Route) targets(rec *mesh.Record) []string {
	if r.Targets == nil {
		return []string{""}
	}
	return r.Targets(rec)
}

// scarceless reports whether a record is nothing for a medium where every
// second counts: what machines say, and history. Who belongs is not among it:
// a ban travels on whatever carrier is left.
func scarceless(rec *mesh.Record, p mesh.Priority) bool {
	return p >= mesh.Sync || rec.Topic == mesh.TopicRegistry && rec.Event.Kind() != mesh.KindRoster
}

// mayLeave reports whether a record may go where strangers hear it. With
// several topics, all must be allowed out.
func (h *Hub) mayLeave(rec *mesh.Record, r Route) bool {
	if rec.Flags&mesh.FlagOrphan != 0 {
		return false
	}
	if _, protected := rec.Event.Tag("-"); protected {
		return false
	}
	for _, v := range rec.Event.TagValues("t") {
		t := mesh.Topic(v)
		if t == rec.Topic || !h.topics.has(t) {
			continue // a label
		}
		other := *rec
		other.Topic = t
		if len(r.targets(&other)) == 0 {
			return false
		}
	}
	return true
}

// handOut tells everybody here of a record that was saved.
func (h *Hub) handOut(rec *mesh.Record, owed []mesh.Owed) {
	var kept *mesh.Record // by the queues, where no store does
	if rec.Event.Kind().Ephemeral() {
		kept = rec
	}
	for _, o := range owed {
		o.Seq = rec.Seq
		i := slices.IndexFunc(h.outboxes, func(b *outbox) bool { return b.carrier == o.Carrier })
		h.outboxes[i].push(o, kept)
	}
	h.watchers.saved(rec)
}

// note adds a line to an event's history and shows it to who watches.
func (h *Hub) note(id mesh.EventID, carrier, target, state string) {
	s := mesh.Step{At: h.clock(), Carrier: carrier, Target: target, State: state}
	if err := h.store.Note(context.Background(), id, s); err != nil {
		h.log.Debug("history line not kept", "event", id, "err", err)
	}
	h.watchers.noted(id)
}

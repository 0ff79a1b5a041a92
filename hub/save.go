package hub

import (
	"context"
	"errors"

	"drey/mesh"
)

// keep decides where an event belongs, saves it and hands it out.
func (h *Hub) keep(ctx context.Context, a *arrival, s mesh.Standing, r reckoning, flags mesh.Flags) (*mesh.Record, error) {
	e := a.event
	rec := &mesh.Record{Event: e, Received: a.at, Carrier: a.carrier, Flags: flags}
	if s == mesh.Guest {
		rec.Flags |= mesh.FlagGuest
	}
	h.place(ctx, rec, a.from.Topic)
	history := isHistory(a, r.now) || h.forgotten(ctx, a, r)
	granted, denied := false, ""
	if mesh.Urgent(e) {
		if granted, denied = h.emergency(a, s, r, history); granted {
			rec.Flags |= mesh.FlagEmergency
		}
	}
	err := h.save(ctx, a, rec, priority(e, history, granted))
	if err != nil {
		if granted {
			h.mu.Lock()
			h.mu.emergencies.giveBack(e.Author(), a.at)
			h.mu.Unlock()
		}
		return nil, err
	}
	if denied != "" {
		h.note(e.ID(), "", "", "not treated as an emergency: "+denied)
	}
	if e.Kind() == mesh.KindTopic {
		if t, err := registered(e); err == nil {
			h.topics.add(t, e.Author())
		}
	}
	if a.from.Durable {
		if err := h.onDisk(ctx, rec); err != nil {
			return nil, err
		}
	}
	return rec, nil
}

// place sets the topic, where nobody has before, and marks orphans. That an
// event is an orphan is not in the envelope, so every node finds out by itself.
func (h *Hub) place(ctx context.Context, rec *mesh.Record, envelope mesh.Topic) {
	t, orphan := mesh.TopicFor(rec.Event, h.topics.has, func(id mesh.EventID) (mesh.Topic, bool) { return h.topicOf(ctx, id) })
	if envelope == "" {
		rec.Topic = t
	} else {
		rec.Topic = envelope
		orphan = envelope == mesh.TopicCommons && (orphan || t != envelope)
	}
	if orphan {
		rec.Flags |= mesh.FlagOrphan
	}
}

// topicOf returns the topic of an event that is held here, or of the one that
// took its place.
func (h *Hub) topicOf(ctx context.Context, id mesh.EventID) (mesh.Topic, bool) {
	r, err := h.store.Record(ctx, h.Follow(ctx, id), mesh.Self)
	if err != nil {
		return "", false
	}
	return r.Topic, true
}

// save saves a record with what is owed because of it, and hands it out. It
// returns before the disk has it: whatever must not go out before waits for the
// disk when its attempt is recorded.
func (h *Hub) save(ctx context.Context, a *arrival, rec *mesh.Record, p mesh.Priority) error {
	losers, unlock, err := h.rivals(ctx, a, rec)
	defer unlock()
	if err != nil {
		return err
	}
	owed, tooLarge := h.owed(rec, a, p)
	err = h.store.Save(ctx, rec, owed, false)
	if errors.Is(err, mesh.ErrBusy) && a.from.Durable {
		err = h.store.Save(ctx, rec, owed, true) // who waits for the disk can wait for room, too
	}
	var was *mesh.GoneError
	switch {
	case errors.As(err, &was):
		return gone(rec.Event.ID(), was.Reason)
	case errors.Is(err, mesh.ErrDuplicate):
		return h.known(ctx, a, 0)
	case errors.Is(err, mesh.ErrExpired):
		return refuse(mesh.ErrExpired, whyExpired, "before it was saved")
	case err != nil:
		return failed(ctx, err)
	}
	h.see(a)
	h.supersede(ctx, rec, losers)
	h.handOut(rec, owed)
	for carrier, state := range tooLarge {
		h.note(rec.Event.ID(), carrier, "", state)
	}
	return nil
}

package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"drey/mesh"
)

// load learns what the store holds.
func (h *Hub) load(ctx context.Context) error {
	if err := h.loadRoster(ctx); err != nil {
		return fmt.Errorf("hub: read the roster: %w", err)
	}
	for r, err := range h.store.Records(ctx, mesh.Filter{Kinds: []mesh.Kind{mesh.KindTopic}, Order: mesh.ReceiptFirst}, mesh.Self) {
		if err != nil {
			return fmt.Errorf("hub: read the topics: %w", err)
		}
		if t, err := registered(r.Event); err == nil && h.topics.mayAdd(r.Event.Author()) {
			h.topics.add(t, r.Event.Author())
		}
	}
	// Emergencies granted before a restart count.
	lately := mesh.Filter{From: h.clock().Add(-time.Hour), Order: mesh.ReceiptFirst}
	for r, err := range h.store.Records(ctx, lately, mesh.Self) {
		if err != nil {
			return fmt.Errorf("hub: read what came lately: %w", err)
		}
		if r.Flags&mesh.FlagEmergency != 0 {
			h.mu.emergencies.take(r.Event.Author(), r.Received)
		}
	}
	if h.original == nil {
		return nil
	}
	translations := mesh.Filter{Tags: map[string][]string{"l": {mesh.LabelUnsignedRadio}}}
	for r, err := range h.store.Records(ctx, translations, mesh.Self) {
		if err != nil {
			return fmt.Errorf("hub: read the translations: %w", err)
		}
		h.mu.translated[hourOf(r.Event.CreatedAt())]++
	}
	return nil
}

// loadRoster applies stored decisions and passes. What came before that which
// admitted or promoted its author is tried again at the end.
func (h *Hub) loadRoster(ctx context.Context) error {
	if h.roster.Community().Open {
		return nil
	}
	var early []*mesh.Event
	f := mesh.Filter{Kinds: []mesh.Kind{mesh.KindRoster, mesh.KindPass}, Order: mesh.ReceiptFirst}
	for r, err := range h.store.Records(ctx, f, mesh.Self) {
		if err != nil {
			return err
		}
		switch _, err := h.roster.Apply(r.Event); {
		case errors.Is(err, mesh.ErrUnknownAuthor):
			early = append(early, r.Event)
		case err != nil:
			h.log.Warn("stored roster event does not count", "event", r.Event.ID(), "err", err)
		}
	}
	for progress := true; progress && len(early) > 0; {
		rest := early[:0]
		for _, e := range early {
			_, err := h.roster.Apply(e)
			switch {
			case errors.Is(err, mesh.ErrUnknownAuthor):
				rest = append(rest, e)
			case err != nil:
				h.log.Debug("stored roster event does not count", "event", e.ID(), "err", err)
			}
		}
		progress, early = len(rest) < len(early), rest
	}
	return nil
}

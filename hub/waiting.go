package hub

import (
	"context"
	"errors"

	"drey/mesh"
)

// retry lets those try again who wait: for the roster, or for their date. What
// the roster alone can tell of is left in peace until that changes.
func (h *Hub) retry(ctx context.Context, rosterChanged bool) {
	now := h.clock()
	r := reckon(now, h.built, h.clocks())
	h.mu.Lock()
	strangers, early := h.mu.strangers.list(), h.mu.early.list()
	h.mu.Unlock()
	var ready []*arrival
	for _, a := range strangers {
		switch a.event.Kind() {
		case mesh.KindRoster, mesh.KindPass, mesh.KindGiftWrap:
			if rosterChanged || a.noRoom {
				ready = append(ready, a)
			}
		default:
			if h.standing(a, r.now) != mesh.Stranger {
				ready = append(ready, a)
			}
		}
	}
	for _, a := range early {
		if r.trusted || !r.future(a.event.CreatedAt()) {
			ready = append(ready, a)
		}
	}
	for _, a := range ready {
		h.again(ctx, a)
	}
}

// again takes one that waited. Those that still cannot be taken, and were worth
// waiting for, wait on.
func (h *Hub) again(ctx context.Context, a *arrival) {
	h.mu.Lock()
	h.mu.strangers.remove(a.event.ID())
	h.mu.early.remove(a.event.ID())
	h.mu.Unlock()
	b := *a
	b.from.Durable, b.again, b.noRoom = false, true, false
	_, err := h.receive(ctx, &b)
	if errors.Is(err, mesh.ErrBusy) || ctx.Err() != nil {
		b.noRoom = true
		h.mu.Lock()
		h.mu.strangers.add(&b, h.clock())
		h.mu.Unlock()
	}
	if err != nil {
		h.log.Debug("event that waited was not taken", "event", a.event.ID(), "err", err)
	}
}

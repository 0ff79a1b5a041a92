package hub

import (
	"context"
	"errors"

	"drey/mesh"
)

// retry lets those try again who wait: for the roster, or for their date.
func (h *Hub) retry(ctx context.Context) {
	now := h.clock()
	r := reckon(now, h.built, h.clocks())
	h.mu.Lock()
	strangers, early := h.mu.strangers.list(), h.mu.early.list()
	h.mu.Unlock()
	var ready []*arrival
	for _, a := range strangers {
		if k := a.event.Kind(); k == mesh.KindPass || k == mesh.KindGiftWrap || h.standing(a, r.now) != mesh.Stranger {
			ready = append(ready, a)
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
	b.from.Durable = false
	_, err := h.receive(ctx, &b)
	if errors.Is(err, mesh.ErrBusy) || ctx.Err() != nil {
		h.mu.Lock()
		h.mu.strangers.add(a, h.clock())
		h.mu.Unlock()
	}
	if err != nil {
		h.log.Debug("event that waited was not taken", "event", a.event.ID(), "err", err)
	}
}

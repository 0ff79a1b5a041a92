package hub

import (
	"context"
	"iter"

	"drey/mesh"
)

// History returns what became of an event on this machine, oldest first;
// mesh.ErrNotFound when its id was never known here.
func (h *Hub) History(ctx context.Context, id mesh.EventID) ([]mesh.Step, error) {
	return h.store.History(ctx, id)
}

// WatchHistory yields the lines of History, then new ones as they come, until
// ctx ends, the store fails or the caller stops. It waits for the disk first, so
// that a held event's lines always have "saved" among them.
func (h *Hub) WatchHistory(ctx context.Context, id mesh.EventID) iter.Seq2[mesh.Step, error] {
	return func(yield func(mesh.Step, error) bool) {
		signal, remove := h.watchers.watchHistory(id)
		defer remove()
		if r, err := h.store.Record(ctx, id, mesh.Self); err == nil {
			if err := h.onDisk(ctx, r); err != nil {
				if ctx.Err() == nil {
					yield(mesh.Step{}, err)
				}
				return
			}
		}
		told := make(map[mesh.Step]bool)
		for {
			steps, err := h.store.History(ctx, id)
			if err != nil {
				if ctx.Err() == nil {
					yield(mesh.Step{}, err)
				}
				return
			}
			now := make(map[mesh.Step]bool, len(steps))
			for _, s := range steps {
				now[s] = true
				if !told[s] && !yield(s, nil) {
					return
				}
			}
			told = now // old lines may have been dropped
			select {
			case <-signal:
			case <-ctx.Done():
				return
			}
		}
	}
}

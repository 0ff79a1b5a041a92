package hub

import (
	"context"

	"drey/mesh"
)

// Note adds a line to an event's history that somebody here learnt of a
// delivery that is not owed here, and shows it to who watches. Its time is set
// to now. Events that are not known here have no history.
func (h *Hub) Note(id mesh.EventID, s mesh.Step) {
	if _, known, err := h.store.Known(context.Background(), id); err == nil && known {
		h.note(id, s.Carrier, s.Target, s.State)
	}
}

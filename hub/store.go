package hub

import (
	"context"

	"drey/mesh"
)

// A Store is the durable memory behind the hub. store.Store is the real one.
// What Save has taken is visible to every read at once, on disk or not.
type Store interface {
	mesh.Archive

	// Known tells whether id is held or was ever known: 0 and true while it is
	// held, the reason and true when it is gone, false when it is new.
	Known(ctx context.Context, id mesh.EventID) (gone mesh.Reason, known bool, err error)

	// Save keeps a record, what is owed to carriers because of it, and the
	// first lines of its history, in one transaction. It assigns r.Seq. With
	// durable it returns when the transaction is on disk (a group commit waits
	// at most 20 ms for company); without, it returns at once and the record
	// is on disk within 5 s. It applies NIP-01 replacement, NIP-09 deletion and
	// NIP-40 expiry, leaving tombstones, and answers mesh.ErrDuplicate,
	// mesh.ErrExpired or *mesh.GoneError when r itself is not to be kept. With
	// durable, mesh.ErrDuplicate too is answered only when the first copy is on
	// disk: the hub waits for the disk that way. Events of ephemeral kinds are
	// not kept; then r.Seq stays 0.
	Save(ctx context.Context, r *mesh.Record, owed []mesh.Owed, durable bool) error

	// Bury replaces events by tombstones, held or not, and cancels what is owed
	// because of them. Unknown ids need created for their place in Items.
	Bury(ctx context.Context, id mesh.EventID, created mesh.Unix, why mesh.Reason) error

	// Owed lists what a carrier still owes, most urgent first, then oldest.
	Owed(ctx context.Context, carrier string, limit int) ([]mesh.Owed, error)
	// OwedTo is Owed for one target of the carrier.
	OwedTo(ctx context.Context, carrier, target string, limit int) ([]mesh.Owed, error)
	// Attempt records on disk that a delivery is about to be tried and returns
	// the number of the attempt, from 1; mesh.ErrNotFound when it is not owed, or
	// no more. What Save took before is on disk then too, so that nothing leaves
	// by a slow carrier that a crash could make this node forget.
	Attempt(ctx context.Context, k mesh.Key) (int, error)
	// Settle ends a delivery; its history stays.
	Settle(ctx context.Context, k mesh.Key) error

	// Note adds a line to an event's history: on disk within 5 s, the oldest
	// lines dropped beyond a bound per event.
	Note(ctx context.Context, id mesh.EventID, s mesh.Step) error
	// History returns an event's lines, oldest first.
	History(ctx context.Context, id mesh.EventID) ([]mesh.Step, error)
}

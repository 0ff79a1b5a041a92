// Package storetest holds what every store must do, as a suite of tests, and a
// store without a disk that does it.
//
// It names the contract in its own interface, the one that package hub asks
// for: neither imports the other.
package storetest

import (
	"context"

	"drey/mesh"
)

// A Store is what package hub asks of its memory, and a place for shelves.
// hub.Store says what each method means.
type Store interface {
	mesh.Archive
	Known(ctx context.Context, id mesh.EventID) (gone mesh.Reason, known bool, err error)
	Save(ctx context.Context, r *mesh.Record, owed []mesh.Owed, durable bool) error
	Bury(ctx context.Context, id mesh.EventID, created mesh.Unix, why mesh.Reason) error
	Owed(ctx context.Context, carrier string, limit int) ([]mesh.Owed, error)
	OwedTo(ctx context.Context, carrier, target string, limit int) ([]mesh.Owed, error)
	Attempt(ctx context.Context, k mesh.Key) (int, error)
	Settle(ctx context.Context, k mesh.Key) error
	Note(ctx context.Context, id mesh.EventID, s mesh.Step) error
	History(ctx context.Context, id mesh.EventID) ([]mesh.Step, error)
	Shelf(name string) mesh.Shelf
}

var _ Store = (*Memory)(nil)

package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"drey/mesh"
	"drey/store/storetest"
)

func TestMain(m *testing.M) {
	if home := os.Getenv(victimHome); home != "" { // see TestKill
		if err := runVictim(home); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// open opens a store and runs it until the test ends.
func openStore(t testing.TB, c Config) *Store {
	t.Helper()
	if c.Path == "" {
		c.Path = filepath.Join(t.TempDir(), "drey.db")
	}
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	stop := run(t, s)
	t.Cleanup(func() {
		stop()
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return s
}

// run starts Run; the function it returns ends it and waits.
func run(t testing.TB, s *Store) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	return func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	}
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, clock func() time.Time) storetest.Store {
		return openStore(t, Config{Clock: clock})
	})
}

// A folded store has everything in its tables: each change waits until no
// layer is left.
type folded struct{ *Store }

func (f folded) fold(err error) error {
	ctx := context.Background()
	if e := f.Sync(ctx); e != nil {
		return e
	}
	for {
		f.mu.RLock()
		rest, room := f.mu.frozen != nil || f.mu.active.ops > 0, f.mu.room
		f.mu.RUnlock()
		if !rest {
			return err
		}
		f.Sync(ctx)
		<-room
	}
}

func (f folded) Save(ctx context.Context, r *mesh.Record, owed []mesh.Owed, durable bool) error {
	return f.fold(f.Store.Save(ctx, r, owed, durable))
}

func (f folded) Bury(ctx context.Context, id mesh.EventID, created mesh.Unix, why mesh.Reason) error {
	return f.fold(f.Store.Bury(ctx, id, created, why))
}

func (f folded) Attempt(ctx context.Context, k mesh.Key) (int, error) {
	n, err := f.Store.Attempt(ctx, k)
	return n, f.fold(err)
}

func (f folded) Settle(ctx context.Context, k mesh.Key) error {
	return f.fold(f.Store.Settle(ctx, k))
}

func (f folded) Note(ctx context.Context, id mesh.EventID, s mesh.Step) error {
	return f.fold(f.Store.Note(ctx, id, s))
}

func (f folded) Shelf(name string) mesh.Shelf { return foldedShelf{f.Store.Shelf(name), f} }

type foldedShelf struct {
	mesh.Shelf
	f folded
}

func (h foldedShelf) Put(ctx context.Context, key string, value []byte) error {
	return h.f.fold(h.Shelf.Put(ctx, key, value))
}

func (h foldedShelf) Delete(ctx context.Context, key string) error {
	return h.f.fold(h.Shelf.Delete(ctx, key))
}

// TestStoreFolded asks the tables what TestStore asked the layers.
func TestStoreFolded(t *testing.T) {
	storetest.Run(t, func(t *testing.T, clock func() time.Time) storetest.Store {
		return folded{openStore(t, Config{Clock: clock, foldOps: 1})}
	})
}

// TestStoreFolding asks while everything is on its way between the two.
func TestStoreFolding(t *testing.T) {
	storetest.Run(t, func(t *testing.T, clock func() time.Time) storetest.Store {
		return openStore(t, Config{Clock: clock, foldOps: 3})
	})
}

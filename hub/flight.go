package hub

import (
	"context"
	"sync"

	"drey/mesh"
)

// flights keep the same event from being checked by two at once. A copy with
// another signature is another flight: the id does not cover the signature, and
// a forger must not be able to go first in a member's name.
type flights struct {
	mu struct {
		sync.Mutex
		by map[flightKey]*flight
	}
}

type flightKey struct {
	id  mesh.EventID
	sig mesh.Signature
}

type flight struct {
	done chan struct{}
	err  error // read after done
}

// lead returns true when the caller is the first with this event: it must call
// land. Otherwise it waits for the first and returns its answer.
func (f *flights) lead(ctx context.Context, e *mesh.Event) (first bool, err error) {
	k := flightKey{e.ID(), e.Sig()}
	f.mu.Lock()
	if f.mu.by == nil {
		f.mu.by = make(map[flightKey]*flight)
	}
	other := f.mu.by[k]
	if other == nil {
		f.mu.by[k] = &flight{done: make(chan struct{})}
	}
	f.mu.Unlock()
	if other == nil {
		return true, nil
	}
	select {
	case <-other.done:
		return false, other.err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// land ends the caller's flight.
func (f *flights) land(e *mesh.Event, err error) {
	k := flightKey{e.ID(), e.Sig()}
	f.mu.Lock()
	fl := f.mu.by[k]
	delete(f.mu.by, k)
	f.mu.Unlock()
	fl.err = err
	close(fl.done)
}

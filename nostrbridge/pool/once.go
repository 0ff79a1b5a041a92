package pool

import (
	"context"
	"errors"
	"sync"

	"drey/mesh"
)

// onceMost is how many taken ids are remembered at least; twice as many at most.
const onceMost = 8192

// errForged ends the handling of a forged event without any effect.
var errForged = errors.New("forged")

// ErrLater is for Feed.Found: the event is not wanted now, and may be when the
// relay is next asked far back. The feed goes on.
var ErrLater = errors.New("not now")

// A once sees that one event is handled once at a time, and not again after it
// was taken.
type once struct {
	mu struct {
		sync.Mutex
		now      map[mesh.EventID]chan struct{} // closed when the handling ended
		new, old map[mesh.EventID]struct{}      // taken; the old ones go when the new are many
	}
}

func newOnce() *once {
	o := &once{}
	o.mu.now = map[mesh.EventID]chan struct{}{}
	o.mu.new = map[mesh.EventID]struct{}{}
	return o
}

// do calls f unless the event was taken; while another call handles it, it
// awaits that. A forged copy does not count: the true one may come yet.
func (o *once) do(ctx context.Context, id mesh.EventID, f func() error) error {
	for {
		o.mu.Lock()
		if o.takenLocked(id) {
			o.mu.Unlock()
			return nil
		}
		busy := o.mu.now[id]
		if busy == nil {
			break
		}
		o.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	done := make(chan struct{})
	o.mu.now[id] = done
	o.mu.Unlock()

	err := f()

	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.mu.now, id)
	close(done)
	if errors.Is(err, errForged) || errors.Is(err, ErrLater) {
		return nil
	}
	if err == nil {
		o.addLocked(id)
	}
	return err
}

func (o *once) takenLocked(id mesh.EventID) bool {
	if _, ok := o.mu.new[id]; ok {
		return true
	}
	_, ok := o.mu.old[id]
	return ok
}

func (o *once) addLocked(id mesh.EventID) {
	if len(o.mu.new) >= onceMost {
		o.mu.old, o.mu.new = o.mu.new, map[mesh.EventID]struct{}{}
	}
	o.mu.new[id] = struct{}{}
}

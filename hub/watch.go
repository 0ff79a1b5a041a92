package hub

import (
	"context"
	"iter"
	"sync"
	"sync/atomic"

	"drey/mesh"
)

// watchBuffer is how many ephemeral events, which no store keeps, may wait for
// one watcher; more are dropped and counted. Everything else is read from the store.
const watchBuffer = 64

// watchers are those who follow what comes in. A signal says only that there is
// something: the store has it, in the order of receipt and without a gap, so a
// slow watcher holds nothing up and nothing in memory.
type watchers struct {
	dropped atomic.Uint64 // ephemeral events that a watcher had no room for

	mu struct {
		sync.RWMutex
		all     map[*watcher]bool
		history map[mesh.EventID]map[chan struct{}]bool
	}
}

type watcher struct {
	filter    *mesh.Filter
	viewer    mesh.Viewer
	signal    chan struct{} // holds one
	ephemeral chan *mesh.Record
}

func (w *watchers) add(x *watcher) (remove func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.all == nil {
		w.mu.all = make(map[*watcher]bool)
	}
	w.mu.all[x] = true
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.mu.all, x)
	}
}

func (w *watchers) count() int {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return len(w.mu.all)
}

// saved tells of a new record.
func (w *watchers) saved(r *mesh.Record) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for x := range w.mu.all {
		f := *x.filter
		if r.Seq == 0 {
			f.After = 0 // an ephemeral event has no number
		}
		if !f.Matches(r) {
			continue
		}
		if r.Seq != 0 {
			nudge(x.signal)
			continue
		}
		if !mesh.Visible(r.Event, r.Topic, x.viewer) {
			continue
		}
		select {
		case x.ephemeral <- r:
		default:
			w.dropped.Add(1)
		}
	}
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Watch yields what is stored and matches, in order of receipt, beginning after
// f.After and from f.From, and then what comes in, without gap or double, until
// ctx ends, the store fails or the caller stops. It leaves out what v may not
// see. With a limit it ends after so many.
func (h *Hub) Watch(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	return func(yield func(*mesh.Record, error) bool) {
		x := &watcher{filter: &f, viewer: v, signal: make(chan struct{}, 1), ephemeral: make(chan *mesh.Record, watchBuffer)}
		defer h.watchers.add(x)()
		page := f
		page.Order = mesh.ReceiptFirst
		left := f.Limit
		give := func(r *mesh.Record) bool {
			if !yield(r, nil) {
				return false
			}
			left--
			return left != 0
		}
		for {
			page.Limit = max(left, 0)
			for r, err := range h.store.Records(ctx, page, v) {
				if err != nil {
					if ctx.Err() == nil {
						yield(nil, err)
					}
					return
				}
				page.After = r.Seq
				if !give(r) {
					return
				}
			}
			for waiting := true; waiting; {
				select {
				case r := <-x.ephemeral:
					if !give(r) {
						return
					}
				case <-x.signal:
					waiting = false
				case <-ctx.Done():
					return
				}
			}
		}
	}
}

// watchHistory returns a channel that is signalled when a line is added to an
// event's history.
func (w *watchers) watchHistory(id mesh.EventID) (signal chan struct{}, remove func()) {
	signal = make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.history == nil {
		w.mu.history = make(map[mesh.EventID]map[chan struct{}]bool)
	}
	if w.mu.history[id] == nil {
		w.mu.history[id] = make(map[chan struct{}]bool)
	}
	w.mu.history[id][signal] = true
	return signal, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if delete(w.mu.history[id], signal); len(w.mu.history[id]) == 0 {
			delete(w.mu.history, id)
		}
	}
}

func (w *watchers) noted(id mesh.EventID) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	for signal := range w.mu.history[id] {
		nudge(signal)
	}
}

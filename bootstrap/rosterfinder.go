package bootstrap

import (
	"context"
	"iter"
	"sync"
	"time"

	"drey/mesh"
)

// A RosterFinder finds members by what they said of themselves inside the
// community: the record with which each was admitted, and the newer one that
// each publishes when it moves. Where a member's addresses lead nowhere the
// overlay still tries its key, as a member's key is its address.
type RosterFinder struct {
	watch   func(context.Context) iter.Seq2[[]byte, error]
	publish func(context.Context, *mesh.PeerRecord) error
	news    chan struct{} // holds one: there is a record to publish

	mu struct {
		sync.Mutex
		own *mesh.PeerRecord
	}
}

// publishRest is how soon at the earliest a machine that moves says so again.
const publishRest = time.Minute

// NewRosterFinder makes a finder. watch yields the records that the community
// holds, then those that come in, until its context ends; publish tells the
// community this node's own, and does nothing when it knows it.
func NewRosterFinder(watch func(context.Context) iter.Seq2[[]byte, error], publish func(context.Context, *mesh.PeerRecord) error) *RosterFinder {
	return &RosterFinder{watch: watch, publish: publish, news: make(chan struct{}, 1)}
}

// Name returns FinderRoster.
func (*RosterFinder) Name() string { return FinderRoster }

// Announce says what is published from now on.
func (f *RosterFinder) Announce(a Announcement) {
	f.mu.Lock()
	f.mu.own = a.Record
	f.mu.Unlock()
	select {
	case f.news <- struct{}{}:
	default:
	}
}

// Run reads and publishes until ctx ends.
func (f *RosterFinder) Run(ctx context.Context, found func(Candidate)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	told := make(chan error, 1)
	go func() {
		defer cancel()
		told <- f.tell(ctx)
	}()
	var failed error
	for record, err := range f.watch(ctx) {
		if err != nil {
			failed = err
			break
		}
		found(Candidate{Record: record})
	}
	cancel()
	if err := <-told; err != nil {
		return err
	}
	return failed
}

// tell publishes this node's record whenever it is new.
func (f *RosterFinder) tell(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.news:
		}
		f.mu.Lock()
		own := f.mu.own
		f.mu.Unlock()
		if err := f.publish(ctx, own); err != nil && ctx.Err() == nil {
			return err
		}
		rest := time.NewTimer(publishRest)
		select {
		case <-ctx.Done():
			rest.Stop()
			return nil
		case <-rest.C:
		}
	}
}

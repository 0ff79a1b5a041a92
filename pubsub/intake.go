package pubsub

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"drey/mesh"
)

// durableEvery makes every nth received event wait for the disk. The store
// writes in order, so this keeps what a crash could take back, and what the
// store holds in memory, to about one batch.
const durableEvery = 128

// errBusy reports that one of both sides has no room now.
var errBusy = errors.New("busy")

// An intake takes what one session receives. Events are checked by as many
// workers as the machine has processors, shared among all sessions.
type intake struct {
	run  *run
	from peer.ID
	wg   sync.WaitGroup

	mu struct {
		sync.Mutex
		nth   int
		tally Tally
		err   error
	}
}

// take hands over one received entry. It blocks while all workers are busy.
func (in *intake) take(ctx context.Context, e entry) error {
	if e.Event == nil {
		in.setAside(ctx, e.Item)
		return in.failed()
	}
	select {
	case in.run.hands <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	in.wg.Go(func() {
		defer func() { <-in.run.hands }()
		in.receive(ctx, e)
	})
	return in.failed()
}

// takeInOrder hands over entries one after the other, oldest first: each may
// be what makes the next one's author a member.
func (in *intake) takeInOrder(ctx context.Context, entries []entry) error {
	slices.SortFunc(entries, func(a, b entry) int {
		if a.Event == nil || b.Event == nil {
			return 0
		}
		return cmp.Compare(a.Event.CreatedAt(), b.Event.CreatedAt())
	})
	for _, e := range entries {
		if e.Event == nil {
			in.setAside(ctx, e.Item)
			continue
		}
		in.receive(ctx, e)
	}
	return in.failed()
}

// wait returns when everything handed over has been dealt with.
func (in *intake) wait() error {
	in.wg.Wait()
	return in.failed()
}

func (in *intake) failed() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.mu.err
}

func (in *intake) fail(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.mu.err == nil {
		in.mu.err = err
	}
}

func (in *intake) count(field func(*Tally) *int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	*field(&in.mu.tally)++
}

// receive hands one event to the hub and acts on its answer.
func (in *intake) receive(ctx context.Context, e entry) {
	r := in.run
	ev := e.Event
	it := mesh.Item{CreatedAt: ev.CreatedAt(), ID: ev.ID()}
	now := r.c.clock()
	if !carried(r.c.community, ev) {
		r.aside.refuse(in.from, it, 0, false, now)
		in.count(func(t *Tally) *int { return &t.Refused })
		return
	}
	in.mu.Lock()
	in.mu.nth++
	durable := in.mu.nth%durableEvery == 0
	in.mu.Unlock()
	err := r.port.Receive(ctx, ev, mesh.Origin{
		Peer: in.from.String(), Topic: e.Topic, History: true, Durable: durable,
	})
	if err == nil {
		r.aside.fetched(in.from, it.ID, now)
		in.count(func(t *Tally) *int { return &t.Received })
		return
	}
	in.refused(ctx, ev, it, err)
}

// refused notes why an event was not taken, so that it is not asked for again
// and again.
func (in *intake) refused(ctx context.Context, ev *mesh.Event, it mesh.Item, err error) {
	r, now := in.run, in.run.c.clock()
	var gone *mesh.GoneError
	switch {
	case errors.As(err, &gone):
		// Where neighbours may not see tombstones, it would look wanted again.
		in.count(func(t *Tally) *int { return &t.Duplicate })
		r.aside.refuse(in.from, it, 0, false, now)
	case errors.Is(err, mesh.ErrDuplicate):
		in.count(func(t *Tally) *int { return &t.Duplicate })
		if !r.known(ctx, it.ID) { // such as one that waits for its author's admission
			r.aside.refuse(in.from, it, absentFor, true, now)
		}
	case errors.Is(err, mesh.ErrExpired):
		in.count(func(t *Tally) *int { return &t.Refused })
		r.aside.refuse(in.from, it, 0, false, now)
		// Its own tag says so, and the id covers the tag; but ids are quickly made up.
		if r.c.roster.Standing(ev.Author(), now).Member() && ev.Verify() == nil {
			r.bury(ctx, it, mesh.ReasonExpired)
		}
	case errors.Is(err, mesh.ErrInvalid):
		// The id may be good and only this copy's signature wrong: another
		// neighbour may have a good one, so the id stays wanted from others.
		in.count(func(t *Tally) *int { return &t.Refused })
		r.aside.absent(in.from, it, now)
		if r.blame(in.from) {
			in.fail(broken("too many invalid events"))
		}
		return
	case errors.Is(err, mesh.ErrUnknownAuthor):
		in.count(func(t *Tally) *int { return &t.Refused })
		r.aside.refuse(in.from, it, 0, true, now)
	case errors.Is(err, mesh.ErrRefused):
		in.count(func(t *Tally) *int { return &t.Refused })
		r.aside.refuse(in.from, it, refusedFor, true, now)
	case errors.Is(err, mesh.ErrBusy):
		in.fail(errBusy)
		return
	default:
		in.fail(err)
		return
	}
	r.aside.fetched(in.from, it.ID, now)
}

// setAside takes a tombstone, or the news that there is nothing.
func (in *intake) setAside(ctx context.Context, it mesh.Item) {
	r := in.run
	now := r.c.clock()
	r.aside.fetched(in.from, it.ID, now)
	in.count(func(t *Tally) *int { return &t.Gone })
	if it.Gone == 0 {
		r.aside.absent(in.from, it, now)
		return
	}
	// This node itself is one of the roster's nodes.
	enough := min(2, len(r.c.roster.Nodes())-1)
	if r.aside.gone(in.from, it, enough, now) && !r.c.community.Open {
		r.bury(ctx, it, it.Gone) // in the open one stranger could be all neighbours
	}
}

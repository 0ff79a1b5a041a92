package pool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"drey/mesh"
)

// A Feed is one reader's interest in what relays hold and get.
type Feed struct {
	// Name names the watermarks on the shelf; it never changes.
	Name string
	// Filters says what is asked of a relay; none leaves it out. A Since in a
	// filter is a bound that is never gone below. Limit is ignored.
	Filters func(relay string) []mesh.Filter
	// Changed, when set, returns a channel that is closed when Filters would
	// answer otherwise; it is then asked again.
	Changed func() <-chan struct{}
	// Found takes an event, whose signature holds; or, where the archive holds
	// it already, the archive's copy. It is called for several events at a time,
	// and for one event once at a time; an event that it took is not brought
	// again for some time, whichever relay has it. After an error the event
	// comes again later: return nil for what is not wanted, and ErrLater for what
	// is not wanted now.
	Found func(ctx context.Context, relay string, e *mesh.Event) error
	// Back is how far back a relay is read that has no watermark yet; 0 means to
	// the beginning.
	Back time.Duration
	// Told, when set, chooses of what the archive holds that of which the relay
	// may learn: a reconciliation (NIP-77) names it there. What is left out costs
	// its ids on the wire, no more.
	Told func(relay string, r *mesh.Record) bool
	// Whole asks for everything at each connection and keeps no watermark.
	Whole bool
}

const (
	together    = 32               // calls of Found for one feed and relay at a time
	batch       = 1000             // events sorted and handed on together, oldest first
	batchBytes  = queuedBytes      // of their weight
	saveEvery   = 10 * time.Minute // between watermarks on the shelf: SD cards wear
	againLeast  = time.Second      // after Found failed, or the relay refused
	againMost   = 5 * time.Minute  //
	earlyMost   = 100              // events that come before the relay has said what it holds
	filtersMost = 20               // filters of one feed at one relay
	lateEvents  = 15 * time.Minute // see the package comment
	wrapsBack   = 48 * time.Hour
	deepBack    = 72 * time.Hour
	deepEvery   = 24 * time.Hour
)

// Follow brings a feed what the wanted relays hold and get, until ctx ends. It
// asks again after each loss of a connection, from the feed's watermark on.
func (p *Pool) Follow(ctx context.Context, f Feed) error {
	if f.Name == "" || f.Filters == nil || f.Found == nil {
		return errors.New("pool: a feed needs Name, Filters and Found")
	}
	g := &following{p: p, feed: f, once: newOnce()}
	readers := map[*relay]context.CancelFunc{}
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		change := p.Changed()
		wanted := p.wanted()
		for r, stop := range readers {
			if !slices.Contains(wanted, r) {
				stop()
				delete(readers, r)
			}
		}
		for _, r := range wanted {
			if readers[r] == nil {
				within, stop := context.WithCancel(ctx)
				readers[r] = stop
				all.Go(func() {
					defer stop()
					g.follow(within, r)
				})
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-change:
		}
	}
}

func (p *Pool) wanted() []*relay {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*relay
	for _, r := range p.mu.relays {
		if !r.visiting() {
			all = append(all, r)
		}
	}
	return all
}

// A following is one call of Follow.
type following struct {
	p    *Pool
	feed Feed
	once *once
}

// follow reads one relay over all its connections.
func (g *following) follow(ctx context.Context, r *relay) {
	pause := againLeast
	var missed bool
	for {
		c, err := r.await(ctx)
		if err != nil {
			return
		}
		began := time.Now()
		missed, err = g.read(ctx, c, missed)
		if ctx.Err() != nil {
			return
		}
		if c.ctx.Err() != nil || errors.Is(err, errAsk) {
			continue
		}
		if time.Since(began) > stable {
			pause = againLeast
		}
		wait := pause
		if no, ok := errors.AsType[*Refusal](err); ok {
			after, again := no.Retry()
			if !again {
				after = time.Hour // the operator may have changed something there
			}
			wait = max(wait, after)
		}
		g.p.c.Log.Debug("feed interrupted", "relay", r.url, "feed", g.feed.Name, "err", err, "retryIn", wait)
		pause = min(2*pause, againMost)
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-c.ctx.Done():
			t.Stop()
		case <-t.C:
		}
	}
}

var (
	// errAsk reports that the filters have changed.
	errAsk = errors.New("the filters have changed")
	// errBehind reports live events that came faster than they could be taken:
	// what was dropped is asked for.
	errBehind = errors.New("events come faster than they can be taken")
)

// read reads one connection: what is new from now on, and what the relay holds
// since the watermark; from far back when live events were missed before. It
// reports whether that is so now.
func (g *following) read(ctx context.Context, c *conn, missed bool) (bool, error) {
	var changed <-chan struct{}
	if g.feed.Changed != nil {
		changed = g.feed.Changed()
	}
	filters := slices.Clone(g.feed.Filters(c.r.url))
	if len(filters) > filtersMost {
		return missed, fmt.Errorf("feed %s: %d filters, limit %d", g.feed.Name, len(filters), filtersMost)
	}
	if len(filters) == 0 {
		select {
		case <-changed:
			return missed, errAsk
		case <-c.ctx.Done():
			return missed, c.lost()
		case <-ctx.Done():
			return missed, ctx.Err()
		}
	}
	started := g.p.c.Clock()
	mark, err := g.mark(ctx, c.r.url)
	if err != nil {
		return missed, err
	}
	if asked := sum(filters); missed || !bytes.Equal(mark.Asked, asked) {
		mark.Asked, mark.Deep = asked, time.Time{}
	}
	live := slices.Clone(filters)
	for i := range live {
		live[i].Limit = 1 // of stored ones; 0 means all to some relays
	}
	if slices.ContainsFunc(filters, func(f mesh.Filter) bool { return slices.Contains(f.Kinds, mesh.KindGiftWrap) }) {
		c.introduce(ctx)
	}
	s, err := c.open(ctx, live, true)
	if err != nil {
		return missed, err
	}
	defer s.end()

	group, within := errgroup.WithContext(ctx)
	caught := make(chan watermark, 1) // the mark when all that is stored was taken
	group.Go(func() error {
		m, err := g.catchUp(within, c, filters, mark, started)
		if err == nil {
			caught <- m
		}
		return err
	})
	l := &listening{following: g, c: c, s: s, changed: changed}
	group.Go(func() error { return l.run(within, caught) })
	err = group.Wait()
	if l.mark != nil {
		missed = false // what had been missed before has come
	}
	return missed || l.missed || len(s.events) > 0, err
}

// introduce signs in where the relay would take a proof, without being asked:
// some leave out what is for one key only, and do not say so (NIP-17).
func (c *conn) introduce(ctx context.Context) {
	// The challenge has come by then, if one comes: pongs may be a proxy's, and
	// the document may be known.
	for _, sign := range []chan struct{}{c.met, c.learnt} {
		select {
		case <-sign:
		case <-c.ctx.Done():
		case <-ctx.Done():
		}
	}
	if c.challenged() {
		c.signIn(ctx)
	}
}

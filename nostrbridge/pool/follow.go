package pool

import (
	"bytes"
	"cmp"
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
	// comes again later: return nil for what is not wanted.
	Found func(ctx context.Context, relay string, e *mesh.Event) error
	// Back is how far back a relay is read that has no watermark yet; 0 means to
	// the beginning.
	Back time.Duration
	// Whole asks for everything at each connection and keeps no watermark.
	Whole bool
}

const (
	together    = 16               // calls of Found for one feed and relay at a time
	batch       = 1000             // events sorted and handed on together, oldest first
	batchBytes  = queuedBytes      // of their weight
	saveEvery   = time.Minute      // between watermarks on the shelf
	againLeast  = time.Second      // after Found failed, or the relay refused
	againMost   = 5 * time.Minute  //
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
	for {
		c, err := r.await(ctx)
		if err != nil {
			return
		}
		began := time.Now()
		err = g.read(ctx, c)
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
// since the watermark.
func (g *following) read(ctx context.Context, c *conn) error {
	var changed <-chan struct{}
	if g.feed.Changed != nil {
		changed = g.feed.Changed()
	}
	filters := slices.Clone(g.feed.Filters(c.r.url))
	if len(filters) > filtersMost {
		return fmt.Errorf("feed %s: %d filters, limit %d", g.feed.Name, len(filters), filtersMost)
	}
	if len(filters) == 0 {
		select {
		case <-changed:
			return errAsk
		case <-c.ctx.Done():
			return c.lost()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	started := g.p.c.Clock()
	mark, err := g.mark(ctx, c.r.url)
	if err != nil {
		return err
	}
	if asked := sum(filters); !bytes.Equal(mark.Asked, asked) {
		mark.Asked, mark.Deep = asked, time.Time{}
	}
	live := slices.Clone(filters)
	for i := range live {
		live[i].Limit = 1 // of stored ones; 0 means all to some relays
	}
	s, err := c.open(ctx, live)
	if err != nil {
		return err
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
	group.Go(func() error { return g.live(within, c, s, changed, caught) })
	return group.Wait()
}

// live hands on what comes in, and moves the watermark once everything older
// was taken.
func (g *following) live(ctx context.Context, c *conn, s *sub, changed <-chan struct{}, caught <-chan watermark) error {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	var mark *watermark
	for {
		select {
		case m := <-caught:
			mark = &m
			if err := g.save(ctx, c.r.url, m); err != nil {
				return err
			}
		case e := <-s.events:
			events := []*mesh.Event{e}
			for len(s.events) > 0 && len(events) < batch {
				events = append(events, <-s.events)
			}
			for _, e := range events {
				s.taken(e)
			}
			c.r.count(func(t *tally) { t.got += uint64(len(events)) })
			if err := g.hand(ctx, c, events); err != nil {
				return err
			}
		case <-tick.C:
			// What came before now is taken; what the relay had sent and this
			// machine had not read stays within the late events' margin.
			if mark != nil && len(s.events) == 0 {
				mark.At = g.p.c.Clock()
				if err := g.save(ctx, c.r.url, *mark); err != nil {
					return err
				}
			}
		case <-changed:
			return errAsk
		case <-s.full:
			return errBehind
		case <-s.closed:
			if len(s.events) == 0 {
				return s.refusal()
			}
			if err := g.hand(ctx, c, drain(s)); err != nil {
				return err
			}
		case <-c.ctx.Done():
			return c.lost()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func drain(s *sub) (events []*mesh.Event) {
	for len(s.events) > 0 {
		events = append(events, <-s.events)
	}
	return events
}

// catchUp hands on what the relay holds since the mark, and returns the mark
// that holds afterwards.
func (g *following) catchUp(ctx context.Context, c *conn, filters []mesh.Filter, mark watermark, started time.Time) (watermark, error) {
	deep := !g.feed.Whole && started.Sub(mark.Deep) >= deepEvery
	for _, f := range filters {
		f.Limit = 0
		since := g.since(f, mark, started, deep)
		if since < started.Add(-2*lateEvents).Unix() && g.reconciles(ctx, c) {
			err := g.reconcile(ctx, c, f, since, started)
			switch {
			case err == nil:
				// What reconciliation may have kept quiet about shows here.
				since = started.Add(-lateEvents).Unix()
			case errors.Is(err, errBig):
			case errors.Is(err, errNoSync):
				c.r.distrust(err)
			default:
				return mark, err
			}
		}
		f.Since = max(f.Since, mesh.UnixOf(time.Unix(since, 0)))
		if err := g.stored(ctx, c, f); err != nil {
			return mark, err
		}
	}
	mark.At = started
	if deep {
		mark.Deep = started
	}
	return mark, nil
}

// since says from which created_at on stored events are asked for.
func (g *following) since(f mesh.Filter, mark watermark, now time.Time, deep bool) int64 {
	from := mark.At
	switch {
	case g.feed.Whole, from.IsZero() && g.feed.Back == 0:
		return 0
	case from.IsZero():
		from = now.Add(-g.feed.Back)
	case from.After(now):
		from = now // the clock was wrong when the mark was made
	}
	from = from.Add(-lateEvents)
	switch wraps := f.Kinds == nil || slices.Contains(f.Kinds, mesh.KindGiftWrap); {
	case deep:
		from = from.Add(-deepBack)
	case wraps:
		from = from.Add(-wrapsBack)
	}
	return max(from.Unix(), 0)
}

// stored hands on what pages bring, oldest first as far as memory allows.
func (g *following) stored(ctx context.Context, c *conn, f mesh.Filter) error {
	var waiting []*mesh.Event
	bytes := 0
	flush := func() error {
		slices.SortStableFunc(waiting, func(a, b *mesh.Event) int { return cmp.Compare(a.CreatedAt(), b.CreatedAt()) })
		err := g.hand(ctx, c, waiting)
		waiting, bytes = nil, 0
		return err
	}
	err := c.pages(ctx, f, func(events []*mesh.Event) error {
		for _, e := range events {
			bytes += weight(e)
		}
		waiting = append(waiting, events...)
		if len(waiting) >= batch || bytes >= batchBytes {
			return flush()
		}
		return nil
	})
	return errors.Join(err, flush())
}

// hand gives events to the feed, several at a time.
func (g *following) hand(ctx context.Context, c *conn, events []*mesh.Event) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(together)
	for _, e := range events {
		group.Go(func() error {
			return g.once.do(ctx, e.ID(), func() error { return g.handOne(ctx, c, e) })
		})
	}
	return group.Wait()
}

func (g *following) handOne(ctx context.Context, c *conn, e *mesh.Event) error {
	if a := g.p.c.Archive; a != nil {
		r, err := a.Record(ctx, e.ID(), mesh.Self)
		if _, gone := errors.AsType[*mesh.GoneError](err); gone {
			return nil
		}
		if err == nil {
			return g.feed.Found(ctx, c.r.url, r.Event)
		}
		if !errors.Is(err, mesh.ErrNotFound) {
			return err
		}
	}
	if e.Verify() != nil {
		if err := c.forged(); err != nil {
			c.cut(err)
		}
		return errForged
	}
	return g.feed.Found(ctx, c.r.url, e)
}

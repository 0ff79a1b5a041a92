package pool

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"drey/mesh"
)

// catchUp hands on what the relay holds since the mark, and returns the mark
// that holds afterwards.
func (g *following) catchUp(ctx context.Context, c *conn, filters []mesh.Filter, mark watermark, started time.Time) (watermark, error) {
	if mark.At.After(started.Add(lateEvents)) {
		mark.At = time.Time{} // the clock was wrong when the mark was made: when that was nobody knows
	}
	deep := !g.feed.Whole && (started.Sub(mark.Deep) >= deepEvery || mark.Deep.After(started))
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
		from = now // the clock was put back a little since
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

// hand gives events to the feed, several at a time: their order stays but for
// those.
func (g *following) hand(ctx context.Context, c *conn, events []*mesh.Event) error {
	for some := range slices.Chunk(events, together) {
		group, ctx := errgroup.WithContext(ctx)
		for _, e := range some {
			group.Go(func() error {
				return g.once.do(ctx, e.ID(), func() error { return g.handOne(ctx, c, e) })
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
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

package pool

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"drey/mesh"
)

// A walk goes through what a relay holds, page by page back in time.
type walk struct {
	page func(context.Context, mesh.Filter) ([]*mesh.Event, error)
	most int                       // events that the relay shows at once; 0 where it does not say
	do   func([]*mesh.Event) error // takes what is new, newest first

	// seen has what came of the second at which the next page begins, and of the
	// ids that were asked for: nothing else can come twice.
	seen map[mesh.EventID]mesh.Unix
}

// pages hands on what a filter chooses. Each event comes once, newest first
// within a page; its signature is not checked.
func (c *conn) pages(ctx context.Context, f mesh.Filter, do func([]*mesh.Event) error) error {
	w := &walk{page: c.page, most: c.r.information().MaxLimit, do: func(events []*mesh.Event) error {
		c.r.count(func(t *tally) { t.got += uint64(len(events)) })
		return do(events)
	}}
	return w.back(ctx, f)
}

// back asks until a page is empty, as relays end pages where they like, or until
// f.Limit events have come.
func (w *walk) back(ctx context.Context, f mesh.Filter) error {
	w.seen = map[mesh.EventID]mesh.Unix{}
	left, ask := f.Limit, pageEvents
	if w.most > 0 {
		ask = min(ask, w.most)
	}
	if f.IDs != nil {
		for ids := range slices.Chunk(f.IDs, ask) {
			f.IDs, f.Limit = ids, len(ids)
			if _, _, err := w.once(ctx, f); err != nil {
				return err
			}
		}
		return nil
	}
	for {
		f.Limit = ask
		if left > 0 {
			f.Limit = min(ask, left)
		}
		fresh, all, err := w.once(ctx, f)
		if errors.Is(err, errFull) && ask > 1 {
			ask = max(ask/4, 1)
			continue
		}
		if err != nil || all == 0 {
			return err
		}
		if left > 0 {
			if left -= len(fresh); left <= 0 {
				return nil
			}
		}
		// The oldest second again, as the page may have ended within it.
		switch oldest := f.Until; {
		case len(fresh) == 0 && oldest == 0:
			return nil
		case len(fresh) > 0:
			oldest = fresh[len(fresh)-1].CreatedAt()
			if f.Until == 0 || oldest < f.Until {
				f.Until = oldest
				w.forget(oldest)
				continue
			}
			fallthrough
		default:
			if all >= f.Limit && left == 0 { // a second that fills a whole page
				if err := w.second(ctx, f); err != nil {
					return err
				}
			}
			if f.Until <= max(f.Since, 1) {
				return nil
			}
			f.Until--
			w.forget(f.Until)
		}
	}
}

// forget lets go of what is newer than anything that will be asked for.
func (w *walk) forget(until mesh.Unix) {
	for id, at := range w.seen {
		if at > until {
			delete(w.seen, id)
		}
	}
}

// second asks for all of the second at f.Until in one page. What a relay leaves
// out of that stays away: there is no way to ask for the rest of a second.
func (w *walk) second(ctx context.Context, f mesh.Filter) error {
	f.Since, f.Limit = f.Until, secondEvents
	if w.most > 0 {
		f.Limit = min(f.Limit, w.most)
	}
	_, _, err := w.once(ctx, f)
	if errors.Is(err, errFull) {
		return nil
	}
	return err
}

// once asks for one page and hands on what is new in it. It returns that, and
// how many events came.
func (w *walk) once(ctx context.Context, f mesh.Filter) (fresh []*mesh.Event, all int, err error) {
	events, err := w.page(ctx, f)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range events {
		if _, seen := w.seen[e.ID()]; !seen {
			w.seen[e.ID()] = e.CreatedAt()
			fresh = append(fresh, e)
		}
	}
	if len(fresh) == 0 {
		return nil, len(events), nil
	}
	slices.SortStableFunc(fresh, func(a, b *mesh.Event) int { return cmp.Compare(b.CreatedAt(), a.CreatedAt()) })
	return fresh, len(events), w.do(fresh)
}

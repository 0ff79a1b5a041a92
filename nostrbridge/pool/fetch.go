package pool

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"drey/mesh"
)

const (
	pageEvents   = 200              // asked for in one REQ
	secondEvents = 5000             // asked for of one second, where that fills a page
	maxFetch     = 50_000           // events of one filter on one connection
	replyTime    = 30 * time.Second // a relay that says nothing for so long is not waited for
)

// Fetch yields the stored events of a relay that a filter chooses, newest
// first, each once and with its signature checked. It asks in pages until the
// relay has no more, or f.Limit events have come, and ends with the first error:
// ErrDown, a *Refusal, or ctx's. Relays that are not in the list are visited, as
// with Publish.
func (p *Pool) Fetch(ctx context.Context, url string, f mesh.Filter) iter.Seq2[*mesh.Event, error] {
	return func(yield func(*mesh.Event, error) bool) {
		r, done, err := p.use(url)
		if err != nil {
			yield(nil, err)
			return
		}
		defer done()
		c, err := r.ready(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		stopped := false
		err = c.pages(ctx, f, func(events []*mesh.Event) error {
			for _, e := range events {
				if e.Verify() != nil {
					if err := c.forged(); err != nil {
						c.cut(err)
						return c.lost()
					}
					continue
				}
				if stopped = !yield(e, nil); stopped {
					return errStop
				}
			}
			return nil
		})
		if err != nil && !stopped {
			yield(nil, err)
		}
	}
}

var errStop = errors.New("enough")

// pages asks for what a filter chooses, page by page back in time, until a page
// is empty: relays end pages where they like. Each event is handed on once,
// newest first within a page; its signature is not checked.
func (c *conn) pages(ctx context.Context, f mesh.Filter, do func([]*mesh.Event) error) error {
	left, ask := f.Limit, pageEvents
	if most := c.r.information().MaxLimit; most > 0 {
		ask = min(ask, most)
	}
	if f.IDs != nil {
		for ids := range slices.Chunk(f.IDs, ask) {
			f.IDs, f.Limit = ids, len(ids)
			if _, _, err := c.once(ctx, f, map[mesh.EventID]bool{}, do); err != nil {
				return err
			}
		}
		return nil
	}
	for seen := map[mesh.EventID]bool{}; len(seen) < maxFetch; {
		f.Limit = ask
		if left > 0 {
			f.Limit = min(ask, left)
		}
		fresh, all, err := c.once(ctx, f, seen, do)
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
				continue
			}
			fallthrough
		default:
			if all >= f.Limit && left == 0 { // a second that fills a whole page
				if err := c.second(ctx, f, seen, do); err != nil {
					return err
				}
			}
			if f.Until <= max(f.Since, 1) {
				return nil
			}
			f.Until--
		}
	}
	return nil
}

// second asks for all of the second at f.Until in one page. What a relay leaves
// out of that stays away: there is no way to ask for the rest of a second.
func (c *conn) second(ctx context.Context, f mesh.Filter, seen map[mesh.EventID]bool, do func([]*mesh.Event) error) error {
	f.Since, f.Limit = f.Until, secondEvents
	if most := c.r.information().MaxLimit; most > 0 {
		f.Limit = min(f.Limit, most)
	}
	_, _, err := c.once(ctx, f, seen, do)
	if errors.Is(err, errFull) {
		return nil
	}
	return err
}

// once asks for one page and hands on what is new in it. It returns that, and
// how many events came.
func (c *conn) once(ctx context.Context, f mesh.Filter, seen map[mesh.EventID]bool, do func([]*mesh.Event) error) (fresh []*mesh.Event, all int, err error) {
	events, err := c.page(ctx, f)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range events {
		if !seen[e.ID()] {
			seen[e.ID()] = true
			fresh = append(fresh, e)
		}
	}
	if len(fresh) == 0 {
		return nil, len(events), nil
	}
	slices.SortStableFunc(fresh, func(a, b *mesh.Event) int { return cmp.Compare(b.CreatedAt(), a.CreatedAt()) })
	c.r.count(func(t *tally) { t.got += uint64(len(fresh)) })
	return fresh, len(events), do(fresh)
}

// errFull reports a page that was larger than may wait here.
var errFull = errors.New("the relay sends more than was asked for")

// page asks once and returns what came before EOSE.
func (c *conn) page(ctx context.Context, f mesh.Filter) (events []*mesh.Event, err error) {
	s, err := c.open(ctx, []mesh.Filter{f}, false)
	if err != nil {
		return nil, err
	}
	defer s.end()
	take := func(e *mesh.Event) {
		if len(events) < f.Limit {
			events = append(events, e)
		}
	}
	silence := time.NewTimer(replyTime)
	defer silence.Stop()
	for {
		select {
		case e := <-s.events:
			take(e)
			silence.Reset(replyTime)
			continue
		case <-s.stored:
		case <-s.closed:
		case <-s.full:
			return nil, errFull
		case <-silence.C:
			return nil, ErrSilent
		case <-c.ctx.Done():
			return nil, c.lost()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		for len(s.events) > 0 { // what came before EOSE is in the queue
			take(<-s.events)
		}
		if no := s.refusal(); no != nil && len(events) == 0 {
			return nil, no
		}
		return events, nil
	}
}

// open opens a subscription, and signs in where the relay wants that first. It
// returns when the relay has said anything about it.
func (c *conn) open(ctx context.Context, filters []mesh.Filter, lax bool) (*sub, error) {
	for tried := false; ; tried = true {
		s, err := c.req(ctx, filters, lax)
		if err != nil {
			return nil, err
		}
		err = s.answered(ctx)
		if no := s.refusal(); err == nil && no != nil && len(s.events) == 0 {
			err = no
			if no.Prefix == "auth-required" && !tried && c.signIn(ctx) {
				c.forget(s)
				continue
			}
		}
		if err != nil {
			s.end()
			return nil, err
		}
		return s, nil
	}
}

// answered waits for the relay's first word about the subscription.
func (s *sub) answered(ctx context.Context) error {
	t := time.NewTimer(replyTime)
	defer t.Stop()
	select {
	case <-s.begun:
		return nil
	case <-s.c.ctx.Done():
		return s.c.lost()
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return ErrSilent
	}
}

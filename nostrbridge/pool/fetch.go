package pool

import (
	"context"
	"errors"
	"iter"
	"time"

	"drey/mesh"
)

const (
	pageEvents   = 200              // asked for in one REQ
	secondEvents = 5000             // asked for of one second, where that fills a page
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

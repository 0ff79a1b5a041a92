package nostrbridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"drey/mesh"
	"drey/nostrbridge/pool"
)

// offer takes one delivery to its end, or gives it back.
func (s *sender) offer(ctx context.Context, d *mesh.Delivery) {
	b, id := s.b, d.Event.ID()
	if s.npub {
		s.outward(ctx, d)
		return
	}
	if b.landed.has(id, s.url) {
		s.landed(d)
		return
	}
	switch {
	case d.Topic == mesh.TopicMail:
		if !s.mayGo(ctx, d) {
			return
		}
	case !s.listed:
		d.Done(errors.New("the relay is not in the list any more"))
		return
	}
	within, stop := s.within(ctx)
	defer stop()
	if s.doubtful(ctx, d) {
		has, err := s.ask(within, d)
		if err != nil {
			s.away(ctx, d, err, lookEvery)
			return
		}
		s.answered = true
		if has {
			s.landed(d)
			return
		}
	}
	delete(s.absent, id) // from here on it may be there
	err := b.c.Relays.Publish(within, s.url, d.Event)
	var no *pool.Refusal
	if err == nil || errors.As(err, &no) {
		s.answered = true
	}
	switch {
	case err == nil:
		b.carried.Add(1)
		s.strikes = 0
		s.landed(d)
	case ctx.Err() != nil:
		d.Release()
	case no != nil:
		s.refused(ctx, d, no)
	case errors.Is(err, pool.ErrDown), within.Err() != nil:
		s.away(ctx, d, err, lookEvery/4) // while the pool finds out
	default:
		s.over(d, err.Error())
	}
}

// away gives back what could not be offered.
func (s *sender) away(ctx context.Context, d *mesh.Delivery, err error, wait time.Duration) {
	if ctx.Err() == nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = pool.ErrSilent
		}
		s.report(d, "waiting: "+clip(err.Error()))
	}
	d.Release()
	s.failed = true
	s.pause(ctx, wait)
}

// landed ends a delivery whose event the relay has.
func (s *sender) landed(d *mesh.Delivery) {
	b := s.b
	b.counting.Lock()
	n, fresh := b.landed.add(d.Event.ID(), s.url)
	d.Report(fmt.Sprintf("on %d of %d relays", n, max(n, len(b.wanted()))))
	b.counting.Unlock()
	if fresh {
		b.tell(landing{relay: s.url, id: d.Event.ID()})
	}
	b.published(d.Event, s.url)
	d.Done(nil)
	delete(s.tries, d.Event.ID())
	delete(s.said, d.Event.ID())
}

// refused takes a relay's no.
func (s *sender) refused(ctx context.Context, d *mesh.Delivery, no *pool.Refusal) {
	b, id := s.b, d.Event.ID()
	after, again := no.Retry()
	if !again {
		s.over(d, no.Error())
		return
	}
	s.missing(id)
	if no.Prefix == "rate-limited" {
		s.report(d, "waiting: "+clip(no.Error()))
		d.Release()
		s.pause(ctx, after) // then whatever is most urgent goes first
		return
	}
	if s.tries[id]++; s.tries[id] >= maxTries {
		s.over(d, no.Error())
		return
	}
	if s.strikes++; s.strikes >= maxStrikes {
		// It is not about this event: colleagues may fare better.
		s.strikes = 0
		b.hold(s.url, after)
	}
	d.Done(later{clip(no.Error())})
}

// over ends a delivery for good.
func (s *sender) over(d *mesh.Delivery, why string) {
	b := s.b
	b.refused.Add(1)
	b.tell(landing{relay: s.url, id: d.Event.ID(), reason: clip(why)})
	d.Done(errors.New(clip(why)))
	delete(s.tries, d.Event.ID())
	delete(s.said, d.Event.ID())
}

// report adds a line to the history, once for each reason.
func (s *sender) report(d *mesh.Delivery, state string) {
	if s.said[d.Event.ID()] == state {
		return
	}
	if len(s.said) >= maxAbsent {
		clear(s.said)
	}
	s.said[d.Event.ID()] = state
	d.Report(state)
}

// missing takes down that the relay does not have an event.
func (s *sender) missing(id mesh.EventID) {
	if len(s.absent) >= maxAbsent {
		clear(s.absent)
	}
	s.absent[id] = true
}

// mayGo asks once more whether a gift wrap is to leave: its reader may have it.
func (s *sender) mayGo(ctx context.Context, d *mesh.Delivery) bool {
	b := s.b
	if b.c.Mail == nil || !slices.Contains(b.mailRelays(d.Event), s.url) {
		d.Done(errors.New("its reader has it already, or looks elsewhere"))
		return false
	}
	r, err := b.c.Archive.Record(ctx, d.Event.ID(), mesh.Self)
	if err != nil {
		d.Release()
		s.pause(ctx, lookEvery)
		return false
	}
	if b.c.Mail.Due(r).After(b.c.Clock()) {
		d.Done(later{"its reader may take it here first"})
		return false
	}
	return true
}

// hold leaves a relay alone for a while; colleagues take over.
func (b *Bridge) hold(url string, d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.held[url] = b.c.Clock().Add(d)
}

// later is a reason to try again: mesh.ErrBusy in its own words.
type later struct{ why string }

func (l later) Error() string        { return l.why }
func (l later) Is(target error) bool { return target == mesh.ErrBusy }

// clip keeps a reason short.
func clip(s string) string {
	if len(s) <= maxReason {
		return s
	}
	cut := maxReason - len("…")
	for cut > 0 && s[cut]&0xc0 == 0x80 {
		cut--
	}
	return s[:cut] + "…"
}

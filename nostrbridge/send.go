package nostrbridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"drey/mesh"
	"drey/nostrbridge/pool"
)

const (
	askMost    = 100             // ids in one question
	doubtAge   = 5 * time.Second // what is older may have gone by another way
	doubtFirst = time.Minute     // who has just taken the lead asks about everything
	maxTries   = 8               // refusals that may pass, before one is final
	maxStrikes = 3               // of them in a row, before the relay is left alone for a while
	maxAbsent  = 4096            // events known not to be at a relay
	maxSenders = 64              // relays that are sent to at one time
	lookEvery  = 2 * time.Second // at a relay that is not connected
	// A target outside of the list, where a reader looks for his mail, is left
	// when nothing was owed to it for so long.
	idleFor = 10 * time.Minute
)

// send runs a sender for each relay that is wanted, has mail coming, or is owed
// something from before.
func (b *Bridge) send(ctx context.Context, lanes mesh.Lanes) error {
	before, err := lanes.Targets(ctx)
	if err != nil {
		return err
	}
	b.expect(before)
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	look := time.NewTicker(idleFor)
	defer look.Stop()
	senders := map[string]bool{}
	ended := make(chan string)
	for {
		changed := b.c.Relays.Changed()
		for _, url := range append(b.wanted(), b.expected()...) {
			if senders[url] || len(senders) >= maxSenders {
				continue
			}
			senders[url] = true
			s := &sender{b: b, url: url, lane: lanes.Lane(url)}
			wg.Go(func() {
				s.run(ctx)
				select {
				case ended <- url:
				case <-ctx.Done():
				}
			})
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case url := <-ended:
			delete(senders, url)
			b.unexpect(url)
		case <-changed:
		case <-b.coming:
		case <-look.C: // there may have been too many
			owed, err := lanes.Targets(ctx)
			if err != nil {
				return err
			}
			b.expect(owed)
		}
	}
}

// A sender carries what is owed to one relay, one event after the other: the
// relay's limits make the pace, and order is kept.
type sender struct {
	b    *Bridge
	url  string
	lane mesh.Lane

	led     map[mesh.Topic]led // topics that this gateway leads there
	listed  bool               // the operator wants the relay
	absent  map[mesh.EventID]bool
	tries   map[mesh.EventID]int // refusals that may pass
	strikes int
	said    map[mesh.EventID]string // the last reason that was reported
	waiting map[mesh.EventID]bool   // seen at the last sweep
}

// led is when a lead began, and the last that had come in by then: a colleague
// may have carried that.
type led struct {
	number int // see Bridge.leads
	since  time.Time
	mark   uint64
}

func (s *sender) run(ctx context.Context) {
	b := s.b
	s.led = map[mesh.Topic]led{}
	s.absent = map[mesh.EventID]bool{}
	s.tries = map[mesh.EventID]int{}
	s.said = map[mesh.EventID]string{}
	swept := b.c.Clock()
	for ctx.Err() == nil {
		if !s.ready(ctx) {
			return
		}
		if b.c.Clock().Sub(swept) >= b.pace.sweep {
			swept = b.c.Clock()
			s.sweep(ctx)
		}
		next, stop := context.WithTimeout(ctx, b.pace.sweep)
		d, err := s.lane.Next(next, s.mine)
		stop()
		switch {
		case ctx.Err() != nil:
			if d != nil {
				d.Release()
			}
			return
		case err == nil:
			s.offer(ctx, d)
		case !errors.Is(err, context.DeadlineExceeded):
			b.c.Log.Warn("what is owed to a relay is not known", "relay", s.url, "err", err)
			_ = pause(ctx, lookEvery)
		}
	}
}

// mine reports whether a topic is this gateway's to carry. What else is owed to
// a relay outside of the list has lost its way.
func (s *sender) mine(t mesh.Topic) bool {
	b := s.b
	if s.listed {
		return b.leads(s.url, t) > 0
	}
	return t != mesh.TopicMail || b.council.leads(s.url, t, b.c.Clock())
}

// ready waits until the relay is connected and not left alone. It reports
// false when there is nothing to wait for.
func (s *sender) ready(ctx context.Context) bool {
	b := s.b
	idle := b.c.Clock()
	for {
		changed := b.c.Relays.Changed()
		if wait := b.heldUntil(s.url).Sub(b.c.Clock()); wait > 0 {
			if pause(ctx, wait) != nil {
				return false
			}
			continue
		}
		relays := b.c.Relays.Relays()
		was := s.listed
		i := slices.IndexFunc(relays, func(r pool.Relay) bool { return r.URL == s.url && !r.Side })
		if s.listed = i >= 0; s.listed != was {
			s.lane.Wake()
		}
		switch {
		case i < 0 && len(s.lane.Ahead(ctx, 1)) > 0:
			return true // connected to when something is offered
		case i < 0 && b.c.Clock().Sub(idle) > idleFor:
			return false
		case i >= 0 && relays[i].State == pool.Connected && !relays[i].Paused:
			return true
		}
		look, stop := context.WithTimeout(ctx, lookEvery)
		select {
		case <-changed:
		case <-look.Done():
		}
		stop()
		if ctx.Err() != nil {
			return false
		}
	}
}

// offer takes one delivery to its end, or gives it back.
func (s *sender) offer(ctx context.Context, d *mesh.Delivery) {
	b, id := s.b, d.Event.ID()
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
	if s.doubtful(ctx, d) {
		has, err := s.ask(ctx, d)
		if err != nil {
			s.report(d, "waiting: "+clip(err.Error()))
			d.Release()
			_ = pause(ctx, lookEvery)
			return
		}
		if has {
			s.landed(d)
			return
		}
	}
	delete(s.absent, id) // from here on it may be there
	err := b.c.Relays.Publish(ctx, s.url, d.Event)
	var no *pool.Refusal
	switch {
	case err == nil:
		b.carried.Add(1)
		s.strikes = 0
		s.landed(d)
	case ctx.Err() != nil:
		d.Release()
	case errors.As(err, &no):
		s.refused(ctx, d, no)
	case errors.Is(err, pool.ErrDown):
		s.report(d, "waiting: "+clip(err.Error()))
		d.Release()
		_ = pause(ctx, lookEvery/4) // while the pool finds out
	default:
		s.over(d, err.Error())
	}
}

// landed ends a delivery whose event the relay has.
func (s *sender) landed(d *mesh.Delivery) {
	b := s.b
	n, fresh := b.landed.add(d.Event.ID(), s.url)
	if fresh {
		b.tell(landing{relay: s.url, id: d.Event.ID()})
	}
	b.published(d.Event, s.url)
	d.Report(fmt.Sprintf("on %d of %d relays", n, max(n, len(b.wanted()))))
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
		_ = pause(ctx, after) // then whatever is most urgent goes first
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
		_ = pause(ctx, lookEvery)
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

package nostrbridge

import (
	"context"
	"errors"
	"slices"
	"strings"
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
	lookEvery  = 2 * time.Second // at a relay that is not connected
	lookOwed   = 10 * time.Minute
)

// send runs a sender for each relay that is wanted, and gives the others, where
// readers look for mail, their turns.
func (b *Bridge) send(ctx context.Context, lanes mesh.Lanes) error {
	before, err := lanes.Targets(ctx)
	if err != nil {
		return err
	}
	b.expect(before, b.c.Clock())
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	look := time.NewTicker(lookOwed)
	defer look.Stop()
	senders := map[string]bool{}
	ended := make(chan string)
	begin := func(url string, run func()) {
		senders[url] = true
		wg.Go(func() {
			run()
			select {
			case ended <- url:
			case <-ctx.Done():
			}
		})
	}
	for {
		changed := b.c.Relays.Changed()
		wanted := b.wanted()
		for _, url := range wanted {
			if !senders[url] {
				s := newSender(b, url, lanes.Lane(url))
				s.listed = true
				begin(url, func() { s.run(ctx) })
			}
		}
		busy := func(url string) bool { return senders[url] || slices.Contains(wanted, url) }
		wake := b.turns(busy, lanes, func(s *sender) { begin(s.url, func() { s.turn(ctx) }) })
		timer := time.NewTimer(wake)
		select {
		case <-ctx.Done():
		case url := <-ended:
			delete(senders, url)
		case <-changed:
		case <-b.coming:
		case <-timer.C:
		case <-look.C: // there may have been too many
			var owed []string
			if owed, err = lanes.Targets(ctx); err == nil {
				b.expect(owed, b.c.Clock())
			}
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// turns begins the turns that are due, and returns after what time to look
// again.
func (b *Bridge) turns(busy func(url string) bool, lanes mesh.Lanes, begin func(*sender)) time.Duration {
	for {
		now := b.c.Clock()
		b.mu.Lock()
		url, ok, wake := b.mu.rota.take(now, busy)
		if !ok {
			b.mu.Unlock()
			if wake.IsZero() {
				return lookOwed
			}
			return wake.Sub(now)
		}
		t := b.mu.rota.by[url]
		if t.sender == nil {
			t.sender = newSender(b, url, lanes.Lane(url))
		}
		s := t.sender
		b.mu.Unlock()
		begin(s)
	}
}

// A sender carries what is owed to one relay, one event after the other: the
// relay's limits make the pace, and order is kept.
type sender struct {
	b      *Bridge
	url    string
	lane   mesh.Lane
	listed bool // the operator wants the relay; else it has turns
	npub   bool // it is an outsider, in place of a relay

	led     map[mesh.Topic]led // topics that this gateway leads there
	absent  map[mesh.EventID]bool
	tries   map[mesh.EventID]int // refusals that may pass
	strikes int
	said    map[mesh.EventID]string // the last reason that was reported
	waiting map[mesh.EventID]bool   // seen at the last sweep
	swept   time.Time               // when that was

	outcome // of the turn
}

// led is when a lead began, and the last that had come in by then: a colleague
// may have carried that.
type led struct {
	number int // see Bridge.leads
	since  time.Time
	mark   uint64
}

func newSender(b *Bridge, url string, lane mesh.Lane) *sender {
	return &sender{
		b: b, url: url, lane: lane, swept: b.c.Clock(), npub: strings.HasPrefix(url, "npub1"),
		led: map[mesh.Topic]led{}, absent: map[mesh.EventID]bool{}, tries: map[mesh.EventID]int{}, said: map[mesh.EventID]string{},
	}
}

// run sends to a relay of the list until it is no more in it.
func (s *sender) run(ctx context.Context) {
	s.lane.Wake() // what was declined as a relay's outside of the list
	for s.ready(ctx) {
		s.sweepNow(ctx)
		s.one(ctx, s.b.pace.sweep)
	}
	if ctx.Err() == nil {
		s.b.expect([]string{s.url}, s.b.c.Clock()) // mail goes there still
	}
}

// turn sends to a relay outside of the list until nothing more may go, the relay
// does not answer, or others have waited long enough.
func (s *sender) turn(ctx context.Context) {
	b, began := s.b, s.b.c.Clock()
	s.outcome = outcome{}
	if s.rest = b.heldUntil(s.url).Sub(began); s.rest <= 0 {
		s.rest = 0
		s.lane.Wake() // who leads may have changed
		s.sweepNow(ctx)
	}
	for s.rest <= 0 && !s.failed && ctx.Err() == nil && b.c.Clock().Sub(began) < turnLasts {
		if !s.one(ctx, turnWaits) {
			s.rest = turnEvery
		}
	}
	s.owed = len(s.lane.Ahead(ctx, 1)) > 0
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.rota.end(s.url, s.outcome, b.c.Clock())
}

// one offers what goes next, and reports whether there was something before the
// wait was over.
func (s *sender) one(ctx context.Context, wait time.Duration) bool {
	next, stop := context.WithTimeout(ctx, wait)
	d, err := s.lane.Next(next, s.mine)
	stop()
	switch {
	case ctx.Err() != nil:
		if d != nil {
			d.Release()
		}
	case err == nil:
		s.offer(ctx, d)
		return true
	case !errors.Is(err, context.DeadlineExceeded):
		s.b.c.Log.Warn("what is owed to a relay is not known", "relay", s.url, "err", err)
		s.pause(ctx, lookEvery)
	}
	return false
}

// pause leaves the relay alone for a while; who has turns ends his.
func (s *sender) pause(ctx context.Context, d time.Duration) {
	if !s.listed {
		s.rest = d
		return
	}
	_ = pause(ctx, d)
}

// within bounds a question to the relay, where others wait for their turn.
func (s *sender) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if s.listed {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, turnOffer)
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

// ready waits until a relay of the list is connected and not left alone. It
// reports false when it is not in the list any more.
func (s *sender) ready(ctx context.Context) bool {
	b := s.b
	for ctx.Err() == nil {
		changed := b.c.Relays.Changed()
		if wait := b.heldUntil(s.url).Sub(b.c.Clock()); wait > 0 {
			_ = pause(ctx, wait)
			continue
		}
		relays := b.c.Relays.Relays()
		i := slices.IndexFunc(relays, func(r pool.Relay) bool { return r.URL == s.url && !r.Side })
		switch {
		case i < 0:
			return false
		case relays[i].State == pool.Connected && !relays[i].Paused:
			return true
		}
		look, stop := context.WithTimeout(ctx, lookEvery)
		select {
		case <-changed:
		case <-look.Done():
		}
		stop()
	}
	return false
}

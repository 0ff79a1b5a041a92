package nostrbridge

import (
	"context"
	"fmt"
	"slices"
	"time"

	"drey/mesh"
	"drey/nostrbridge/mail"
	"drey/nostrbridge/pool"
)

const (
	maxUntold  = 4096 // acknowledgements that wait to be told
	tellNow    = 64   // so many are told at once
	maxClaimed = 500  // events at one relay of which only words tell
	// A gateway that has begun says so more often for a while: its links to
	// neighbours are being made.
	helloFor   = 24 * time.Second
	helloEvery = 3 * time.Second
	idleBeats  = 15 // as long between the words of a gateway that reaches no relay
)

// listen takes the words of gateways until ctx ends.
func (b *Bridge) listen(ctx context.Context) error {
	for r, err := range b.c.Node.Watch(ctx, mesh.Filter{Kinds: []mesh.Kind{mesh.KindGateway}}) {
		if err != nil {
			return err
		}
		b.hear(ctx, r.Event)
	}
	return ctx.Err()
}

// hear takes a gateway's word. Machines of the roster are believed. In an open
// community everybody can say words: there they decide who carries, and what
// they tell of relays is asked for.
func (b *Bridge) hear(ctx context.Context, e *mesh.Event) {
	now, open := b.c.Clock(), b.c.Roster.Community().Open
	if e.Author() == b.c.Signer.PubKey() || !open && b.c.Roster.Standing(e.Author(), now) < mesh.Machine {
		return
	}
	w, err := parseWord(e)
	if err != nil {
		b.c.Log.Debug("gateway's word not understood", "author", e.Author(), "err", err)
		return
	}
	if open {
		b.claim(w.on)
		w.on, w.no, w.in = nil, nil, nil
		delete(w.out, mesh.TopicMail) // a wrap that was posted here nobody else has
	}
	for _, id := range w.in {
		if _, isNew := b.world.add(id, ""); isNew {
			b.c.Node.Withdraw(id)
		}
	}
	taken, fresh := b.council.hear(e.Author(), e.CreatedAt(), w, now)
	for _, l := range w.on {
		b.counting.Lock()
		n, isNew := b.landed.add(l.id, l.relay)
		if isNew {
			b.settle(ctx, l, fmt.Sprintf("on %d of %d relays", n, max(n, len(w.ready))))
		}
		b.counting.Unlock()
		if isNew {
			b.owned(ctx, l)
		}
	}
	for _, l := range w.no {
		b.settle(ctx, l, "failed: "+l.reason)
	}
	if !taken || !b.c.Gateway {
		return
	}
	if fresh {
		b.nudge()
	}
	b.look()
}

// claim keeps what a word says that relays have, until they are asked.
func (b *Bridge) claim(all []landing) {
	if len(all) == 0 || !b.c.Gateway {
		return
	}
	wanted := b.wanted()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range all {
		if slices.Contains(wanted, l.relay) && len(b.mu.claimed[l.relay]) < maxClaimed {
			b.mu.claimed[l.relay] = append(b.mu.claimed[l.relay], l.id)
		}
	}
}

// claims takes what was claimed about a relay.
func (b *Bridge) claims(relay string) []mesh.EventID {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := b.mu.claimed[relay]
	delete(b.mu.claimed, relay)
	return ids
}

// owned takes down that a colleague has carried what this gateway translated.
func (b *Bridge) owned(ctx context.Context, l landing) {
	if !b.c.Gateway {
		return
	}
	if r, err := b.c.Archive.Record(ctx, l.id, mesh.Self); err == nil {
		b.published(r.Event, l.relay)
	}
}

// settle ends what a colleague carried, or notes it where it was not owed.
func (b *Bridge) settle(ctx context.Context, l landing, state string) {
	b.mu.Lock()
	lanes := b.mu.lanes
	b.mu.Unlock()
	target := l.relay
	if r, err := b.c.Archive.Record(ctx, l.id, mesh.Self); err == nil && r.Event.Kind() == mesh.KindOutward {
		if _, reader, err := mail.Outward(r.Event); err == nil {
			if target = reader.NPub(); l.reason == "" {
				state = "on relays of its reader"
			}
		}
	}
	if lanes == nil {
		b.c.Node.Note(l.id, target, state)
		return
	}
	if lanes.Lane(target).Settle(ctx, l.id, state) {
		b.settled.Add(1)
	}
}

// A lead is a topic that this gateway carries to a relay.
type lead struct {
	relay string
	topic mesh.Topic
}

// look finds out what this gateway leads now, and wakes the lanes of relays
// where that has changed.
func (b *Bridge) look() {
	lanes, changed := b.relead(b.c.Clock(), b.wanted(), b.council.topics())
	for url := range changed { // without the lock: whoever has a lane's asks what is led
		lanes.Lane(url).Wake()
	}
}

// relead takes down what this gateway leads now, and returns the relays where
// that has changed.
func (b *Bridge) relead(now time.Time, wanted []string, topics []mesh.Topic) (lanes mesh.Lanes, changed map[string]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.lanes == nil {
		return nil, nil
	}
	leads := make(map[lead]int)
	changed = make(map[string]bool)
	for _, url := range wanted {
		for _, t := range topics {
			l := lead{url, t}
			if !b.council.leads(url, t, now) {
				continue
			}
			if leads[l] = b.mu.leads[l]; leads[l] == 0 {
				b.mu.began++
				leads[l] = b.mu.began
				changed[url] = true
			}
		}
	}
	for l := range b.mu.leads {
		if leads[l] == 0 {
			changed[l.relay] = true
		}
	}
	b.mu.leads = leads
	return b.mu.lanes, changed
}

// nudge has speak say a word soon.
func (b *Bridge) nudge() {
	select {
	case b.news <- struct{}{}:
	default:
	}
}

// tell keeps what becomes of an event at a relay for the next word.
func (b *Bridge) tell(l landing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.mu.on)+len(b.mu.no) >= maxUntold {
		b.mu.dropped++
		return
	}
	if l.reason == "" {
		b.mu.on = append(b.mu.on, l)
	} else {
		b.mu.no = append(b.mu.no, l)
	}
	if n := len(b.mu.on) + len(b.mu.no); n == 1 || n == tellNow {
		b.nudge()
	}
}

// untold takes what is to be told, at most so many.
func (b *Bridge) untold(most int) (on, no []landing, rest bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(most, len(b.mu.on))
	on, b.mu.on = b.mu.on[:n:n], b.mu.on[n:]
	m := min(most-n, len(b.mu.no))
	no, b.mu.no = b.mu.no[:m:m], b.mu.no[m:]
	return on, no, len(b.mu.on)+len(b.mu.no) > 0
}

// speak says this gateway's words: every beat, and soon after news.
func (b *Bridge) speak(ctx context.Context) error {
	began := b.c.Clock()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-b.news:
			// News waits for company, so that there is one word every while.
			if err := pause(ctx, b.pace.told); err != nil {
				return err
			}
		case <-timer.C:
		}
		next := b.pace.beat
		if b.council.idle() {
			next *= idleBeats // nobody asks who would carry, if he could
		} else if b.c.Clock().Sub(began) < helloFor && b.council.company(b.c.Clock()) == 0 {
			next = min(next, helloEvery)
		}
		timer.Reset(next)
		if err := b.say(ctx); err != nil {
			return err
		}
	}
}

// say says one word, and more where there is more to tell.
func (b *Bridge) say(ctx context.Context) error {
	for {
		w := b.council.word(b.c.Clock())
		var rest bool
		w.on, w.no, rest = b.untold(maxTold)
		if err := b.c.Node.Say(ctx, mesh.TopicRegistry, w.draft()); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			// Colleagues ask the relay for what they were not told.
			b.c.Log.Debug("gateway's word not said", "err", err)
		}
		if !rest {
			return nil
		}
	}
}

// watch keeps up with which relays this gateway can write to, and looks from
// time to time at who leads.
func (b *Bridge) watch(ctx context.Context) error {
	type state struct {
		since time.Time // when it became ready
		seen  time.Time // when it was last connected
	}
	known := map[string]*state{}
	tick := time.NewTicker(max(b.pace.blip/10, time.Millisecond))
	defer tick.Stop()
	before := 0
	for {
		changed := b.c.Relays.Changed()
		now := b.c.Clock()
		there := map[string]bool{}
		for _, r := range b.c.Relays.Relays() {
			there[r.URL] = true
			s := known[r.URL]
			switch {
			case r.Side || r.Paused || b.heldUntil(r.URL).Sub(now) > b.pace.blip:
				delete(known, r.URL)
			case r.State == pool.Connected && s == nil:
				known[r.URL] = &state{now, now}
			case r.State == pool.Connected:
				s.seen = now
			case s != nil && now.Sub(s.seen) > b.pace.blip:
				delete(known, r.URL)
			}
		}
		ready := map[string]time.Time{}
		for url, s := range known {
			if there[url] {
				ready[url] = s.since
			} else {
				delete(known, url)
			}
		}
		b.council.setReady(ready)
		if len(ready) != before {
			before = len(ready)
			b.nudge()
		}
		b.look()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-tick.C:
		}
	}
}

// leads returns the number of the beginning of this gateway's lead for a topic
// at a relay of the list; 0 where it does not lead.
func (b *Bridge) leads(url string, t mesh.Topic) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.leads[lead{url, t}]
}

func (b *Bridge) heldUntil(url string) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.held[url]
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

package nostrbridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"drey/mesh"
	"drey/nostrbridge/mail"
	"drey/nostrbridge/pool"
)

// What is for somebody outside of the community is owed to his npub, in place of
// a relay: where he looks for mail is asked for when it is to go.
const (
	maxOutward  = 4 // relays of an outsider's list that get a wrap
	maxInboxes  = 512
	inboxKnown  = 6 * time.Hour
	inboxAnswer = 10 * time.Second
	outwardSoon = 5 * time.Second // after it came in: then it is in the store
)

// An inbox is what relays said of where somebody looks for mail.
type inbox struct {
	relays []string // normalised
	until  time.Time
}

// outwardTo lists to whom an event of kind 3746 goes.
func (b *Bridge) outwardTo(r *mesh.Record) []string {
	_, reader, err := mail.Outward(r.Event)
	if err != nil {
		return nil
	}
	to := []string{reader.NPub()}
	b.expect(to, r.Received.Add(outwardSoon))
	return to
}

// outward leaves a wrap where an outsider looks for mail. One of his relays is
// enough.
func (s *sender) outward(ctx context.Context, d *mesh.Delivery) {
	b := s.b
	wrap, reader, err := mail.Outward(d.Event)
	if err != nil {
		d.Done(err)
		return
	}
	relays, err := b.inboxOf(ctx, reader)
	if err == nil && len(relays) == 0 {
		err = errors.New("no list of relays (kind 10050) of its reader is found")
	}
	if err != nil {
		s.away(ctx, d, err, lookEvery)
		return
	}
	on, at, by, final := 0, "", "", true
	for _, url := range relays {
		var no *pool.Refusal
		switch e := s.leave(ctx, url, wrap, d.Attempt > 1); {
		case e == nil:
			on, at = on+1, url
		case errors.As(e, &no):
			_, again := no.Retry()
			final, by, err = final && !again, url, e
		default:
			final, err = false, e
		}
	}
	switch {
	case on > 0:
		s.answered = true
		b.tell(landing{relay: at, id: d.Event.ID()})
		d.Report(fmt.Sprintf("on %d of %d relays of its reader", on, len(relays)))
		d.Done(nil)
	case final && ctx.Err() == nil:
		b.refused.Add(1)
		b.tell(landing{relay: by, id: d.Event.ID(), reason: clip(err.Error())})
		d.Done(errors.New(clip(err.Error())))
	default:
		s.away(ctx, d, err, lookEvery)
	}
}

// leave has a relay take a wrap, unless it has it.
func (s *sender) leave(ctx context.Context, url string, wrap *mesh.Event, ask bool) error {
	b := s.b
	if b.landed.has(wrap.ID(), url) {
		return nil
	}
	within, stop := context.WithTimeout(ctx, turnOffer)
	defer stop()
	if ask {
		for _, err := range b.c.Relays.Fetch(within, url, mesh.Filter{IDs: []mesh.EventID{wrap.ID()}}) {
			if err == nil {
				b.landed.add(wrap.ID(), url)
				return nil
			}
		}
	}
	if err := b.c.Relays.Publish(within, url, wrap); err != nil {
		return err
	}
	b.carried.Add(1)
	b.landed.add(wrap.ID(), url)
	b.tell(landing{relay: url, id: wrap.ID()})
	return nil
}

// inboxOf returns the relays where somebody outside looks for mail, as the
// relays of the list know. It fails where none of them answers.
func (b *Bridge) inboxOf(ctx context.Context, k mesh.PubKey) ([]string, error) {
	now := b.c.Clock()
	b.mu.Lock()
	known, ok := b.mu.inboxes[k]
	b.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.relays, nil
	}
	ctx, stop := context.WithTimeout(ctx, inboxAnswer)
	defer stop()
	var asking sync.WaitGroup
	var mu sync.Mutex
	var newest *mesh.Event
	answered := false
	for _, url := range b.wanted() {
		asking.Go(func() {
			f := mesh.Filter{Kinds: []mesh.Kind{mesh.KindInboxRelays}, Authors: []mesh.PubKey{k}, Limit: 1}
			var found *mesh.Event
			for e, err := range b.c.Relays.Fetch(ctx, url, f) {
				if err != nil {
					return
				}
				found = e
			}
			mu.Lock()
			defer mu.Unlock()
			answered = true
			if found != nil && (newest == nil || found.Supersedes(newest)) {
				newest = found
			}
		})
	}
	asking.Wait()
	if !answered {
		return nil, fmt.Errorf("%w: nobody tells where its reader looks for mail", pool.ErrDown)
	}
	in := inbox{until: now.Add(inboxKnown)}
	if newest != nil {
		for _, url := range mail.ReadInbox(newest) {
			if at, err := pool.Normalize(url); err == nil && !slices.Contains(in.relays, at) && len(in.relays) < maxOutward {
				in.relays = append(in.relays, at)
			}
		}
	}
	if len(in.relays) == 0 {
		return nil, nil // it is asked for again at the next turn
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.mu.inboxes) >= maxInboxes {
		clear(b.mu.inboxes)
	}
	b.mu.inboxes[k] = in
	return in.relays, nil
}

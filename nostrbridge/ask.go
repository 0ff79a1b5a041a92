package nostrbridge

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"drey/mesh"
	"drey/nostrbridge/pool"
)

// doubtful reports whether a relay may have an event that is to be sent there:
// it was tried before, a colleague had the lead when it came, or it came by
// another way than from its author.
func (s *sender) doubtful(ctx context.Context, d *mesh.Delivery) bool {
	b, now := s.b, s.b.c.Clock()
	l, ok := s.led[d.Topic]
	if n := b.leads(s.url, d.Topic); !ok || l.number != n {
		l = led{number: n, since: now, mark: b.last(ctx)}
		s.led[d.Topic] = l
		clear(s.absent)
	}
	if s.absent[d.Event.ID()] {
		return false
	}
	if d.Attempt > 1 || b.council.owns(s.url, d.Topic, now) || d.Seq <= l.mark || d.Priority >= mesh.Sync || now.Sub(l.since) < doubtFirst && b.council.company(now) > 0 ||
		now.Sub(d.Event.CreatedAt().Time()).Abs() > doubtAge {
		return true
	}
	if !slices.Contains(b.c.In, d.Topic) {
		return false
	}
	r, err := b.c.Archive.Record(ctx, d.Event.ID(), mesh.Self)
	return err != nil || r.Carrier != "" && r.Carrier != "relay"
}

// last returns the number of what came in last.
func (b *Bridge) last(ctx context.Context) uint64 {
	for r, err := range b.c.Archive.Records(ctx, mesh.Filter{Order: mesh.ReceiptLatest, Limit: 1}, mesh.Self) {
		if err == nil {
			return r.Seq
		}
	}
	return 0
}

// ask finds out whether the relay has an event, and on the way about what comes
// next. It fails when the relay is gone; one that does not let this node read
// has nothing as far as anybody knows.
func (s *sender) ask(ctx context.Context, d *mesh.Delivery) (has bool, err error) {
	ids := []mesh.EventID{d.Event.ID()}
	for _, o := range s.lane.Ahead(ctx, askMost-1) {
		if !s.absent[o.ID] {
			ids = append(ids, o.ID)
		}
	}
	there, err := s.holds(ctx, ids)
	if err != nil {
		return false, err
	}
	for _, id := range ids {
		switch {
		case !there[id]:
			s.missing(id)
		case id != d.Event.ID():
			s.found(ctx, id)
		}
	}
	return there[d.Event.ID()], nil
}

// holds asks the relay which events it has.
func (s *sender) holds(ctx context.Context, ids []mesh.EventID) (map[mesh.EventID]bool, error) {
	s.b.asked.Add(uint64(len(ids)))
	there := map[mesh.EventID]bool{}
	for e, err := range s.b.c.Relays.Fetch(ctx, s.url, mesh.Filter{IDs: ids}) {
		var no *pool.Refusal
		if errors.As(err, &no) {
			s.b.c.Log.Debug("relay does not say what it has", "relay", s.url, "err", err)
			return there, nil
		}
		if err != nil {
			return nil, err
		}
		there[e.ID()] = true
		if len(there) == len(ids) {
			break
		}
	}
	return there, nil
}

// found settles what waits here and the relay has.
func (s *sender) found(ctx context.Context, id mesh.EventID) {
	b := s.b
	b.counting.Lock()
	n, fresh := b.landed.add(id, s.url)
	was := s.lane.Settle(ctx, id, fmt.Sprintf("on %d of %d relays", n, max(n, len(b.wanted()))))
	b.counting.Unlock()
	if was {
		b.settled.Add(1)
	}
	if fresh {
		b.tell(landing{relay: s.url, id: id})
	}
}

// sweepNow sweeps where that is due.
func (s *sender) sweepNow(ctx context.Context) {
	if now := s.b.c.Clock(); now.Sub(s.swept) >= s.b.pace.sweep && !s.npub {
		s.swept = now
		s.sweep(ctx)
	}
}

// sweep looks at what waits for colleagues: words get lost, and in an open
// community may be lies. What waited at the last sweep already is asked for.
func (s *sender) sweep(ctx context.Context) {
	b := s.b
	waiting := map[mesh.EventID]bool{}
	var ask []mesh.EventID
	for _, o := range s.lane.Ahead(ctx, askMost) {
		switch {
		case b.landed.has(o.ID, s.url):
			s.found(ctx, o.ID)
		case s.waiting[o.ID]:
			ask = append(ask, o.ID)
		default:
			waiting[o.ID] = true
		}
	}
	s.waiting = waiting
	late := len(ask) > 0
	for _, id := range b.claims(s.url) {
		if !b.landed.has(id, s.url) && !slices.Contains(ask, id) {
			ask = append(ask, id)
		}
	}
	for ids := range slices.Chunk(ask, askMost) {
		within, stop := s.within(ctx)
		there, err := s.holds(within, ids)
		stop()
		if err != nil {
			s.failed = true
			return
		}
		for _, id := range ids {
			if there[id] {
				s.found(ctx, id)
			}
		}
	}
	if late && !b.landed.has(ask[0], s.url) {
		s.neglected(ctx, ask[0])
	}
}

// neglected takes over, in an open community, from a leader who has not carried
// what is next for a minute or longer.
func (s *sender) neglected(ctx context.Context, id mesh.EventID) {
	b, now := s.b, s.b.c.Clock()
	if !s.listed || !b.c.Roster.Community().Open {
		return
	}
	r, err := b.c.Archive.Record(ctx, id, mesh.Self)
	if err != nil || b.leads(s.url, r.Topic) > 0 {
		return
	}
	b.c.Log.Info("topic taken over, as nobody carries it", "relay", s.url, "topic", r.Topic)
	b.council.takeOver(s.url, r.Topic, now)
	b.look()
}

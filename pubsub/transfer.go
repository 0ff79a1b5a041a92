package pubsub

import (
	"context"
	"errors"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"drey/mesh"
)

// ahead is how many wants may be unanswered, so that the answerer need not
// wait for the asker.
const ahead = 2

// A session is one sync with one neighbour, seen from either side. It belongs
// to one goroutine.
type session struct {
	run  *run
	peer peer.ID
	link *link
	in   *intake
	sent int // events given
}

// pull wants ids from the other side and takes what comes. Ids that another
// session is fetching are left to it; skipped tells how many.
func (s *session) pull(ctx context.Context, ids []mesh.EventID, inOrder bool) (skipped int, err error) {
	var waiting []map[mesh.EventID]struct{}
	for len(ids) > 0 || len(waiting) > 0 {
		for len(waiting) < ahead && len(ids) > 0 {
			var chunk []mesh.EventID
			chunk, ids, skipped = s.choose(ids, skipped)
			if len(chunk) == 0 {
				continue
			}
			if err := s.link.write(frameWant, appendIDs(nil, chunk)); err != nil {
				return skipped, err
			}
			waiting = append(waiting, setOf(chunk))
		}
		if len(waiting) == 0 {
			break
		}
		if err := s.collect(ctx, waiting[0], inOrder); err != nil {
			return skipped, err
		}
		waiting = waiting[1:]
	}
	return skipped, s.in.wait()
}

// choose takes the next ids that nobody else is fetching.
func (s *session) choose(ids []mesh.EventID, skipped int) (chunk, rest []mesh.EventID, _ int) {
	now := s.run.c.clock()
	for len(ids) > 0 && len(chunk) < maxIDs {
		id := ids[0]
		ids = ids[1:]
		if s.run.aside.refusedBefore(s.peer, id, now) {
			continue
		}
		if !s.run.aside.claim(s.peer, id, now) {
			skipped++
			continue
		}
		chunk = append(chunk, id)
	}
	return chunk, ids, skipped
}

func setOf(ids []mesh.EventID) map[mesh.EventID]struct{} {
	set := make(map[mesh.EventID]struct{}, len(ids))
	for _, id := range ids {
		set[id] = struct{}{}
	}
	return set
}

// collect reads gives until every wanted id has been answered.
func (s *session) collect(ctx context.Context, wanted map[mesh.EventID]struct{}, inOrder bool) error {
	var all []entry
	for len(wanted) > 0 {
		body, err := s.link.expect(frameGive)
		if err != nil {
			return err
		}
		entries, err := parseGive(body)
		if err != nil {
			if errors.Is(err, mesh.ErrInvalid) {
				s.run.blame(s.peer)
			}
			return err
		}
		for _, e := range entries {
			id := e.id()
			if _, ok := wanted[id]; !ok {
				return broken("%s was not wanted", id)
			}
			delete(wanted, id)
			if inOrder {
				all = append(all, e)
				continue
			}
			if err := s.in.take(ctx, e); err != nil {
				return err
			}
		}
	}
	return s.in.takeInOrder(ctx, all)
}

// serve gives what the other side wants out of a snapshot. Each item goes out
// once; more is a fault of the other side's.
func (s *session) serve(ctx context.Context, snap *snapshot, ids []mesh.EventID) error {
	g := giver{s: s}
	var held []mesh.EventID
	for _, id := range ids {
		it, i := snap.find(id)
		if i < 0 {
			return broken("%s was not compared", id)
		}
		if !snap.hand(i) {
			return broken("%s was wanted twice", id)
		}
		if it.Gone == 0 {
			held = append(held, id)
			continue
		}
		if err := g.add(entry{Item: it}); err != nil {
			return err
		}
	}
	if len(held) == 0 {
		return g.flush()
	}
	missing := setOf(held)
	viewer := viewerOf(s.run.c.community)
	for r, err := range s.run.c.archive.Records(ctx, mesh.Filter{IDs: held}, viewer) {
		if err != nil {
			return err
		}
		id := r.Event.ID()
		if _, ok := missing[id]; !ok {
			continue
		}
		delete(missing, id)
		s.sent++
		if err := g.add(entry{Event: r.Event, Topic: r.Topic}); err != nil {
			return err
		}
	}
	// What went away since the snapshot, or was never this node's to give.
	for _, id := range held {
		if _, ok := missing[id]; !ok {
			continue
		}
		it, _ := snap.find(id)
		var gone *mesh.GoneError
		if _, err := s.run.c.archive.Record(ctx, id, viewer); errors.As(err, &gone) {
			it.Gone = gone.Reason
		}
		if err := g.add(entry{Item: it}); err != nil {
			return err
		}
	}
	return g.flush()
}

// A giver gathers entries into frames of a good size.
type giver struct {
	s     *session
	body  []byte
	topic mesh.Topic
}

func (g *giver) add(e entry) error {
	g.body = appendEntry(g.body, e, g.topic)
	if e.Event != nil {
		g.topic = e.Topic
	}
	if len(g.body) < giveSize {
		return nil
	}
	return g.flush()
}

func (g *giver) flush() error {
	if len(g.body) == 0 {
		return nil
	}
	err := g.s.link.write(frameGive, g.body)
	g.body, g.topic = g.body[:0], ""
	return err
}

// offer tells the other side what it lacks and gives what it wants of it.
func (s *session) offer(ctx context.Context, snap *snapshot, have []mesh.Item) error {
	for chunk := range slices.Chunk(have, maxIDs) {
		ids := make([]mesh.EventID, len(chunk))
		for i, it := range chunk {
			ids[i] = it.ID
		}
		if err := s.link.write(frameOffer, appendIDs(nil, ids)); err != nil {
			return err
		}
		body, err := s.link.expect(frameWant)
		if err != nil {
			return err
		}
		wanted, err := parseIDs(body)
		if err != nil {
			return err
		}
		offered := setOf(ids)
		for _, id := range wanted {
			if _, ok := offered[id]; !ok {
				return broken("%s was not offered", id)
			}
		}
		if err := s.serve(ctx, snap, wanted); err != nil {
			return err
		}
	}
	return nil
}

// offered answers an offer: it wants what is not known here, and takes it.
func (s *session) offered(ctx context.Context, snap *snapshot, set byte, ids []mesh.EventID) error {
	if len(ids) == 0 {
		return broken("empty offer")
	}
	var fresh []mesh.EventID
	for _, id := range ids {
		if _, i := snap.find(id); i >= 0 {
			return broken("%s was offered though both have it", id)
		}
		if set == setRegistry && s.run.known(ctx, id) {
			continue // its set leaves out tombstones
		}
		fresh = append(fresh, id)
	}
	chunk, _, _ := s.choose(fresh, 0)
	if err := s.link.write(frameWant, appendIDs(nil, chunk)); err != nil {
		return err
	}
	return s.collect(ctx, setOf(chunk), set == setRegistry)
}

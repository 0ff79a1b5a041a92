package pubsub

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"drey/mesh"
	"drey/mesh/negentropy"
)

// Bounds of what neighbours may ask for.
const (
	maxAnswering = 4 // sessions at once
	// One neighbour may fetch everything this many times an hour, and
	// freeEvents on top.
	fetchAll   = 3
	freeEvents = 10_000
)

// answer is the stream handler of the answering side.
func (r *run) answer(ctx context.Context, stream network.Stream) {
	p := stream.Conn().RemotePeer()
	ctx, cancel := context.WithTimeout(ctx, sessionTime)
	defer cancel()
	defer guard(ctx, stream)()
	if r.cut.blocked(p) || !r.cut.admits(p) {
		_ = stream.Reset()
		return
	}
	release, ok := r.plan.admit(p)
	if !ok {
		r.counts.busy.Add(1)
		newLink(stream).apologise(sorryBusy)
		_ = stream.Close()
		return
	}
	began := time.Now()
	s := r.newSession(p, stream)
	var t Tally
	err := s.asAnswerer(ctx, &t)
	s.in.wg.Wait()
	release()
	r.finish(s, &t, err)
	r.plan.answered(p, t, err, began)
}

func (s *session) asAnswerer(ctx context.Context, t *Tally) error {
	floor, err := s.run.c.archive.Floor(ctx)
	if err != nil {
		return err
	}
	if _, err := s.link.greet(floor); err != nil {
		return err
	}
	var (
		snap     *snapshot
		now      window
		narrowed bool // the asker's first question was about too much
		rounds   int
	)
	for {
		kind, body, err := s.link.read()
		if err != nil {
			return err
		}
		if snap == nil && kind != frameOpen && kind != frameBye {
			return broken("frame of type %d before open", kind)
		}
		switch kind {
		case frameOpen:
			w, err := parseOpen(body)
			if err != nil {
				return err
			}
			if err := s.follows(snap, now, w, t); err != nil {
				return err
			}
			if snap, err = s.run.snapshot(ctx, s.peer, w); err != nil {
				return err
			}
			t.Compared += snap.set.Len()
			t.Windows++
			narrowed, rounds = snap.first.after(w.first), 0
			now = w
			if narrowed {
				if err := s.link.write(frameNarrow, appendPlace(nil, snap.first, 0x00)); err != nil {
					return err
				}
			}
		case frameCompare:
			if narrowed {
				narrowed = false
				continue
			}
			if rounds++; rounds > maxRounds {
				return broken("more than %d rounds", maxRounds)
			}
			t.Rounds++
			reply, err := negentropy.Answer(snap.set, compareFrame, body)
			if err != nil {
				return broken("%w", err)
			}
			if err := s.link.write(frameCompare, reply); err != nil {
				return err
			}
		case frameWant:
			ids, err := parseIDs(body)
			if err != nil {
				return err
			}
			if len(ids) == 0 {
				return broken("empty want")
			}
			if !s.run.plan.mayServe(s.peer, s.sent+len(ids), t.Compared) {
				return errBusy
			}
			t.Extra += len(ids)
			if err := s.serve(ctx, snap, ids); err != nil {
				return err
			}
		case frameOffer:
			ids, err := parseIDs(body)
			if err != nil {
				return err
			}
			t.Missing += len(ids)
			if t.Missing > t.Compared+(t.Windows+1)*s.run.c.windowItems {
				return broken("%d events offered", t.Missing)
			}
			if err := s.offered(ctx, snap, now.set, ids); err != nil {
				return err
			}
		case frameBye:
			if err := s.in.wait(); err != nil {
				return err
			}
			return s.link.write(frameBye, nil)
		default:
			return broken("frame of type %d", kind)
		}
	}
}

// follows checks that windows come in order, the registry first and the rest
// from new to old, so that a session hands out everything at most twice.
func (s *session) follows(snap *snapshot, before, next window, t *Tally) error {
	switch {
	case snap == nil:
		return nil
	case t.Windows >= maxWindows:
		return broken("more than %d windows", maxWindows)
	case next.set == setRegistry:
		return broken("the registry asked for again")
	case before.set == setRegistry:
		return nil
	case !snap.first.after(next.last):
		return broken("a window that overlaps the last one")
	}
	return nil
}

// finish says sorry where due, closes the stream and adds up.
func (r *run) finish(s *session, t *Tally, err error) {
	switch {
	case err == nil:
		_ = s.link.s.Close()
	case errors.Is(err, errProtocol), errors.Is(err, mesh.ErrInvalid):
		r.counts.broken.Add(1)
		r.blame(s.peer)
		s.link.apologise(sorryProtocol)
		_ = s.link.s.Close()
	case errors.Is(err, errBusy):
		r.counts.busy.Add(1)
		s.link.apologise(sorryBusy)
		_ = s.link.s.Close()
	default:
		_ = s.link.s.Reset()
	}
	left := r.aside.end(s.peer)
	s.in.mu.Lock()
	got := s.in.mu.tally
	s.in.mu.Unlock()
	t.Received, t.Duplicate, t.Gone, t.Refused = got.Received, got.Duplicate, got.Gone, got.Refused
	t.Sent = s.sent
	t.BytesIn, t.BytesOut = s.link.in, s.link.sum
	if t.Received > 0 {
		r.plan.others(s.peer, spread, "news from a neighbour's history")
	}
	if left {
		r.plan.others(s.peer, again, "a neighbour left in the middle")
	}
}

// newSession begins a session; finish ends it.
func (r *run) newSession(p peer.ID, stream network.Stream) *session {
	r.aside.begin()
	return &session{run: r, peer: p, link: newLink(stream), in: &intake{run: r, from: p}}
}

package pubsub

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"drey/mesh"
	"drey/mesh/negentropy"
)

// SyncProtocol is the libp2p protocol of history sync.
const SyncProtocol protocol.ID = "/drey/sync/1"

// Bounds of one session.
const (
	windowItems  = 32 << 10 // items compared at once: 1.3 MB
	compareFrame = 48 << 10 // bytes of a negentropy message
	maxRounds    = 256      // of one comparison; 32k items against none take 28
	maxWindows   = 4096     // of one session
	sessionTime  = time.Hour
)

// ask runs one sync as the asker. Unless deep, only the newest window is
// compared.
func (r *run) ask(ctx context.Context, p peer.ID, deep bool) (t Tally, err error) {
	ctx, cancel := context.WithTimeout(ctx, sessionTime)
	defer cancel()
	stream, err := r.host.NewStream(network.WithNoDial(ctx, "sync"), p, SyncProtocol)
	if err != nil {
		return t, fmt.Errorf("open sync stream: %w", err)
	}
	defer guard(ctx, stream)()
	s := r.newSession(p, stream)
	left := 0
	err = s.asAsker(ctx, deep, &t, &left)
	s.in.wg.Wait()
	r.finish(s, &t, err)
	if left > 0 && err == nil {
		r.plan.soon(p, again, "others were fetching")
	}
	return t, err
}

func (s *session) asAsker(ctx context.Context, deep bool, t *Tally, left *int) error {
	a := s.run.c.archive
	floor, err := a.Floor(ctx)
	if err != nil {
		return err
	}
	theirs, err := s.link.greet(floor)
	if err != nil {
		return err
	}
	floor = max(floor, theirs)
	if _, err := s.window(ctx, window{setRegistry, place{}, lastPlace}, t, left); err != nil {
		return err
	}
	_, horizon := s.run.aside.items(s.peer, s.run.c.clock())
	first := firstAt(max(floor, horizon))
	last, ok := lastPlace, true
	for n := 0; ok && !first.after(last); n++ {
		if n == maxWindows {
			return fmt.Errorf("more than %d windows", maxWindows)
		}
		began, err := s.window(ctx, window{setEverything, first, last}, t, left)
		if err != nil {
			return err
		}
		if t.Deep = !began.after(first); t.Deep || !deep {
			break
		}
		last, ok = began.before()
	}
	if err := s.link.write(frameBye, nil); err != nil {
		return err
	}
	_, err = s.link.expect(frameBye)
	return err
}

// window compares one window and exchanges what differs. It returns where the
// compared part began.
func (s *session) window(ctx context.Context, w window, t *Tally, left *int) (began place, err error) {
	snap, err := s.run.snapshot(ctx, s.peer, w)
	if err != nil {
		return began, err
	}
	w.first = snap.first
	asker, question := negentropy.Ask(snap.set, compareFrame, s.run.c.windowItems)
	if err := s.link.writeTwo(frameOpen, appendOpen(nil, w), frameCompare, question); err != nil {
		return began, err
	}
	kind, body, err := s.link.read()
	if err != nil {
		return began, err
	}
	if kind == frameNarrow {
		first, rest, err := parsePlace(body, 0x00)
		if err != nil {
			return began, err
		}
		if len(rest) != 0 || !first.after(w.first) || first.after(w.last) {
			return began, broken("window narrowed to nothing of what was asked")
		}
		w.first = first
		snap = snap.from(first)
		asker, question = negentropy.Ask(snap.set, compareFrame, s.run.c.windowItems)
		if err := s.link.write(frameCompare, question); err != nil {
			return began, err
		}
		if kind, body, err = s.link.read(); err != nil {
			return began, err
		}
	}
	for rounds := 0; ; rounds++ {
		if kind != frameCompare {
			return began, broken("frame of type %d in a comparison", kind)
		}
		if rounds == maxRounds {
			return began, broken("no end after %d rounds", maxRounds)
		}
		question, err := asker.Next(body)
		if err != nil {
			return began, broken("%w", err)
		}
		t.Rounds++
		if question == nil {
			break
		}
		if err := s.link.write(frameCompare, question); err != nil {
			return began, err
		}
		if kind, body, err = s.link.read(); err != nil {
			return began, err
		}
	}
	t.Windows++
	return w.first, s.exchange(ctx, w.set, snap, asker, t, left)
}

// exchange brings over what a comparison found.
func (s *session) exchange(ctx context.Context, set byte, snap *snapshot, found *negentropy.Asker, t *Tally, left *int) error {
	need, have := found.Need, found.Have
	if set == setRegistry {
		// Oldest first: a pass is worth nothing before its issuer is a member.
		need = slices.DeleteFunc(need, func(id mesh.EventID) bool { return s.run.known(ctx, id) })
		slices.SortFunc(have, negentropy.Compare)
	} else {
		t.Missing += len(need)
		t.Extra += len(have)
		slices.Reverse(need)
		newestFirst(have)
	}
	skipped, err := s.pull(ctx, need, set == setRegistry)
	*left += skipped
	if err != nil {
		return err
	}
	return s.offer(ctx, snap, have)
}

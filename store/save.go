package store

import (
	"context"
	"time"

	"drey/mesh"
)

const (
	// maxPending is how many operations may wait for a commit. A flood that
	// outruns the disk is refused with mesh.ErrBusy instead of filling memory.
	maxPending = 4096
	// maxPendingBytes bounds the same by size.
	maxPendingBytes = 8 << 20
)

// Save keeps a record and what is owed because of it; hub.Store says more.
// Events of ephemeral kinds are not kept: Save answers nil and leaves r.Seq 0.
// When pending writes are at their bound a durable Save waits for room, any
// other answers mesh.ErrBusy. While the disk refuses writes Save answers the
// reason (an *Error) and remembers nothing. A durable Save that fails makes no
// promise: the record may be written yet, once the disk takes it.
func (s *Store) Save(ctx context.Context, r *mesh.Record, owed []mesh.Owed, durable bool) error {
	g := s.glance(r.Event)
	if err := s.enter(ctx, durable); err != nil {
		return err
	}
	b, err := s.saveLocked(r, owed, g)
	s.leave(b, durable)
	if !durable || b == nil {
		return err
	}
	if lost := s.await(ctx, b); lost != nil {
		return lost
	}
	return err
}

// enter takes the store's lock for a change, once there is room for it.
func (s *Store) enter(ctx context.Context, patient bool) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.mu.Lock()
		if s.mu.closed || s.mu.stopped {
			s.mu.Unlock()
			return &Error{"write", s.path, ErrClosed}
		}
		if err := s.mu.fault; err != nil {
			s.mu.Unlock()
			return err
		}
		if !s.fullLocked() {
			return nil
		}
		room := s.mu.room
		s.mu.Unlock()
		s.nudge()
		if !patient {
			s.refused.Add(1)
			return mesh.ErrBusy
		}
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Store) fullLocked() bool {
	return s.mu.batch.n >= maxPending || len(s.mu.batch.ops) >= maxPendingBytes ||
		s.mu.active.ops >= max(maxPending, 4*s.foldOps) || s.mu.active.bytes >= 4*foldBytes
}

// leave gives the lock back and tells Run what it must know.
func (s *Store) leave(b *batch, durable bool) {
	tell := false
	if b != nil && b == s.mu.batch {
		if durable && b.durable.IsZero() {
			b.durable, tell = time.Now(), true
		}
		tell = tell || b.n >= earlyOps || len(b.ops) >= earlyBytes
		if !b.first.IsZero() && b.n > 0 && !b.told {
			b.told, tell = true, true
		}
	}
	s.mu.Unlock()
	if tell {
		s.nudge()
	}
}

// nudge wakes Run.
func (s *Store) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// await waits until b is on disk. A caller who gives up leaves the batch to
// the others.
func (s *Store) await(ctx context.Context, b *batch) error {
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// log applies an operation and puts it into the batch that the next commit
// writes.
func (s *Store) logLocked(o *op) {
	b := s.mu.batch
	if b.n == 0 {
		b.ops = append(b.ops, batchVersion)
		b.first = time.Now()
	}
	before := len(b.ops)
	b.ops = appendOp(b.ops, o)
	b.n++
	s.mu.active.bytes += len(b.ops) - before
	s.mu.active.apply(o, b)
}

// saveLocked decides what becomes of r and logs it. It returns the batch that
// brings the answer to the disk, nil when it is there already.
func (s *Store) saveLocked(r *mesh.Record, owed []mesh.Owed, g glance) (*batch, error) {
	now := s.clock()
	if err := s.sweepLocked(now); err != nil {
		return nil, err
	}
	e := r.Event
	below, err := s.belowLocked(e, g)
	if err != nil {
		return nil, err
	}
	var old state
	en := s.entryLocked(e.ID())
	known := en != nil
	switch {
	case known:
		old = stateOf(en)
	case below:
		if old, known, err = s.stateLocked(e.ID()); err != nil {
			return nil, err
		}
	}
	switch {
	case known && old.gone != 0:
		return nil, &mesh.GoneError{ID: old.id, Reason: old.gone}
	case known && old.batch != nil && !old.batch.saved:
		return old.batch, mesh.ErrDuplicate
	case known:
		return nil, mesh.ErrDuplicate
	case e.Kind().Ephemeral():
		return nil, nil
	}
	why, replaced, err := s.judgeLocked(e, now, below)
	if err != nil {
		return nil, err
	}
	if why != 0 {
		s.mu.seq++
		s.logLocked(&op{what: opBury, id: e.ID(), seq: s.mu.seq, created: e.CreatedAt(), gone: why, fresh: true, at: now})
		if why == mesh.ReasonExpired {
			return s.mu.batch, mesh.ErrExpired
		}
		return s.mu.batch, &mesh.GoneError{ID: e.ID(), Reason: why}
	}
	deleted, err := s.victimsLocked(e)
	if err != nil {
		return nil, err
	}

	for _, v := range replaced {
		s.buryLocked(v, mesh.ReasonSuperseded, now)
	}
	for _, v := range deleted {
		s.buryLocked(v, mesh.ReasonDeleted, now)
	}
	if r.Received.IsZero() {
		r.Received = now
	}
	s.mu.seq++
	r.Seq = s.mu.seq
	kept := *r
	kept.Received = r.Received.Round(0).UTC()
	s.logLocked(&op{what: opKeep, id: e.ID(), seq: r.Seq, created: e.CreatedAt(), rec: &kept})
	if at, ok := expiry(e); ok && (s.mu.due == 0 || at < s.mu.due) {
		s.mu.due = max(at, 1)
	}
	for _, o := range owed {
		o.ID, o.Seq, o.Attempts = e.ID(), r.Seq, 0
		s.logLocked(&op{what: opOwe, owed: o})
	}
	return s.mu.batch, nil
}

// layersLocked returns the layers, newest first.
func (s *Store) layersLocked() []*layer {
	if s.mu.frozen != nil {
		return []*layer{s.mu.active, s.mu.frozen}
	}
	return []*layer{s.mu.active}
}

// fail gives an error of the tables its place.
func (s *Store) fail(op string, err error) error { return wrap(op, s.path, err) }

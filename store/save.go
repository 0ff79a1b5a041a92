package store

import (
	"context"
	"fmt"
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
	if err := s.enter(ctx, durable); err != nil {
		return err
	}
	b, err := s.saveLocked(r, owed)
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
func (s *Store) saveLocked(r *mesh.Record, owed []mesh.Owed) (*batch, error) {
	now := s.clock()
	if err := s.sweepLocked(now); err != nil {
		return nil, err
	}
	e := r.Event
	below, err := s.below(e)
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

// below reports whether the tables may have anything that bears on e: its id, a
// deletion of it, another version. One look finds that they have not, as is so
// for nearly every event that is new.
func (s *Store) below(e *mesh.Event) (bool, error) {
	terms := []int64{idTerm(e.ID())}
	for _, k := range killersOf(e) {
		terms = append(terms, killTerm(k))
	}
	if a, ok := addressOf(e); ok {
		terms = append(terms, addressTerm(a))
	}
	found, err := s.q.any(terms)
	return found, s.fail("read", err)
}

// A state is the newest word on an id: of the layers, else of the tables.
type state struct {
	row
	rec   *mesh.Record // set when a layer has it
	batch *batch       // set when a layer has it
}

// entryLocked returns what the layers say of an id, nil when nothing.
func (s *Store) entryLocked(id mesh.EventID) *entry {
	if en := s.mu.active.ids[id]; en != nil {
		return en
	}
	if s.mu.frozen != nil {
		return s.mu.frozen.ids[id]
	}
	return nil
}

func stateOf(en *entry) state {
	return state{row{en.id, en.seq, en.created, en.gone, en.at}, en.rec, en.batch}
}

// stateLocked returns the newest word on an id.
func (s *Store) stateLocked(id mesh.EventID) (state, bool, error) {
	if en := s.entryLocked(id); en != nil {
		return stateOf(en), true, nil
	}
	r, ok, err := s.q.find(id)
	return state{row: r}, ok, s.fail("read", err)
}

// judgeLocked tells whether e comes too late, and why, or else what it
// replaces; below is whether the tables need to be asked.
func (s *Store) judgeLocked(e *mesh.Event, now time.Time, below bool) (why mesh.Reason, replaced []state, err error) {
	if at, ok := expiry(e); ok && !now.Before(at.Time()) {
		return mesh.ReasonExpired, nil, nil
	}
	killed, err := s.killedLocked(e, below)
	if err != nil {
		return 0, nil, err
	}
	if killed {
		return mesh.ReasonDeleted, nil, nil
	}
	a, ok := addressOf(e)
	if !ok {
		return 0, nil, nil
	}
	heads, err := s.headsLocked(a, below)
	if err != nil {
		return 0, nil, err
	}
	for _, h := range heads {
		if !e.Supersedes(h.rec.Event) {
			return mesh.ReasonSuperseded, nil, nil
		}
	}
	return 0, heads, nil
}

// killedLocked reports whether a deletion that is held asks for e, though it
// came first.
func (s *Store) killedLocked(e *mesh.Event, below bool) (bool, error) {
	for _, k := range killersOf(e) {
		for _, l := range s.layersLocked() {
			for _, en := range l.kills[k] {
				if rec := en.rec; rec != nil && s.entryLocked(en.id) == en && k.covers(rec.Event, e) {
					return true, nil
				}
			}
		}
		if !below {
			continue
		}
		found, err := s.recordsOfLocked(killTerm(k))
		if err != nil {
			return false, err
		}
		for _, r := range found {
			if d := r.Event; d.Kind() == mesh.KindDeletion && d.Author() == k.author && k.covers(d, e) {
				return true, nil
			}
		}
	}
	return false, nil
}

// headsLocked returns the held events at an address: one, or none.
func (s *Store) headsLocked(a address, below bool) ([]state, error) {
	for _, l := range s.layersLocked() {
		if en := l.heads[a]; en != nil && s.entryLocked(en.id) == en && en.rec != nil {
			return []state{stateOf(en)}, nil
		}
	}
	if !below {
		return nil, nil
	}
	found, err := s.recordsOfLocked(addressTerm(a))
	if err != nil {
		return nil, err
	}
	var heads []state
	for _, r := range found {
		if at, ok := addressOf(r.Event); ok && at == a {
			heads = append(heads, state{row: row{id: r.Event.ID(), seq: r.Seq, created: r.Event.CreatedAt()}, rec: r})
		}
	}
	return heads, nil
}

// victimsLocked returns the held events that e, a deletion, asks to go.
func (s *Store) victimsLocked(e *mesh.Event) ([]state, error) {
	var victims []state
	seen := make(map[mesh.EventID]bool)
	for _, k := range killsOf(e) {
		found, err := s.targetsLocked(k)
		if err != nil {
			return nil, err
		}
		for _, v := range found {
			if t := v.rec.Event; t.Author() == e.Author() && deletable(t) && k.covers(e, t) && !seen[v.id] {
				seen[v.id] = true
				victims = append(victims, v)
			}
		}
	}
	return victims, nil
}

// targetsLocked returns the held events that a request names.
func (s *Store) targetsLocked(k kill) ([]state, error) {
	if k.tag == "a" {
		a, ok := parseAddress(k.value)
		if !ok || a.author != k.author {
			return nil, nil
		}
		return s.headsLocked(a, true)
	}
	id, err := mesh.ParseEventID(k.value)
	if err != nil {
		return nil, nil
	}
	st, known, err := s.stateLocked(id)
	if err != nil || !known || st.gone != 0 {
		return nil, err
	}
	if st.rec == nil {
		if st.rec, err = s.bodyOf(st.seq); err != nil || st.rec == nil {
			return nil, err
		}
	}
	return []state{st}, nil
}

// recordsOfLocked returns the held records that the tables list under a term
// of few rows, without those that a layer has buried.
func (s *Store) recordsOfLocked(term int64) ([]*mesh.Record, error) {
	found, err := collect(s.q.terms, scanPosting, term, -1, 0, int64(1)<<32, fewRows)
	if err != nil {
		return nil, s.fail("read", err)
	}
	var recs []*mesh.Record
	for _, p := range found {
		if p.seq > s.mu.folded {
			continue // the layers have it
		}
		r, err := s.bodyOf(p.seq)
		if err != nil {
			return nil, err
		}
		if r != nil && s.entryLocked(r.Event.ID()) == nil {
			recs = append(recs, r)
		}
	}
	return recs, nil
}

// fewRows bounds a look-up that should find one row: the versions at an
// address, the deletions of one event by its author.
const fewRows = 256

// bodyOf reads a record from the tables; nil when it is not there or cannot be
// read, which is counted.
func (s *Store) bodyOf(seq uint64) (*mesh.Record, error) {
	b, err := s.q.load(seq)
	if err != nil {
		return nil, s.fail("read", err)
	}
	if b == nil {
		return nil, nil
	}
	return s.parse(b, seq), nil
}

// parse reads a row's body; nil when it is damaged, which is counted and told.
func (s *Store) parse(b []byte, seq uint64) *mesh.Record {
	r, err := parseRecord(b, seq)
	if err != nil {
		s.damaged.Add(1)
		s.log.Warn("stored event cannot be read", "seq", seq, "err", err)
		return nil
	}
	return r
}

// layersLocked returns the layers, newest first.
func (s *Store) layersLocked() []*layer {
	if s.mu.frozen != nil {
		return []*layer{s.mu.active, s.mu.frozen}
	}
	return []*layer{s.mu.active}
}

// buryLocked logs the end of a held event.
func (s *Store) buryLocked(st state, why mesh.Reason, now time.Time) {
	s.logLocked(&op{what: opBury, id: st.id, seq: st.seq, created: st.created, gone: why, at: now})
}

// Bury replaces an event by a tombstone, whether it was held or never known;
// the first reason stays. Roster events and passes are never buried:
// mesh.ErrRefused. It is on disk within 5 s.
func (s *Store) Bury(ctx context.Context, id mesh.EventID, created mesh.Unix, why mesh.Reason) error {
	if why == 0 {
		return fmt.Errorf("bury %s: no reason given", id)
	}
	if err := s.enter(ctx, false); err != nil {
		return err
	}
	b, err := s.tombLocked(id, created, why)
	s.leave(b, false)
	return err
}

func (s *Store) tombLocked(id mesh.EventID, created mesh.Unix, why mesh.Reason) (*batch, error) {
	now := s.clock()
	if err := s.sweepLocked(now); err != nil {
		return nil, err
	}
	st, known, err := s.stateLocked(id)
	switch {
	case err != nil:
		return nil, err
	case !known:
		s.mu.seq++
		s.logLocked(&op{what: opBury, id: id, seq: s.mu.seq, created: created, gone: why, fresh: true, at: now})
		return s.mu.batch, nil
	case st.gone != 0:
		return nil, nil
	}
	if st.rec == nil {
		if st.rec, err = s.bodyOf(st.seq); err != nil {
			return nil, err
		}
	}
	if st.rec != nil && keptForever(st.rec.Event.Kind()) {
		return nil, fmt.Errorf("bury %s: %w: the roster is never forgotten", id, mesh.ErrRefused)
	}
	s.buryLocked(st, why, now)
	return s.mu.batch, nil
}

// fail gives an error of the tables its place.
func (s *Store) fail(op string, err error) error { return wrap(op, s.path, err) }

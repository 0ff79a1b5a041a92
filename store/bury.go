package store

import (
	"context"
	"fmt"
	"time"

	"drey/mesh"
)

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

package store

import (
	"database/sql"
	"errors"
	"time"

	"drey/mesh"
)

// sweepMost bounds how many expired events one call buries, so that no reader
// waits long behind them; Run comes back for the rest.
const sweepMost = 512

// sweep buries what has expired by now, before a read that must not show it.
func (s *Store) sweep() error {
	now := s.clock()
	s.mu.RLock()
	due := s.mu.due != 0 && !now.Before(s.mu.due.Time())
	s.mu.RUnlock()
	if !due {
		return nil
	}
	s.mu.Lock()
	err := s.sweepLocked(now)
	s.leave(s.mu.batch, false)
	return err
}

// sweepLocked buries what has expired by now and finds out what is next.
func (s *Store) sweepLocked(now time.Time) error {
	if s.mu.due == 0 || now.Before(s.mu.due.Time()) || s.mu.closed {
		return nil
	}
	limit := mesh.UnixOf(now)
	n := 0
	for _, l := range s.layersLocked() {
		var dead []*entry
		for en, at := range l.due {
			if at <= limit && en.rec != nil && s.entryLocked(en.id) == en && n < sweepMost {
				dead = append(dead, en)
				n++
			}
		}
		for _, en := range dead {
			s.buryLocked(stateOf(en), mesh.ReasonExpired, now)
		}
	}
	for last := (posting{}); n < sweepMost; {
		page, err := collect(s.q.terms, scanPosting, termExpiry, last.created, last.seq, limit, 64)
		if err != nil {
			return s.fail("read", err)
		}
		for _, p := range page {
			last = p
			if p.seq > s.mu.folded {
				continue
			}
			r, err := s.bodyOf(p.seq)
			if err != nil {
				return err
			}
			if r == nil || s.entryLocked(r.Event.ID()) != nil {
				continue
			}
			s.buryLocked(state{row: row{id: r.Event.ID(), seq: r.Seq, created: r.Event.CreatedAt()}}, mesh.ReasonExpired, now)
			n++
		}
		if len(page) < 64 {
			break
		}
	}
	if n >= sweepMost {
		return nil // due stays: there is more
	}
	return s.findDueAfterLocked(limit)
}

// findDueLocked finds the next expiry of all.
func (s *Store) findDueLocked() error { return s.findDueAfterLocked(0) }

func (s *Store) findDueAfterLocked(t mesh.Unix) error {
	var next mesh.Unix
	err := s.q.nextDue.QueryRow(int64(t) - flagOf(t == 0)).Scan(&next)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return s.fail("read", err)
	}
	if err == nil {
		next = max(next, 1)
	}
	for _, l := range s.layersLocked() {
		for en, at := range l.due {
			if en.rec != nil && (at > t || t == 0) && (next == 0 || at < next) {
				next = max(at, 1)
			}
		}
	}
	s.mu.due = next
	return nil
}

func flagOf(v bool) int64 {
	if v {
		return 1
	}
	return 0
}

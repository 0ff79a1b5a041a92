package store

import (
	"database/sql"
	"errors"
	"time"

	"drey/mesh"
)

const (
	// rowCost is what an event takes besides its body: places in the indexes.
	rowCost = 250
	// tombCost is what a tombstone takes.
	tombCost = 100
	// tombYoung is how long a tombstone is kept whatever the size: longer than
	// any queue holds an event.
	tombYoung = 7 * 24 * time.Hour
)

// keepUp expires and prunes. What fails is told and tried again in a minute.
func (s *Store) keepUp() {
	for range 64 {
		if err := s.sweep(); err != nil {
			s.log.Warn("store could not expire events", "err", err)
			return
		}
		s.mu.RLock()
		more := s.mu.due != 0 && !s.clock().Before(s.mu.due.Time())
		s.mu.RUnlock()
		if !more {
			break
		}
		s.step()
	}
	if err := s.prune(); err != nil {
		s.log.Warn("store could not prune", "err", err)
	}
}

// prune keeps the store within its age and its size.
func (s *Store) prune() error {
	if s.keepFor > 0 {
		now := s.clock()
		if err := s.pruneOld(now.Add(-s.keepFor), classPlain, classPlain); err != nil {
			return err
		}
		// Deletions outlive their targets, and mail waits for its reader.
		if err := s.pruneOld(now.Add(-2*s.keepFor), classDeletion, classPass); err != nil {
			return err
		}
		if err := s.forget(mesh.UnixOf(now.Add(-2*s.keepFor)), now.Add(-2*s.keepFor), 0); err != nil {
			return err
		}
	}
	if s.maxBytes <= 0 {
		return nil
	}
	if n := s.gone() - int(s.maxBytes/4/tombCost); n > 0 {
		if err := s.forget(mesh.UnixOf(s.clock()), s.clock().Add(-tombYoung), n+n/4); err != nil {
			return err
		}
	}
	bytes, err := s.size()
	if err != nil || bytes <= s.maxBytes {
		return err
	}
	for c := classPlain; c < classRoster && bytes > s.maxBytes*9/10; c++ {
		freed, err := s.pruneSome(c, bytes-s.maxBytes*9/10)
		if err != nil {
			return err
		}
		bytes -= freed
	}
	return s.foldNow()
}

func (s *Store) gone() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.gone
}

// size returns the bytes in use in the file; free pages are used again.
func (s *Store) size() (int64, error) {
	var pages, free, size int64
	for query, v := range map[string]*int64{"PRAGMA page_count": &pages, "PRAGMA freelist_count": &free, "PRAGMA page_size": &size} {
		if err := s.r.QueryRow(query).Scan(v); err != nil {
			return 0, s.fail("read", err)
		}
	}
	return (pages - free) * size, nil
}

// walkReceipt calls visit for the events in the tables in order of receipt,
// until it has enough or fails.
func (s *Store) walkReceipt(visit func(r *mesh.Record, size int) (more bool, err error)) error {
	for after := uint64(0); ; {
		page, err := collect(s.q.logUp, scanStored, after, maxSeq, readPage)
		if err != nil {
			return s.fail("read", err)
		}
		for _, row := range page {
			after = row.seq
			r := s.parse(row.body, row.seq)
			if r == nil {
				continue
			}
			if more, err := visit(r, len(row.body)); !more || err != nil {
				return err
			}
		}
		if len(page) < readPage {
			return nil
		}
	}
}

// youngMost is how many young events in a row end the search for old ones:
// receipt rises, but for a clock that was set.
const youngMost = 1024

// pruneOld buries events of some classes that were received before a time.
func (s *Store) pruneOld(before time.Time, from, to class) error {
	old := func(r *mesh.Record) bool {
		c := classOf(r.Event.Kind())
		return c >= from && c <= to && r.Received.Before(before)
	}
	s.mu.Lock()
	var dead []state
	for _, l := range s.layersLocked() {
		for _, en := range l.fresh {
			if en.rec != nil && s.entryLocked(en.id) == en && old(en.rec) {
				dead = append(dead, stateOf(en))
			}
		}
	}
	s.mu.Unlock()
	if err := s.buryAll(dead); err != nil {
		return err
	}
	dead = dead[:0]
	young := 0
	err := s.walkReceipt(func(r *mesh.Record, _ int) (bool, error) {
		if !old(r) {
			if !r.Received.Before(before) {
				young++
			}
			return young < youngMost, nil
		}
		young = 0
		if dead = append(dead, stateIn(r)); len(dead) < sweepMost {
			return true, nil
		}
		err := s.buryAll(dead)
		dead = dead[:0]
		return err == nil, err
	})
	if err != nil {
		return err
	}
	return s.buryAll(dead)
}

// dated is the first date that is believed when room is made: no message of
// drey is older. A machine without a clock dates what it says 1970, and must
// not lose it before everybody else's.
const dated mesh.Unix = 1_735_689_600 // 1 January 2025

// pruneSome buries the oldest events of a class until about so many bytes
// will be free, and tells how many. Oldest is by date first: history comes in
// newest first, so that receipt would keep a newcomer from ever holding what is
// new. What has no date to be believed goes last, in order of receipt.
func (s *Store) pruneSome(c class, want int64) (freed int64, err error) {
	var dead []state
	bury := func(r *mesh.Record, size int) (more bool, err error) {
		if classOf(r.Event.Kind()) != c || s.layered(r.Event.ID()) {
			return true, nil
		}
		dead = append(dead, stateIn(r))
		freed += int64(size) + rowCost - tombCost
		if len(dead) >= sweepMost {
			err = s.buryAll(dead)
			dead = dead[:0]
		}
		return err == nil && freed < want, err
	}
	for _, walk := range []func(func(*mesh.Record, int) (bool, error)) error{s.walkDates, s.walkReceipt} {
		if err == nil && freed < want {
			err = walk(bury)
		}
		if err == nil {
			err = s.buryAll(dead)
			dead = dead[:0]
		}
	}
	return freed, err
}

// walkDates is walkReceipt in order of the events' own dates, for those whose
// date is to be believed.
func (s *Store) walkDates(visit func(r *mesh.Record, size int) (more bool, err error)) error {
	for place := (row{created: dated}); ; {
		page, err := collect(s.q.held, scanPlace, place.created, placeKey(place), readPage)
		if err != nil {
			return s.fail("read", err)
		}
		for _, at := range page {
			place = at
			var body []byte
			switch err := s.q.body.QueryRow(at.seq).Scan(&body); {
			case errors.Is(err, sql.ErrNoRows):
				continue // a layer knows better
			case err != nil:
				return s.fail("read", err)
			}
			r := s.parse(body, at.seq)
			if r == nil {
				continue
			}
			if more, err := visit(r, len(body)); !more || err != nil {
				return err
			}
		}
		if len(page) < readPage {
			return nil
		}
	}
}

// layered reports whether a layer speaks of id.
func (s *Store) layered(id mesh.EventID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.entryLocked(id) != nil
}

// stateIn is the state of a record that was read from the tables.
func stateIn(r *mesh.Record) state {
	return state{row: row{id: r.Event.ID(), seq: r.Seq, created: r.Event.CreatedAt()}}
}

// buryAll buries held events as pruned, and lets the writer keep pace.
func (s *Store) buryAll(dead []state) error {
	now := s.clock()
	s.mu.Lock()
	for _, st := range dead {
		if en := s.entryLocked(st.id); en == nil || en.gone == 0 {
			s.buryLocked(st, mesh.ReasonPruned, now)
		}
	}
	s.mu.Unlock()
	if len(dead) == 0 {
		return nil
	}
	if err := s.commit(); err != nil {
		return err
	}
	s.step()
	return nil
}

// foldNow brings everything into the tables, so that pruned events give their
// room back.
func (s *Store) foldNow() error {
	if err := s.commit(); err != nil {
		return err
	}
	s.step() // what was frozen before
	s.mu.Lock()
	if s.mu.frozen == nil && s.mu.active.ops > 0 && s.mu.batch.n == 0 {
		s.freezeLocked()
	}
	s.mu.Unlock()
	s.step()
	return nil
}

// forget drops tombstones of events created before a time and gone before
// another: all, or at most some. What remains can no longer tell that
// everything older was known, so the floor rises.
func (s *Store) forget(created mesh.Unix, gone time.Time, most int) error {
	place := row{}
	for left := most; most == 0 || left > 0; {
		rows, err := s.r.Query("SELECT created, id, seq, gone FROM place WHERE (created, id) > (?, ?) AND created < ? AND gone > 0 AND at < ? ORDER BY created, id LIMIT ?",
			place.created, placeKey(place), created, gone.UnixNano(), sliceRows)
		if err != nil {
			return s.fail("read", err)
		}
		var dead []row
		for rows.Next() {
			var r row
			if err := scanPlace(rows, &r); err != nil {
				rows.Close()
				return s.fail("read", err)
			}
			dead = append(dead, r)
		}
		if err := rows.Err(); err != nil {
			return s.fail("read", err)
		}
		rows.Close()
		if most > 0 && len(dead) > left {
			dead = dead[:left]
		}
		if len(dead) == 0 {
			return nil
		}
		if err := s.dropTombs(dead); err != nil {
			return err
		}
		place = dead[len(dead)-1]
		left -= len(dead)
	}
	return nil
}

func (s *Store) dropTombs(dead []row) error {
	s.mu.Lock()
	floor := max(s.mu.floor, dead[len(dead)-1].created+1)
	s.mu.floor = floor // announced before anything is forgotten
	s.mu.Unlock()
	err := s.transact(func(tx *sql.Tx) error {
		for _, r := range dead {
			for _, step := range []struct {
				query string
				args  []any
			}{
				{"DELETE FROM place WHERE created = ? AND id = ?", []any{r.created, r.id[:]}},
				{"DELETE FROM term WHERE term = ? AND created = ? AND seq = ?", []any{idTerm(r.id), r.created, r.seq}},
				{"DELETE FROM history WHERE seq = ?", []any{r.seq}},
			} {
				if _, err := tx.Exec(step.query, step.args...); err != nil {
					return err
				}
			}
		}
		_, err := tx.Exec("INSERT OR REPLACE INTO meta (key, value) VALUES ('floor', ?), ('gone', ?)", floor, s.gone()-len(dead))
		return err
	})
	if err != nil {
		return s.fail("forget", err)
	}
	s.mu.Lock()
	s.mu.gone -= len(dead)
	s.mu.Unlock()
	return nil
}

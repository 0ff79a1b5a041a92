package store

import (
	"database/sql"
	"errors"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"drey/mesh"
)

const (
	// searchSchema is the index of texts: FTS5 without the texts themselves,
	// which rest in event. What it is given are grams, see gramsOf.
	searchSchema = `CREATE VIRTUAL TABLE search USING fts5 (grams, content='', columnsize=0, detail=none, tokenize='ascii')`
	// searchForm counts changes of what the index is given for a text. An index
	// of another form is made anew.
	searchForm = 1
	// searchRows and searchBytes are how many events enter the index in one
	// transaction: as many as a fold brings, so that little is merged twice, and
	// so few that a commit does not wait long.
	searchRows  = 1024
	searchBytes = 1 << 20
	// searchTold is how far behind the index must be for the log to tell of it.
	searchTold = 10_000
)

// loadSearch tells how far the index reaches. Nobody else has the store yet.
func (s *Store) loadSearch(meta map[string]int64) error {
	if meta["searchForm"] != searchForm {
		return s.resetSearch()
	}
	s.mu.searched = min(uint64(meta["searched"]), s.mu.folded)
	return nil
}

// resetSearch empties the index; Run fills it again.
func (s *Store) resetSearch() error {
	tx, err := s.w.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, step := range []string{"DROP TABLE IF EXISTS search", searchSchema} {
		if _, err := tx.Exec(step); err != nil {
			return err
		}
	}
	if _, err := tx.Exec("INSERT OR REPLACE INTO meta (key, value) VALUES ('searched', 0), ('searchForm', ?)", searchForm); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	s.mu.Lock()
	s.mu.searched, s.mu.unsearchable = 0, false
	s.roomLocked()
	s.mu.Unlock()
	return nil
}

// errIndex says that a reader found the index damaged.
var errIndex = errors.New("search index is damaged")

// indexFault reports whether an error of a statement on the index says that the
// index itself is at fault, not the disk.
func indexFault(err error) bool {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return errors.Is(err, errIndex)
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_ERROR:
		return true
	}
	return false
}

// behindLocked reports whether the index lacks events of the tables.
func (s *Store) behindLocked() bool { return s.mu.searched < s.mu.folded || s.mu.unsearchable }

// index brings the next events of the tables into the index, at most so many
// slices, and lets commits that are due go between. An index that is damaged is
// made anew: it holds nothing that the events do not.
func (s *Store) index(slices int) {
	for range slices {
		s.mu.RLock()
		behind := s.behindLocked()
		s.mu.RUnlock()
		if !behind || time.Now().Before(s.writer.retry) {
			return
		}
		err := s.indexSlice()
		if indexFault(err) {
			s.log.Warn("search index is damaged and made anew", "err", err)
			err = s.resetSearch()
		}
		if err == nil && s.due() {
			err = s.commit() // which stumbles by itself
			if err != nil {
				return
			}
		}
		if err != nil {
			s.stumble(s.fail("index", err))
			return
		}
	}
}

func (s *Store) indexSlice() error {
	s.mu.RLock()
	from, to, bad := s.mu.searched, s.mu.folded, s.mu.unsearchable
	s.mu.RUnlock()
	if bad {
		return errIndex
	}
	if from == 0 && to > searchTold && !s.writer.indexing {
		s.writer.indexing = true
		s.log.Info("search index is being made", "events", to)
	}
	type entry struct {
		seq   uint64
		grams string
	}
	var entries []entry
	last := from
	rows, bytes := 0, 0
	for last < to && rows < searchRows && bytes < searchBytes {
		page, err := collect(s.q.logUp, scanStored, last, to, readPage)
		if err != nil {
			return err
		}
		for _, row := range page {
			last = row.seq
			rows++
			bytes += len(row.body)
			if r := s.parse(row.body, row.seq); r != nil {
				if g := gramsOf(mesh.SearchText(r.Event)); g != "" {
					entries = append(entries, entry{row.seq, g})
				}
			}
		}
		if len(page) < readPage {
			last = to
		}
	}
	if err := s.flushing(false); err != nil {
		return err
	}
	tx, err := s.w.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if len(entries) > 0 {
		stmt, err := tx.Prepare("INSERT INTO search (rowid, grams) VALUES (?, ?)")
		if err != nil {
			return err
		}
		defer stmt.Close()
		for _, e := range entries {
			if _, err := stmt.Exec(e.seq, e.grams); err != nil {
				return err
			}
		}
	}
	if _, err := tx.Exec("INSERT OR REPLACE INTO meta (key, value) VALUES ('searched', ?)", last); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	s.mu.Lock()
	s.mu.searched = last
	s.roomLocked() // for who waits for the index
	s.mu.Unlock()
	if last == to && s.writer.indexing {
		s.writer.indexing = false
		s.log.Info("search index is complete", "events", to)
	}
	return nil
}

// foldDead takes events out of the tables together with what the index has of
// them: an event that is there still was not taken out of it either.
func (s *Store) foldDead(f *fold) error {
	s.mu.RLock()
	searched := s.mu.searched
	s.mu.RUnlock()
	for from := 0; from < len(f.dead); from += sliceRows {
		dead := f.dead[from:min(from+sliceRows, len(f.dead))]
		err := s.dropDead(dead, f.grams, searched)
		if indexFault(err) {
			s.log.Warn("search index is damaged and made anew", "err", err)
			if err := s.resetSearch(); err != nil {
				return err
			}
			searched = 0
			err = s.dropDead(dead, f.grams, searched)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) dropDead(dead []*entry, grams map[uint64]string, searched uint64) error {
	return s.transact(func(tx *sql.Tx) error {
		for _, en := range dead {
			if g := grams[en.seq]; g != "" && en.seq <= searched {
				if _, err := tx.Exec("INSERT INTO search (search, rowid, grams) SELECT 'delete', seq, ? FROM event WHERE seq = ?", g, en.seq); err != nil {
					return err
				}
			}
			if _, err := tx.Exec("DELETE FROM event WHERE seq = ?", en.seq); err != nil {
				return err
			}
		}
		return nil
	})
}

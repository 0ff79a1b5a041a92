package store

import (
	"cmp"
	"database/sql"
	"maps"
	"math"
	"slices"

	"drey/mesh"
)

const (
	// foldOps and foldBytes end a layer. The more changes are folded at once,
	// the more of them share a page of an index; the price is memory, about
	// 3 kB for each short event, and a longer start.
	foldOps   = 2048
	foldBytes = 2 << 20
	// sliceRows is how many rows one transaction of a fold changes, so that a
	// waiting commit is never kept long.
	sliceRows = 512
)

// A fold is what one layer changes in the tables, each list in the order of
// its table's keys, so that slices touch a page once. Until the last step the
// journal still has everything: a fold that was cut off is done again, and
// every step may be done twice.
type fold struct {
	layer    *layer
	in, out  []posting // rows of the index
	events   []*mesh.Record
	places   []*entry
	dead     []*entry          // held in the tables until now
	grams    map[uint64]string // of dead, for the index
	deaf     map[uint64]bool
	received int64 // latest
}

// foldAway brings a frozen layer into the tables.
func (s *Store) foldAway(l *layer) {
	err := s.foldIn(l)
	if err != nil {
		s.stumble(s.fail("fold", err))
		return
	}
	s.mu.Lock()
	s.mu.folded = max(s.mu.folded, l.lastSeq)
	s.mu.held += l.held
	s.mu.gone += l.gone
	s.mu.frozen = nil
	s.mu.stats.folds++
	s.roomLocked()
	s.beginLearningLocked()
	s.mu.Unlock()
	s.recover()
	s.checkpoint()
}

func (s *Store) foldIn(l *layer) error {
	f, err := s.newFold(l)
	if err != nil {
		return err
	}
	put := func(query string, n int, row func(exec func(args ...any) error, i int) error) {
		if err == nil {
			err = s.inSlices(query, n, row)
		}
	}
	put("DELETE FROM term WHERE term = ? AND created = ? AND seq = ?", len(f.out), func(exec func(...any) error, i int) error {
		return exec(f.out[i].term, f.out[i].created, f.out[i].seq)
	})
	s.learned(f.in)
	put("INSERT OR IGNORE INTO term (term, created, seq) VALUES (?, ?, ?)", len(f.in), func(exec func(...any) error, i int) error {
		return exec(f.in[i].term, f.in[i].created, f.in[i].seq)
	})
	put("INSERT OR REPLACE INTO place (created, id, seq, gone, at) VALUES (?, ?, ?, ?, ?)", len(f.places), func(exec func(...any) error, i int) error {
		en := f.places[i]
		return exec(en.created, en.id[:], en.seq, en.gone, en.at)
	})
	put("INSERT OR REPLACE INTO event (seq, body) VALUES (?, ?)", len(f.events), func(exec func(...any) error, i int) error {
		return exec(f.events[i].Seq, appendRecord(nil, f.events[i]))
	})
	if err == nil {
		err = s.foldDead(f)
	}
	put("DELETE FROM owed WHERE seq = ?", len(f.dead), func(exec func(...any) error, i int) error {
		return exec(f.dead[i].seq)
	})
	if err == nil {
		err = s.foldOutbox(f)
	}
	if err == nil {
		err = s.foldNotes(f)
	}
	if err == nil {
		err = s.foldShelves(f)
	}
	if err == nil {
		err = s.foldEnd(f)
	}
	return err
}

// newFold sorts what the layer changes.
func (s *Store) newFold(l *layer) (*fold, error) {
	f := &fold{layer: l, deaf: make(map[uint64]bool), grams: make(map[uint64]string)}
	for _, en := range l.ids {
		if en.fresh {
			f.in = append(f.in, posting{idTerm(en.id), en.created, en.seq})
		}
		f.places = append(f.places, en)
		switch {
		case en.rec != nil:
			f.in = append(f.in, postings(en.rec)...)
			f.events = append(f.events, en.rec)
			f.received = max(f.received, en.rec.Received.UnixNano())
		case !en.fresh:
			r, err := s.bodyOf(en.seq)
			if err != nil {
				return nil, err
			}
			if r != nil {
				f.out = append(f.out, postings(r)...)
				f.grams[en.seq] = gramsOf(mesh.SearchText(r.Event))
			}
			f.dead = append(f.dead, en)
		}
		if en.gone == mesh.ReasonPruned {
			f.deaf[en.seq] = true
		}
	}
	byTerm := func(a, b posting) int {
		return cmp.Or(cmp.Compare(a.term, b.term), cmp.Compare(a.created, b.created), cmp.Compare(a.seq, b.seq))
	}
	slices.SortFunc(f.in, byTerm)
	slices.SortFunc(f.out, byTerm)
	slices.SortFunc(f.places, func(a, b *entry) int { return cmp.Or(cmp.Compare(a.created, b.created), compareIDs(a.id, b.id)) })
	slices.SortFunc(f.events, func(a, b *mesh.Record) int { return cmp.Compare(a.Seq, b.Seq) })
	slices.SortFunc(f.dead, func(a, b *entry) int { return cmp.Compare(a.seq, b.seq) })
	return f, nil
}

// inSlices runs a statement for each of n rows, a slice to a transaction, and
// lets commits that are due go between.
func (s *Store) inSlices(query string, n int, row func(exec func(args ...any) error, i int) error) error {
	for from := 0; from < n; from += sliceRows {
		err := s.transact(func(tx *sql.Tx) error {
			stmt, err := tx.Prepare(query)
			if err != nil {
				return err
			}
			defer stmt.Close()
			exec := func(args ...any) error { _, err := stmt.Exec(args...); return err }
			for i := from; i < min(from+sliceRows, n); i++ {
				if err := row(exec, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// transact runs do in one transaction that need not be on disk yet; then a commit
// that is due goes first.
func (s *Store) transact(do func(tx *sql.Tx) error) error {
	if err := s.flushing(false); err != nil {
		return err
	}
	tx, err := s.w.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := do(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	if s.due() {
		return s.commit()
	}
	return nil
}

func (s *Store) foldOutbox(f *fold) error {
	var in []*mesh.Owed
	var out []mesh.Key
	for _, m := range f.layer.owed {
		for k, o := range m {
			if en := f.layer.ids[k.ID]; o != nil && (en == nil || en.gone == 0) {
				in = append(in, o)
			} else {
				out = append(out, k)
			}
		}
	}
	slices.SortFunc(in, func(a, b *mesh.Owed) int { return cmp.Compare(a.Seq, b.Seq) })
	err := s.inSlices("DELETE FROM owed WHERE seq = (SELECT p.seq FROM term t JOIN place p ON p.created = t.created AND p.id = ? WHERE t.term = ?) AND carrier = ? AND target = ?",
		len(out), func(exec func(...any) error, i int) error {
			return exec(out[i].ID[:], idTerm(out[i].ID), out[i].Carrier, out[i].Target)
		})
	if err != nil {
		return err
	}
	return s.inSlices("INSERT OR REPLACE INTO owed (seq, carrier, target, id, priority, attempts) VALUES (?, ?, ?, ?, ?, ?)",
		len(in), func(exec func(...any) error, i int) error {
			o := in[i]
			return exec(o.Seq, o.Carrier, o.Target, o.ID[:], o.Priority, o.Attempts)
		})
}

func (s *Store) foldNotes(f *fold) error {
	type line struct {
		seq uint64
		note
	}
	var lines []line
	var seqs []uint64
	for seq, notes := range f.layer.notes {
		seqs = append(seqs, seq)
		for _, n := range notes {
			lines = append(lines, line{seq, n})
		}
	}
	slices.Sort(seqs)
	slices.SortFunc(lines, func(a, b line) int { return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.n, b.n)) })
	err := s.inSlices("INSERT OR REPLACE INTO history (seq, n, line) VALUES (?, ?, ?)", len(lines), func(exec func(...any) error, i int) error {
		return exec(lines[i].seq, lines[i].n, appendStep(nil, &lines[i].step))
	})
	if err != nil {
		return err
	}
	err = s.inSlices("DELETE FROM history WHERE seq = ?1 AND n <= (SELECT n FROM history WHERE seq = ?1 ORDER BY n DESC LIMIT 1 OFFSET ?2)",
		len(seqs), func(exec func(...any) error, i int) error { return exec(seqs[i], historyLines) })
	if err != nil {
		return err
	}
	pruned := slices.Sorted(maps.Keys(f.deaf))
	return s.inSlices("DELETE FROM history WHERE seq = ?", len(pruned), func(exec func(...any) error, i int) error { return exec(pruned[i]) })
}

func (s *Store) foldShelves(f *fold) error {
	var in, out []shelfKey
	for k, v := range f.layer.shelf {
		if v == nil {
			out = append(out, k)
		} else {
			in = append(in, k)
		}
	}
	err := s.inSlices("DELETE FROM shelf WHERE name = ? AND key = ?", len(out), func(exec func(...any) error, i int) error {
		return exec(out[i].name, out[i].key)
	})
	if err != nil {
		return err
	}
	return s.inSlices("INSERT OR REPLACE INTO shelf (name, key, value) VALUES (?, ?, ?)", len(in), func(exec func(...any) error, i int) error {
		return exec(in[i].name, in[i].key, f.layer.shelf[in[i]])
	})
}

// foldEnd says in one transaction that the layer is in the tables, and drops
// it from the journal.
func (s *Store) foldEnd(f *fold) error {
	s.mu.RLock()
	meta := map[string]int64{
		"held": int64(s.mu.held + f.layer.held), "gone": int64(s.mu.gone + f.layer.gone),
		"seq": int64(max(s.mu.folded, f.layer.lastSeq)), "line": int64(s.mu.line),
		"floor": int64(s.mu.floor), "row": f.layer.lastBatch,
	}
	s.mu.RUnlock()
	return s.transact(func(tx *sql.Tx) error {
		for k, v := range meta {
			if _, err := tx.Exec("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", k, v); err != nil {
				return err
			}
		}
		if f.layer.lastSeq > 0 && f.received != math.MinInt64 {
			if _, err := tx.Exec("INSERT OR REPLACE INTO mark (seq, received) VALUES (?, ?)", f.layer.lastSeq, f.received); err != nil {
				return err
			}
		}
		_, err := tx.Exec("DELETE FROM journal WHERE n <= ?", f.layer.lastBatch)
		return err
	})
}

package store

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"math"
	"slices"

	"drey/mesh"
)

// A view is what a reader starts from: the layers as they are now, and how far
// the tables beneath them count. Rows beyond that are on their way out of a
// layer of the view. What is buried or saved after the view was taken may or
// may not be seen.
type view struct {
	layers   []*layer // newest first
	folded   uint64
	searched uint64 // up to here the index of texts has the tables
}

func (s *Store) view() view {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.viewLocked()
}

func (s *Store) viewLocked() view { return view{s.layersLocked(), s.mu.folded, s.mu.searched} }

// hidesLocked reports whether the view's layers speak of id, so that a row of
// the tables does not count.
func (v view) hidesLocked(id mesh.EventID) bool {
	for _, l := range v.layers {
		if l.ids[id] != nil {
			return true
		}
	}
	return false
}

// look finds an id, and its record while it is held.
func (s *Store) look(id mesh.EventID) (state, *mesh.Record, error) {
	if err := s.sweep(); err != nil {
		return state{}, nil, err
	}
	for range 3 { // an event may go between the two reads
		s.mu.RLock()
		en := s.entryLocked(id)
		if en != nil {
			st := stateOf(en)
			s.mu.RUnlock()
			return st, st.rec, nil
		}
		s.mu.RUnlock()
		r, ok, err := s.q.find(id)
		if err != nil {
			return state{}, nil, s.fail("read", err)
		}
		if !ok {
			return state{}, nil, mesh.ErrNotFound
		}
		if r.gone != 0 {
			return state{row: r}, nil, nil
		}
		rec, err := s.bodyOf(r.seq)
		if err != nil {
			return state{}, nil, err
		}
		if rec != nil {
			return state{row: r}, rec, nil
		}
	}
	return state{}, nil, &Error{"read", s.path, ErrCorrupt}
}

// Known tells whether id is held (0, true), was once known and why it is held
// no more, or is new (0, false).
func (s *Store) Known(ctx context.Context, id mesh.EventID) (mesh.Reason, bool, error) {
	if err := ctx.Err(); err != nil {
		return 0, false, err
	}
	if err := s.sweep(); err != nil {
		return 0, false, err
	}
	s.mu.RLock()
	en := s.entryLocked(id)
	if en != nil {
		gone := en.gone
		s.mu.RUnlock()
		return gone, true, nil
	}
	s.mu.RUnlock()
	r, ok, err := s.q.find(id)
	return r.gone, ok, s.fail("read", err)
}

// Record implements mesh.Archive.
func (s *Store) Record(ctx context.Context, id mesh.EventID, v mesh.Viewer) (*mesh.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	st, rec, err := s.look(id)
	switch {
	case err != nil:
		return nil, err
	case st.gone != 0 && seesAll(v):
		return nil, &mesh.GoneError{ID: id, Reason: st.gone}
	case st.gone != 0 || !mesh.Visible(rec.Event, rec.Topic, v):
		return nil, mesh.ErrNotFound
	}
	out := *rec
	return &out, nil
}

// Floor implements mesh.Archive.
func (s *Store) Floor(ctx context.Context) (mesh.Unix, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.floor, nil
}

// itemPage is how many places are read at a time.
const itemPage = 512

// Items implements mesh.Archive. Tombstones are shown to this node's own parts
// and to member machines only.
func (s *Store) Items(ctx context.Context, since, until mesh.Unix, v mesh.Viewer) iter.Seq2[mesh.Item, error] {
	return func(yield func(mesh.Item, error) bool) {
		if err := s.sweep(); err != nil {
			yield(mesh.Item{}, err)
			return
		}
		w, above := s.itemsAbove(since, until, v)
		for place := (row{created: since}); ; {
			if err := ctx.Err(); err != nil {
				yield(mesh.Item{}, err)
				return
			}
			page, err := collect(s.q.places, scanPlace, place.created, placeKey(place), until, itemPage)
			if err != nil {
				yield(mesh.Item{}, s.fail("read", err))
				return
			}
			for _, it := range s.itemsOf(page, w, v) {
				for len(above) > 0 && compareItems(above[0], it) < 0 {
					if !yield(above[0], nil) {
						return
					}
					above = above[1:]
				}
				if !yield(it, nil) {
					return
				}
			}
			if len(page) < itemPage {
				break
			}
			place = page[len(page)-1]
		}
		for _, it := range above {
			if !yield(it, nil) {
				return
			}
		}
	}
}

// placeKey is the id to read after: none at the beginning of a second.
func placeKey(r row) []byte {
	if r.seq == 0 {
		return []byte{}
	}
	return r.id[:]
}

func compareItems(a, b mesh.Item) int {
	return cmp.Or(cmp.Compare(a.CreatedAt, b.CreatedAt), compareIDs(a.ID, b.ID))
}

func compareIDs(a, b mesh.EventID) int { return bytes.Compare(a[:], b[:]) }

// itemsAbove lists what the layers hold of a window, in order.
func (s *Store) itemsAbove(since, until mesh.Unix, v mesh.Viewer) (view, []mesh.Item) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	w := s.viewLocked()
	var items []mesh.Item
	for _, l := range w.layers {
		for id, en := range l.ids {
			if en.created < since || en.created > until || s.entryLocked(id) != en {
				continue
			}
			if en.rec == nil && seesAll(v) || en.rec != nil && mesh.Visible(en.rec.Event, en.rec.Topic, v) {
				items = append(items, mesh.Item{CreatedAt: en.created, ID: id, Gone: en.gone})
			}
		}
	}
	slices.SortFunc(items, compareItems)
	return w, items
}

// itemsOf drops from a page what a layer overrules and what v may not see.
func (s *Store) itemsOf(page []row, w view, v mesh.Viewer) []mesh.Item {
	kept := make([]row, 0, len(page))
	s.mu.RLock()
	for _, r := range page {
		if r.seq <= w.folded && !w.hidesLocked(r.id) {
			kept = append(kept, r)
		}
	}
	s.mu.RUnlock()
	items := make([]mesh.Item, 0, len(kept))
	for _, r := range kept {
		if !seesAll(v) {
			if r.gone != 0 {
				continue
			}
			rec, err := s.bodyOf(r.seq)
			if err != nil || rec == nil || !mesh.Visible(rec.Event, rec.Topic, v) {
				continue
			}
		}
		items = append(items, mesh.Item{CreatedAt: r.created, ID: r.id, Gone: r.gone})
	}
	return items
}

// maxSeq stands for no bound.
const maxSeq = uint64(math.MaxInt64)

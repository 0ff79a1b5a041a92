package store

import (
	"time"

	"drey/mesh"
)

// below reports whether the tables may have anything that bears on e: its id, a
// deletion of it, another version. They have not for nearly every event that is
// new.
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

// A glance is what below answered before the lock was taken, so that nobody waits
// for the tables. It holds until another layer is in them.
type glance struct {
	below bool
	folds uint64 // as many layers were in the tables
	ok    bool
}

func (s *Store) glance(e *mesh.Event) glance {
	s.mu.RLock()
	g := glance{folds: s.mu.stats.folds}
	s.mu.RUnlock()
	var err error
	g.below, err = s.below(e)
	g.ok = err == nil
	return g
}

// belowLocked is below, asked again where a glance does not hold.
func (s *Store) belowLocked(e *mesh.Event, g glance) (bool, error) {
	if g.ok && g.folds == s.mu.stats.folds {
		return g.below, nil
	}
	return s.below(e)
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

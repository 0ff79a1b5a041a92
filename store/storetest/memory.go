package storetest

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"drey/mesh"
)

// historyLines bounds the delivery history of one event.
const historyLines = 64

// A Memory is a store without a disk: light enough for two hundred nodes in
// one process. It keeps the rules of the real one by the plainest means, so
// that each can be held against the other. It never prunes and never waits.
// Safe for concurrent use.
type Memory struct {
	clock func() time.Time // immutable

	mu struct {
		sync.Mutex
		seq     uint64
		known   map[mesh.EventID]*entry
		order   []*entry // by seq, rising
		heads   map[address]*entry
		kills   map[kill]mesh.Unix // newest deletion by author and target
		due     map[*entry]mesh.Unix
		places  []*entry // by (created, id), when sorted is true
		sorted  bool
		owed    map[mesh.Key]*mesh.Owed
		shelves map[string]map[string][]byte
	}
}

// entry is one id that was ever known.
type entry struct {
	id      mesh.EventID
	created mesh.Unix
	seq     uint64
	gone    mesh.Reason
	at      time.Time    // when it went
	rec     *mesh.Record // nil when gone
	steps   []mesh.Step
}

// address names the place that newer versions of an event take over.
type address struct {
	author mesh.PubKey
	kind   mesh.Kind
	d      string
}

// kill names what an author asked to delete: an event id or an address, as the
// tag spells it.
type kill struct {
	author mesh.PubKey
	tag    string // "e" or "a"
	value  string
}

// NewMemory returns an empty store that takes the time from clock.
func NewMemory(clock func() time.Time) *Memory {
	m := &Memory{clock: clock}
	m.mu.known = make(map[mesh.EventID]*entry)
	m.mu.heads = make(map[address]*entry)
	m.mu.kills = make(map[kill]mesh.Unix)
	m.mu.due = make(map[*entry]mesh.Unix)
	m.mu.owed = make(map[mesh.Key]*mesh.Owed)
	m.mu.shelves = make(map[string]map[string][]byte)
	return m
}

// Save implements the hub's Store. durable makes no difference here.
func (m *Memory) Save(ctx context.Context, r *mesh.Record, owed []mesh.Owed, durable bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock()
	m.sweepLocked(now)
	e := r.Event
	if old := m.mu.known[e.ID()]; old != nil {
		if old.gone != 0 {
			return &mesh.GoneError{ID: old.id, Reason: old.gone}
		}
		return mesh.ErrDuplicate
	}
	if e.Kind().Ephemeral() {
		return nil
	}
	if at, ok := expiry(e); ok && !now.Before(at.Time()) {
		m.tombLocked(e.ID(), e.CreatedAt(), mesh.ReasonExpired, now)
		return mesh.ErrExpired
	}
	if m.killedLocked(e) {
		m.tombLocked(e.ID(), e.CreatedAt(), mesh.ReasonDeleted, now)
		return &mesh.GoneError{ID: e.ID(), Reason: mesh.ReasonDeleted}
	}
	a, replaces := addressOf(e)
	head := m.mu.heads[a]
	if replaces && head != nil && !e.Supersedes(head.rec.Event) {
		m.tombLocked(e.ID(), e.CreatedAt(), mesh.ReasonSuperseded, now)
		return &mesh.GoneError{ID: e.ID(), Reason: mesh.ReasonSuperseded}
	}
	if replaces && head != nil {
		m.buryLocked(head, mesh.ReasonSuperseded, now)
	}
	m.deleteLocked(e, now)

	if r.Received.IsZero() {
		r.Received = now
	}
	m.mu.seq++
	r.Seq = m.mu.seq
	kept := *r
	kept.Received = r.Received.Round(0).UTC()
	en := &entry{id: e.ID(), created: e.CreatedAt(), seq: r.Seq, rec: &kept}
	m.addLocked(en)
	if replaces {
		m.mu.heads[a] = en
	}
	if at, ok := expiry(e); ok {
		m.mu.due[en] = at
	}
	for _, o := range owed {
		o.ID, o.Seq, o.Attempts = e.ID(), r.Seq, 0
		m.mu.owed[o.Key] = &o
	}
	return nil
}

// addLocked enters an id that was not known.
func (m *Memory) addLocked(en *entry) {
	m.mu.known[en.id] = en
	m.mu.order = append(m.mu.order, en)
	m.mu.places = append(m.mu.places, en)
	m.mu.sorted = false
}

// tombLocked remembers an id that is not held, and never was.
func (m *Memory) tombLocked(id mesh.EventID, created mesh.Unix, why mesh.Reason, now time.Time) {
	m.mu.seq++
	m.addLocked(&entry{id: id, created: created, seq: m.mu.seq, gone: why, at: now})
}

// buryLocked turns a held event into a tombstone.
func (m *Memory) buryLocked(en *entry, why mesh.Reason, now time.Time) {
	e := en.rec.Event
	if a, ok := addressOf(e); ok && m.mu.heads[a] == en {
		delete(m.mu.heads, a)
	}
	delete(m.mu.due, en)
	for k := range m.mu.owed {
		if k.ID == en.id {
			delete(m.mu.owed, k)
		}
	}
	if e.Kind() == mesh.KindDeletion { // what it asked counts no more
		for k := range killsOf(e) {
			delete(m.mu.kills, k)
		}
		for _, other := range m.mu.known {
			if other.rec != nil && other != en && other.rec.Event.Kind() == mesh.KindDeletion {
				m.noteKillsLocked(other.rec.Event)
			}
		}
	}
	en.rec, en.gone, en.at = nil, why, now
}

// deleteLocked does what a deletion (NIP-09) asks and remembers it for targets
// that have not come yet.
func (m *Memory) deleteLocked(e *mesh.Event, now time.Time) {
	if e.Kind() != mesh.KindDeletion {
		return
	}
	m.noteKillsLocked(e)
	for k := range killsOf(e) {
		for _, en := range m.mu.known {
			if en.rec != nil && deletable(en.rec.Event) && targets(k, e.CreatedAt(), en.rec.Event) {
				m.buryLocked(en, mesh.ReasonDeleted, now)
			}
		}
	}
}

func (m *Memory) noteKillsLocked(e *mesh.Event) {
	for k := range killsOf(e) {
		m.mu.kills[k] = max(m.mu.kills[k], e.CreatedAt())
	}
}

// killedLocked reports whether a deletion that is held asks for e.
func (m *Memory) killedLocked(e *mesh.Event) bool {
	if !deletable(e) {
		return false
	}
	if _, ok := m.mu.kills[kill{e.Author(), "e", e.ID().String()}]; ok {
		return true
	}
	a, ok := addressOf(e)
	if !ok {
		return false
	}
	at, ok := m.mu.kills[kill{e.Author(), "a", a.String()}]
	return ok && e.CreatedAt() <= at
}

// sweepLocked buries what has expired.
func (m *Memory) sweepLocked(now time.Time) {
	for en, at := range m.mu.due {
		if !now.Before(at.Time()) {
			m.buryLocked(en, mesh.ReasonExpired, now)
		}
	}
}

// Bury implements the hub's Store.
func (m *Memory) Bury(ctx context.Context, id mesh.EventID, created mesh.Unix, why mesh.Reason) error {
	if why == 0 {
		return fmt.Errorf("bury %s: no reason given", id)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock()
	m.sweepLocked(now)
	switch en := m.mu.known[id]; {
	case en == nil:
		m.tombLocked(id, created, why, now)
	case en.gone != 0:
	case keptForever(en.rec.Event.Kind()):
		return fmt.Errorf("bury %s: %w: the roster is never forgotten", id, mesh.ErrRefused)
	default:
		m.buryLocked(en, why, now)
	}
	return nil
}

// Known implements the hub's Store.
func (m *Memory) Known(ctx context.Context, id mesh.EventID) (mesh.Reason, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweepLocked(m.clock())
	en := m.mu.known[id]
	if en == nil {
		return 0, false, nil
	}
	return en.gone, true, nil
}

// Record implements mesh.Archive.
func (m *Memory) Record(ctx context.Context, id mesh.EventID, v mesh.Viewer) (*mesh.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweepLocked(m.clock())
	en := m.mu.known[id]
	if en == nil || en.gone != 0 && !seesTombs(v) || en.gone == 0 && !mesh.Visible(en.rec.Event, en.rec.Topic, v) {
		return nil, mesh.ErrNotFound
	}
	if en.gone != 0 {
		return nil, &mesh.GoneError{ID: id, Reason: en.gone}
	}
	r := *en.rec
	return &r, nil
}

// Records implements mesh.Archive.
func (m *Memory) Records(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	return func(yield func(*mesh.Record, error) bool) {
		for _, r := range m.matching(&f, v) {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			out := *r
			if !yield(&out, nil) {
				return
			}
		}
	}
}

// matching returns what f chooses, sorted and cut.
func (m *Memory) matching(f *mesh.Filter, v mesh.Viewer) []*mesh.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweepLocked(m.clock())
	var found []*mesh.Record
	take := func(en *entry) {
		if en != nil && en.rec != nil && f.Matches(en.rec) && mesh.Visible(en.rec.Event, en.rec.Topic, v) {
			found = append(found, en.rec)
		}
	}
	if f.IDs != nil {
		seen := make(map[mesh.EventID]bool, len(f.IDs))
		for _, id := range f.IDs {
			if !seen[id] {
				seen[id] = true
				take(m.mu.known[id])
			}
		}
	} else {
		from, _ := slices.BinarySearchFunc(m.mu.order, f.After+1, func(en *entry, seq uint64) int { return cmp.Compare(en.seq, seq) })
		for _, en := range m.mu.order[from:] {
			take(en)
		}
	}
	slices.SortFunc(found, func(a, b *mesh.Record) int {
		switch f.Order {
		case mesh.ReceiptFirst:
			return cmp.Compare(a.Seq, b.Seq)
		case mesh.ReceiptLatest:
			return cmp.Compare(b.Seq, a.Seq)
		}
		x, y := a.Event.ID(), b.Event.ID()
		return cmp.Or(cmp.Compare(b.Event.CreatedAt(), a.Event.CreatedAt()), strings.Compare(string(x[:]), string(y[:])))
	})
	if f.Limit > 0 && len(found) > f.Limit {
		found = found[:f.Limit]
	}
	return found
}

// Items implements mesh.Archive.
func (m *Memory) Items(ctx context.Context, since, until mesh.Unix, v mesh.Viewer) iter.Seq2[mesh.Item, error] {
	return func(yield func(mesh.Item, error) bool) {
		for _, it := range m.items(since, until, v) {
			if err := ctx.Err(); err != nil {
				yield(mesh.Item{}, err)
				return
			}
			if !yield(it, nil) {
				return
			}
		}
	}
}

func (m *Memory) items(since, until mesh.Unix, v mesh.Viewer) []mesh.Item {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweepLocked(m.clock())
	if !m.mu.sorted {
		slices.SortFunc(m.mu.places, func(a, b *entry) int {
			return cmp.Or(cmp.Compare(a.created, b.created), strings.Compare(string(a.id[:]), string(b.id[:])))
		})
		m.mu.sorted = true
	}
	from, _ := slices.BinarySearchFunc(m.mu.places, since, func(en *entry, t mesh.Unix) int { return cmp.Compare(en.created, t) })
	var items []mesh.Item
	for _, en := range m.mu.places[from:] {
		if en.created > until {
			break
		}
		if en.gone != 0 && seesTombs(v) || en.gone == 0 && mesh.Visible(en.rec.Event, en.rec.Topic, v) {
			items = append(items, mesh.Item{CreatedAt: en.created, ID: en.id, Gone: en.gone})
		}
	}
	return items
}

// Floor implements mesh.Archive: a Memory remembers all.
func (m *Memory) Floor(ctx context.Context) (mesh.Unix, error) { return 0, nil }

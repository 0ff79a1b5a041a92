package store

import (
	"drey/mesh"
)

// A layer is what the journal holds since some moment, as a map: the newest
// word on every id, delivery and value that changed. It lies over the tables
// and hides what it contradicts there. The newest layer changes under the
// store's lock; a frozen one, on its way into the tables, never does.
type layer struct {
	ids   map[mesh.EventID]*entry
	fresh []*entry // ids first known here, by seq
	heads map[address]*entry
	kills map[kill][]*entry
	due   map[*entry]mesh.Unix
	owed  map[string]map[mesh.Key]*mesh.Owed // by carrier; nil where settled
	notes map[uint64][]note                  // by the event's seq
	shelf map[shelfKey][]byte                // nil where deleted

	ops, bytes int
	held, gone int    // change in the number of events and tombstones
	lastSeq    uint64 // highest seq in the layer
	lastBatch  int64  // the journal's row that ends it; set when frozen
}

// An entry is what a layer says of one id.
type entry struct {
	id      mesh.EventID
	created mesh.Unix
	seq     uint64
	gone    mesh.Reason
	at      int64        // when it went, in nanoseconds since 1970
	rec     *mesh.Record // nil when gone
	fresh   bool         // not known below this layer
	batch   *batch       // what brings it to the disk; nil when it is there
}

type note struct {
	n    uint64
	step mesh.Step
}

type shelfKey struct{ name, key string }

func newLayer() *layer {
	return &layer{
		ids:   make(map[mesh.EventID]*entry),
		heads: make(map[address]*entry),
		kills: make(map[kill][]*entry),
		due:   make(map[*entry]mesh.Unix),
		owed:  make(map[string]map[mesh.Key]*mesh.Owed),
		notes: make(map[uint64][]note),
		shelf: make(map[shelfKey][]byte),
	}
}

// apply brings one operation into the layer. It decides nothing: an operation
// read back from the journal has the effect that it had the first time.
func (l *layer) apply(o *op, b *batch) {
	l.ops++
	switch o.what {
	case opKeep:
		l.keep(o, b)
	case opBury:
		l.bury(o, b)
	case opOwe:
		owed := o.owed
		l.setOwed(owed.Key, &owed)
	case opSettle:
		l.setOwed(o.owed.Key, nil)
	case opNote:
		l.notes[o.seq] = lastOf(append(l.notes[o.seq], note{o.n, o.step}), historyLines)
	case opPut:
		l.shelf[shelfKey{o.name, o.key}] = append([]byte{}, o.value...)
	case opDrop:
		l.shelf[shelfKey{o.name, o.key}] = nil
	}
}

func (l *layer) keep(o *op, b *batch) {
	e := o.rec.Event
	en := &entry{id: o.id, created: o.created, seq: o.rec.Seq, rec: o.rec, fresh: true, batch: b}
	l.ids[o.id] = en
	l.fresh = append(l.fresh, en)
	l.lastSeq = max(l.lastSeq, en.seq)
	l.held++
	if a, ok := addressOf(e); ok {
		l.heads[a] = en
	}
	for _, k := range killsOf(e) {
		l.kills[k] = append(l.kills[k], en)
	}
	if at, ok := expiry(e); ok {
		l.due[en] = at
	}
}

func (l *layer) bury(o *op, b *batch) {
	en := l.ids[o.id]
	if en != nil && en.gone != 0 {
		return // the first reason stays
	}
	l.gone++
	if en == nil {
		en = &entry{id: o.id, created: o.created, seq: o.seq, gone: o.gone, at: o.at.UnixNano(), fresh: o.fresh, batch: b}
		l.ids[o.id] = en
		if o.fresh {
			l.fresh = append(l.fresh, en)
			l.lastSeq = max(l.lastSeq, en.seq)
		} else {
			l.held--
		}
		return
	}
	l.held--
	if a, ok := addressOf(en.rec.Event); ok && l.heads[a] == en {
		delete(l.heads, a)
	}
	delete(l.due, en)
	en.rec, en.gone, en.at, en.batch = nil, o.gone, o.at.UnixNano(), b
}

func (l *layer) setOwed(k mesh.Key, o *mesh.Owed) {
	m := l.owed[k.Carrier]
	if m == nil {
		m = make(map[mesh.Key]*mesh.Owed)
		l.owed[k.Carrier] = m
	}
	m[k] = o
}

// lastOf cuts s to its last n.
func lastOf[T any](s []T, n int) []T {
	if len(s) <= n {
		return s
	}
	return append(s[:0:0], s[len(s)-n:]...)
}

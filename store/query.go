package store

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"drey/mesh"
)

const (
	// readPage is how many rows of events are read at a time; an event has up
	// to 64 kB.
	readPage = 64
	// countMost is how far the rows under a term are counted before a plan is
	// chosen: beyond it a term is simply common.
	countMost = 4096
)

// Records implements mesh.Archive. Rows are read in small pages, so a caller
// may take its time: nothing is locked meanwhile.
func (s *Store) Records(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	return func(yield func(*mesh.Record, error) bool) {
		q, err := s.query(f, v)
		if err != nil {
			yield(nil, err)
			return
		}
		for n := 0; f.Limit <= 0 || n < f.Limit; n++ {
			err := ctx.Err()
			var r *mesh.Record
			if err == nil {
				r, err = q.next()
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if r == nil {
				return
			}
			out := *r
			if !yield(&out, nil) {
				return
			}
		}
	}
}

// A query is one run of Records: what the layers hold, sorted, merged with a
// source over the tables.
type query struct {
	s      *Store
	filter mesh.Filter // without its search
	search mesh.Search
	viewer mesh.Viewer
	view   view
	now    mesh.Unix

	above []*mesh.Record
	below source
	head  *mesh.Record            // read from below and not yet given out
	read  map[uint64]*mesh.Record // read ahead, by seq; nil where there is nothing to show
	dry   bool                    // below has ended
}

// A source yields the records of the tables that count, in the query's order;
// nil at the end.
type source interface {
	next() (*mesh.Record, error)
}

func (s *Store) query(f mesh.Filter, v mesh.Viewer) (*query, error) {
	if err := s.sweep(); err != nil {
		return nil, err
	}
	q := &query{s: s, filter: f, search: mesh.ParseSearch(f.Search), viewer: v, now: mesh.UnixOf(s.clock())}
	q.filter.Search = ""
	if q.search.Empty() {
		q.below = empty{}
		return q, nil
	}
	q.gather()
	var err error
	q.below, err = q.plan()
	return q, err
}

// gather takes the view and what its layers hold for the query.
func (q *query) gather() {
	s := q.s
	s.mu.RLock()
	defer s.mu.RUnlock()
	q.view = s.viewLocked()
	take := func(en *entry) {
		if en != nil && en.rec != nil && q.wants(en.rec) && s.entryLocked(en.id) == en {
			q.above = append(q.above, en.rec)
		}
	}
	if q.filter.IDs != nil {
		ids := slices.Clone(q.filter.IDs)
		slices.SortFunc(ids, compareIDs)
		for _, id := range slices.Compact(ids) {
			take(s.entryLocked(id))
		}
	} else {
		for _, l := range q.view.layers {
			from, _ := slices.BinarySearchFunc(l.fresh, q.filter.After, func(en *entry, after uint64) int { return cmp.Compare(en.seq, after) })
			for _, en := range l.fresh[from:] {
				take(en)
			}
		}
	}
	slices.SortFunc(q.above, q.compare)
}

// wants reports whether the query shows r.
func (q *query) wants(r *mesh.Record) bool {
	if !q.filter.Matches(r) || !mesh.Visible(r.Event, r.Topic, q.viewer) {
		return false
	}
	if !q.search.All() && !q.search.In(mesh.SearchText(r.Event)) {
		return false
	}
	at, ok := expiry(r.Event)
	return !ok || at > q.now
}

// compare orders records as the query gives them out.
func (q *query) compare(a, b *mesh.Record) int {
	switch q.filter.Order {
	case mesh.ReceiptFirst:
		return cmp.Compare(a.Seq, b.Seq)
	case mesh.ReceiptLatest:
		return cmp.Compare(b.Seq, a.Seq)
	}
	if c := cmp.Compare(b.Event.CreatedAt(), a.Event.CreatedAt()); c != 0 {
		return c
	}
	return compareIDs(a.Event.ID(), b.Event.ID())
}

// next merges both sides.
func (q *query) next() (*mesh.Record, error) {
	if q.head == nil && !q.dry {
		r, err := q.below.next()
		if err != nil {
			return nil, q.s.fail("read", err)
		}
		q.head, q.dry = r, r == nil
	}
	if len(q.above) > 0 && (q.head == nil || q.compare(q.above[0], q.head) < 0) {
		r := q.above[0]
		q.above = q.above[1:]
		return r, nil
	}
	r := q.head
	q.head = nil
	return r, nil
}

// admit parses a row and returns the record if the query shows it, else nil.
func (q *query) admit(b []byte, seq uint64) *mesh.Record {
	if b == nil || seq > q.view.folded {
		return nil
	}
	r := q.s.parse(b, seq)
	if r == nil || !q.wants(r) {
		return nil
	}
	q.s.mu.RLock()
	hidden := q.view.hidesLocked(r.Event.ID())
	q.s.mu.RUnlock()
	if hidden {
		return nil
	}
	return r
}

// plan chooses how to read the tables.
func (q *query) plan() (source, error) {
	if q.filter.IDs != nil {
		return q.byIDs()
	}
	after := q.filter.After
	if !q.filter.From.IsZero() {
		var last uint64
		if err := q.s.q.mark.QueryRow(q.filter.From.UnixNano()).Scan(&last); err != nil {
			return nil, q.s.fail("read", err)
		}
		after = max(after, last)
	}
	last := q.view.folded
	if q.filter.Before != 0 {
		last = min(last, q.filter.Before-1)
	}
	if after >= last {
		return empty{}, nil
	}
	span := int(min(last-after, 1<<40)) // rows from after on, at most
	terms, hits, err := q.choose(span)
	if err != nil {
		return nil, err
	}
	if !q.search.All() {
		if found, err := q.searchPlan(after, last, hits); found != nil || err != nil {
			return found, err
		}
	}
	if q.filter.Order == mesh.NewestFirst {
		if span <= countMost && (terms == nil || span < hits) {
			return q.sortedLog(after)
		}
		return q.byCreated(terms), nil
	}
	scan := &logSource{q: q, low: after, high: last, down: q.filter.Order == mesh.ReceiptLatest}
	if terms == nil || hits >= countMost {
		return scan, nil
	}
	cost := span
	if q.filter.Limit > 0 {
		cost = min(span, q.filter.Limit*span/max(hits, 1))
	}
	if cost <= hits {
		return scan, nil
	}
	return q.bySeq(terms, after)
}

// choose returns the terms of the filter's most selective list, and how many
// rows they lead to, counted up to countMost; nil terms when the filter names
// nothing that is indexed.
func (q *query) choose(span int) (best []int64, hits int, err error) {
	hits = -1
	lists := q.lists()
	if len(lists) == 1 && span > countMost && q.filter.Order == mesh.NewestFirst && q.search.All() {
		return lists[0], countMost, nil // nothing to choose
	}
	for _, terms := range lists {
		n := 0
		for _, t := range terms {
			if n >= countMost || hits >= 0 && n >= hits {
				break
			}
			most := countMost
			if hits >= 0 {
				most = hits // more would not make this list the better one
			}
			c, err := q.s.count(t, most, q.view.folded)
			if err != nil {
				return nil, 0, q.s.fail("read", err)
			}
			n += c
		}
		if hits < 0 || n < hits {
			best, hits = terms, n
		}
	}
	if best == nil {
		hits = span
	}
	return best, hits, nil
}

// lists returns the terms of each list in the filter; a list that is empty but
// not nil matches nothing, and so does its list of terms.
func (q *query) lists() [][]int64 {
	f := &q.filter
	var lists [][]int64
	for name, values := range f.Tags {
		if indexed(name) {
			lists = append(lists, termsOf(values, func(v string) int64 { return tagTerm(name, v) }))
		}
	}
	if f.Authors != nil {
		lists = append(lists, termsOf(f.Authors, authorTerm))
	}
	if f.Topics != nil {
		lists = append(lists, termsOf(f.Topics, topicTerm))
	}
	if f.Kinds != nil {
		lists = append(lists, termsOf(f.Kinds, kindTerm))
	}
	return lists
}

func termsOf[T any](values []T, term func(T) int64) []int64 {
	terms := make([]int64, 0, len(values))
	for _, v := range values {
		terms = append(terms, term(v))
	}
	slices.Sort(terms)
	return slices.Compact(terms)
}

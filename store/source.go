package store

import (
	"cmp"
	"math"
	"slices"

	"drey/mesh"
)

// empty is the source of a query that nothing in the tables can answer.
type empty struct{}

func (empty) next() (*mesh.Record, error) { return nil, nil }

// logSource reads events by seq, rising or falling, from (low, high].
type logSource struct {
	q         *query
	low, high uint64
	down      bool
	page      []stored
	done      bool
}

func (l *logSource) next() (*mesh.Record, error) {
	for {
		for len(l.page) > 0 {
			row := l.page[0]
			l.page = l.page[1:]
			if r := l.q.admit(row.body, row.seq); r != nil {
				return r, nil
			}
		}
		if l.done {
			return nil, nil
		}
		stmt := l.q.s.q.logUp
		if l.down {
			stmt = l.q.s.q.logDown
		}
		page, err := collect(stmt, scanStored, l.low, l.high, readPage)
		if err != nil {
			return nil, err
		}
		l.page, l.done = page, len(page) < readPage
		if l.done {
			continue
		}
		if last := page[len(page)-1].seq; l.down {
			l.high = last - 1
		} else {
			l.low = last
		}
	}
}

// A key stands for a record where keeping the record would take too much room.
type key struct {
	created mesh.Unix
	id      mesh.EventID
	seq     uint64
}

// listSource reads the records behind keys, in their order.
type listSource struct {
	q    *query
	keys []key
}

func (l *listSource) next() (*mesh.Record, error) {
	for len(l.keys) > 0 {
		k := l.keys[0]
		if _, ok := l.q.read[k.seq]; !ok {
			seqs := make([]uint64, 0, aheadMost)
			for _, k := range l.keys[:min(len(l.keys), l.q.near())] {
				seqs = append(seqs, k.seq)
			}
			if err := l.q.ahead(seqs); err != nil {
				return nil, err
			}
		}
		l.keys = l.keys[1:]
		r, err := l.q.fetch(k.seq)
		if r != nil || err != nil {
			return r, err
		}
	}
	return nil, nil
}

// sorted puts the keys into the query's order.
func (q *query) sorted(keys []key) *listSource {
	slices.SortFunc(keys, func(a, b key) int {
		switch q.filter.Order {
		case mesh.ReceiptFirst:
			return cmp.Compare(a.seq, b.seq)
		case mesh.ReceiptLatest:
			return cmp.Compare(b.seq, a.seq)
		}
		return cmp.Or(cmp.Compare(b.created, a.created), compareIDs(a.id, b.id))
	})
	return &listSource{q, slices.CompactFunc(keys, func(a, b key) bool { return a.seq == b.seq })}
}

// byIDs looks each id of the filter up.
func (q *query) byIDs() (source, error) {
	keys := make([]key, 0, len(q.filter.IDs))
	for _, id := range q.filter.IDs {
		r, ok, err := q.s.q.find(id)
		if err != nil {
			return nil, q.s.fail("read", err)
		}
		if ok && r.gone == 0 {
			keys = append(keys, key{r.created, id, r.seq})
		}
	}
	return q.sorted(keys), nil
}

// sortedLog reads what came in after a seq, a small part, and sorts it.
func (q *query) sortedLog(after uint64) (source, error) {
	return q.sortedRecords(&logSource{q: q, low: after, high: q.view.folded})
}

// sortedRecords reads a source to its end and sorts what it yields.
func (q *query) sortedRecords(l source) (source, error) {
	var keys []key
	for {
		r, err := l.next()
		if err != nil {
			return nil, q.s.fail("read", err)
		}
		if r == nil {
			return q.sorted(keys), nil
		}
		keys = append(keys, key{r.Event.CreatedAt(), r.Event.ID(), r.Seq})
	}
}

// bySeq gathers the rows of rare terms and sorts them by seq.
func (q *query) bySeq(terms []int64, after uint64) (source, error) {
	var keys []key
	for _, t := range terms {
		rows, err := collect(q.s.q.terms, scanPosting, t, -1, 0, int64(1)<<32, -1)
		if err != nil {
			return nil, q.s.fail("read", err)
		}
		for _, p := range rows {
			if p.seq > after && p.seq <= q.view.folded {
				keys = append(keys, key{seq: p.seq})
			}
		}
	}
	return q.sorted(keys), nil
}

// createdSource merges the rows of several terms, newest first. Rows of one
// second come out together, so that they can be put in the order of their ids,
// which the index does not have.
type createdSource struct {
	q       *query
	cursors []*cursor
	group   []held
}

// held is one record of a second: the record itself, or where to read it again
// when the second has very many.
type held struct {
	id  mesh.EventID
	seq uint64
	rec *mesh.Record
}

// groupMost is how many records of one second are kept in memory.
const groupMost = 256

// byCreated reads by created_at, falling; all events when terms is nil.
func (q *query) byCreated(terms []int64) source {
	until := q.filter.Until
	if until == 0 {
		until = math.MaxUint32
	}
	c := &createdSource{q: q}
	start := cursor{q: q, created: int64(until) + 1, since: q.filter.Since}
	if terms == nil {
		start.all = true
		return &createdSource{q: q, cursors: []*cursor{&start}}
	}
	for _, t := range terms {
		each := start
		each.term = t
		c.cursors = append(c.cursors, &each)
	}
	return c
}

func (c *createdSource) next() (*mesh.Record, error) {
	for len(c.group) == 0 {
		ended, err := c.fill()
		if ended || err != nil {
			return nil, err
		}
	}
	h := c.group[0]
	c.group = c.group[1:]
	if h.rec != nil {
		return h.rec, nil
	}
	r, err := c.q.fetch(h.seq)
	if r == nil && err == nil {
		return c.next() // it went meanwhile
	}
	return r, err
}

// fill reads the next second that has anything.
func (c *createdSource) fill() (ended bool, err error) {
	newest := int64(-1)
	for _, cur := range c.cursors {
		p, ok, err := cur.peek()
		if err != nil {
			return false, err
		}
		if ok {
			newest = max(newest, int64(p.created))
		}
	}
	if newest < 0 {
		return true, nil
	}
	var seqs []uint64
	for _, cur := range c.cursors {
		for {
			p, ok, err := cur.peek()
			if err != nil {
				return false, err
			}
			if !ok || int64(p.created) != newest {
				break
			}
			seqs = append(seqs, p.seq)
			cur.page = cur.page[1:]
		}
	}
	slices.Sort(seqs)
	seqs = slices.Compact(seqs)
	if _, ok := c.q.read[seqs[0]]; !ok {
		if err := c.q.ahead(c.upcoming(seqs)); err != nil {
			return false, err
		}
	}
	for _, seq := range seqs {
		r, err := c.q.fetch(seq)
		if err != nil {
			return false, err
		}
		if r == nil {
			continue
		}
		h := held{id: r.Event.ID(), seq: seq}
		if len(c.group) < groupMost {
			h.rec = r
		}
		c.group = append(c.group, h)
	}
	slices.SortFunc(c.group, func(a, b held) int { return compareIDs(a.id, b.id) })
	return false, nil
}

// upcoming returns what is to be read now and what will be soon.
func (c *createdSource) upcoming(now []uint64) []uint64 {
	most := c.q.near()
	seqs := append(make([]uint64, 0, most), now[:min(len(now), most)]...)
	for _, cur := range c.cursors {
		share := (most - len(now)) / len(c.cursors)
		for _, p := range cur.page[:max(0, min(share, len(cur.page)))] {
			seqs = append(seqs, p.seq)
		}
	}
	return seqs
}

// A cursor walks the rows of one term, or all places, by created_at, falling.
type cursor struct {
	q       *query
	all     bool
	term    int64
	since   mesh.Unix
	created int64 // of the last row read
	seq     uint64
	id      []byte
	page    []posting
	size    int
	done    bool
}

func (c *cursor) peek() (posting, bool, error) {
	for len(c.page) == 0 && !c.done {
		if err := c.read(); err != nil {
			return posting{}, false, err
		}
	}
	if len(c.page) == 0 {
		return posting{}, false, nil
	}
	return c.page[0], true, nil
}

// read takes the next page: at first little more than what is wanted, since most
// readers want no more.
func (c *cursor) read() error {
	c.size = min(max(2*c.size, c.q.near()+4), 512)
	if c.all {
		return c.readPlaces()
	}
	page, err := collect(c.q.s.q.termsDown, scanPosting, c.term, c.created, c.seq, c.since, c.size)
	if err != nil {
		return err
	}
	c.page, c.done = page, len(page) < c.size
	if !c.done {
		last := page[len(page)-1]
		c.created, c.seq = int64(last.created), last.seq
	}
	return nil
}

func (c *cursor) readPlaces() error {
	if c.id == nil {
		c.id = []byte{}
	}
	page, err := collect(c.q.s.q.placesDown, scanPlace, c.created, c.id, c.since, c.size)
	if err != nil {
		return err
	}
	c.done = len(page) < c.size
	if !c.done {
		last := page[len(page)-1]
		c.created, c.id = int64(last.created), last.id[:]
	}
	for _, r := range page {
		if r.gone == 0 && r.seq <= c.q.view.folded {
			c.page = append(c.page, posting{created: r.created, seq: r.seq})
		}
	}
	return nil
}

package store

import (
	"database/sql"

	"drey/mesh"
)

// searchMost is how many events that the index finds are read to put them into
// the order of their dates. A word that leads to more is met soon by whoever
// reads the newest.
const searchMost = 16_384

// searchPlan chooses how to read for a search; nil when the index says nothing
// about it, or not better than the filter's lists, which lead to hits events.
// What lies in (after, last] counts; what the index does not have of it yet is
// read as it is.
func (q *query) searchPlan(after, last uint64, hits int) (source, error) {
	match := matchOf(q.search.Words())
	searched := min(q.view.searched, last)
	if match == "" || searched <= after {
		return nil, nil
	}
	if hits < countMost || q.filter.Order == mesh.NewestFirst {
		most := searchMost
		if hits < countMost { // else they were not counted to the end
			most = hits
		}
		var found int
		if err := q.s.q.countFound.QueryRow(match, after, searched, most).Scan(&found); err != nil {
			return nil, q.searchFailed(err)
		}
		if found >= most {
			return nil, nil
		}
	}
	tail := &logSource{q: q, low: searched, high: last, down: q.filter.Order == mesh.ReceiptLatest}
	index := &foundSource{q: q, match: match, low: after, high: searched, down: tail.down}
	switch q.filter.Order {
	case mesh.ReceiptFirst:
		return &chain{index, tail}, nil
	case mesh.ReceiptLatest:
		return &chain{tail, index}, nil
	}
	return q.sortedRecords(&chain{index, tail})
}

// searchFailed has a damaged index made anew and the query go on without it.
func (q *query) searchFailed(err error) error {
	if !indexFault(err) {
		return q.s.fail("read", err)
	}
	q.s.mu.Lock()
	q.s.mu.unsearchable = true
	q.s.mu.Unlock()
	q.s.nudge()
	return nil
}

// foundSource reads what the index finds, by seq, from (low, high].
type foundSource struct {
	q         *query
	match     string
	low, high uint64
	down      bool
	size      int
	page      []uint64
	done      bool
}

func (l *foundSource) next() (*mesh.Record, error) {
	for {
		for len(l.page) > 0 {
			seq := l.page[0]
			l.page = l.page[1:]
			if r, err := l.q.fetch(seq); r != nil || err != nil {
				return r, err
			}
		}
		if l.done {
			return nil, nil
		}
		stmt := l.q.s.q.foundUp
		if l.down {
			stmt = l.q.s.q.foundDown
		}
		l.size = min(max(4*l.size, readPage), searchMost)
		page, err := collect(stmt, func(rows *sql.Rows, seq *uint64) error { return rows.Scan(seq) }, l.match, l.low, l.high, l.size)
		if err != nil {
			return nil, err
		}
		l.page, l.done = page, len(page) < l.size
		if l.done {
			continue
		}
		if last := page[len(page)-1]; l.down {
			l.high = last - 1
		} else {
			l.low = last
		}
	}
}

// chain reads one source after the other.
type chain []source

func (c *chain) next() (*mesh.Record, error) {
	for len(*c) > 0 {
		if r, err := (*c)[0].next(); r != nil || err != nil {
			return r, err
		}
		*c = (*c)[1:]
	}
	return nil, nil
}

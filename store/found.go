package store

import (
	"database/sql"
	"slices"

	"drey/mesh"
)

// searchMost is how many events that the index finds are read to put them into
// the order of their dates. A word that leads to more is met soon by whoever
// reads the newest.
const searchMost = 16_384

// foundMost is how many of the newest are asked for first.
const foundMost = 512

// searchPlan chooses how to read for a search; nil when the index says nothing
// about it, or not better than the filter's lists, which lead to hits events.
// What lies in (after, last] counts; what the index does not have of it yet is
// read as it is.
func (q *query) searchPlan(after, last uint64, hits int) (source, error) {
	searched := min(q.view.searched, last)
	if searched <= after {
		return nil, nil
	}
	match, err := q.rare(gramsFor(q.search.Words()))
	if err != nil {
		return nil, q.searchFailed(err)
	}
	if match == "" {
		return nil, nil
	}
	// The newest tell whether there are few, and else how close together they are.
	list, err := q.found(match, after, searched, foundMost)
	if err != nil {
		return nil, q.searchFailed(err)
	}
	if len(list) == foundMost && q.filter.Order == mesh.NewestFirst {
		spread := searched - list[foundMost-1]
		if q.filter.Limit > 0 && uint64(q.filter.Limit)*spread/foundMost <= countMost {
			return nil, nil
		}
		rest, err := q.found(match, after, list[foundMost-1]-1, searchMost-foundMost)
		if err != nil {
			return nil, q.searchFailed(err)
		}
		list = append(list, rest...)
	}
	if hits < countMost && len(list) >= hits || len(list) == searchMost {
		return nil, nil
	}
	tail := &logSource{q: q, low: searched, high: last, down: q.filter.Order == mesh.ReceiptLatest}
	index := source(&foundSource{q: q, match: match, low: after, high: searched, down: tail.down})
	if len(list) < foundMost || q.filter.Order == mesh.NewestFirst {
		keys := make([]key, 0, len(list))
		for _, seq := range list {
			keys = append(keys, key{seq: seq})
		}
		if q.filter.Order == mesh.ReceiptFirst {
			slices.Reverse(keys)
		}
		index = &listSource{q, keys}
	}
	switch q.filter.Order {
	case mesh.ReceiptFirst:
		return &chain{index, tail}, nil
	case mesh.ReceiptLatest:
		return &chain{tail, index}, nil
	}
	return q.sortedRecords(&chain{index, tail})
}

// rareMost is how many events a gram may lead to that is rare.
const rareMost = 8192

// rare spells the question: for the rare grams alone where there are any, as to
// look common ones up beside them costs more than to read the few events.
func (q *query) rare(whole, begin []string) (match string, err error) {
	var rare []string
	for _, g := range whole {
		n, err := q.s.countGram(g, q.view.searched)
		if err != nil {
			return "", err
		}
		if n < rareMost {
			rare = append(rare, g)
		}
	}
	if rare != nil {
		whole = rare
	}
	return matchGrams(whole[:min(len(whole), commonMost)], begin), nil
}

// commonMost bounds the grams that are looked up together.
const commonMost = 8

// found asks the index for the newest by seq.
func (q *query) found(match string, after, last uint64, most int) ([]uint64, error) {
	return collect(q.s.q.foundDown, scanSeq, match, after, last, most)
}

func scanSeq(rows *sql.Rows, seq *uint64) error { return rows.Scan(seq) }

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
			if _, ok := l.q.read[seq]; !ok {
				if err := l.q.ahead(l.page[:min(len(l.page), l.q.near())]); err != nil {
					return nil, err
				}
			}
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
		page, err := collect(stmt, scanSeq, l.match, l.low, l.high, l.size)
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

package store

import "sync"

// countsMost bounds how many terms' counts are remembered.
const countsMost = 4096

// termCounts remember how many rows terms lead to for as long as the tables stay
// as they are: most questions name the same kinds, topics and people.
type termCounts struct {
	mu struct {
		sync.Mutex
		folded uint64 // as the tables were
		known  map[int64]termCount
	}
}

// countGram counts the events under a gram, up to rareMost. What the index holds
// up to searched is what it was counted over.
func (s *Store) countGram(gram string, searched uint64) (int, error) {
	return s.grams.count(termOf(termGram, gram), rareMost, searched, func() (n int, err error) {
		err = s.q.countGram.QueryRow(`"`+gram+`"`, rareMost).Scan(&n)
		return n, err
	})
}

// A termCount is a count up to a bound.
type termCount struct{ n, most int }

// count counts the rows under a term, up to most.
func (s *Store) count(term int64, most int, folded uint64) (int, error) {
	return s.terms.count(term, most, folded, func() (n int, err error) {
		err = s.q.countTerm.QueryRow(term, most).Scan(&n)
		return n, err
	})
}

func (t *termCounts) count(term int64, most int, folded uint64, count func() (int, error)) (int, error) {
	t.mu.Lock()
	if t.mu.folded != folded || len(t.mu.known) >= countsMost {
		t.mu.folded, t.mu.known = folded, make(map[int64]termCount)
	}
	c, ok := t.mu.known[term]
	t.mu.Unlock()
	if ok && (c.n < c.most || c.most >= most) {
		return min(c.n, most), nil
	}
	n, err := count()
	if err != nil {
		return 0, err
	}
	c = termCount{n, most}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.folded == folded {
		t.mu.known[term] = c
	}
	return c.n, nil
}

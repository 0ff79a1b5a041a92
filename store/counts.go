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

// A termCount is a count up to a bound.
type termCount struct{ n, most int }

// count counts the rows under a term, up to most.
func (s *Store) count(term int64, most int, folded uint64) (int, error) {
	t := &s.terms
	t.mu.Lock()
	if t.mu.folded != folded || len(t.mu.known) >= countsMost {
		t.mu.folded, t.mu.known = folded, make(map[int64]termCount)
	}
	c, ok := t.mu.known[term]
	t.mu.Unlock()
	if ok && (c.n < c.most || c.most >= most) {
		return min(c.n, most), nil
	}
	c = termCount{most: most}
	if err := s.q.countTerm.QueryRow(term, most).Scan(&c.n); err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.folded == folded {
		t.mu.known[term] = c
	}
	return c.n, nil
}

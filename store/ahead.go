package store

import "drey/mesh"

// aheadMost is how many events are read at once by their seqs: one statement
// costs as much as reading five.
const aheadMost = 32

// ahead reads records of the tables that the query may show next, so that fetch
// finds them.
func (q *query) ahead(seqs []uint64) error {
	if len(seqs) < 2 {
		return nil
	}
	if q.read == nil {
		q.read = make(map[uint64]*mesh.Record, len(seqs))
	}
	args := make([]any, aheadMost)
	for i := range args {
		args[i] = 0 // which no event has
	}
	for i, seq := range seqs[:min(len(seqs), aheadMost)] {
		args[i] = seq
		q.read[seq] = nil // not there, or not to be shown, unless it comes
	}
	// All rows first: a connection must not wait for the store's lock, whose
	// holder may be waiting for a connection.
	rows, err := collect(q.s.q.bodies, scanStored, args...)
	if err != nil {
		return err
	}
	for _, r := range rows {
		q.read[r.seq] = q.admit(r.body, r.seq)
	}
	return nil
}

// fetch reads one record of the tables if the query shows it.
func (q *query) fetch(seq uint64) (*mesh.Record, error) {
	if r, ok := q.read[seq]; ok {
		delete(q.read, seq)
		return r, nil
	}
	b, err := q.s.q.load(seq)
	if err != nil {
		return nil, err
	}
	return q.admit(b, seq), nil
}

// near tells how many events to read at once: about as many as the caller
// wants.
func (q *query) near() int {
	if q.filter.Limit > 0 {
		return min(q.filter.Limit, aheadMost)
	}
	return aheadMost
}

package store

import (
	"database/sql"

	"drey/mesh"
)

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
	rows, err := q.s.q.bodies.Query(args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var seq uint64
		var body sql.RawBytes
		if err := rows.Scan(&seq, &body); err != nil {
			return err
		}
		q.read[seq] = q.admit(body, seq)
	}
	return rows.Err()
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

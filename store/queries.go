package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync/atomic"

	"drey/mesh"
)

// queries are the statements that read the tables. Each call takes a
// connection only while it runs, holds no lock, and is short; so none of them
// needs to be interrupted, and a caller who goes away disturbs nobody.
type queries struct {
	byID, body, terms, termsDown, countTerm  *sql.Stmt
	logUp, logDown, placesDown, places, held *sql.Stmt
	owed, owedTurn, history, value, keys     *sql.Stmt
	mark, nextDue, probe, beginning, owedTo  *sql.Stmt
	foundUp, foundDown, bodies, countGram    *sql.Stmt
	next                                     *sql.Stmt

	had atomic.Pointer[bloom] // of every term in the tables; nil until it is made
}

// each lists the statements with their text. Limits are bound as "? + 0": a
// bare parameter there makes SQLite plan the statement anew at every call.
func (q *queries) each() map[**sql.Stmt]string {
	return map[**sql.Stmt]string{
		&q.byID:       "SELECT p.seq, p.created, p.gone, p.at FROM term t JOIN place p ON p.created = t.created AND p.id = ? WHERE t.term = ?",
		&q.beginning:  "SELECT DISTINCT p.id FROM term t JOIN place p ON p.created = t.created AND p.seq = t.seq WHERE t.term BETWEEN ? AND ? AND p.id BETWEEN ? AND ? LIMIT ? + 0",
		&q.body:       "SELECT body FROM event WHERE seq = ?",
		&q.terms:      "SELECT created, seq FROM term WHERE term = ? AND (created, seq) > (?, ?) AND created <= ? ORDER BY created, seq LIMIT ? + 0",
		&q.termsDown:  "SELECT created, seq FROM term WHERE term = ? AND (created, seq) < (?, ?) AND created >= ? ORDER BY created DESC, seq DESC LIMIT ? + 0",
		&q.countTerm:  "SELECT count(*) FROM (SELECT 1 FROM term WHERE term = ? LIMIT ? + 0)",
		&q.logUp:      "SELECT seq, body FROM event WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ? + 0",
		&q.logDown:    "SELECT seq, body FROM event WHERE seq > ? AND seq <= ? ORDER BY seq DESC LIMIT ? + 0",
		&q.places:     "SELECT created, id, seq, gone FROM place WHERE (created, id) > (?, ?) AND created <= ? ORDER BY created, id LIMIT ? + 0",
		&q.placesDown: "SELECT created, id, seq, gone FROM place WHERE (created, id) < (?, ?) AND created >= ? ORDER BY created DESC, id DESC LIMIT ? + 0",
		&q.held:       "SELECT created, id, seq, gone FROM place WHERE (created, id) > (?, ?) AND gone = 0 ORDER BY created, id LIMIT ? + 0",
		&q.owed:       "SELECT priority, attempts FROM owed WHERE seq = ? AND carrier = ? AND target = ?",
		&q.owedTurn:   "SELECT seq, target, id, priority, attempts FROM owed WHERE carrier = ? ORDER BY priority, seq, target LIMIT ? + 0",
		&q.owedTo:     "SELECT seq, target, id, priority, attempts FROM owed WHERE carrier = ? AND target = ? ORDER BY priority, seq LIMIT ? + 0",
		&q.history:    "SELECT n, line FROM history WHERE seq = ? ORDER BY n",
		&q.value:      "SELECT value FROM shelf WHERE name = ? AND key = ?",
		&q.keys:       "SELECT key FROM shelf WHERE name = ?",
		&q.mark:       "SELECT coalesce(max(seq), 0) FROM mark WHERE seq < coalesce((SELECT min(seq) FROM mark WHERE received >= ?), 9223372036854775807)",
		&q.next:       "SELECT term FROM term WHERE term >= ? ORDER BY term LIMIT ? + 0",
		&q.probe:      "SELECT 1 FROM term WHERE term = ? LIMIT 1",
		&q.bodies:     "SELECT seq, body FROM event WHERE seq IN (" + strings.Repeat("?, ", aheadMost-1) + "?)",
		&q.countGram:  "SELECT count(*) FROM (SELECT 1 FROM search WHERE search MATCH ? LIMIT ? + 0)",
		&q.foundUp:    "SELECT rowid FROM search WHERE search MATCH ? AND rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ? + 0",
		&q.foundDown:  "SELECT rowid FROM search WHERE search MATCH ? AND rowid > ? AND rowid <= ? ORDER BY rowid DESC LIMIT ? + 0",
		&q.nextDue:    "SELECT created FROM term WHERE term = 1 AND created > ? ORDER BY created LIMIT 1",
	}
}

func prepareQueries(ctx context.Context, r *sql.DB) (*queries, error) {
	q := new(queries)
	for stmt, text := range q.each() {
		var err error
		if *stmt, err = r.PrepareContext(ctx, text); err != nil {
			return nil, errors.Join(err, q.close())
		}
	}
	return q, nil
}

func (q *queries) close() error {
	var errs []error
	for stmt := range q.each() {
		if *stmt != nil {
			errs = append(errs, (*stmt).Close())
		}
	}
	return errors.Join(errs...)
}

// A row is what the tables say of an id.
type row struct {
	id      mesh.EventID
	seq     uint64
	created mesh.Unix
	gone    mesh.Reason
	at      int64
}

// lacks reports that the tables surely have no row under a term.
func (q *queries) lacks(term int64) bool {
	b := q.had.Load()
	return b != nil && b.lacks(term)
}

// find looks an id up in the tables.
func (q *queries) find(id mesh.EventID) (row, bool, error) {
	if q.lacks(idTerm(id)) {
		return row{}, false, nil
	}
	r := row{id: id}
	err := q.byID.QueryRow(id[:], idTerm(id)).Scan(&r.seq, &r.created, &r.gone, &r.at)
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, false, nil
	}
	return r, err == nil, err
}

// any reports whether the tables have a row under one of some terms. One after
// the other is cheaper than one statement for all: this is asked for every event
// that comes, and mostly finds none.
func (q *queries) any(terms []int64) (bool, error) {
	for _, t := range terms {
		if q.lacks(t) {
			continue
		}
		var one int
		if err := q.probe.QueryRow(t).Scan(&one); !errors.Is(err, sql.ErrNoRows) {
			return err == nil, err
		}
	}
	return false, nil
}

// load reads the body of an event; nil when there is none.
func (q *queries) load(seq uint64) ([]byte, error) {
	var b []byte
	err := q.body.QueryRow(seq).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return b, err
}

// collect runs a query and scans each row with scan.
func collect[T any](stmt *sql.Stmt, scan func(rows *sql.Rows, v *T) error, args ...any) ([]T, error) {
	rows, err := stmt.Query(args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		var v T
		if err := scan(rows, &v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// scanPosting reads (created, seq). What is no int64 would go through a text.
func scanPosting(rows *sql.Rows, p *posting) error {
	var created, seq int64
	err := rows.Scan(&created, &seq)
	p.created, p.seq = mesh.Unix(created), uint64(seq)
	return err
}

// scanPlace reads (created, id, seq, gone).
func scanPlace(rows *sql.Rows, r *row) error {
	var id sql.RawBytes
	if err := rows.Scan(&r.created, &id, &r.seq, &r.gone); err != nil {
		return err
	}
	if len(id) != len(r.id) {
		return errForm
	}
	copy(r.id[:], id)
	return nil
}

func scanTerm(rows *sql.Rows, t *int64) error { return rows.Scan(t) }

// A stored event as its row has it.
type stored struct {
	seq  uint64
	body []byte
}

func scanStored(rows *sql.Rows, s *stored) error { return rows.Scan(&s.seq, &s.body) }

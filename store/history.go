package store

import (
	"context"
	"database/sql"
	"time"
	"unicode/utf8"

	"drey/mesh"
)

const (
	// historyLines bounds the lines kept for one event, besides the first,
	// which follow from its record.
	historyLines = 64
	// stepText bounds each text of a line, in bytes.
	stepText = 512
)

// Note adds a line to an event's history; the texts of a line are cut at 512
// bytes. mesh.ErrNotFound when the id was never known.
func (s *Store) Note(ctx context.Context, id mesh.EventID, step mesh.Step) error {
	if err := s.enter(ctx, false); err != nil {
		return err
	}
	st, known, err := s.stateLocked(id)
	var b *batch
	if err == nil && !known {
		err = mesh.ErrNotFound
	}
	if err == nil {
		s.mu.line++
		step.At = step.At.Round(0).UTC()
		step.Carrier, step.Target, step.State = cut(step.Carrier), cut(step.Target), cut(step.State)
		s.logLocked(&op{what: opNote, seq: st.seq, n: s.mu.line, step: step})
		b = s.mu.batch
	}
	s.leave(b, false)
	return err
}

// cut shortens s to stepText bytes, never inside a character.
func cut(s string) string {
	if len(s) <= stepText {
		return s
	}
	n := stepText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// History returns an event's lines, oldest first: how it came in, what was
// noted, and how it went. mesh.ErrNotFound when the id was never known.
func (s *Store) History(ctx context.Context, id mesh.EventID) ([]mesh.Step, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	st, rec, err := s.look(id)
	if err != nil {
		return nil, err
	}
	var steps []mesh.Step
	if rec != nil {
		if rec.Carrier != "" {
			steps = append(steps, mesh.Step{At: rec.Received, Carrier: rec.Carrier, State: "received"})
		}
		if st.batch == nil || s.saved(st.batch) {
			steps = append(steps, mesh.Step{At: rec.Received, State: "saved"})
		}
	}
	if st.gone != mesh.ReasonPruned { // pruning makes room: the lines go too
		notes, err := s.notes(st.seq)
		if err != nil {
			return nil, err
		}
		for _, n := range notes {
			steps = append(steps, n.step)
		}
	}
	if st.gone != 0 {
		steps = append(steps, mesh.Step{At: time.Unix(0, st.at).UTC(), State: "gone: " + st.gone.String()})
	}
	return steps, nil
}

func (s *Store) saved(b *batch) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return b.saved
}

// notes returns the last lines noted for an event.
func (s *Store) notes(seq uint64) ([]note, error) {
	v := s.view()
	var above []note
	s.mu.RLock()
	for i := len(v.layers) - 1; i >= 0; i-- {
		above = append(above, v.layers[i].notes[seq]...)
	}
	s.mu.RUnlock()
	below, err := collect(s.q.history, func(rows *sql.Rows, n *note) error {
		var b sql.RawBytes
		if err := rows.Scan(&n.n, &b); err != nil {
			return err
		}
		var err error
		n.step, err = parseStep(b)
		return err
	}, seq)
	if err != nil {
		return nil, s.fail("read", err)
	}
	if len(above) > 0 { // lines on their way into the tables may be in both
		for len(below) > 0 && below[len(below)-1].n >= above[0].n {
			below = below[:len(below)-1]
		}
	}
	return lastOf(append(below, above...), historyLines), nil
}

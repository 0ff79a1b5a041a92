package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"

	"drey/mesh"
)

// Owed lists what a carrier still owes, most urgent first, then oldest, then
// by target; limit 0 means all.
func (s *Store) Owed(ctx context.Context, carrier string, limit int) ([]mesh.Owed, error) {
	return s.owes(ctx, carrier, nil, limit)
}

// OwedTo is Owed for one target of a carrier.
func (s *Store) OwedTo(ctx context.Context, carrier, target string, limit int) ([]mesh.Owed, error) {
	return s.owes(ctx, carrier, &target, limit)
}

func (s *Store) owes(ctx context.Context, carrier string, target *string, limit int) ([]mesh.Owed, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.sweep(); err != nil {
		return nil, err
	}
	v := s.view()
	var owed []mesh.Owed
	said := make(map[mesh.Key]bool) // by a layer, so not by what lies below
	gone := make(map[mesh.EventID]bool)
	s.mu.RLock()
	for _, l := range v.layers {
		for id, en := range l.ids {
			if en.gone != 0 {
				gone[id] = true
			}
		}
	}
	for _, l := range v.layers {
		for k, o := range l.owed[carrier] {
			if target != nil && k.Target != *target {
				continue
			}
			if !said[k] && o != nil && !gone[k.ID] {
				owed = append(owed, *o)
			}
			said[k] = true
		}
	}
	s.mu.RUnlock()

	below, err := s.owedBelow(carrier, target, limit, func(o *mesh.Owed) bool {
		return o.Seq <= v.folded && !said[o.Key] && !gone[o.ID]
	})
	if err != nil {
		return nil, err
	}
	owed = append(owed, below...)
	slices.SortFunc(owed, func(a, b mesh.Owed) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Target, b.Target))
	})
	if limit > 0 && len(owed) > limit {
		owed = owed[:limit]
	}
	return owed, nil
}

// owedBelow lists the first deliveries of a carrier, or of one target of it, in
// the tables that count; limit 0 means all.
func (s *Store) owedBelow(carrier string, target *string, limit int, counts func(*mesh.Owed) bool) ([]mesh.Owed, error) {
	for most := max(limit, 0); ; most *= 2 {
		ask := most
		if limit <= 0 {
			ask = -1
		}
		stmt, args := s.q.owedTurn, []any{carrier, ask}
		if target != nil {
			stmt, args = s.q.owedTo, []any{carrier, *target, ask}
		}
		rows, err := collect(stmt, func(rows *sql.Rows, o *mesh.Owed) error {
			var id sql.RawBytes
			if err := rows.Scan(&o.Seq, &o.Target, &id, &o.Priority, &o.Attempts); err != nil {
				return err
			}
			copy(o.ID[:], id)
			o.Carrier = carrier
			return nil
		}, args...)
		if err != nil {
			return nil, s.fail("read", err)
		}
		all := len(rows)
		rows = slices.DeleteFunc(rows, func(o mesh.Owed) bool { return !counts(&o) })
		if ask < 0 || all < ask || len(rows) >= limit {
			return rows, nil
		}
	}
}

// Attempt records that a delivery is about to be tried and returns, once that
// is on disk, the number of the attempt from 1; mesh.ErrNotFound when the
// delivery is not owed, or no more.
func (s *Store) Attempt(ctx context.Context, k mesh.Key) (int, error) {
	if err := s.enter(ctx, true); err != nil {
		return 0, err
	}
	o, err := s.debtLocked(k)
	var b *batch
	if err == nil {
		o.Attempts++
		s.logLocked(&op{what: opOwe, owed: o})
		b = s.mu.batch
	}
	s.leave(b, true)
	if err != nil {
		return 0, err
	}
	return o.Attempts, s.await(ctx, b)
}

// Settle ends a delivery; its history stays. What is not owed is settled
// already. It is on disk within 5 s.
func (s *Store) Settle(ctx context.Context, k mesh.Key) error {
	if err := s.enter(ctx, false); err != nil {
		return err
	}
	o, err := s.debtLocked(k)
	var b *batch
	if err == nil {
		s.logLocked(&op{what: opSettle, owed: o})
		b = s.mu.batch
	}
	s.leave(b, false)
	if errors.Is(err, mesh.ErrNotFound) {
		return nil
	}
	return err
}

// debtLocked returns a delivery that is owed, or mesh.ErrNotFound.
func (s *Store) debtLocked(k mesh.Key) (mesh.Owed, error) {
	if err := s.sweepLocked(s.clock()); err != nil {
		return mesh.Owed{}, err
	}
	st, known, err := s.stateLocked(k.ID)
	if err != nil {
		return mesh.Owed{}, err
	}
	if !known || st.gone != 0 {
		return mesh.Owed{}, mesh.ErrNotFound
	}
	for _, l := range s.layersLocked() {
		if o, ok := l.owed[k.Carrier][k]; ok {
			if o == nil {
				return mesh.Owed{}, mesh.ErrNotFound
			}
			return *o, nil
		}
	}
	o := mesh.Owed{Key: k, Seq: st.seq}
	err = s.q.owed.QueryRow(st.seq, k.Carrier, k.Target).Scan(&o.Priority, &o.Attempts)
	if errors.Is(err, sql.ErrNoRows) {
		return mesh.Owed{}, mesh.ErrNotFound
	}
	return o, s.fail("read", err)
}

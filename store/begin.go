package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"math"
	"slices"
	"strings"

	"drey/mesh"
)

// shortest is how many hexadecimal digits of an id Beginning wants: as many as
// keep the stretch of the index that it reads small.
const shortest = 8

// Beginning returns up to most ids that begin with the lower-case hexadecimal
// digits of prefix, sorted, of events held or known to be gone. Who may see
// them is for the caller to ask of Record. Fewer digits than eight find nothing.
func (s *Store) Beginning(ctx context.Context, prefix string, most int) ([]mesh.EventID, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	digits := 2 * len(mesh.EventID{})
	if len(prefix) < shortest || len(prefix) > digits || most <= 0 {
		return nil, nil
	}
	low, err := mesh.ParseEventID(prefix + strings.Repeat("0", digits-len(prefix)))
	if err != nil {
		return nil, nil
	}
	high, err := mesh.ParseEventID(prefix + strings.Repeat("f", digits-len(prefix)))
	if err != nil {
		return nil, nil
	}
	ids := s.pendingBeginning(prefix)
	rows, err := collect(s.q.beginning, func(rows *sql.Rows, id *mesh.EventID) error {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return err
		}
		copy(id[:], b)
		return nil
	}, idTerm(low), idTerm(high), low[:], high[:], int64(min(most, math.MaxInt32)))
	if err != nil {
		return nil, s.fail("read", err)
	}
	ids = append(ids, rows...)
	slices.SortFunc(ids, compareIDs)
	ids = slices.Compact(ids)
	return ids[:min(most, len(ids))], nil
}

// pendingBeginning lists the ids that are not in the tables yet.
func (s *Store) pendingBeginning(prefix string) []mesh.EventID {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var ids []mesh.EventID
	for _, l := range s.layersLocked() {
		for id := range l.ids {
			if strings.HasPrefix(hex.EncodeToString(id[:4]), prefix[:shortest]) && strings.HasPrefix(id.String(), prefix) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

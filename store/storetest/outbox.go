package storetest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"drey/mesh"
)

// Owed implements the hub's Store.
func (m *Memory) Owed(ctx context.Context, carrier string, limit int) ([]mesh.Owed, error) {
	return m.owes(carrier, nil, limit)
}

// OwedTo implements the hub's Store.
func (m *Memory) OwedTo(ctx context.Context, carrier, target string, limit int) ([]mesh.Owed, error) {
	return m.owes(carrier, &target, limit)
}

func (m *Memory) owes(carrier string, target *string, limit int) ([]mesh.Owed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweepLocked(m.clock())
	var owed []mesh.Owed
	for k, o := range m.mu.owed {
		if k.Carrier == carrier && (target == nil || k.Target == *target) {
			owed = append(owed, *o)
		}
	}
	slices.SortFunc(owed, func(a, b mesh.Owed) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Target, b.Target))
	})
	if limit > 0 && len(owed) > limit {
		owed = owed[:limit]
	}
	return owed, nil
}

// Attempt implements the hub's Store; mesh.ErrNotFound when k is not owed.
func (m *Memory) Attempt(ctx context.Context, k mesh.Key) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweepLocked(m.clock())
	o := m.mu.owed[k]
	if o == nil {
		return 0, mesh.ErrNotFound
	}
	o.Attempts++
	return o.Attempts, nil
}

// Settle implements the hub's Store. What is not owed is settled already.
func (m *Memory) Settle(ctx context.Context, k mesh.Key) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweepLocked(m.clock())
	delete(m.mu.owed, k)
	return nil
}

// Note implements the hub's Store; mesh.ErrNotFound when id was never known.
func (m *Memory) Note(ctx context.Context, id mesh.EventID, s mesh.Step) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	en := m.mu.known[id]
	if en == nil {
		return mesh.ErrNotFound
	}
	s.At = s.At.Round(0).UTC()
	en.steps = append(en.steps, s)
	if extra := len(en.steps) - historyLines; extra > 0 {
		en.steps = slices.Delete(en.steps, 0, extra)
	}
	return nil
}

// History implements the hub's Store; mesh.ErrNotFound when id was never known.
func (m *Memory) History(ctx context.Context, id mesh.EventID) ([]mesh.Step, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweepLocked(m.clock())
	en := m.mu.known[id]
	if en == nil {
		return nil, mesh.ErrNotFound
	}
	var steps []mesh.Step
	if r := en.rec; r != nil {
		if r.Carrier != "" {
			steps = append(steps, mesh.Step{At: r.Received, Carrier: r.Carrier, State: "received"})
		}
		steps = append(steps, mesh.Step{At: r.Received, State: "saved"})
	}
	if en.gone != mesh.ReasonPruned { // pruning makes room: the lines go too
		steps = append(steps, en.steps...)
	}
	if en.gone != 0 {
		steps = append(steps, mesh.Step{At: en.at.Round(0).UTC(), State: "gone: " + en.gone.String()})
	}
	return steps, nil
}

// Shelf returns the shelf of one part. Shelves of different names share nothing.
func (m *Memory) Shelf(name string) mesh.Shelf { return &shelf{m, name} }

type shelf struct {
	m    *Memory
	name string
}

func (s *shelf) Value(ctx context.Context, key string) ([]byte, error) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	v, ok := s.m.mu.shelves[s.name][key]
	if !ok {
		return nil, mesh.ErrNotFound
	}
	return slices.Clone(v), nil
}

func (s *shelf) Put(ctx context.Context, key string, value []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if s.m.mu.shelves[s.name] == nil {
		s.m.mu.shelves[s.name] = make(map[string][]byte)
	}
	s.m.mu.shelves[s.name][key] = append([]byte{}, value...)
	return nil
}

func (s *shelf) Delete(ctx context.Context, key string) error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	delete(s.m.mu.shelves[s.name], key)
	return nil
}

func (s *shelf) Keys(ctx context.Context, prefix string) ([]string, error) {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	keys := slices.Sorted(maps.Keys(s.m.mu.shelves[s.name]))
	return slices.DeleteFunc(keys, func(k string) bool { return !strings.HasPrefix(k, prefix) }), nil
}

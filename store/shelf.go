package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"drey/mesh"
)

// Shelf returns the shelf of one part. Shelves of different names share nothing.
func (s *Store) Shelf(name string) mesh.Shelf { return &shelf{s, name} }

type shelf struct {
	s    *Store
	name string
}

// Value implements mesh.Shelf.
func (h *shelf) Value(ctx context.Context, key string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := h.s
	s.mu.RLock()
	for _, l := range s.layersLocked() {
		if v, ok := l.shelf[shelfKey{h.name, key}]; ok {
			s.mu.RUnlock()
			if v == nil {
				return nil, mesh.ErrNotFound
			}
			return bytes.Clone(v), nil
		}
	}
	s.mu.RUnlock()
	v := []byte{}
	err := s.q.value.QueryRow(h.name, key).Scan(&v)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, mesh.ErrNotFound
	}
	return v, s.fail("read", err)
}

// Put implements mesh.Shelf.
func (h *shelf) Put(ctx context.Context, key string, value []byte) error {
	return h.change(ctx, &op{what: opPut, name: h.name, key: key, value: value})
}

// Delete implements mesh.Shelf; like Put it returns when the disk knows.
func (h *shelf) Delete(ctx context.Context, key string) error {
	return h.change(ctx, &op{what: opDrop, name: h.name, key: key})
}

func (h *shelf) change(ctx context.Context, o *op) error {
	s := h.s
	if err := s.enter(ctx, true); err != nil {
		return err
	}
	s.logLocked(o)
	b := s.mu.batch
	s.leave(b, true)
	return s.await(ctx, b)
}

// Keys implements mesh.Shelf.
func (h *shelf) Keys(ctx context.Context, prefix string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	v := h.s.view()
	above := make(map[string]bool)
	h.s.mu.RLock()
	for i := len(v.layers) - 1; i >= 0; i-- {
		for k, value := range v.layers[i].shelf {
			if k.name == h.name {
				above[k.key] = value != nil
			}
		}
	}
	h.s.mu.RUnlock()
	keys, err := collect(h.s.q.keys, func(rows *sql.Rows, k *string) error { return rows.Scan(k) }, h.name)
	if err != nil {
		return nil, h.s.fail("read", err)
	}
	keys = slices.DeleteFunc(keys, func(k string) bool { _, said := above[k]; return said })
	for k, there := range above {
		if there {
			keys = append(keys, k)
		}
	}
	keys = slices.DeleteFunc(keys, func(k string) bool { return !strings.HasPrefix(k, prefix) })
	slices.Sort(keys)
	return keys, nil
}

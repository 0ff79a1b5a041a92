package negentropy

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"
	"sort"

	"drey/mesh"
)

// A Set is the sorted list of items that one side brings to a reconciliation:
// 40 bytes an item. The zero Set is empty. After Seal it is safe for concurrent
// use.
type Set struct {
	items    []mesh.Item
	unsorted bool
}

// Add adds an item; in order is cheapest.
func (s *Set) Add(it mesh.Item) {
	if n := len(s.items); n > 0 && Compare(s.items[n-1], it) >= 0 {
		s.unsorted = true
	}
	s.items = append(s.items, it)
}

// Seal sorts the set and drops doubles, keeping what was added first.
func (s *Set) Seal() {
	if !s.unsorted {
		return
	}
	slices.SortStableFunc(s.items, Compare)
	s.items = slices.CompactFunc(s.items, func(a, b mesh.Item) bool { return Compare(a, b) == 0 })
	s.unsorted = false
}

// Len returns the number of items.
func (s *Set) Len() int { return len(s.items) }

// Items returns the set's own items, in order once it is sealed.
func (s *Set) Items() []mesh.Item { return s.items }

// Compare orders items by created_at, then id.
func Compare(a, b mesh.Item) int {
	if c := cmp.Compare(a.CreatedAt, b.CreatedAt); c != 0 {
		return c
	}
	return bytes.Compare(a.ID[:], b.ID[:])
}

// search returns the index of the first item not before end, looking from
// index from on.
func (s *Set) search(end bound, from int) int {
	if end.infinite {
		return len(s.items)
	}
	return from + sort.Search(len(s.items)-from, func(i int) bool {
		it := &s.items[from+i]
		if c := uint64(it.CreatedAt); c != end.created {
			return c > end.created
		}
		return bytes.Compare(it.ID[:], end.id[:]) >= 0
	})
}

// fingerprint sums up the items from lower up to, not including, upper.
func (s *Set) fingerprint(lower, upper int) [fingerprintSize]byte {
	var sum [4]uint64
	for i := lower; i < upper; i++ {
		id := &s.items[i].ID
		var carry uint64
		sum[0], carry = bits.Add64(sum[0], binary.LittleEndian.Uint64(id[0:]), 0)
		sum[1], carry = bits.Add64(sum[1], binary.LittleEndian.Uint64(id[8:]), carry)
		sum[2], carry = bits.Add64(sum[2], binary.LittleEndian.Uint64(id[16:]), carry)
		sum[3], _ = bits.Add64(sum[3], binary.LittleEndian.Uint64(id[24:]), carry)
	}
	b := make([]byte, 0, 32+9)
	for _, v := range sum {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	h := sha256.Sum256(appendVarint(b, uint64(upper-lower)))
	return [fingerprintSize]byte(h[:])
}

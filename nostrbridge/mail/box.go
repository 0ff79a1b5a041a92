package mail

import (
	"sync"

	"drey/mesh"
)

// Limits of the mail that a node keeps for others until they come for it.
type Limits struct {
	Wraps int   // for one reader; 0 means 2000
	Bytes int   // for one reader; 0 means 16 MiB
	Total int64 // for all readers; 0 means 128 MiB
}

const (
	defaultWraps = 2000
	defaultBytes = 16 << 20
	defaultTotal = 128 << 20
)

// A box knows which wraps are kept here, for whom, and in which order they came.
// Their text is in the store.
type box struct {
	limits Limits // immutable

	mu struct {
		sync.Mutex
		by      map[mesh.PubKey]*slot
		bytes   int64
		wraps   int
		dropped uint64
	}
}

// A slot is one reader's.
type slot struct {
	kept  []kept // oldest first
	bytes int
}

type kept struct {
	id      mesh.EventID
	created mesh.Unix
	seq     uint64
	size    int
}

func newBox(l Limits) *box {
	if l.Wraps == 0 {
		l.Wraps = defaultWraps
	}
	if l.Bytes == 0 {
		l.Bytes = defaultBytes
	}
	if l.Total == 0 {
		l.Total = defaultTotal
	}
	b := &box{limits: l}
	b.mu.by = make(map[mesh.PubKey]*slot)
	return b
}

// add counts a wrap and returns those that there is no room for any more, the
// oldest: first the reader's own, then anybody's. A wrap counts for the first
// reader that it names.
func (b *box) add(r *mesh.Record) []kept {
	to, ok := readerOf(r.Event)
	if !ok {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.mu.by[to]
	if s == nil {
		s = new(slot)
		b.mu.by[to] = s
	}
	k := kept{r.Event.ID(), r.Event.CreatedAt(), r.Seq, len(r.Event.Content()) + 300}
	s.kept = append(s.kept, k)
	s.bytes += k.size
	b.mu.bytes += int64(k.size)
	b.mu.wraps++
	var out []kept
	for len(s.kept) > b.limits.Wraps || s.bytes > b.limits.Bytes {
		out = append(out, b.dropLocked(to, s))
	}
	for b.mu.bytes > b.limits.Total {
		to, s := b.oldestLocked()
		out = append(out, b.dropLocked(to, s))
	}
	b.mu.dropped += uint64(len(out))
	return out
}

func (b *box) dropLocked(to mesh.PubKey, s *slot) kept {
	k := s.kept[0]
	s.kept = s.kept[1:]
	s.bytes -= k.size
	b.mu.bytes -= int64(k.size)
	b.mu.wraps--
	if len(s.kept) == 0 {
		delete(b.mu.by, to)
	}
	return k
}

func (b *box) oldestLocked() (to mesh.PubKey, oldest *slot) {
	for k, s := range b.mu.by {
		if oldest == nil || s.kept[0].seq < oldest.kept[0].seq {
			to, oldest = k, s
		}
	}
	return to, oldest
}

// readerOf returns the first reader whom a wrap names.
func readerOf(e *mesh.Event) (mesh.PubKey, bool) {
	for _, v := range e.TagValues("p") {
		if k, err := mesh.ParsePubKey(v); err == nil {
			return k, true
		}
	}
	return mesh.PubKey{}, false
}

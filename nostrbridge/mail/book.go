package mail

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"

	"drey/mesh"
)

// Bounds of the book. Beyond them the oldest messages go.
const (
	maxMessages  = 10_000
	maxBookBytes = 48 << 20
	dropAtOnce   = 64 // so that a full book is not tidied for each message
)

// A book holds the messages that were written or opened here. The shelf has
// them, under m/SEQ/ID/SIZE, and the book where they are:
//
//	m/000000000000002a/<id>/<size>  a message, opened
//	b/<bundle>/<part>               the message that holds a part of a bundle
//
// The size is as it was first written; it is for the bounds only.
type book struct {
	shelf mesh.Shelf // immutable
	most  int        // messages; immutable once the book is in use

	writing sync.Mutex // held while a message is changed

	mu struct {
		sync.RWMutex
		order   []entry // by seq
		by      map[mesh.EventID]entry
		last    uint64 // seq
		bytes   int
		dropped uint64
		changed chan struct{} // closed at the next change
	}
}

// An entry is where a message is.
type entry struct {
	seq  uint64
	id   mesh.EventID
	size int
}

func (e entry) key() string { return fmt.Sprintf("m/%016x/%s/%d", e.seq, e.id, e.size) }

func newBook(s mesh.Shelf) *book {
	b := &book{shelf: s, most: maxMessages}
	b.mu.by = make(map[mesh.EventID]entry)
	b.mu.changed = make(chan struct{})
	return b
}

// load learns where the messages are. It is called once, before all else.
func (b *book) load(ctx context.Context) error {
	keys, err := b.shelf.Keys(ctx, "m/")
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range keys {
		e, ok := parseEntry(k)
		if !ok {
			continue
		}
		b.addLocked(e)
	}
	return nil
}

func parseEntry(key string) (e entry, ok bool) {
	f := strings.Split(key, "/")
	if len(f) != 4 {
		return entry{}, false
	}
	var err error
	if e.seq, err = strconv.ParseUint(f[1], 16, 64); err != nil {
		return entry{}, false
	}
	if e.id, err = mesh.ParseEventID(f[2]); err != nil {
		return entry{}, false
	}
	e.size, err = strconv.Atoi(f[3])
	return e, err == nil && e.seq > 0
}

func (b *book) addLocked(e entry) {
	b.mu.order = append(b.mu.order, e)
	b.mu.by[e.id] = e
	b.mu.last = max(b.mu.last, e.seq)
	b.mu.bytes += e.size
}

// add puts a message at the end of the book and returns when it is on disk;
// mesh.ErrDuplicate where it is there. It sets m.Seq.
func (b *book) add(ctx context.Context, m *Message) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	id := m.ID()
	b.mu.RLock()
	_, known := b.mu.by[id]
	m.Seq = b.mu.last + 1
	b.mu.RUnlock()
	if known {
		return mesh.ErrDuplicate
	}
	value, err := m.encode()
	if err != nil {
		return err
	}
	e := entry{m.Seq, id, len(value)}
	if err := b.shelf.Put(ctx, e.key(), value); err != nil {
		return err
	}
	b.mu.Lock()
	b.addLocked(e)
	b.changedLocked()
	drop := b.crowdLocked()
	b.mu.Unlock()
	for _, d := range drop {
		if err := b.delete(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// delete takes a message off the shelf.
func (b *book) delete(ctx context.Context, e entry) error {
	if m, err := b.open(ctx, e); err == nil {
		if err := forgetPart(ctx, b.shelf, m.Rumor); err != nil {
			return err
		}
	}
	return b.shelf.Delete(ctx, e.key())
}

// crowdLocked takes out the oldest where there are too many.
func (b *book) crowdLocked() []entry {
	if len(b.mu.order) <= b.most && b.mu.bytes <= maxBookBytes {
		return nil
	}
	n := 0
	for n < len(b.mu.order)-1 && (n < dropAtOnce || len(b.mu.order)-n > b.most || b.mu.bytes > maxBookBytes) {
		e := b.mu.order[n]
		delete(b.mu.by, e.id)
		b.mu.bytes -= e.size
		n++
	}
	b.mu.dropped += uint64(n)
	drop := slices.Clone(b.mu.order[:n])
	b.mu.order = slices.Delete(b.mu.order, 0, n)
	return drop
}

// change reads a message, has it changed, and returns when that is on disk. With
// false from f nothing is written.
func (b *book) change(ctx context.Context, id mesh.EventID, f func(*Message) bool) (*Message, error) {
	b.writing.Lock()
	defer b.writing.Unlock()
	e, m, err := b.read(ctx, id)
	if err != nil {
		return nil, err
	}
	if !f(m) {
		return m, nil
	}
	value, err := m.encode()
	if err != nil {
		return nil, err
	}
	if err := b.shelf.Put(ctx, e.key(), value); err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.changedLocked()
	b.mu.Unlock()
	return m, nil
}

// remove takes a message out that was never sent.
func (b *book) remove(ctx context.Context, id mesh.EventID) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.mu.Lock()
	e, ok := b.mu.by[id]
	if ok {
		delete(b.mu.by, id)
		b.mu.bytes -= e.size
		b.mu.order = slices.DeleteFunc(b.mu.order, func(o entry) bool { return o.id == id })
	}
	b.mu.Unlock()
	if !ok {
		return nil
	}
	return b.delete(ctx, e)
}

func (b *book) read(ctx context.Context, id mesh.EventID) (entry, *Message, error) {
	b.mu.RLock()
	e, ok := b.mu.by[id]
	b.mu.RUnlock()
	if !ok {
		return e, nil, mesh.ErrNotFound
	}
	m, err := b.open(ctx, e)
	return e, m, err
}

func (b *book) open(ctx context.Context, e entry) (*Message, error) {
	value, err := b.shelf.Value(ctx, e.key())
	if err != nil {
		return nil, err
	}
	return decodeMessage(e.seq, value)
}

func (b *book) has(id mesh.EventID) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	_, ok := b.mu.by[id]
	return ok
}

// beginning lists the messages whose id begins so.
func (b *book) beginning(prefix func(mesh.EventID) bool) []mesh.EventID {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var all []mesh.EventID
	for i := len(b.mu.order) - 1; i >= 0; i-- {
		if prefix(b.mu.order[i].id) {
			all = append(all, b.mu.order[i].id)
		}
	}
	return all
}

// newest lists the last messages, at most so many.
func (b *book) newest(most int) []mesh.EventID {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var ids []mesh.EventID
	for _, e := range b.mu.order[max(0, len(b.mu.order)-most):] {
		ids = append(ids, e.id)
	}
	return ids
}

// messages yields what came after a message, in order. Those that are dropped
// meanwhile are left out.
func (b *book) messages(ctx context.Context, after uint64) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		for {
			b.mu.RLock()
			i, _ := slices.BinarySearchFunc(b.mu.order, after+1, func(e entry, seq uint64) int {
				return int(min(1, max(-1, int64(e.seq)-int64(seq))))
			})
			rest := slices.Clone(b.mu.order[i:min(len(b.mu.order), i+256)])
			b.mu.RUnlock()
			if len(rest) == 0 {
				return
			}
			for _, e := range rest {
				after = e.seq
				m, err := b.open(ctx, e)
				if errors.Is(err, mesh.ErrNotFound) {
					continue
				}
				if !yield(m, err) || err != nil {
					return
				}
			}
		}
	}
}

// changes returns a channel that is closed at the next change.
func (b *book) changes() <-chan struct{} {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.mu.changed
}

func (b *book) changedLocked() {
	close(b.mu.changed)
	b.mu.changed = make(chan struct{})
}

func (b *book) stats() (messages, bytes int, dropped uint64) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.mu.order), b.mu.bytes, b.mu.dropped
}

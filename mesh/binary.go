package mesh

import (
	"encoding/binary"
	"fmt"
)

// An event on the wire between nodes, and in the store:
//
//	author   [32]byte
//	sig      [64]byte
//	created  uint32, big endian
//	kind     uint16, big endian
//	tags     uvarint count, then for each tag
//	           uvarint items, then for each item uvarint length and bytes
//	content  the rest
//
// The id is not carried: it is the hash of the rest. Uvarints are minimal, so
// an event has exactly one binary form.
const binaryHead = 32 + 64 + 4 + 2

// AppendBinary appends the event's binary form.
func (e *Event) AppendBinary(b []byte) []byte {
	b = append(b, e.author[:]...)
	b = append(b, e.sig[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(e.created))
	b = binary.BigEndian.AppendUint16(b, uint16(e.kind))
	b = binary.AppendUvarint(b, uint64(len(e.tags)))
	for _, t := range e.tags {
		b = binary.AppendUvarint(b, uint64(len(t)))
		for _, s := range t {
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
	}
	return append(b, e.content...)
}

// ParseBinary reads an event's binary form, all of b, and computes its id. It
// keeps no reference to b. The signature is not checked.
func ParseBinary(b []byte) (*Event, error) {
	if len(b) < binaryHead+1 {
		return nil, fmt.Errorf("%w: %d bytes, at least %d needed", ErrInvalid, len(b), binaryHead+1)
	}
	if len(b) > MaxEventSize+binaryHead {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrInvalid, len(b), MaxEventSize+binaryHead)
	}
	author, sig := PubKey(b[:32]), Signature(b[32:96])
	d := Draft{
		CreatedAt: Unix(binary.BigEndian.Uint32(b[96:])),
		Kind:      Kind(binary.BigEndian.Uint16(b[100:])),
	}
	r := reader{rest: string(b[binaryHead:])}
	tags := r.uvarint(MaxTags)
	for range tags {
		items := r.uvarint(MaxTagItems)
		t := make([]string, 0, min(items, 8))
		for range items {
			t = append(t, r.string())
		}
		d.Tags = append(d.Tags, t)
		if r.err != nil {
			break
		}
	}
	if r.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, r.err)
	}
	d.Content = r.rest
	return NewEvent(author, sig, d)
}

// reader takes a binary form apart; after the first error it yields zeros.
type reader struct {
	rest string
	err  error
}

func (r *reader) uvarint(limit int) int {
	if r.err != nil {
		return 0
	}
	var v uint64
	const most = 3 // bytes, for MaxEventSize; of ten the last could overflow into nothing
	for i := range most {
		if i >= len(r.rest) {
			break
		}
		c := r.rest[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c >= 0x80 {
			continue
		}
		if c == 0 && i > 0 {
			r.err = fmt.Errorf("length written in more bytes than it needs")
			return 0
		}
		if v > uint64(limit) {
			r.err = fmt.Errorf("length %d, limit %d", v, limit)
			return 0
		}
		r.rest = r.rest[i+1:]
		return int(v)
	}
	r.err = fmt.Errorf("length cut off, or of more than %d bytes", most)
	return 0
}

func (r *reader) string() string {
	n := r.uvarint(MaxEventSize)
	if r.err != nil {
		return ""
	}
	if n > len(r.rest) {
		r.err = fmt.Errorf("text of %d bytes, %d left", n, len(r.rest))
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

package air

import (
	"encoding/binary"
	"fmt"

	"drey/mesh"
)

// A reader takes a frame apart; after the first error it yields zeros.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrForm}, args...)...)
	}
	r.rest = nil
}

// take returns the next n bytes, which stay the frame's.
func (r *reader) take(n int) []byte {
	if r.err == nil && n > len(r.rest) {
		r.fail("%d bytes wanted, %d left", n, len(r.rest))
	}
	if r.err != nil {
		return make([]byte, min(n, 64)) // callers convert to arrays of 64 at most
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte { return r.take(1)[0] }

func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }

// unix returns a time that an event can carry.
func (r *reader) unix(at int64) mesh.Unix {
	if at < 0 || at > 1<<32-1 {
		r.fail("time %d", at)
	}
	return mesh.Unix(at)
}

// uvarint reads a minimal uvarint of at most limit.
func (r *reader) uvarint(limit uint64) uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.rest)
	switch {
	case n <= 0:
		r.fail("number cut off or beyond 64 bits")
		return 0
	case n > 1 && r.rest[n-1] == 0:
		r.fail("number %d in more bytes than it needs", v)
		return 0
	case v > limit:
		r.fail("number %d, limit %d", v, limit)
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// bytes reads a uvarint length and so many bytes.
func (r *reader) bytes() []byte {
	n := r.uvarint(uint64(len(r.rest)))
	if r.err != nil {
		return nil
	}
	return r.take(int(n))
}

// zigzag maps small numbers of either sign to small ones.
func zigzag(x int64) uint64 { return uint64(x<<1) ^ uint64(x>>63) }

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

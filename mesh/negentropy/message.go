package negentropy

import (
	"bytes"
	"iter"
	"math"

	"drey/mesh"
)

// infinity is where a bound without end stands; created_at of events is at
// most 2³²−1, so nothing lies there.
const infinity = math.MaxUint64

// A bound ends a range: everything before (created, id) is in it.
type bound struct {
	infinite bool
	created  uint64
	id       mesh.EventID // zeros from size on
	size     int
}

var endless = bound{infinite: true, created: infinity}

// boundAt is the bound just before an item.
func boundAt(it mesh.Item) bound {
	return bound{created: uint64(it.CreatedAt), id: it.ID, size: idSize}
}

// boundBetween is the shortest bound that parts two neighbours.
func boundBetween(last, next mesh.Item) bound {
	d := bound{created: uint64(next.CreatedAt)}
	if last.CreatedAt != next.CreatedAt {
		return d
	}
	for d.size < idSize {
		d.id[d.size] = next.ID[d.size]
		d.size++
		if last.ID[d.size-1] != next.ID[d.size-1] {
			break
		}
	}
	return d
}

// A rang is one range of a message, laid over our own set.
type rang struct {
	lower, upper int // of the set's items
	end          bound
	mode         uint64
	print        [fingerprintSize]byte
	ids          []byte // count × 32
}

func (r rang) count() int { return len(r.ids) / idSize }

func (r rang) each() iter.Seq[mesh.EventID] {
	return func(yield func(mesh.EventID) bool) {
		for b := r.ids; len(b) > 0; b = b[idSize:] {
			if !yield(mesh.EventID(b[:idSize])) {
				return
			}
		}
	}
}

// walk parses a message and calls do for each of its ranges.
func walk(set *Set, message []byte, do func(rang) error) error {
	if len(message) == 0 {
		return malformed("no bytes")
	}
	if message[0] != version {
		return malformed("version 0x%02x, want 0x%02x", message[0], version)
	}
	p := parser{rest: message[1:]}
	last := bound{}
	lower := 0
	for len(p.rest) > 0 {
		r := rang{end: p.bound(), lower: lower}
		r.mode = p.varint()
		switch r.mode {
		case modeSkip:
		case modeFingerprint:
			copy(r.print[:], p.take(fingerprintSize))
		case modeIDs:
			n := p.varint()
			if p.err == nil && n > uint64(len(p.rest)/idSize) {
				return malformed("%d ids in %d bytes", n, len(p.rest))
			}
			r.ids = p.take(int(n) * idSize)
		default:
			if p.err == nil {
				return malformed("mode %d", r.mode)
			}
		}
		if p.err != nil {
			return p.err
		}
		if last.infinite || r.end.less(last) {
			return malformed("a range that ends before it begins")
		}
		last = r.end
		r.upper = set.search(r.end, lower)
		lower = r.upper
		if err := do(r); err != nil {
			return err
		}
	}
	return nil
}

func (d bound) less(e bound) bool {
	if d.created != e.created {
		return d.created < e.created
	}
	return bytes.Compare(d.id[:], e.id[:]) < 0
}

// A parser takes a message apart; after the first error it yields zeros.
type parser struct {
	rest []byte
	last uint64
	err  error
}

func (p *parser) take(n int) []byte {
	if p.err != nil {
		return nil
	}
	if n > len(p.rest) {
		p.err = malformed("%d bytes wanted, %d left", n, len(p.rest))
		return nil
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}

func (p *parser) varint() uint64 {
	var v uint64
	for i := range 9 { // 63 bits: more than any honest number here
		c := p.take(1)
		if p.err != nil {
			return 0
		}
		if i == 0 && c[0] == 0x80 {
			p.err = malformed("number with leading zeros")
			return 0
		}
		v = v<<7 | uint64(c[0]&0x7f)
		if c[0] < 0x80 {
			return v
		}
	}
	p.err = malformed("number of more than 63 bits")
	return 0
}

func (p *parser) bound() bound {
	var d bound
	delta := p.varint()
	switch {
	case p.err != nil:
		return d
	case delta == 0:
		d.infinite, d.created = true, infinity
	default:
		d.created = p.last + delta - 1
		if p.last == infinity || d.created > math.MaxUint32+1 {
			p.err = malformed("time %d beyond 2106", d.created)
			return d
		}
	}
	p.last = d.created
	n := p.varint()
	if p.err == nil && n > idSize {
		p.err = malformed("%d bytes of an id", n)
		return d
	}
	d.size = copy(d.id[:], p.take(int(n)))
	return d
}

// appendVarint appends v, most significant group of seven bits first.
func appendVarint(b []byte, v uint64) []byte {
	shift := 0
	for v>>shift >= 0x80 {
		shift += 7
	}
	for ; shift > 0; shift -= 7 {
		b = append(b, byte(v>>shift)|0x80)
	}
	return append(b, byte(v)&0x7f)
}

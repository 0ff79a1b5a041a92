package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"drey/mesh"
)

// errForm reports bytes in the file that this package would not have written.
var errForm = errors.New("not as the store writes it")

// appendRecord appends the form in which a record rests; see the package
// comment. The sequence number is the row's key and not part of it.
func appendRecord(b []byte, r *mesh.Record) []byte {
	b = append(b, byte(r.Flags))
	b = binary.BigEndian.AppendUint64(b, uint64(r.Received.UnixNano()))
	b = appendText(b, r.Carrier)
	b = appendText(b, string(r.Topic))
	return r.Event.AppendBinary(b)
}

// parseRecord reads what appendRecord wrote. It keeps no reference to b.
func parseRecord(b []byte, seq uint64) (*mesh.Record, error) {
	if len(b) < 9 {
		return nil, fmt.Errorf("%w: record of %d bytes", errForm, len(b))
	}
	d := decoder{rest: b[9:]}
	r := &mesh.Record{
		Seq:      seq,
		Flags:    mesh.Flags(b[0]),
		Received: time.Unix(0, int64(binary.BigEndian.Uint64(b[1:9]))).UTC(),
		Carrier:  d.text(),
		Topic:    mesh.Topic(d.text()),
	}
	if d.err != nil {
		return nil, d.err
	}
	e, err := mesh.ParseBinary(d.rest)
	if err != nil {
		return nil, err
	}
	r.Event = e
	return r, nil
}

// The operations of the journal.
const (
	opKeep   = 1
	opBury   = 2
	opOwe    = 3
	opSettle = 4
	opNote   = 5
	opPut    = 6
	opDrop   = 7
)

// An op is one change as the journal holds it. Which fields count depends on
// what; see the package comment.
type op struct {
	what byte

	id      mesh.EventID
	seq     uint64
	created mesh.Unix
	gone    mesh.Reason
	fresh   bool // the id was never known before
	at      time.Time

	rec  *mesh.Record // opKeep
	owed mesh.Owed    // opOwe, opSettle
	n    uint64       // opNote: the number of the line, rising
	step mesh.Step    // opNote

	name, key string // opPut, opDrop
	value     []byte // opPut
}

func appendOp(b []byte, o *op) []byte {
	b = append(b, o.what)
	switch o.what {
	case opKeep:
		b = binary.AppendUvarint(b, o.rec.Seq)
		body := appendRecord(nil, o.rec)
		b = binary.AppendUvarint(b, uint64(len(body)))
		b = append(b, body...)
	case opBury:
		b = append(b, o.id[:]...)
		b = binary.AppendUvarint(b, o.seq)
		b = binary.BigEndian.AppendUint32(b, uint32(o.created))
		b = append(b, byte(o.gone), flag(o.fresh))
		b = appendTime(b, o.at)
	case opOwe, opSettle:
		b = append(b, o.owed.ID[:]...)
		b = binary.AppendUvarint(b, o.owed.Seq)
		b = appendText(b, o.owed.Carrier)
		b = appendText(b, o.owed.Target)
		b = append(b, byte(o.owed.Priority))
		b = binary.AppendUvarint(b, uint64(o.owed.Attempts))
	case opNote:
		b = binary.AppendUvarint(b, o.seq)
		b = binary.AppendUvarint(b, o.n)
		b = appendStep(b, &o.step)
	case opPut:
		b = appendText(appendText(b, o.name), o.key)
		b = appendText(b, string(o.value))
	case opDrop:
		b = appendText(appendText(b, o.name), o.key)
	}
	return b
}

// parseOp reads one op from the front of b.
func parseOp(b []byte) (*op, []byte, error) {
	if len(b) == 0 {
		return nil, nil, fmt.Errorf("%w: operation cut off", errForm)
	}
	o := &op{what: b[0]}
	d := decoder{rest: b[1:]}
	switch o.what {
	case opKeep:
		seq := d.uvarint()
		body := d.text()
		if d.err != nil {
			return nil, nil, d.err
		}
		r, err := parseRecord([]byte(body), seq)
		if err != nil {
			return nil, nil, err
		}
		o.rec, o.id, o.seq, o.created = r, r.Event.ID(), seq, r.Event.CreatedAt()
	case opBury:
		copy(o.id[:], d.bytes(32))
		o.seq = d.uvarint()
		if c := d.bytes(4); c != nil {
			o.created = mesh.Unix(binary.BigEndian.Uint32(c))
		}
		o.gone = mesh.Reason(d.byte())
		o.fresh = d.flag()
		o.at = d.time()
		if d.err == nil && o.gone == 0 {
			d.err = fmt.Errorf("%w: tombstone without a reason", errForm)
		}
	case opOwe, opSettle:
		copy(o.owed.ID[:], d.bytes(32))
		o.owed.Seq = d.uvarint()
		o.owed.Carrier = d.text()
		o.owed.Target = d.text()
		o.owed.Priority = mesh.Priority(d.byte())
		attempts := d.uvarint()
		if d.err == nil && attempts > math.MaxInt32 {
			d.err = fmt.Errorf("%w: %d attempts", errForm, attempts)
		}
		o.owed.Attempts = int(attempts)
	case opNote:
		o.seq = d.uvarint()
		o.n = d.uvarint()
		o.step = d.step()
	case opPut:
		o.name, o.key = d.text(), d.text()
		o.value = []byte(d.text())
	case opDrop:
		o.name, o.key = d.text(), d.text()
	default:
		d.err = fmt.Errorf("%w: operation %d", errForm, o.what)
	}
	if d.err != nil {
		return nil, nil, d.err
	}
	return o, d.rest, nil
}

// A batch of operations is one row of the journal: a version, the operations,
// and a CRC-32C of all before it.
const batchVersion = 1

// sealBatch finishes a batch that began with its version.
func sealBatch(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// parseBatch reads one row of the journal.
func parseBatch(b []byte) ([]*op, error) {
	if len(b) < 5 || b[0] != batchVersion {
		return nil, fmt.Errorf("%w: journal row of %d bytes", errForm, len(b))
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if got := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)); got != sum {
		return nil, fmt.Errorf("%w: journal row has checksum %08x, says %08x", errForm, got, sum)
	}
	var ops []*op
	for rest := body[1:]; len(rest) > 0; {
		o, after, err := parseOp(rest)
		if err != nil {
			return nil, err
		}
		ops, rest = append(ops, o), after
	}
	return ops, nil
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendTime(b []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(t.UnixNano()))
}

func appendStep(b []byte, s *mesh.Step) []byte {
	b = appendTime(b, s.At)
	b = appendText(b, s.Carrier)
	b = appendText(b, s.Target)
	return appendText(b, s.State)
}

// parseStep reads what appendStep wrote, all of b.
func parseStep(b []byte) (mesh.Step, error) {
	d := decoder{rest: b}
	s := d.step()
	if d.err == nil && len(d.rest) > 0 {
		d.err = fmt.Errorf("%w: %d bytes after a step", errForm, len(d.rest))
	}
	return s, d.err
}

func flag(v bool) byte {
	if v {
		return 1
	}
	return 0
}

// A decoder takes bytes apart; after the first error it yields zeros.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) bytes(n int) []byte {
	if d.err == nil && len(d.rest) < n {
		d.err = fmt.Errorf("%w: %d bytes wanted, %d left", errForm, n, len(d.rest))
	}
	if d.err != nil {
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) flag() bool {
	b := d.byte()
	if d.err == nil && b > 1 {
		d.err = fmt.Errorf("%w: flag %d", errForm, b)
	}
	return b == 1
}

func (d *decoder) uvarint() uint64 {
	if d.err != nil {
		return 0
	}
	v, n := binary.Uvarint(d.rest)
	if n <= 0 || n > 1 && d.rest[n-1] == 0 {
		d.err = fmt.Errorf("%w: bad number", errForm)
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) text() string {
	n := d.uvarint()
	if d.err == nil && n > uint64(len(d.rest)) {
		d.err = fmt.Errorf("%w: text of %d bytes, %d left", errForm, n, len(d.rest))
	}
	return string(d.bytes(int(min(n, uint64(len(d.rest))))))
}

func (d *decoder) time() time.Time {
	b := d.bytes(8)
	if b == nil {
		return time.Time{}
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(b))).UTC()
}

func (d *decoder) step() mesh.Step {
	return mesh.Step{At: d.time(), Carrier: d.text(), Target: d.text(), State: d.text()}
}

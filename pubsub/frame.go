package pubsub

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"drey/mesh"
)

// Types of a sync frame.
const (
	frameHello   = 1
	frameOpen    = 2
	frameNarrow  = 3
	frameCompare = 4
	frameWant    = 5
	frameGive    = 6
	frameOffer   = 7
	frameBye     = 8
	frameSorry   = 9
)

// Limits of the sync protocol.
const (
	maxFrame = 128 << 10 // bytes: the largest event and its envelope fit twice
	maxIDs   = 256       // in one want or offer
	giveSize = 32 << 10  // bytes after which a give is sent off
)

// Sets that can be compared.
const (
	setRegistry   = 0
	setEverything = 1
)

// Codes of sorry.
const (
	sorryBusy     = 1
	sorryProtocol = 2
)

// errProtocol reports a neighbour that does not keep to the sync protocol.
// Errors that say more wrap it.
var errProtocol = errors.New("sync protocol broken")

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errProtocol}, args...)...)
}

// appendFrame appends one frame.
func appendFrame(b []byte, kind byte, body []byte) []byte {
	b = binary.AppendUvarint(b, uint64(1+len(body)))
	b = append(b, kind)
	return append(b, body...)
}

// readFrame reads one frame, reusing buf for its body where that is large
// enough.
func readFrame(r io.ByteReader, full io.Reader, buf []byte) (kind byte, body []byte, err error) {
	n, err := readUvarint(r)
	if err != nil {
		return 0, nil, err
	}
	if n < 1 || n > maxFrame {
		return 0, nil, broken("frame of %d bytes, allowed are 1 to %d", n, maxFrame)
	}
	if kind, err = r.ReadByte(); err != nil {
		return 0, nil, unexpected(err)
	}
	body = buf[:0]
	if int(n-1) > cap(body) {
		body = make([]byte, 0, n-1)
	}
	body = body[:n-1]
	if _, err := io.ReadFull(full, body); err != nil {
		return 0, nil, unexpected(err)
	}
	return kind, body, nil
}

// readUvarint reads a minimal uvarint of at most three bytes.
func readUvarint(r io.ByteReader) (uint64, error) {
	var v uint64
	for i := range 3 {
		c, err := r.ReadByte()
		if err != nil {
			if i > 0 {
				err = unexpected(err)
			}
			return 0, err
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if c == 0 && i > 0 {
				return 0, broken("length written in more bytes than it needs")
			}
			return v, nil
		}
	}
	return 0, broken("length of more than three bytes")
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// A place is a point in the order of (created_at, id): both big endian, so
// that places compare as bytes do.
type place [36]byte

func placeOf(it mesh.Item) (p place) {
	binary.BigEndian.PutUint32(p[:], uint32(it.CreatedAt))
	copy(p[4:], it.ID[:])
	return p
}

// firstAt is the first place of a second.
func firstAt(u mesh.Unix) place { return placeOf(mesh.Item{CreatedAt: u}) }

// lastPlace is the last place of all.
var lastPlace = place(bytes.Repeat([]byte{0xff}, 36))

func (p place) created() mesh.Unix { return mesh.Unix(binary.BigEndian.Uint32(p[:])) }

func (p place) after(q place) bool { return bytes.Compare(p[:], q[:]) > 0 }

// before returns the place just before p, and false at the very first.
func (p place) before() (place, bool) {
	for i := len(p) - 1; i >= 0; i-- {
		p[i]--
		if p[i] != 0xff {
			return p, true
		}
	}
	return place{}, false
}

func appendPlace(b []byte, p place, fill byte) []byte {
	n := 32
	for n > 0 && p[4+n-1] == fill {
		n--
	}
	b = append(b, p[:4]...)
	b = append(b, byte(n))
	return append(b, p[4:4+n]...)
}

func parsePlace(b []byte, fill byte) (p place, rest []byte, err error) {
	if len(b) < 5 {
		return p, nil, broken("place of %d bytes", len(b))
	}
	n := int(b[4])
	if n > 32 || len(b) < 5+n {
		return p, nil, broken("place with %d bytes of an id, %d there", n, len(b)-5)
	}
	if n > 0 && b[4+n] == fill {
		return p, nil, broken("place that writes out its filling")
	}
	copy(p[:4], b)
	for i := range 32 {
		p[4+i] = fill
	}
	copy(p[4:], b[5:5+n])
	return p, b[5+n:], nil
}

func appendHello(b []byte, floor mesh.Unix) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(floor))
}

func parseHello(b []byte) (floor mesh.Unix, err error) {
	if len(b) != 4 {
		return 0, broken("hello of %d bytes", len(b))
	}
	return mesh.Unix(binary.BigEndian.Uint32(b)), nil
}

// A window is what an open frame asks to compare.
type window struct {
	set         byte
	first, last place // both included
}

func appendOpen(b []byte, w window) []byte {
	b = append(b, w.set)
	b = appendPlace(b, w.first, 0x00)
	return appendPlace(b, w.last, 0xff)
}

func parseOpen(b []byte) (w window, err error) {
	if len(b) < 1 {
		return w, broken("empty open")
	}
	if w.set = b[0]; w.set > setEverything {
		return w, broken("set %d", w.set)
	}
	rest := b[1:]
	if w.first, rest, err = parsePlace(rest, 0x00); err != nil {
		return w, err
	}
	if w.last, rest, err = parsePlace(rest, 0xff); err != nil {
		return w, err
	}
	if len(rest) != 0 {
		return w, broken("%d bytes after an open", len(rest))
	}
	if w.first.after(w.last) {
		return w, broken("a window that ends before it begins")
	}
	return w, nil
}

func appendIDs(b []byte, ids []mesh.EventID) []byte {
	for _, id := range ids {
		b = append(b, id[:]...)
	}
	return b
}

func parseIDs(b []byte) ([]mesh.EventID, error) {
	if len(b)%32 != 0 || len(b) > 32*maxIDs {
		return nil, broken("ids in %d bytes", len(b))
	}
	ids := make([]mesh.EventID, 0, len(b)/32)
	for ; len(b) > 0; b = b[32:] {
		ids = append(ids, mesh.EventID(b[:32]))
	}
	return ids, nil
}

// Forms of an entry in give.
const (
	entryEvent   = 1
	entryAgain   = 2
	entryGone    = 3
	entryNotHere = 4
)

// An entry answers one wanted id: Event and Topic, or Item with Gone set, or
// Item with nothing but the id.
type entry struct {
	Event *mesh.Event
	Topic mesh.Topic
	Item  mesh.Item
}

func (e entry) id() mesh.EventID {
	if e.Event != nil {
		return e.Event.ID()
	}
	return e.Item.ID
}

// appendEntry appends e; before is the topic of the last event in this frame.
func appendEntry(b []byte, e entry, before mesh.Topic) []byte {
	switch {
	case e.Event != nil:
		if e.Topic == before {
			b = append(b, entryAgain)
		} else {
			b = append(b, entryEvent, byte(len(e.Topic)))
			b = append(b, e.Topic...)
		}
		binaryForm := e.Event.AppendBinary(nil)
		b = binary.AppendUvarint(b, uint64(len(binaryForm)))
		return append(b, binaryForm...)
	case e.Item.Gone != 0:
		b = append(b, entryGone, byte(e.Item.Gone))
		b = binary.BigEndian.AppendUint32(b, uint32(e.Item.CreatedAt))
		return append(b, e.Item.ID[:]...)
	}
	b = append(b, entryNotHere)
	return append(b, e.Item.ID[:]...)
}

// parseGive reads the entries of a give frame. An event that is not well formed
// is an error that wraps mesh.ErrInvalid.
func parseGive(b []byte) ([]entry, error) {
	if len(b) == 0 {
		return nil, broken("empty give")
	}
	var entries []entry
	var topic mesh.Topic
	for len(b) > 0 {
		e, rest, err := parseEntry(b, topic)
		if err != nil {
			return nil, err
		}
		if e.Event != nil {
			topic = e.Topic
		}
		entries = append(entries, e)
		b = rest
	}
	return entries, nil
}

func parseEntry(b []byte, before mesh.Topic) (e entry, rest []byte, err error) {
	form, b := b[0], b[1:]
	switch form {
	case entryEvent:
		if len(b) < 1 || len(b) < 1+int(b[0]) {
			return e, nil, broken("topic cut off")
		}
		n := int(b[0])
		if e.Topic, err = mesh.ParseTopic(string(b[1 : 1+n])); err != nil {
			return e, nil, broken("%w", err)
		}
		if e.Topic == before {
			return e, nil, broken("topic %q written out again", before)
		}
		b = b[1+n:]
	case entryAgain:
		if e.Topic = before; before == "" {
			return e, nil, broken("no topic before")
		}
	case entryGone:
		if len(b) < 37 {
			return e, nil, broken("tombstone cut off")
		}
		e.Item.Gone = mesh.Reason(b[0])
		if e.Item.Gone == 0 {
			return e, nil, broken("tombstone without a reason")
		}
		e.Item.CreatedAt = mesh.Unix(binary.BigEndian.Uint32(b[1:]))
		e.Item.ID = mesh.EventID(b[5:37])
		return e, b[37:], nil
	case entryNotHere:
		if len(b) < 32 {
			return e, nil, broken("id cut off")
		}
		e.Item.ID = mesh.EventID(b[:32])
		return e, b[32:], nil
	default:
		return e, nil, broken("entry of form %d", form)
	}
	r := bytes.NewReader(b)
	n, err := readUvarint(r)
	if err != nil {
		return e, nil, broken("event's length: %w", err)
	}
	b = b[len(b)-r.Len():]
	if n > math.MaxInt32 || len(b) < int(n) {
		return e, nil, broken("event of %d bytes, %d there", n, len(b))
	}
	if e.Event, err = mesh.ParseBinary(b[:n]); err != nil {
		return e, nil, err
	}
	return e, b[n:], nil
}

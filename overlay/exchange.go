package overlay

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"drey/mesh"
)

// RosterProtocol is the one protocol that strangers may open. Every connection
// begins with it, members' too, so that rosters merge whenever two nodes meet.
// The caller opens one stream; messages on it are
//
//	kind   byte
//	length uint32   of the body, big endian
//	body
//
//	caller → hello   token [16]byte, digest [32]byte
//	       ← foreign (empty)                     not of this community; end
//	       ← same    token [16]byte              you belong, and we know the same; end
//	       ← show    token [16]byte, locator     show what I lack
//	caller → events …                            none, one or several messages
//	caller → known   locator                     that was all; show what I lack
//	       ← refused (empty)                     that does not make you belong; end
//	       ← events …
//	       ← end     (empty)
//
// A token is SHA-256(context ‖ community id ‖ caller's key ‖ answerer's key),
// cut to 16 bytes, with the context "drey/roster/1 call" or "drey/roster/1
// answer": both sides show that they know the community, and whoever does not
// learns nothing from it. A digest names the set of decisions a side holds, a
// locator is at most 64 ids of 32 bytes by which the other can tell what this
// side holds. An events body is, for each event, a uvarint length and the event
// in its binary form; what proves that the caller belongs comes before all else.
const RosterProtocol = "/drey/roster/1"

const (
	messageHello   = 1
	messageForeign = 2
	messageSame    = 3
	messageShow    = 4
	messageEvents  = 5
	messageRefused = 6
	messageKnown   = 7
	messageEnd     = 8

	tokenSize    = 16
	helloSize    = tokenSize + sha256.Size
	maxLocator   = 64
	maxEvents    = 4096      // in one message
	maxEventsLen = 256 << 10 // bytes of an events body
	// How many bytes of events one exchange takes: as long as the caller does
	// not belong, and once it does.
	maxProof = 1 << 20
	maxBook  = 96 << 20
)

// A RosterBook is what two nodes exchange: the decisions that say who belongs.
// Safe for concurrent use.
type RosterBook interface {
	// Digest names the set of decisions that are held.
	Digest() [32]byte
	// Locator returns at most 64 ids by which another book can tell what this
	// one lacks.
	Locator() []mesh.EventID
	// Bring returns what a book with this locator lacks, parents first; before
	// everything else what proves that a node belongs.
	Bring(node mesh.NodeKey, locator []mesh.EventID) []*mesh.Event
	// Proof returns what proves that a node belongs, parents first, and no more.
	Proof(node mesh.NodeKey) []*mesh.Event
	// Merge takes a peer's events, checked for form only. It returns when the
	// roster shows their effect; events that do not hold are not an error.
	Merge(ctx context.Context, events []*mesh.Event) error
}

var (
	errForeign = errors.New("the other node is of another community")
	errRefused = errors.New("the other node does not know this one as a member")
	errProof   = errors.New("no proof of admission")
	errFormat  = errors.New("roster protocol")
)

// token proves knowledge of the community to one peer.
func token(context string, c mesh.Community, caller, answerer mesh.NodeKey) [tokenSize]byte {
	h := sha256.New()
	h.Write([]byte("drey/roster/1 " + context))
	h.Write(c.ID[:])
	h.Write(caller[:])
	h.Write(answerer[:])
	return [tokenSize]byte(h.Sum(nil))
}

// call runs the protocol as the caller. It returns nil when the other side
// says that this node belongs. Whoever admits does not admit is shown what
// proves that this node belongs, and nothing else.
func call(ctx context.Context, s io.ReadWriter, c mesh.Community, book RosterBook, admits func(mesh.NodeKey) bool, self, other mesh.NodeKey) error {
	proof, sum := token("call", c, self, other), book.Digest()
	if err := writeMessage(s, messageHello, proof[:], sum[:]); err != nil {
		return err
	}
	kind, body, err := readMessage(s, tokenSize+maxLocator*len(mesh.EventID{}))
	if err != nil {
		return err
	}
	if kind == messageForeign {
		return errForeign
	}
	if want := token("answer", c, self, other); len(body) < tokenSize || !bytes.Equal(body[:tokenSize], want[:]) {
		return fmt.Errorf("%w: the other node does not know the community", errFormat)
	}
	switch kind {
	case messageSame:
		return nil
	case messageShow:
	default:
		return fmt.Errorf("%w: message of kind %d, want same or show", errFormat, kind)
	}
	theirs, err := parseLocator(body[tokenSize:])
	if err != nil {
		return err
	}
	show, most := book.Bring, maxBook
	if !admits(other) {
		show, most = func(self mesh.NodeKey, _ []mesh.EventID) []*mesh.Event { return book.Proof(self) }, maxProof
	}
	if err := writeEvents(s, show(self, theirs)); err != nil {
		return err
	}
	if err := writeMessage(s, messageKnown, appendLocator(nil, book.Locator())); err != nil {
		return err
	}
	for room := most; ; {
		kind, body, err := readMessage(s, min(room, maxEventsLen))
		if err != nil {
			return err
		}
		switch kind {
		case messageRefused:
			return errRefused
		case messageEnd:
			return nil
		case messageEvents:
		default:
			return fmt.Errorf("%w: message of kind %d, want events, end or refused", errFormat, kind)
		}
		room -= len(body)
		if err := mergeBody(ctx, book, body); err != nil {
			return err
		}
		if most < maxBook && admits(other) {
			room, most = room+maxBook-most, maxBook
		}
	}
}

// answer runs the protocol as the answerer. It returns nil when the caller
// belongs; admits is asked again after each merge.
func answer(ctx context.Context, s io.ReadWriter, c mesh.Community, book RosterBook, admits func(mesh.NodeKey) bool, self, caller mesh.NodeKey) error {
	kind, body, err := readMessage(s, helloSize)
	if err != nil {
		return err
	}
	if kind != messageHello || len(body) != helloSize {
		return fmt.Errorf("%w: message of kind %d and %d bytes, want hello of %d", errFormat, kind, len(body), helloSize)
	}
	if want := token("call", c, caller, self); !bytes.Equal(body[:tokenSize], want[:]) {
		writeMessage(s, messageForeign)
		return errForeign
	}
	proof := token("answer", c, caller, self)
	if admits(caller) && book.Digest() == [sha256.Size]byte(body[tokenSize:]) {
		return writeMessage(s, messageSame, proof[:])
	}
	if err := writeMessage(s, messageShow, proof[:], appendLocator(nil, book.Locator())); err != nil {
		return err
	}
	theirs, err := receive(ctx, s, book, func() bool { return admits(caller) })
	if err != nil {
		return err
	}
	if !admits(caller) {
		writeMessage(s, messageRefused)
		return errProof
	}
	if err := writeEvents(s, book.Bring(caller, theirs)); err != nil {
		return err
	}
	return writeMessage(s, messageEnd)
}

// receive takes what a caller shows until it says what it knows itself.
func receive(ctx context.Context, s io.ReadWriter, book RosterBook, belongs func() bool) (locator []mesh.EventID, err error) {
	for shown := 0; ; {
		kind, body, err := readMessage(s, maxEventsLen)
		if err != nil {
			return nil, err
		}
		switch kind {
		case messageKnown:
			return parseLocator(body)
		case messageEvents:
		default:
			return nil, fmt.Errorf("%w: message of kind %d, want events or known", errFormat, kind)
		}
		if shown += len(body); shown > maxBook || shown > maxProof && !belongs() {
			return nil, fmt.Errorf("%w: %d bytes were no proof", errProof, shown)
		}
		if err := mergeBody(ctx, book, body); err != nil {
			return nil, err
		}
	}
}

func mergeBody(ctx context.Context, book RosterBook, body []byte) error {
	events, err := parseEvents(body)
	if err != nil || len(events) == 0 {
		return err
	}
	return book.Merge(ctx, events)
}

func appendLocator(b []byte, ids []mesh.EventID) []byte {
	for _, id := range ids[:min(len(ids), maxLocator)] {
		b = append(b, id[:]...)
	}
	return b
}

func parseLocator(b []byte) ([]mesh.EventID, error) {
	const size = len(mesh.EventID{})
	if len(b)%size != 0 || len(b) > maxLocator*size {
		return nil, fmt.Errorf("%w: locator of %d bytes, want up to %d times %d", errFormat, len(b), maxLocator, size)
	}
	var ids []mesh.EventID
	for ; len(b) > 0; b = b[size:] {
		ids = append(ids, mesh.EventID(b[:size]))
	}
	return ids, nil
}

// writeEvents writes events in as many messages as they take.
func writeEvents(w io.Writer, events []*mesh.Event) error {
	for len(events) > 0 {
		body, n := appendEvents(nil, events)
		if n == 0 {
			return fmt.Errorf("%w: an event does not fit into a message", errFormat)
		}
		if err := writeMessage(w, messageEvents, body); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

func writeMessage(w io.Writer, kind byte, parts ...[]byte) error {
	b := append(make([]byte, 0, 64), kind, 0, 0, 0, 0)
	for _, part := range parts {
		b = append(b, part...)
	}
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-5))
	_, err := w.Write(b)
	return err
}

// readMessage reads one message with a body of at most limit bytes.
func readMessage(r io.Reader, limit int) (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, fmt.Errorf("read roster message: %w", err)
	}
	size := binary.BigEndian.Uint32(head[1:])
	if int64(size) > int64(limit) {
		return 0, nil, fmt.Errorf("%w: message of %d bytes, limit %d", errFormat, size, limit)
	}
	// Grow with what arrives: the length alone must not cost memory.
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, int64(size)); err != nil {
		return 0, nil, fmt.Errorf("read roster message: %w", err)
	}
	return head[0], b.Bytes(), nil
}

// appendEvents appends an events body with as many events as fit, and returns
// how many those are.
func appendEvents(b []byte, events []*mesh.Event) (body []byte, n int) {
	start := len(b)
	for _, e := range events[:min(len(events), maxEvents)] {
		one := e.AppendBinary(nil)
		if len(b)-start+binary.MaxVarintLen32+len(one) > maxEventsLen {
			break
		}
		b = binary.AppendUvarint(b, uint64(len(one)))
		b = append(b, one...)
		n++
	}
	return b, n
}

// parseEvents parses an events body and refuses events of other kinds.
func parseEvents(b []byte) ([]*mesh.Event, error) {
	var events []*mesh.Event
	for len(b) > 0 {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, fmt.Errorf("%w: event of %d bytes, %d are left", errFormat, size, len(b))
		}
		if len(events) == maxEvents {
			return nil, fmt.Errorf("%w: more than %d events", errFormat, maxEvents)
		}
		e, err := mesh.ParseBinary(b[n : n+int(size)])
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errFormat, err)
		}
		if k := e.Kind(); k != mesh.KindRoster && k != mesh.KindPass {
			return nil, fmt.Errorf("%w: event of kind %d", errFormat, k)
		}
		events = append(events, e)
		b = b[n+int(size):]
	}
	return events, nil
}

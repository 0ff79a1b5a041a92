package overlay

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

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
//	       ← show    token [16]byte              show what you know
//	caller → events  every roster event and pass it holds
//	       ← refused (empty)                     that does not make you belong; end
//	       ← events  what the caller did not show; end
//
// A token is SHA-256(context ‖ community id ‖ caller's key ‖ answerer's key),
// cut to 16 bytes, with the context "drey/roster/1 call" or "drey/roster/1
// answer": both sides show that they know the community, and whoever does not
// learns nothing from it. A digest is SHA-256 of the sorted ids of the events
// a side holds. An events body is, for each event, a uvarint length and the
// event in its binary form.
const RosterProtocol = "/drey/roster/1"

const (
	messageHello   = 1
	messageForeign = 2
	messageSame    = 3
	messageShow    = 4
	messageEvents  = 5
	messageRefused = 6

	tokenSize    = 16
	helloSize    = tokenSize + sha256.Size
	maxEvents    = 4096
	maxEventsLen = 1 << 20 // bytes of an events body
)

// A RosterBook is what two nodes exchange: the events that say who belongs.
// Safe for concurrent use.
type RosterBook interface {
	// Events returns every roster event and valid pass, at most 4096 of them
	// and 1 MiB in binary form; what the caller leaves out does not spread.
	Events(ctx context.Context) ([]*mesh.Event, error)
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

// digest names a set of events.
func digest(events []*mesh.Event) [sha256.Size]byte {
	ids := make([]mesh.EventID, len(events))
	for i, e := range events {
		ids[i] = e.ID()
	}
	slices.SortFunc(ids, func(a, b mesh.EventID) int { return bytes.Compare(a[:], b[:]) })
	h := sha256.New()
	for i, id := range ids {
		if i == 0 || id != ids[i-1] {
			h.Write(id[:])
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// call runs the protocol as the caller. It returns nil when the other side
// says that this node belongs.
func call(ctx context.Context, s io.ReadWriter, c mesh.Community, book RosterBook, self, other mesh.NodeKey) error {
	mine, err := book.Events(ctx)
	if err != nil {
		return err
	}
	proof, sum := token("call", c, self, other), digest(mine)
	if err := writeMessage(s, messageHello, proof[:], sum[:]); err != nil {
		return err
	}
	kind, body, err := readMessage(s, tokenSize)
	if err != nil {
		return err
	}
	if kind == messageForeign {
		return errForeign
	}
	if want := token("answer", c, self, other); !bytes.Equal(body, want[:]) {
		return fmt.Errorf("%w: the other node does not know the community", errFormat)
	}
	switch kind {
	case messageSame:
		return nil
	case messageShow:
	default:
		return fmt.Errorf("%w: message of kind %d, want same or show", errFormat, kind)
	}
	if err := writeMessage(s, messageEvents, appendEvents(nil, mine)); err != nil {
		return err
	}
	kind, body, err = readMessage(s, maxEventsLen)
	if err != nil {
		return err
	}
	switch kind {
	case messageRefused:
		return errRefused
	case messageEvents:
	default:
		return fmt.Errorf("%w: message of kind %d, want events or refused", errFormat, kind)
	}
	theirs, err := parseEvents(body)
	if err != nil {
		return err
	}
	return merge(ctx, book, theirs)
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
	mine, err := book.Events(ctx)
	if err != nil {
		return err
	}
	proof := token("answer", c, caller, self)
	if admits(caller) && digest(mine) == [sha256.Size]byte(body[tokenSize:]) {
		return writeMessage(s, messageSame, proof[:])
	}
	if err := writeMessage(s, messageShow, proof[:]); err != nil {
		return err
	}
	kind, body, err = readMessage(s, maxEventsLen)
	if err != nil {
		return err
	}
	if kind != messageEvents {
		return fmt.Errorf("%w: message of kind %d, want events", errFormat, kind)
	}
	shown, err := parseEvents(body)
	if err != nil {
		return err
	}
	if err := merge(ctx, book, shown); err != nil {
		return err
	}
	if !admits(caller) {
		writeMessage(s, messageRefused)
		return errProof
	}
	known := make(map[mesh.EventID]bool, len(shown))
	for _, e := range shown {
		known[e.ID()] = true
	}
	mine = slices.DeleteFunc(slices.Clone(mine), func(e *mesh.Event) bool { return known[e.ID()] })
	return writeMessage(s, messageEvents, appendEvents(nil, mine))
}

func merge(ctx context.Context, book RosterBook, events []*mesh.Event) error {
	if len(events) == 0 {
		return nil
	}
	return book.Merge(ctx, events)
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

// appendEvents appends an events body, leaving out what does not fit.
func appendEvents(b []byte, events []*mesh.Event) []byte {
	start := len(b)
	for i, e := range events {
		one := e.AppendBinary(nil)
		if i >= maxEvents || len(b)-start+binary.MaxVarintLen32+len(one) > maxEventsLen {
			break
		}
		b = binary.AppendUvarint(b, uint64(len(one)))
		b = append(b, one...)
	}
	return b
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

package air

import (
	"encoding/binary"
	"fmt"

	"drey/mesh"
)

// A Message is the body of a control frame: one of WhoIs, Keys, Nack, Resend,
// Sketch, Overheard, Want and Record.
type Message interface {
	kind() byte
	appendBody(b []byte) ([]byte, error)
}

// Kinds of control messages, in the low half of the first byte.
const (
	kindWhoIs = iota
	kindKeys
	kindNack
	kindResend
	kindSketch
	kindOverheard
	kindWant
	kindRecord
)

// Most entries of a message, so that it fits into one payload.
const (
	MaxHints   = 16
	MaxKeys    = 6
	MaxNacks   = 16
	MaxHandles = 32
	MaxShorts  = 24
	MaxWants   = 48
	MaxRecord  = 200 // bytes
)

// WhoIs asks for the whole keys that begin with the hints, 1 to MaxHints.
type WhoIs struct{ Hints []Hint }

// Keys answers WhoIs: 1 to MaxKeys whole keys. It proves nothing: a key only
// helps to rebuild an event, and the event's signature decides.
type Keys struct{ Keys []mesh.PubKey }

// Nack asks for more fragments, 1 to MaxNacks sets in one.
type Nack struct{ Sets []Missing }

// Missing is how many more fragments of a set somebody needs.
type Missing struct {
	Set   SetID
	Count uint8 // 1 to MaxFragments
}

// Resend asks for events in full that could not be rebuilt, 1 to MaxHandles.
type Resend struct{ Handles []Handle }

// Overheard tells colleagues which events this gateway said or heard said on
// this channel; who hears it need not say them too. Together at most
// MaxShorts; none at all is a sign of life.
type Overheard struct {
	Said  []Short // by this gateway itself
	Heard []Short // said by others
}

// Want asks for events of a window by the short ids that a sketch gave.
type Want struct {
	Window Window
	IDs    []uint32 // 1 to MaxWants
}

// Record carries what a node announces of itself, 1 to MaxRecord bytes whose
// meaning is the caller's.
type Record struct{ Bytes []byte }

func (WhoIs) kind() byte     { return kindWhoIs }
func (Keys) kind() byte      { return kindKeys }
func (Nack) kind() byte      { return kindNack }
func (Resend) kind() byte    { return kindResend }
func (Sketch) kind() byte    { return kindSketch }
func (Overheard) kind() byte { return kindOverheard }
func (Want) kind() byte      { return kindWant }
func (Record) kind() byte    { return kindRecord }

func (m WhoIs) appendBody(b []byte) ([]byte, error) {
	for _, h := range m.Hints {
		b = append(b, h[:]...)
	}
	return b, count("hints", len(m.Hints), 1, MaxHints)
}

func (m Keys) appendBody(b []byte) ([]byte, error) {
	for _, k := range m.Keys {
		b = append(b, k[:]...)
	}
	return b, count("keys", len(m.Keys), 1, MaxKeys)
}

func (m Nack) appendBody(b []byte) ([]byte, error) {
	for _, s := range m.Sets {
		if err := count("missing fragments", int(s.Count), 1, MaxFragments); err != nil {
			return nil, err
		}
		b = append(append(b, s.Set[:]...), s.Count)
	}
	return b, count("sets", len(m.Sets), 1, MaxNacks)
}

func (m Resend) appendBody(b []byte) ([]byte, error) {
	for _, h := range m.Handles {
		b = append(b, h[:]...)
	}
	return b, count("handles", len(m.Handles), 1, MaxHandles)
}

func (m Overheard) appendBody(b []byte) ([]byte, error) {
	b = append(b, byte(len(m.Said)))
	for _, s := range m.Said {
		b = append(b, s[:]...)
	}
	for _, s := range m.Heard {
		b = append(b, s[:]...)
	}
	return b, count("events", len(m.Said)+len(m.Heard), 0, MaxShorts)
}

func (m Want) appendBody(b []byte) ([]byte, error) {
	b = m.Window.append(b)
	for _, id := range m.IDs {
		b = binary.BigEndian.AppendUint32(b, id)
	}
	return b, count("short ids", len(m.IDs), 1, MaxWants)
}

func (m Record) appendBody(b []byte) ([]byte, error) {
	return append(b, m.Bytes...), count("bytes of a record", len(m.Bytes), 1, MaxRecord)
}

// parseBody reads a message's body, all of b; it keeps no reference to b.
func parseBody(kind byte, b []byte) (Message, error) {
	m, err := parseKind(kind, b)
	if err != nil {
		return nil, err
	}
	return m, nil
}

func parseKind(kind byte, b []byte) (Message, error) {
	switch kind {
	case kindWhoIs:
		list, err := entries(b, 4, 1, MaxHints, func(b []byte) Hint { return Hint(b) })
		return WhoIs{list}, err
	case kindKeys:
		list, err := entries(b, 32, 1, MaxKeys, func(b []byte) mesh.PubKey { return mesh.PubKey(b) })
		return Keys{list}, err
	case kindNack:
		return parseNack(b)
	case kindResend:
		list, err := entries(b, 4, 1, MaxHandles, func(b []byte) Handle { return Handle(b) })
		return Resend{list}, err
	case kindSketch:
		return parseSketch(b)
	case kindOverheard:
		return parseOverheard(b)
	case kindWant:
		return parseWant(b)
	case kindRecord:
		return Record{append([]byte(nil), b...)}, count("bytes of a record", len(b), 1, MaxRecord)
	}
	return nil, fmt.Errorf("%w: control message of kind %d", ErrUnknown, kind)
}

func parseNack(b []byte) (Message, error) {
	list, err := entries(b, 7, 1, MaxNacks, func(b []byte) Missing { return Missing{SetID(b[:6]), b[6]} })
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		if err := count("missing fragments", int(m.Count), 1, MaxFragments); err != nil {
			return nil, err
		}
	}
	return Nack{list}, nil
}

func parseOverheard(b []byte) (Message, error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: empty overhear message", ErrForm)
	}
	list, err := entries(b[1:], 8, 0, MaxShorts, func(b []byte) Short { return Short(b) })
	if err != nil {
		return nil, err
	}
	said := int(b[0])
	if said > len(list) {
		return nil, fmt.Errorf("%w: %d of %d events said", ErrForm, said, len(list))
	}
	return Overheard{list[:said:said], list[said:]}, nil
}

func parseWant(b []byte) (Message, error) {
	if len(b) < windowSize {
		return nil, fmt.Errorf("%w: %d bytes of a window, want %d", ErrForm, len(b), windowSize)
	}
	list, err := entries(b[windowSize:], 4, 1, MaxWants, binary.BigEndian.Uint32)
	return Want{parseWindow(b), list}, err
}

// entries cuts b into least to most entries of a fixed size.
func entries[T any](b []byte, size, least, most int, parse func([]byte) T) ([]T, error) {
	if len(b)%size != 0 {
		return nil, fmt.Errorf("%w: %d bytes are no entries of %d", ErrForm, len(b), size)
	}
	n := len(b) / size
	if err := count("entries", n, least, most); err != nil {
		return nil, err
	}
	list := make([]T, n)
	for i := range list {
		list[i] = parse(b[i*size : (i+1)*size])
	}
	return list, nil
}

func count(what string, n, least, most int) error {
	if n < least || n > most {
		return fmt.Errorf("%w: %d %s, allowed are %d to %d", ErrForm, n, what, least, most)
	}
	return nil
}

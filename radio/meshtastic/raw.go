package meshtastic

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// The functions here change a message without losing the fields that this
// package does not know: settings are kept whole, and programs get what the
// radio told, not what we made of it.

// WithID returns a FromRadio's bytes under another id.
func WithID(raw []byte, id uint32) ([]byte, error) {
	rest, err := without(raw, 1)
	if err != nil {
		return nil, err
	}
	return append(appendUint(nil, 1, uint64(id)), rest...), nil
}

// Inner returns the bytes of a message's field, the last where there are
// several, and whether there is one.
func Inner(raw []byte, num uint32) (inner []byte, ok bool, err error) {
	err = eachField(raw, func(f field) error {
		if uint32(f.num) != num {
			return nil
		}
		ok = true
		return f.copyBytes(&inner)
	})
	return inner, ok, err
}

// WithBytes returns the message with a length-delimited field set, nil leaves
// it out.
func WithBytes(raw []byte, num uint32, value []byte) ([]byte, error) {
	rest, err := without(raw, num)
	if err != nil || value == nil {
		return rest, err
	}
	return appendMessage(rest, protoNum(num), value), nil
}

// WithNumber returns the message with a varint field set; 0 leaves it out.
func WithNumber(raw []byte, num uint32, value uint64) ([]byte, error) {
	rest, err := without(raw, num)
	if err != nil {
		return nil, err
	}
	return appendUint(rest, protoNum(num), value), nil
}

// WithFixed returns the message with a fixed32 field set; 0 leaves it out.
func WithFixed(raw []byte, num, value uint32) ([]byte, error) {
	rest, err := without(raw, num)
	if err != nil {
		return nil, err
	}
	return appendFixed32(rest, protoNum(num), value), nil
}

// without copies a message but for one field.
func without(raw []byte, num uint32) ([]byte, error) {
	out := make([]byte, 0, len(raw)+8)
	for b := raw; len(b) > 0; {
		got, _, n := protowire.ConsumeField(b)
		if n < 0 {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(n))
		}
		if uint32(got) != num {
			out = append(out, b[:n]...)
		}
		b = b[n:]
	}
	return out, nil
}

package meshtastic

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrMalformed reports bytes that are not the message they should be.
var ErrMalformed = errors.New("malformed message")

// A field is one field of a protobuf message as it was met.
type field struct {
	num   protowire.Number
	typ   protowire.Type
	bits  uint64 // varint, fixed32, fixed64
	bytes []byte // length-delimited; shares the message's memory
}

// eachField calls f for every field in b, in order.
func eachField(b []byte, f func(field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: tag: %w", ErrMalformed, protowire.ParseError(n))
		}
		b = b[n:]
		v := field{num: num, typ: typ}
		switch typ {
		case protowire.VarintType:
			v.bits, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var u uint32
			u, n = protowire.ConsumeFixed32(b)
			v.bits = uint64(u)
		case protowire.Fixed64Type:
			v.bits, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			v.bytes, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return fmt.Errorf("%w: field %d: %w", ErrMalformed, num, protowire.ParseError(n))
		}
		if err := f(v); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (f field) want(typ protowire.Type) error {
	if f.typ != typ {
		return fmt.Errorf("%w: field %d has wire type %d, want %d", ErrMalformed, f.num, f.typ, typ)
	}
	return nil
}

func (f field) uint32(p *uint32) error {
	if err := f.want(protowire.VarintType); err != nil {
		return err
	}
	*p = uint32(f.bits)
	return nil
}

func (f field) int32(p *int32) error {
	if err := f.want(protowire.VarintType); err != nil {
		return err
	}
	*p = int32(f.bits)
	return nil
}

func (f field) bool(p *bool) error {
	if err := f.want(protowire.VarintType); err != nil {
		return err
	}
	*p = f.bits != 0
	return nil
}

func (f field) fixed32(p *uint32) error {
	if err := f.want(protowire.Fixed32Type); err != nil {
		return err
	}
	*p = uint32(f.bits)
	return nil
}

func (f field) float(p *float32) error {
	if err := f.want(protowire.Fixed32Type); err != nil {
		return err
	}
	*p = math.Float32frombits(uint32(f.bits))
	return nil
}

// copyBytes gives the caller bytes of its own: frames' buffers are reused.
func (f field) copyBytes(p *[]byte) error {
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	*p = append([]byte(nil), f.bytes...)
	return nil
}

func (f field) string(p *string) error {
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	*p = string(f.bytes)
	return nil
}

// message reads a nested message with parse.
func message[T any](f field, parse func([]byte) (*T, error), p **T) error {
	if err := f.want(protowire.BytesType); err != nil {
		return err
	}
	m, err := parse(f.bytes)
	if err != nil {
		return err
	}
	*p = m
	return nil
}

// The append functions leave zero values out, as proto3 does.

func appendUint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func appendInt(b []byte, num protowire.Number, v int32) []byte {
	return appendUint(b, num, uint64(int64(v)))
}

func appendBool(b []byte, num protowire.Number, v bool) []byte {
	return appendUint(b, num, protowire.EncodeBool(v))
}

func appendFixed32(b []byte, num protowire.Number, v uint32) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendFixed32(protowire.AppendTag(b, num, protowire.Fixed32Type), v)
}

func appendFloat(b []byte, num protowire.Number, v float32) []byte {
	return appendFixed32(b, num, math.Float32bits(v))
}

func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}

func appendString(b []byte, num protowire.Number, v string) []byte {
	return appendBytes(b, num, []byte(v))
}

// appendMessage writes a nested message even when it is empty: that it is
// there says something.
func appendMessage(b []byte, num protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), m)
}

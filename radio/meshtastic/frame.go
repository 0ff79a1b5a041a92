// Package meshtastic speaks the serial protocol of Meshtastic radios, over a
// serial line or TCP. It is written from measured field numbers, not from the
// upstream schema. On the wire, in both directions:
//
//	start  [2]byte       0x94 0xc3
//	length uint16        big endian, at most 512
//	packet [length]byte  a ToRadio (to the radio) or FromRadio protobuf
//
// A radio may print unframed log text before the first ToRadio reaches it, and
// lines lose and add bytes, so a reader looks for the next good frame; see
// Scanner. Fields that are not listed here are ignored when read.
package meshtastic

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Limits and marks of a frame.
const (
	MaxPacket = 512 // bytes of one ToRadio or FromRadio
	start1    = 0x94
	start2    = 0xc3
	headSize  = 4
)

// wake is sent before the first frame: a radio that is in the middle of a
// broken frame gives it up, one that sleeps wakes. Wait 100 ms afterwards.
var wake = bytes.Repeat([]byte{start2}, 32)

// AppendWake appends the bytes that come before the first frame.
func AppendWake(b []byte) []byte { return append(b, wake...) }

// Errors of ParseFrame.
var (
	ErrShort   = errors.New("frame is not complete")
	ErrNoFrame = errors.New("no frame starts here")
)

// AppendFrame appends a frame with the packet, which must not be longer than
// MaxPacket.
func AppendFrame(b, packet []byte) []byte {
	b = append(b, start1, start2)
	b = binary.BigEndian.AppendUint16(b, uint16(len(packet)))
	return append(b, packet...)
}

// ParseFrame reads the frame at the start of b; packet and rest share b's
// memory. It answers ErrShort where b may still become a frame and ErrNoFrame
// where it cannot.
func ParseFrame(b []byte) (packet, rest []byte, err error) {
	if len(b) > 0 && b[0] != start1 || len(b) > 1 && b[1] != start2 {
		return nil, nil, ErrNoFrame
	}
	if len(b) < headSize {
		return nil, nil, ErrShort
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n > MaxPacket {
		return nil, nil, fmt.Errorf("%w: length %d, limit %d", ErrNoFrame, n, MaxPacket)
	}
	if len(b) < headSize+n {
		return nil, nil, ErrShort
	}
	return b[headSize : headSize+n], b[headSize+n:], nil
}

// A Scanner finds the frames in a stream of bytes that comes in pieces. What
// it cannot use it counts as junk. After a false start it looks again from the
// very next byte, so that no good frame is lost behind noise that looked like a
// header. The zero Scanner is ready.
type Scanner struct {
	// OK tells whether a packet makes sense; one that does not was a false
	// start. Nil takes every packet.
	OK func(packet []byte) bool

	buf  []byte // written and not yet handed out
	junk uint64
}

// Write adds what has been read. It never fails.
func (s *Scanner) Write(b []byte) (int, error) {
	s.buf = append(s.buf, b...)
	return len(b), nil
}

// Next returns the next packet, or nil when more must be written first. The
// caller owns the packet.
func (s *Scanner) Next() []byte {
	for len(s.buf) > 0 {
		packet, rest, err := ParseFrame(s.buf)
		switch {
		case errors.Is(err, ErrShort):
			return nil
		case err == nil && (s.OK == nil || s.OK(packet)):
			packet = append([]byte{}, packet...)
			s.drop(len(s.buf) - len(rest))
			return packet
		}
		s.drop(1)
		s.junk++
	}
	return nil
}

// Quiet tells the scanner that the line has been silent for longer than any
// frame takes. An incomplete frame will then never be complete, and whole
// frames that it seemed to swallow come out of Next.
func (s *Scanner) Quiet() {
	if len(s.buf) > 0 {
		s.drop(1)
		s.junk++
	}
}

// Partial reports whether the scanner holds the beginning of a frame.
func (s *Scanner) Partial() bool { return len(s.buf) > 0 }

// Junk returns the number of bytes so far that belonged to no frame.
func (s *Scanner) Junk() uint64 { return s.junk }

// drop removes n bytes from the front and moves the rest there, so that the
// buffer never grows beyond one write and one frame.
func (s *Scanner) drop(n int) {
	s.buf = append(s.buf[:0], s.buf[n:]...)
}

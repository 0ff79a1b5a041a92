package air

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"drey/mesh"
)

// A sketch sums up a set of events in a few bytes, so that two nodes find how
// their sets differ (PinSketch: Dodis, Ostrovsky, Reyzin, Smith, "Fuzzy
// extractors", 2008). Its message's body:
//
//	until  uint32     big endian, Unix seconds: the end of the window, which is outside
//	hours  byte       length of the window, 1 to 255
//	salt   uint16     big endian
//	scope  byte       which topics are meant, see Scope
//	sums   []uint32   big endian, 1 to 48: the sum of the short ids' 1st, 3rd, 5th … powers
//
// With n sums n differences are found. Sums are in GF(2³²), see field.go. A
// short id is the first 4 bytes of SHA-256("drey/1/air/short", a zero byte,
// salt, event id), big endian; 0 becomes 1.
const (
	windowSize  = 8
	shortDomain = "drey/1/air/short\x00"

	// SketchBeacon differences are found by a beacon of 40 bytes. Where there
	// are more, SketchReply and then SketchFull (200 bytes) find them.
	SketchBeacon = 8
	SketchReply  = 20
	SketchFull   = 48
)

// Errors of Sketch.Differences.
var (
	ErrOverflow = errors.New("more differences than the sketch can tell")
	ErrWindow   = errors.New("sketches of different windows")
)

// A Window says which events a sketch is about: created in [Since, Until), of
// the topics of a scope.
type Window struct {
	Until mesh.Unix
	Hours uint8
	Salt  uint16
	Scope byte
}

// Since returns the first second of the window.
func (w Window) Since() mesh.Unix {
	span := mesh.Unix(w.Hours) * mesh.Unix(time.Hour/time.Second)
	return w.Until - min(span, w.Until)
}

// Contains reports whether an event of that time is in the window.
func (w Window) Contains(at mesh.Unix) bool { return at >= w.Since() && at < w.Until }

// Scope returns a byte that tells sets of topics apart: the first of the
// SHA-256 of their names, sorted, each with a line feed behind it.
func Scope(topics []mesh.Topic) byte {
	var s strings.Builder
	for _, t := range slices.Sorted(slices.Values(topics)) {
		s.WriteString(string(t) + "\n")
	}
	return sha256.Sum256([]byte(s.String()))[0]
}

// Short returns the id that stands for an event in sketches of this window.
func (w Window) Short(id mesh.EventID) uint32 {
	b := append(make([]byte, 0, len(shortDomain)+2+len(id)), shortDomain...)
	b = binary.BigEndian.AppendUint16(b, w.Salt)
	h := sha256.Sum256(append(b, id[:]...))
	return max(binary.BigEndian.Uint32(h[:]), 1)
}

func (w Window) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(w.Until))
	b = append(b, w.Hours)
	b = binary.BigEndian.AppendUint16(b, w.Salt)
	return append(b, w.Scope)
}

// parseWindow reads the first windowSize bytes of b.
func parseWindow(b []byte) Window {
	return Window{
		Until: mesh.Unix(binary.BigEndian.Uint32(b)),
		Hours: b[4],
		Salt:  binary.BigEndian.Uint16(b[5:]),
		Scope: b[7],
	}
}

// A Sketch sums up the events of a window.
type Sketch struct {
	Window Window
	Sums   []uint32
}

// NewSketch returns the sketch of the empty set that finds up to capacity
// differences, 1 to SketchFull.
func NewSketch(w Window, capacity int) Sketch {
	return Sketch{w, make([]uint32, min(max(capacity, 1), SketchFull))}
}

// Add puts an event into the set, or takes it out again.
func (s Sketch) Add(id mesh.EventID) { s.add(s.Window.Short(id)) }

func (s Sketch) add(short uint32) {
	power, step := short, square(short)
	for i := range s.Sums {
		s.Sums[i] ^= power
		power = mul(power, step)
	}
}

// Differences returns the short ids, rising, of the events that are in one of
// the two sets only. The smaller capacity counts. It is ErrOverflow when there
// are more, ErrWindow when the windows are not the same; more than the capacity
// may, with a chance of one in a million and less, look like other ids. The
// work is bounded whatever the sums are: 48 differences take some 10 ms on a
// small machine, the worst that can be made of 48 sums a few times as much.
func (s Sketch) Differences(other Sketch) ([]uint32, error) {
	if s.Window != other.Window {
		return nil, ErrWindow
	}
	n := min(len(s.Sums), len(other.Sums))
	sums := make([]uint32, n)
	for i := range sums {
		sums[i] = s.Sums[i] ^ other.Sums[i]
	}
	locator, ok := locate(sums)
	if !ok {
		return nil, ErrOverflow
	}
	if len(locator) == 1 {
		return nil, nil
	}
	// The locator's roots are the inverses of the short ids; backwards it has
	// the ids themselves.
	slices.Reverse(locator)
	ids, ok := locator.monic().roots()
	if !ok || len(ids) != len(locator)-1 {
		return nil, ErrOverflow
	}
	slices.Sort(ids)
	return ids, nil
}

// locate returns the polynomial ∏(1 − idₖ x) by Berlekamp and Massey, and
// whether the sums have one of a degree that they can tell.
func locate(odd []uint32) (poly, bool) {
	n := 2 * len(odd)
	sums := make([]uint32, n+1) // from the first power on; even ones are squares
	for i := 1; i <= n; i++ {
		if i%2 == 1 {
			sums[i] = odd[i/2]
		} else {
			sums[i] = square(sums[i/2])
		}
	}
	now, before := make(poly, n+2), make(poly, n+2)
	now[0], before[0] = 1, 1
	length, gap, past := 0, 1, uint32(1)
	for i := range n {
		d := sums[i+1]
		for j := 1; j <= length; j++ {
			d ^= mul(now[j], sums[i+1-j])
		}
		if d == 0 {
			gap++
			continue
		}
		kept := slices.Clone(now)
		f := mul(d, inverse(past))
		for j := 0; j+gap < len(now); j++ {
			now[j+gap] ^= mul(f, before[j])
		}
		if 2*length > i {
			gap++
			continue
		}
		length, before, past, gap = i+1-length, kept, d, 1
	}
	p := now.trim()
	return p, length <= len(odd) && len(p) == length+1
}

func (s Sketch) appendBody(b []byte) ([]byte, error) {
	if s.Window.Hours == 0 {
		return nil, fmt.Errorf("%w: window of 0 hours", ErrForm)
	}
	b = s.Window.append(b)
	for _, x := range s.Sums {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return b, count("sums", len(s.Sums), 1, SketchFull)
}

func parseSketch(b []byte) (Message, error) {
	if len(b) < windowSize {
		return nil, fmt.Errorf("%w: %d bytes of a window, want %d", ErrForm, len(b), windowSize)
	}
	w := parseWindow(b)
	if w.Hours == 0 {
		return nil, fmt.Errorf("%w: window of 0 hours", ErrForm)
	}
	sums, err := entries(b[windowSize:], 4, 1, SketchFull, binary.BigEndian.Uint32)
	return Sketch{w, sums}, err
}

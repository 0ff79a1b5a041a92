package air

import (
	"fmt"
	"time"
)

// A Modulation is how bits become radio waves.
type Modulation struct {
	Spread    int // spreading factor, 5 to 12
	Bandwidth int // hertz
	Coding    int // denominator of the coding rate 4/n, 5 to 8
}

// A Preset is one of Meshtastic's named modulations. The names on the air have
// no spaces.
type Preset struct {
	Name string
	Modulation
}

// presets are Meshtastic's, by number.
var presets = [...]Preset{
	{"LongFast", Modulation{11, 250_000, 5}},
	{"LongSlow", Modulation{12, 125_000, 8}},
	{"VeryLongSlow", Modulation{12, 62_500, 8}},
	{"MediumSlow", Modulation{10, 250_000, 5}},
	{"MediumFast", Modulation{9, 250_000, 5}},
	{"ShortSlow", Modulation{8, 250_000, 5}},
	{"ShortFast", Modulation{7, 250_000, 5}},
	{"LongModerate", Modulation{11, 125_000, 8}},
	{"ShortTurbo", Modulation{7, 500_000, 5}},
	{"LongTurbo", Modulation{11, 500_000, 8}},
}

// PresetOf returns the preset with Meshtastic's number n. An unknown one is
// taken for LongFast under another name: its costs are the highest in common
// use.
func PresetOf(n uint32) (p Preset, known bool) {
	if int64(n) < int64(len(presets)) {
		return presets[n], true
	}
	p = presets[0]
	p.Name = fmt.Sprintf("preset %d", n)
	return p, false
}

// Costs beside the payload, in bytes.
const (
	// Overhead is the radio's header and the protobuf around a payload of
	// PRIVATE_APP at most: 16 + port 3, length 3, bitfield 2. A text has a byte
	// less, and so has what is shorter than longPayload.
	Overhead  = 24
	Signature = 66 // what firmware 2.8 adds to a broadcast when it fits
	MaxFrame  = 255
	maxSigned = MaxFrame - Overhead - Signature

	longPayload = 128 // from here on a length takes two bytes
	preamble    = 16
	syncLength  = 4.25
)

// FrameSize returns the bytes that go on the air for a payload of PRIVATE_APP;
// signed tells that the firmware signs its broadcasts.
func FrameSize(payload int, signed bool) int {
	size := payload + Overhead
	if payload < longPayload {
		size--
	}
	if signed && payload <= maxSigned {
		size += Signature
	}
	return min(size, MaxFrame)
}

// TextSize is FrameSize for a text, and for other ports below 128.
func TextSize(payload int, signed bool) int {
	return min(FrameSize(payload, signed)-1, MaxFrame)
}

// Time returns how long a frame of so many bytes occupies the channel.
func (m Modulation) Time(frame int) time.Duration {
	symbol := m.Symbol()
	low := 0 // low data rate optimisation, for symbols of 16 ms and more
	if symbol >= 16*time.Millisecond {
		low = 1
	}
	bits, per := 8*frame-4*m.Spread+44, 4*(m.Spread-2*low)
	blocks := max((bits+per-1)/per, 0)
	symbols := preamble + syncLength + float64(8+blocks*m.Coding)
	return time.Duration(symbols * float64(symbol))
}

// Symbol returns how long one symbol takes.
func (m Modulation) Symbol() time.Duration {
	return time.Duration(float64(int64(1)<<m.Spread) / float64(m.Bandwidth) * float64(time.Second))
}

// Slot returns the unit of waiting before a radio sends: about what it takes
// to notice that somebody else is sending, 28 ms at LongFast.
func (m Modulation) Slot() time.Duration {
	const turnaround = 7600 * time.Microsecond
	return m.Symbol()*5/2 + turnaround
}

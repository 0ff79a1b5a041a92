package air

import (
	"errors"
	"fmt"

	"drey/mesh"
)

// Limits of what one payload holds and of what one may cost. They are part of
// the wire format: what exceeds them is refused.
const (
	MaxPayload = 231 // bytes of a PRIVATE_APP payload
	MaxEvents  = 3   // in one payload; each has a signature of 64 bytes
	MaxText    = 4096
	MaxWhole   = MaxFragments*MaxShard - 1 // bytes of an event frame that travels in fragments

	MaxChecks     = 8    // signatures checked for one payload, whatever is in it
	searchChecks  = 2    // as how many one counts whose end is to be found
	MaxCandidates = 8    // keys or events tried for one short name
	MaxRebuilds   = 1024 // ways tried to rebuild one event, at the cost of a SHA-256 each
)

// A Form is what a payload carries. Its first byte tells.
type Form uint8

// The forms of a payload.
const (
	FormUnknown  Form = iota // of a later version, or noise
	FormEvents               // signed events: Codec.Unpack
	FormControl              // machines' talk: Door.Open
	FormFragment             // a part of a long event: Assembly.Add
)

// First bytes of a payload; the low four bits say more.
const (
	headPacked   = 0x00 // 0x00 to 0x2f: number of events less one, topic
	headRaw      = 0x40 // topic
	headControl  = 0x50 // kind of message
	headFragment = 0x60 // number of data fragments less one
	headCut      = 0x80 // 0x80 to 0xaf: as packed; signatures without their end
	headNotes    = 0xc0 // 0xc0 to 0xef: as cut; each event a note; see note.go
)

// FormOf tells what a payload claims to be.
func FormOf(payload []byte) Form {
	if len(payload) == 0 {
		return FormUnknown
	}
	switch h := payload[0]; {
	case h < 0x30, h&0xf0 == headRaw, h >= headCut && h < headCut+0x30, h >= headNotes && h < headNotes+0x30:
		return FormEvents
	case h&0xf0 == headControl:
		return FormControl
	case h&0xf0 == headFragment:
		return FormFragment
	}
	return FormUnknown
}

// Errors that tell why a payload was refused. Errors that say more wrap them.
var (
	ErrForm    = errors.New("malformed frame")
	ErrUnknown = errors.New("frame of an unknown form or version")
	ErrWork    = errors.New("frame costs too much to rebuild")
	ErrForged  = errors.New("no key of ours made this frame")
	ErrReplay  = errors.New("frame was heard before")
)

// A Hint stands for an author's key: its first 4 bytes.
type Hint [4]byte

// HintOf returns the key's hint.
func HintOf(k mesh.PubKey) Hint { return Hint(k[:4]) }

// A Prefix stands for an event that travelled on this channel: the first 6
// bytes of its id.
type Prefix [6]byte

// PrefixOf returns the id's prefix.
func PrefixOf(id mesh.EventID) Prefix { return Prefix(id[:6]) }

// A Short names an event in an overhear frame: the first 8 bytes of its id, so
// that nobody finds another event with the same name.
type Short [8]byte

// ShortOf returns the id's short name.
func ShortOf(id mesh.EventID) Short { return Short(id[:8]) }

// A Handle names an event that somebody sent and that the receiver could not
// rebuild: the first 4 bytes of its signature.
type Handle [4]byte

// HandleOf returns the event's handle.
func HandleOf(e *mesh.Event) Handle {
	s := e.Sig()
	return Handle(s[:4])
}

// Text compresses the texts of a frame. Encode's output may be one byte longer
// than its input at most; Decode refuses to yield more than limit bytes, and
// its work is bounded by that limit. radio/air/coder is one.
type Text interface {
	Encode(text []byte) []byte
	Decode(b []byte, limit int) ([]byte, error)
}

// A Reference is an event that a short name may stand for.
type Reference struct {
	ID     mesh.EventID
	Author mesh.PubKey
}

// A Directory knows what short names stand for. The codec asks for at most
// MaxCandidates of each. It must be safe for concurrent use if the codec is
// used so.
type Directory interface {
	// Authors lists the keys that begin with these bytes, one or the four of a
	// hint: the roster's first, and those that were on this channel before others.
	// For sending, of one byte the roster's alone.
	Authors(begin []byte) []mesh.PubKey
	// Travelled lists the events whose id begins with the prefix and that went
	// over this channel in signed form, sent or received.
	Travelled(Prefix) []Reference
}

// An Item is an event and the topic of its envelope.
type Item struct {
	Event *mesh.Event
	Topic mesh.Topic
}

// A Codec turns events into payloads and back. Its fields are set before its
// first use and then immutable; it is safe for concurrent use if they are.
type Codec struct {
	Text      Text
	Directory Directory
	// Held returns the event with this id if it is held here with a signature
	// that was checked, else nil; it saves checking the signature of what is
	// heard again. May be nil.
	Held func(mesh.EventID) *mesh.Event
	// Near lists when events may be dated that are on the air now, the most
	// likely first, two at most: they tell what a short time means. Nil where
	// that is not known: short times are neither written nor understood.
	Near func() []mesh.Unix
	// Verify checks a signature; nil means Event.Verify.
	Verify func(*mesh.Event) error
}

// A Need is what keeps an event of a payload from being rebuilt. A caller
// parks the payload, asks, and unpacks it again when it has the answer.
type Need struct {
	Handle  Handle   // of the event, to ask for it in full with Resend
	Authors []Hint   // nobody is known whose key begins so: ask with WhoIs
	Targets []Prefix // no event that begins so travelled here
	// Resend reports that everything has candidates and none of them is right,
	// or too many are: only the event in full helps. It may also be forged.
	Resend bool
	// Short reports that the time was told short and that no date fits which was
	// tried: with another moment to go by (Codec.Near) one may.
	Short bool
	// Initials are the first bytes of authors that were told by these alone: with
	// another key that begins so (Directory.Authors) it may be rebuilt.
	Initials []byte
}

// A Result is what a payload held.
type Result struct {
	Items   []Item // rebuilt, every signature checked, in the order of the payload
	Missing []Need // one for each event that could not be rebuilt
	Work    Work
}

// Work is what unpacking cost.
type Work struct {
	Checks   int // signatures; one whose end was to be found counts as two
	Rebuilds int // SHA-256 over an event
}

// A TooLongError reports an event that does not fit where it should.
type TooLongError struct {
	Size, Limit int // bytes
	Never       bool
}

// Error says the size met and the limit.
func (e *TooLongError) Error() string {
	if e.Never {
		return fmt.Sprintf("too long for the radio: %d bytes after compression, at most %d (%d fragments) can be sent", e.Size, e.Limit, MaxFragments)
	}
	return fmt.Sprintf("%d bytes do not fit into one frame of %d", e.Size, e.Limit)
}

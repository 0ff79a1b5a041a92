package air

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"

	"github.com/klauspost/reedsolomon"
)

// An event that does not fit into one payload travels as a set of fragments:
//
//	head  byte     0x60 | data fragments less one
//	set   [6]byte  first bytes of SHA-256("drey/1/air/set", a zero byte, whole), whole with its padding
//	index byte     0 to 63; data fragments first
//	shard []byte   1 to 223 bytes, the same for the whole set
//
// The whole is an event frame, then padding of 1 to K bytes, each their number,
// which makes it a multiple of K; data fragment i is its i-th K-th part. Repair
// fragment i ≥ K is Reed and Solomon's over GF(2⁸) (polynomial 0x11d): the sum
// of every data shard j times the inverse of i xor j. Any K fragments give the
// whole. The set's name follows from the content, so a sender or a receiver
// that began anew, or another gateway, goes on with the same set.
const (
	MaxFragments = 10                        // data fragments
	MaxShard     = MaxPayload - fragmentHead // bytes
	fragmentHead = 1 + 6 + 1
	setSize      = 64 // fragments that can be told apart in a set
	setDomain    = "drey/1/air/set\x00"

	maxRounds = 8 // times that a set is gone on with after a Nack
)

// A SetID names a set of fragments by its content.
type SetID [6]byte

// String returns the id in hexadecimal.
func (s SetID) String() string { return fmt.Sprintf("%x", s[:]) }

// A Set is a long event on its way out, in fragments. It is not safe for
// concurrent use.
type Set struct {
	id     SetID
	data   int
	shards [][]byte // of setSize
	next   int      // index of the fragment that goes next
	said   uint64   // a bit for each index that went out, from here or elsewhere
	owed   int      // fragments to send now
	sent   int
	asked  int  // rounds
	begun  bool // Begin was called
}

// Split cuts an event into fragments. Keys and references in it are in full, so
// that every gateway makes the same set of it. The error is a *TooLongError, with
// Never set, for an event that can never go.
func (c *Codec) Split(it Item) (*Set, error) {
	whole, err := c.packWhole(it)
	if err != nil {
		return nil, err
	}
	return newSet(whole)
}

func newSet(whole []byte) (*Set, error) {
	if len(whole) > MaxWhole {
		return nil, &TooLongError{Size: len(whole), Limit: MaxWhole, Never: true}
	}
	data := (len(whole) + MaxShard) / MaxShard // with one byte of padding at least
	size := (len(whole) + data) / data
	padding := data*size - len(whole)
	padded := append(make([]byte, 0, data*size), whole...)
	for range padding {
		padded = append(padded, byte(padding))
	}
	s := &Set{id: setID(padded), data: data, shards: make([][]byte, setSize)}
	for i := range s.shards {
		if i < data {
			s.shards[i] = padded[i*size : (i+1)*size]
		} else {
			s.shards[i] = make([]byte, size)
		}
	}
	rs, err := solomon(data)
	if err != nil {
		return nil, err
	}
	if err := rs.Encode(s.shards); err != nil {
		return nil, fmt.Errorf("fragments: %w", err)
	}
	return s, nil
}

func setID(padded []byte) SetID {
	h := sha256.Sum256(append([]byte(setDomain), padded...))
	return SetID(h[:6])
}

// solomon returns the code for sets of so many data fragments.
func solomon(data int) (reedsolomon.Encoder, error) {
	rs, err := reedsolomon.New(data, setSize-data, reedsolomon.WithCauchyMatrix(),
		reedsolomon.WithMaxGoroutines(1), reedsolomon.WithInversionCache(false))
	if err != nil {
		return nil, fmt.Errorf("fragments: %w", err)
	}
	return rs, nil
}

// ID returns the set's name.
func (s *Set) ID() SetID { return s.id }

// Data returns how many fragments carry the event; receivers need as many.
func (s *Set) Data() int { return s.data }

// Sent returns how many fragments went out: what Next has given out, and what
// Heard took in.
func (s *Set) Sent() int { return s.sent }

// Owed returns how many fragments Next will give out as things are.
func (s *Set) Owed() int { return s.owed }

// Size returns the bytes of each fragment's payload.
func (s *Set) Size() int { return fragmentHead + len(s.shards[0]) }

// Begin makes the data fragments and as many to repair them as the measured
// loss asks for ready to go.
func (s *Set) Begin(loss float64) {
	if s.begun {
		return
	}
	s.begun = true
	s.owed = s.data + Repair(s.data, loss)
}

// Resume goes on with a set of which fragments had been sent before a restart,
// as Sent told then: nothing goes until somebody asks for it, but what does is
// fresh. With sent below Begin's number the rest of that goes.
func (s *Set) Resume(sent int, loss float64) {
	s.begun = true
	s.sent, s.next, s.said = sent, sent%setSize, 1<<min(sent, setSize)-1
	s.owed = max(s.data+Repair(s.data, loss)-sent, 0)
}

// Heard takes in what another was heard sending. Where it is a fragment of this
// set that had not gone out, there is one less to send, and it reports true. Only
// the fragment itself counts: whoever knows the set's name alone cannot make a
// sender believe that it was said.
func (s *Set) Heard(payload []byte) bool {
	f, err := parseFragment(payload)
	if err != nil || f.set != s.id || s.said>>f.index&1 == 1 || !bytes.Equal(payload, s.frame(f.index)) {
		return false
	}
	s.said |= 1 << f.index
	s.sent++
	s.owed = max(s.owed-1, 0)
	if f.index >= s.next {
		s.next = (f.index + 1) % setSize
	}
	return true
}

// Nacked takes in that somebody needs so many more fragments. Fragments that
// are yet to go count towards them: the largest number asked decides. It
// reports false when the set was asked for too often and nothing more goes.
func (s *Set) Nacked(missing int) bool {
	missing = min(missing, s.data)
	if missing <= s.owed {
		return true
	}
	if s.owed == 0 {
		if s.asked >= maxRounds {
			return false
		}
		s.asked++
	}
	s.owed = missing
	return true
}

// Next returns the payload of the fragment to send now, or false when there is
// none. Each is one that was not sent before, as long as there are such.
func (s *Set) Next() ([]byte, bool) {
	if s.owed == 0 {
		return nil, false
	}
	for ^s.said != 0 && s.said>>s.next&1 == 1 {
		s.next = (s.next + 1) % setSize
	}
	p := s.frame(s.next)
	s.said |= 1 << s.next
	s.owed--
	s.sent++
	s.next = (s.next + 1) % setSize
	return p, true
}

// frame returns the payload of one fragment.
func (s *Set) frame(index int) []byte {
	b := make([]byte, 0, s.Size())
	b = append(b, headFragment|byte(s.data-1))
	b = append(b, s.id[:]...)
	b = append(b, byte(index))
	return append(b, s.shards[index]...)
}

// A fragment is the parsed payload.
type fragment struct {
	set   SetID
	data  int
	index int
	shard []byte // of the payload
}

func parseFragment(payload []byte) (fragment, error) {
	if FormOf(payload) != FormFragment {
		return fragment{}, fmt.Errorf("%w: not a fragment", ErrUnknown)
	}
	if len(payload) <= fragmentHead || len(payload) > MaxPayload {
		return fragment{}, fmt.Errorf("%w: fragment of %d bytes, allowed are %d to %d", ErrForm, len(payload), fragmentHead+1, MaxPayload)
	}
	f := fragment{
		set:   SetID(payload[1:7]),
		data:  int(payload[0]&0x0f) + 1,
		index: int(payload[7]),
		shard: payload[fragmentHead:],
	}
	if f.data > MaxFragments {
		return fragment{}, fmt.Errorf("%w: set of %d fragments, limit %d", ErrForm, f.data, MaxFragments)
	}
	if f.index >= setSize {
		return fragment{}, fmt.Errorf("%w: fragment %d of a set, limit %d", ErrForm, f.index, setSize-1)
	}
	return f, nil
}

// Repair returns how many repair fragments go with so many data fragments when
// a share p of all fragments is lost: ⌈data · p/(1−p)⌉, data at most. What is
// not a share counts as 0.
func Repair(data int, p float64) int {
	if !(p > 0) {
		return 0
	}
	if p >= 0.5 {
		return data
	}
	return min(int(math.Ceil(float64(data)*p/(1-p)-1e-9)), data)
}

// A Loss is a running measure of the share of fragments that are lost.
type Loss struct {
	share float64
	known bool
}

// firstLoss is what is assumed before anything was measured.
const firstLoss = 0.1

// Share returns the measure, from 0 to 1.
func (l *Loss) Share() float64 {
	if !l.known {
		return firstLoss
	}
	return l.share
}

// Observe takes in that the worst receiver lost so many of the sent fragments.
func (l *Loss) Observe(lost, sent int) {
	if sent <= 0 {
		return
	}
	p := float64(min(max(lost, 0), sent)) / float64(sent)
	l.share, l.known = l.Share()+(p-l.Share())/4, true
}

package air

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"drey/mesh"
)

// A control frame:
//
//	head    byte     0x50 | kind
//	counter uint32   big endian, rising for each sender
//	body    []byte   see Message
//	mac     [8]byte  HMAC-SHA256, cut to 8 bytes, by the key that follows from
//	                 the community's secret (mesh.Secret.RadioMAC), over
//	                 "drey/1/air", a zero byte, the sender's node number in the
//	                 packet's header (uint32, big endian) and all before the mac
const (
	macSize     = 8
	controlHead = 1 + 4
	// ControlOverhead is what a control frame adds to its body, in bytes.
	ControlOverhead = controlHead + macSize

	maxSenders  = 256                // whose counters are remembered
	replayDepth = 16                 // counters remembered of each
	forgetAfter = 7 * 24 * time.Hour // a sender that was silent for so long may begin again
	macDomain   = "drey/1/air\x00"
)

// A Door seals this node's control frames and opens others'. It knows one
// community by its secrets, several of them while one takes the place of
// another. It is not safe for concurrent use.
type Door struct {
	keys    []mesh.RadioKey
	senders map[uint32]*sender
	refused map[string]uint64
	sealed  uint // frames; turns through the keys where senders differ
}

// A sender is whose counters are remembered.
type sender struct {
	counters []uint32 // the highest seen, falling
	last     time.Time
	key      mesh.RadioKey // that its last frame was under
}

// NewDoor returns a door for the secrets, the newest first.
func NewDoor(secrets []mesh.Secret) *Door {
	d := &Door{senders: make(map[uint32]*sender), refused: make(map[string]uint64)}
	d.SetSecrets(secrets)
	return d
}

// SetSecrets changes the secrets, the newest first, at most mesh.MaxEpochs of
// them count. What was heard stays heard.
func (d *Door) SetSecrets(secrets []mesh.Secret) {
	d.keys = d.keys[:0]
	for _, s := range secrets[:min(len(secrets), mesh.MaxEpochs)] {
		d.keys = append(d.keys, s.RadioMAC())
	}
}

// Seal makes a control frame from the radio with this node number, under the
// secret that others are known to have; see keyToSeal. The counter must rise
// from frame to frame; see Counter.
func (d *Door) Seal(from, counter uint32, m Message) ([]byte, error) {
	if len(d.keys) == 0 {
		return nil, errors.New("seal control frame: no secret")
	}
	b := []byte{headControl | m.kind()}
	b = binary.BigEndian.AppendUint32(b, counter)
	b, err := m.appendBody(b)
	if err != nil {
		return nil, fmt.Errorf("seal control frame: %w", err)
	}
	mac := controlMAC(d.keyToSeal(), from, b)
	d.sealed++
	return append(b, mac[:]...), nil
}

// keyToSeal chooses among the keys of the secrets. While a new one takes the
// place of an old, the old is what everybody has: a machine that only the radio
// reaches learns the new one by what the old still lets through. So the oldest
// is used, until every sender that is remembered has changed to another; where
// they differ, theirs take turns.
func (d *Door) keyToSeal() mesh.RadioKey {
	oldest := d.keys[len(d.keys)-1]
	used := make(map[mesh.RadioKey]bool)
	for _, s := range d.senders {
		if slices.Contains(d.keys, s.key) {
			used[s.key] = true
		} else {
			used[oldest] = true // its own is gone here
		}
	}
	keys := slices.DeleteFunc(slices.Clone(d.keys), func(k mesh.RadioKey) bool { return !used[k] })
	if len(keys) == 0 {
		return oldest
	}
	return keys[d.sealed%uint(len(keys))]
}

// Open checks a control frame that came from the radio with this node number
// and returns its message. It costs at most one HMAC for each secret. Errors
// wrap ErrForm, ErrUnknown, ErrForged or ErrReplay, and are counted.
func (d *Door) Open(from uint32, payload []byte, now time.Time) (Message, error) {
	m, err := d.open(from, payload, now)
	if err != nil {
		d.refused[reason(err)]++
		return nil, err
	}
	return m, nil
}

func (d *Door) open(from uint32, payload []byte, now time.Time) (Message, error) {
	if FormOf(payload) != FormControl {
		return nil, fmt.Errorf("%w: not a control frame", ErrUnknown)
	}
	if len(payload) < ControlOverhead || len(payload) > MaxPayload {
		return nil, fmt.Errorf("%w: control frame of %d bytes, allowed are %d to %d", ErrForm, len(payload), ControlOverhead, MaxPayload)
	}
	signed, mac := payload[:len(payload)-macSize], payload[len(payload)-macSize:]
	under := slices.IndexFunc(d.keys, func(k mesh.RadioKey) bool {
		want := controlMAC(k, from, signed)
		return hmac.Equal(want[:], mac)
	})
	if under < 0 {
		return nil, ErrForged
	}
	counter := binary.BigEndian.Uint32(payload[1:])
	if !d.fresh(from, counter, now) {
		return nil, fmt.Errorf("%w: counter %d of !%08x", ErrReplay, counter, from)
	}
	d.senders[from].key = d.keys[under]
	return parseBody(payload[0]&0x0f, signed[controlHead:])
}

// fresh remembers the counter and reports whether it is new.
func (d *Door) fresh(from, counter uint32, now time.Time) bool {
	s := d.senders[from]
	if s == nil || now.Sub(s.last) > forgetAfter {
		if s == nil && len(d.senders) >= maxSenders {
			d.forgetOne()
		}
		s = &sender{}
		d.senders[from] = s
	}
	at, known := slices.BinarySearchFunc(s.counters, counter, func(a, b uint32) int { return cmp.Compare(b, a) })
	if known || at >= replayDepth {
		return false
	}
	s.counters = slices.Insert(s.counters, at, counter)
	s.counters = s.counters[:min(len(s.counters), replayDepth)]
	s.last = now
	return true
}

// forgetOne makes room by dropping the sender that was silent for longest.
func (d *Door) forgetOne() {
	var oldest uint32
	var last time.Time
	for from, s := range d.senders {
		if last.IsZero() || s.last.Before(last) || s.last.Equal(last) && from < oldest {
			oldest, last = from, s.last
		}
	}
	delete(d.senders, oldest)
}

// Refused returns how many frames were refused, by reason: "form", "version",
// "forged" and "replay".
func (d *Door) Refused() map[string]uint64 {
	m := make(map[string]uint64, len(d.refused))
	for k, v := range d.refused {
		m[k] = v
	}
	return m
}

// reason returns the name under which a refusal is counted.
func reason(err error) string {
	switch {
	case errors.Is(err, ErrForged):
		return "forged"
	case errors.Is(err, ErrReplay):
		return "replay"
	case errors.Is(err, ErrUnknown):
		return "version"
	}
	return "form"
}

func controlMAC(k mesh.RadioKey, from uint32, b []byte) [macSize]byte {
	h := hmac.New(sha256.New, k[:])
	h.Write([]byte(macDomain))
	h.Write(binary.BigEndian.AppendUint32(nil, from))
	h.Write(b)
	return [macSize]byte(h.Sum(nil)[:macSize])
}

// A Counter numbers this node's control frames. It follows the clock in
// seconds, and never falls behind what it gave out before: neither a clock
// that was set back nor a new home makes old numbers.
type Counter struct {
	next, reserved uint32
}

// counterBlock is how many numbers one write to the shelf reserves.
const counterBlock = 256

// NewCounter returns a counter that goes on from what save was given last, 0
// for none.
func NewCounter(saved uint32) *Counter { return &Counter{next: saved, reserved: saved} }

// lastClock, the year 2100, is the latest time that a clock is believed: a clock
// of all ones would use up the numbers for good.
const lastClock = mesh.Unix(4_102_444_800)

// Next returns the next number. Now and then it calls save first, with a
// number that must be on disk before the frame is sent.
func (c *Counter) Next(now mesh.Unix, save func(uint32) error) (uint32, error) {
	if now > lastClock {
		now = 0
	}
	n := max(c.next, uint32(now))
	if n >= c.reserved {
		upto := n + min(counterBlock, ^uint32(0)-n)
		if err := save(upto); err != nil {
			return 0, fmt.Errorf("counter of control frames: %w", err)
		}
		c.reserved = upto
	}
	if n == ^uint32(0) {
		return 0, errors.New("counter of control frames: used up")
	}
	c.next = n + 1
	return n, nil
}

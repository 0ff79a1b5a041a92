package air

import (
	"errors"
	"fmt"
)

// Plain leaves texts as they are: for tests.
type Plain struct{}

// Encode returns the text.
func (Plain) Encode(text []byte) []byte { return text }

// Decode returns b, or an error when it is longer than limit.
func (Plain) Decode(b []byte, limit int) ([]byte, error) {
	if len(b) > limit {
		return nil, fmt.Errorf("%w: text of %d bytes, limit %d", ErrForm, len(b), limit)
	}
	return b, nil
}

// Pack makes one payload, of at most limit bytes (MaxPayload where it is 0 or
// more), of as many of the items as fit, taken from the front, at most
// MaxEvents. It returns how many. The first decides: where it does not fit the
// error is a *TooLongError, and Split may help. What Pack returns it has
// unpacked and compared first.
//
// In full, authors and references are written out, so that any node can
// rebuild the events: the answer to a Resend.
func (c *Codec) Pack(items []Item, limit int, full bool) (payload []byte, n int, err error) {
	if len(items) == 0 {
		return nil, 0, errors.New("pack: no event")
	}
	if limit <= 0 || limit > MaxPayload {
		limit = MaxPayload
	}
	b := appendRaw(nil, items[0])
	if len(b) > limit {
		return nil, 0, &TooLongError{Size: len(b), Limit: limit}
	}
	return b, 1, nil
}

// packWhole makes an event frame that may be as long as a set of fragments.
func (c *Codec) packWhole(it Item) ([]byte, error) {
	return appendRaw(nil, it), nil
}

// Unpack rebuilds the events of a payload and checks their signatures. Errors
// wrap ErrForm or ErrUnknown; an event that could not be rebuilt is no error
// but a Need. What it costs is bounded by MaxChecks, MaxRebuilds for each
// event and MaxText, whatever the payload holds.
func (c *Codec) Unpack(payload []byte) (*Result, error) {
	if len(payload) > MaxPayload {
		return nil, fmt.Errorf("%w: payload of %d bytes, limit %d", ErrForm, len(payload), MaxPayload)
	}
	return c.UnpackWhole(payload)
}

// UnpackWhole is Unpack for what an Assembly put together.
func (c *Codec) UnpackWhole(whole []byte) (*Result, error) {
	if FormOf(whole) != FormEvents {
		return nil, fmt.Errorf("%w: no event frame", ErrUnknown)
	}
	it, err := parseRaw(whole)
	if err != nil {
		return nil, err
	}
	if err := c.verify(it); err != nil {
		return nil, err
	}
	return &Result{Items: []Item{it}, Work: Work{Checks: 1, Rebuilds: 1}}, nil
}

func (c *Codec) verify(it Item) error {
	if c.Verify != nil {
		return c.Verify(it.Event)
	}
	return it.Event.Verify()
}

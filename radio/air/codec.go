package air

import (
	"errors"
	"fmt"
	"slices"

	"drey/mesh"
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
	for n := min(len(items), MaxEvents); n > 1; n-- {
		if least(n) > limit {
			continue
		}
		if b, err := c.pack(items[:n], full, limit, MaxText); err == nil {
			return b, n, nil
		}
	}
	b, err := c.pack(items[:1], full, limit, MaxText)
	if err != nil {
		return nil, 0, err
	}
	return b, 1, nil
}

// least is what n events need at the very least.
func least(n int) int { return 1 + 1 + n*(2+64-cutBytes) }

// pack makes a frame of all the items in the shortest form that can be read
// back: packed as asked, packed with everything written out, or raw.
func (c *Codec) pack(items []Item, full bool, limit, text int) ([]byte, error) {
	forms := []bool{false, true}
	if full {
		forms = forms[1:]
	}
	size := 0
	try := func(b []byte) bool {
		if size == 0 || len(b) < size {
			size = len(b)
		}
		return len(b) <= limit && c.same(b, items, text)
	}
	if !full {
		b := c.encodeCut(items)
		if size = len(b); size > limit && len(items) > 1 {
			return nil, &TooLongError{Size: size, Limit: limit} // the others say more
		}
		if size <= limit && signed(items) && c.same(b, items, text) {
			return b, nil
		}
	}
	for _, full := range forms {
		b := c.encode(items, full)
		if try(b) {
			return b, nil
		}
		if len(b) > limit && c.same(b, items, text) {
			break // what says more is longer
		}
	}
	if len(items) == 1 {
		if b := appendRaw(nil, items[0]); try(b) {
			return b, nil
		}
	}
	return nil, &TooLongError{Size: size, Limit: limit}
}

// signed reports whether every signature holds: then its end can be found.
func signed(items []Item) bool {
	return !slices.ContainsFunc(items, func(it Item) bool { return it.Event.Verify() != nil })
}

// same reports whether a frame gives exactly these items, once the ends of
// their signatures are found.
func (c *Codec) same(b []byte, items []Item, text int) bool {
	held := func(id mesh.EventID) *mesh.Event {
		for _, it := range items {
			if it.Event.ID() == id {
				return it.Event
			}
		}
		return nil
	}
	res, err := c.unpack(b, text, compare(items), held)
	return err == nil && slices.EqualFunc(res.Items, items, func(a, b Item) bool {
		return a.Topic == b.Topic && a.Event.ID() == b.Event.ID() && a.Event.Sig() == b.Event.Sig()
	})
}

// packWhole makes an event frame that may be as long as a set of fragments. It
// is in full, so every gateway makes the same one and every node can read it.
func (c *Codec) packWhole(it Item) ([]byte, error) {
	if size := len(it.Event.Content()); size > maxWholeText {
		return nil, &TooLongError{Size: size, Limit: MaxWhole, Never: true}
	}
	b, err := c.pack([]Item{it}, true, MaxWhole, maxWholeText)
	var long *TooLongError
	if errors.As(err, &long) {
		long.Never = true
	}
	return b, err
}

// Unpack rebuilds the events of a payload and checks their signatures. Errors
// wrap ErrForm or ErrUnknown; an event that could not be rebuilt is no error
// but a Need. What it costs is bounded by MaxChecks, MaxRebuilds for each
// event and MaxText, whatever the payload holds.
func (c *Codec) Unpack(payload []byte) (*Result, error) {
	if len(payload) > MaxPayload {
		return nil, fmt.Errorf("%w: payload of %d bytes, limit %d", ErrForm, len(payload), MaxPayload)
	}
	return c.unpack(payload, MaxText, c.verify, c.Held)
}

// UnpackWhole is Unpack for what an Assembly put together, with texts of up to
// 16 kB. Signatures are whole there, and times.
func (c *Codec) UnpackWhole(whole []byte) (*Result, error) {
	if len(whole) > MaxWhole {
		return nil, fmt.Errorf("%w: frame of %d bytes, limit %d", ErrForm, len(whole), MaxWhole)
	}
	if FormOf(whole) == FormEvents && whole[0] >= headCut {
		return nil, fmt.Errorf("%w: fragments of a cut frame", ErrForm)
	}
	return c.unpack(whole, maxWholeText, c.verify, c.Held)
}

func (c *Codec) unpack(b []byte, text int, accept func(*mesh.Event) error, held func(mesh.EventID) *mesh.Event) (*Result, error) {
	if FormOf(b) != FormEvents {
		return nil, fmt.Errorf("%w: no event frame", ErrUnknown)
	}
	if b[0]&0xf0 == headRaw {
		return unpackRaw(b, accept, held)
	}
	p, err := c.parsePacked(b, text)
	if err != nil {
		return nil, err
	}
	return c.rebuild(p, accept, held), nil
}

// unpackRaw checks the one event of a raw frame.
func unpackRaw(b []byte, accept func(*mesh.Event) error, held func(mesh.EventID) *mesh.Event) (*Result, error) {
	it, err := parseRaw(b)
	if err != nil {
		return nil, err
	}
	res := &Result{Items: []Item{it}, Work: Work{Rebuilds: 1}}
	if held != nil {
		if h := held(it.Event.ID()); h != nil && h.Sig() == it.Event.Sig() {
			res.Items[0].Event = h
			return res, nil
		}
	}
	res.Work.Checks = 1
	if err := accept(it.Event); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	return res, nil
}

func (c *Codec) verify(e *mesh.Event) error {
	if c.Verify != nil {
		return c.Verify(e)
	}
	return e.Verify()
}

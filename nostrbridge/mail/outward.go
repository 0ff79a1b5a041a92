package mail

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"drey/mesh"
)

// A wrap for somebody outside of the community is signed by a key that nobody
// knows, for a reader whom nobody knows: no node would pass it on. So it travels
// inside an event of kind 3746 that its writer's machine signs, in topic "mail":
//
//	["p", reader]  ["expiration", +7 d]   content: the wrap's JSON
//
// A gateway finds the reader's list of relays (kind 10050) and leaves the wrap
// there. Only nodes that hold mail see who writes to whom.
const outwardFor = 7 * 24 * time.Hour

var errOutward = errors.New("not a wrap for an outsider")

// seal makes the event in which a rumor goes to one reader.
func (m *Mail) seal(r *mesh.Rumor, to mesh.PubKey, now time.Time) (*mesh.Event, error) {
	w, err := Wrap(m.cfg.Key, r, to, now)
	if err != nil || !m.Outsider(to) {
		return w, err
	}
	e, err := m.cfg.Key.Sign(mesh.Draft{
		CreatedAt: mesh.UnixOf(now), Kind: mesh.KindOutward, Content: string(w.AppendJSON(nil)),
		Tags: [][]string{{"p", to.String()}, {"expiration", strconv.FormatInt(now.Add(outwardFor).Unix(), 10)}},
	})
	if err != nil {
		return nil, fmt.Errorf("%w for somebody outside of the community: %w", ErrTooLong, err)
	}
	return e, nil
}

// Outsider reports whether a reader is nobody of the community.
func (m *Mail) Outsider(k mesh.PubKey) bool {
	return k != m.self && m.cfg.Roster.Standing(k, m.cfg.Clock()) == mesh.Stranger
}

// Outward takes the wrap and its reader out of an event of kind 3746.
func Outward(e *mesh.Event) (wrap *mesh.Event, reader mesh.PubKey, err error) {
	if e.Kind() != mesh.KindOutward {
		return nil, reader, fmt.Errorf("%w: kind %d", errOutward, e.Kind())
	}
	if wrap, err = mesh.ParseJSON([]byte(e.Content())); err != nil {
		return nil, reader, fmt.Errorf("%w: %w", errOutward, err)
	}
	to, _ := e.Tag("p")
	if reader, err = mesh.ParsePubKey(to); err != nil {
		return nil, reader, fmt.Errorf("%w: %w", errOutward, err)
	}
	named := wrap.TagValues("p")
	if wrap.Kind() != mesh.KindGiftWrap || len(named) != 1 || named[0] != to {
		return nil, reader, fmt.Errorf("%w: kind %d for %d readers", errOutward, wrap.Kind(), len(named))
	}
	if err := wrap.Verify(); err != nil {
		return nil, reader, fmt.Errorf("%w: %w", errOutward, err)
	}
	return wrap, reader, nil
}

// ReadInbox returns the relays of a list of kind 10050, the first ones.
func ReadInbox(e *mesh.Event) []string { return relaysOf(e) }

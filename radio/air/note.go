package air

import (
	"encoding/base64"
	"slices"
	"strings"

	"drey/mesh"
)

// A frame of notes (0xc0 to 0xef) is what people's talk is mostly made of, in as
// few bytes as it takes:
//
//	head   byte    0xc0 | (number of events − 1) << 4 | topic code
//	time   byte    the last of the first event's created_at: see date.go
//	events         1 to 3, each kind 1 with a text, and ["t", topic] its only tag:
//	  time    uvarint  zigzag of created_at less the first's; not in the first
//	  initial byte     the first of the author's key
//	  check   byte     the first of the event's id
//	  sig     [60]byte
//	text   []byte  to the end
//
// Who is meant by an initial, and when, follows from what is tried: of 256 wrong
// combinations one passes the check, and costs a search for the signature's end
// in vain. Combinations are few where clocks agree and a roster has tens of
// members, since the likeliest is tried first.

// mostInitials is among how many keys with one initial that a sender knows, the
// roster's first, its author's must be. Receivers try more of them: they may
// know others.
const mostInitials = MaxCandidates / 2

// notes reports whether the items can make a frame of notes.
func (c *Codec) notes(items []Item) bool {
	if !c.brief(items[0].Event.CreatedAt()) {
		return false
	}
	for i, it := range items {
		if it.Topic != items[0].Topic || !isNote(it, i == len(items)-1) || !c.initialed(it.Event.Author()) {
			return false
		}
	}
	return true
}

// isNote reports whether an event is no more than a text in its topic. A text of
// more than one line must be the last.
func isNote(it Item, last bool) bool {
	tags, text := it.Event.Tags(), it.Event.Content()
	if _, data := unbase64(text, base64.StdEncoding); data || text == "" || !last && strings.Contains(text, "\n") {
		return false
	}
	return it.Event.Kind() == mesh.KindNote && len(tags) == 1 && slices.Equal(tags[0], []string{"t", string(it.Topic)})
}

// initialed reports whether the key's first byte will do.
func (c *Codec) initialed(key mesh.PubKey) bool {
	list := c.authors(key[:1])
	return slices.Contains(list[:min(len(list), mostInitials)], key)
}

package air

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"strings"

	"drey/mesh"
)

// An encoder writes one packed frame.
type encoder struct {
	codec  *Codec
	full   bool // nothing is left to the receiver's knowledge
	cut    bool // signatures are without their end
	notes  bool // and all events are notes: see note.go
	b      []byte
	texts  []string
	events []*mesh.Event // written before

	// Of the event being written.
	event *mesh.Event
	refs  []sentRef
	last  *mesh.PubKey // the key written last
}

// A sentRef is a reference that was written.
type sentRef struct {
	id     mesh.EventID
	author mesh.PubKey // where the receiver knows it too
	known  bool
}

// encode writes a packed frame of 1 to MaxEvents items; in full, it writes keys
// and references out. It may be of any length.
func (c *Codec) encode(items []Item, full bool) []byte {
	return (&encoder{codec: c, full: full}).frame(items)
}

// encodeCut writes the shortest packed frame, whose signatures are without
// their end.
func (c *Codec) encodeCut(items []Item) []byte {
	e := &encoder{codec: c, cut: true, notes: c.notes(items)}
	b := e.frame(items)
	if b[0] |= headCut; e.notes {
		b[0] |= headNotes
	}
	return b
}

func (e *encoder) frame(items []Item) []byte {
	first := items[0]
	code, ok := topicCode(first.Topic)
	e.b = append(e.b, byte(len(items)-1)<<4|code)
	if !ok {
		e.text(string(first.Topic))
	}
	e.b = binary.BigEndian.AppendUint32(e.b, uint32(first.Event.CreatedAt()))
	if e.notes {
		e.b = slices.Delete(e.b, 1, packedHead-1)
	}
	for i := range items {
		e.item(items, i)
	}
	if len(e.texts) == 0 {
		return e.b
	}
	return append(e.b, e.codec.Text.Encode([]byte(strings.Join(e.texts, "\n")))...)
}

func (e *encoder) text(s string) { e.texts = append(e.texts, s) }

func (e *encoder) uvarint(v uint64) { e.b = binary.AppendUvarint(e.b, v) }

func (e *encoder) add(b ...byte) { e.b = append(e.b, b...) }

// item writes one event.
func (e *encoder) item(items []Item, i int) {
	it := items[i]
	e.event, e.refs, e.last = it.Event, nil, nil
	if e.notes {
		e.note(items, i)
		return
	}
	tags := it.Event.Tags()
	moved := i > 0 && it.Topic != items[i-1].Topic
	own := len(tags) > 0 && len(tags[0]) == 2 && tags[0][0] == "t" && tags[0][1] == string(it.Topic)
	content, data := e.content(i == len(items)-1)
	kind := e.kind()
	if kind == 1 && own && len(tags) == 1 && !moved {
		kind = kindNote
	}
	author := e.author()
	e.add(byte(kind)<<4 | byte(author)<<2 | byte(content))
	if kind == kindOther {
		e.uvarint(uint64(it.Event.Kind()))
	}
	if own {
		tags = tags[1:]
	}
	if kind != kindNote {
		e.tagsByte(tags, own, moved)
		if moved {
			code, ok := topicCode(it.Topic)
			e.add(code)
			if !ok {
				e.text(string(it.Topic))
			}
		}
	}
	e.after(items, i)
	key, id, sig := it.Event.Author(), it.Event.ID(), it.Event.Sig()
	switch author {
	case authorHint:
		e.add(key[:4]...)
	case authorWhole:
		e.add(key[:]...)
	}
	e.add(id[:2]...)
	if e.cut {
		e.add(sig[:len(sig)-cutBytes]...)
	} else {
		e.add(sig[:]...)
	}
	if kind != kindNote {
		e.tags(tags)
	}
	switch content {
	case contentText:
		e.text(it.Event.Content())
	case contentLines:
		e.uvarint(uint64(strings.Count(it.Event.Content(), "\n")))
		e.text(it.Event.Content())
	case contentBytes:
		e.uvarint(uint64(len(data)))
		e.add(data...)
	}
	e.events = append(e.events, it.Event)
}

// note writes one event of a frame of notes.
func (e *encoder) note(items []Item, i int) {
	e.after(items, i)
	key, id, sig := e.event.Author(), e.event.ID(), e.event.Sig()
	e.add(key[0], id[0])
	e.add(sig[:len(sig)-cutBytes]...)
	e.text(e.event.Content())
}

// after writes how much later than the first an event is dated.
func (e *encoder) after(items []Item, i int) {
	if i > 0 {
		e.uvarint(zigzag(int64(items[i].Event.CreatedAt()) - int64(items[0].Event.CreatedAt())))
	}
}

func (e *encoder) kind() int {
	for code := 1; code < len(kinds); code++ {
		if kinds[code] == e.event.Kind() {
			return code
		}
	}
	return kindOther
}

func (e *encoder) author() int {
	key := e.event.Author()
	switch {
	case len(e.events) > 0 && e.events[len(e.events)-1].Author() == key:
		return authorSame
	case e.hinted(key):
		return authorHint
	}
	return authorWhole
}

// hinted reports whether the key's hint will do.
func (e *encoder) hinted(key mesh.PubKey) bool {
	return !e.full && slices.Contains(e.codec.authors(key[:len(Hint{})]), key)
}

func (e *encoder) content(last bool) (mode int, data []byte) {
	text := e.event.Content()
	if text == "" {
		return contentNone, nil
	}
	if data, ok := unbase64(text, base64.StdEncoding); ok {
		return contentBytes, data
	}
	if !last && strings.Contains(text, "\n") {
		return contentLines, nil
	}
	return contentText, nil
}

// tagsByte writes how many tags follow: two labels of ours are one.
func (e *encoder) tagsByte(tags [][]string, own, moved bool) {
	n := 0
	for rest := tags; len(rest) > 0; n++ {
		if _, ok := labelOf(rest); ok {
			rest = rest[1:]
		}
		rest = rest[1:]
	}
	b := byte(min(n, tagsMany))
	if own {
		b |= tagsTopic
	}
	if moved {
		b |= tagsOther
	}
	e.add(b)
	if n >= tagsMany {
		e.add(byte(n))
	}
}

func (e *encoder) tags(tags [][]string) {
	for len(tags) > 0 {
		if mode, ok := labelOf(tags); ok {
			e.add(byte(mode)<<5 | shapeLabel)
			tags = tags[2:]
			continue
		}
		if !e.known(tags[0]) {
			e.items(tags[0])
		}
		tags = tags[1:]
	}
}

// labelOf returns the mode of the label that the first two tags put on.
func labelOf(tags [][]string) (mode int, ok bool) {
	if len(tags) < 2 || len(tags[1]) != 3 {
		return 0, false
	}
	mode = slices.Index(labels[:], tags[1][1])
	if mode < 0 {
		return 0, false
	}
	want := mesh.LabelTags(labels[mode])
	return mode, slices.Equal(tags[0], want[0]) && slices.Equal(tags[1], want[1])
}

// known writes a tag of a shape of its own and reports whether it has one.
func (e *encoder) known(t []string) bool {
	if len(t) < 2 {
		return false
	}
	switch t[0] {
	case "e", "q":
		return e.referenceTag(t)
	case "a":
		return len(t) == 2 && e.address(t[1])
	}
	if len(t) != 2 {
		return false
	}
	line := !strings.Contains(t[1], "\n")
	switch t[0] {
	case "t":
		if code, ok := topicCode(mesh.Topic(t[1])); ok {
			e.add(shapeTopic + code)
			return true
		}
		return line && e.shape(shapeT, t[1])
	case "d":
		return line && e.shape(shapeD, t[1])
	case "h":
		return line && e.shape(shapeH, t[1])
	case "k":
		n, ok := decimal(t[1])
		if ok {
			e.add(shapeK)
			e.uvarint(n)
		}
		return ok
	case "expiration":
		n, ok := decimal(t[1])
		if ok = ok && n < 1<<40; ok {
			e.add(shapeExpires)
			e.uvarint(zigzag(int64(n) - int64(e.event.CreatedAt())))
		}
		return ok
	case "p":
		key, err := mesh.ParsePubKey(t[1])
		if err == nil {
			mode, b := e.key(key)
			e.add(byte(mode)<<5 | shapeP)
			e.add(b...)
		}
		return err == nil
	}
	return false
}

// shape writes a tag that is a name and a text.
func (e *encoder) shape(shape byte, s string) bool {
	e.add(shape)
	e.text(s)
	return true
}

// referenceTag writes an "e" or "q" tag.
func (e *encoder) referenceTag(t []string) bool {
	id, err := mesh.ParseEventID(t[1])
	if err != nil {
		return false
	}
	shape, key, ok := referenceShape(t)
	if !ok || len(t) > 2 && strings.Contains(t[2], "\n") {
		return false
	}
	mode, b := e.reference(id)
	e.add(byte(mode)<<5 | shape)
	e.add(b...)
	if shape == shapeE {
		return true
	}
	relay := slices.Index(relays[:], t[2])
	if relay < 0 {
		relay = relayNamed
	}
	keyMode, b := 0, nil
	if hasKey(shape) {
		keyMode, b = e.key(key)
	}
	e.add(byte(keyMode)<<5 | byte(relay))
	e.add(b...)
	if relay == relayNamed {
		e.text(t[2])
	}
	return true
}

// hasKey reports whether tags of this shape end in a key.
func hasKey(shape byte) bool { return shape >= shapeERootKey && shape <= shapeQ }

// referenceShape returns the shape of an "e" or "q" tag, and the key in it.
func referenceShape(t []string) (shape byte, key mesh.PubKey, ok bool) {
	var err error
	switch {
	case t[0] == "q":
		if len(t) != 4 {
			return 0, key, false
		}
		key, err = mesh.ParsePubKey(t[3])
		return shapeQ, key, err == nil
	case len(t) == 2:
		return shapeE, key, true
	case len(t) == 3:
		return shapeERelay, key, true
	case len(t) == 4 && t[3] == "root":
		return shapeERoot, key, true
	case len(t) == 4 && t[3] == "reply":
		return shapeEReply, key, true
	case len(t) == 4:
		key, err = mesh.ParsePubKey(t[3])
		return shapeEKey, key, err == nil
	case len(t) == 5 && t[3] == "root":
		key, err = mesh.ParsePubKey(t[4])
		return shapeERootKey, key, err == nil
	case len(t) == 5 && t[3] == "reply":
		key, err = mesh.ParsePubKey(t[4])
		return shapeEReplyKey, key, err == nil
	}
	return 0, key, false
}

// reference chooses how an event is named.
func (e *encoder) reference(id mesh.EventID) (mode int, b []byte) {
	if n := len(e.refs); n > 0 && e.refs[n-1].id == id {
		e.refs = append(e.refs, e.refs[n-1])
		return refAgain, nil
	}
	for i, ev := range e.events {
		if ev.ID() == id {
			e.refs = append(e.refs, sentRef{id, ev.Author(), true})
			return refFrame, []byte{byte(i)}
		}
	}
	if !e.full {
		if r := e.codec.travelled(PrefixOf(id)); len(r) == 1 && r[0].ID == id {
			e.refs = append(e.refs, sentRef{id, r[0].Author, true})
			return refPrefix, id[:6]
		}
	}
	e.refs = append(e.refs, sentRef{id: id})
	return refWhole, id[:]
}

// key chooses how a key is named.
func (e *encoder) key(key mesh.PubKey) (mode int, b []byte) {
	before := e.last
	e.last = &key
	if key == e.event.Author() {
		return keyOwn, nil
	}
	if before != nil && key == *before {
		return keyAgain, nil
	}
	for i, r := range e.refs[:min(len(e.refs), 4)] {
		if r.known && r.author == key {
			return keyRef + i, nil
		}
	}
	if e.hinted(key) {
		return keyHint, key[:4]
	}
	return keyWhole, key[:]
}

// address writes an "a" tag.
func (e *encoder) address(s string) bool {
	f := strings.SplitN(s, ":", 3)
	if len(f) != 3 || strings.Contains(f[2], "\n") {
		return false
	}
	kind, ok := decimal(f[0])
	key, err := mesh.ParsePubKey(f[1])
	if !ok || err != nil {
		return false
	}
	mode, b := e.key(key)
	e.add(byte(mode)<<5 | shapeA)
	e.add(b...)
	e.uvarint(kind)
	e.text(f[2])
	return true
}

// items writes any tag, value by value.
func (e *encoder) items(t []string) {
	e.add(byte(min(len(t), 7))<<5 | shapeItems)
	if len(t) >= 7 {
		e.uvarint(uint64(len(t)))
	}
	for _, s := range t {
		e.value(s)
	}
}

func (e *encoder) value(s string) {
	if s == "" {
		e.add(valueEmpty)
		return
	}
	if i := slices.Index(words[:], s); i >= 0 {
		e.add(valueWord + byte(i))
		return
	}
	if n, ok := decimal(s); ok {
		e.add(valueNumber)
		e.uvarint(n)
		return
	}
	if b, ok := unhex(s); ok && len(b) == 32 {
		e.add(valueKey)
		e.add(b...)
		return
	} else if ok && len(b) >= 2 {
		e.counted(valueHex, b)
		return
	}
	if b, ok := unnode(s); ok {
		e.add(byte(valueNode + len(b)/8))
		e.add(b...)
		return
	}
	if b, ok := unbase64(s, base64.StdEncoding); ok {
		e.counted(valueStd, b)
		return
	}
	if b, ok := unbase64(s, base64.RawURLEncoding); ok {
		e.counted(valueURL, b)
		return
	}
	if strings.Contains(s, "\n") {
		e.counted(valueInline, []byte(s))
		return
	}
	e.add(valueText)
	e.text(s)
}

func (e *encoder) counted(code byte, b []byte) {
	e.add(code)
	e.uvarint(uint64(len(b)))
	e.add(b...)
}

// decimal returns the number that s is the only decimal form of.
func decimal(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && strconv.FormatUint(n, 10) == s
}

// unhex returns the bytes that s is the lower-case hexadecimal of.
func unhex(s string) ([]byte, bool) {
	b, err := hex.DecodeString(s)
	return b, err == nil && hex.EncodeToString(b) == s
}

// unbase64 returns the bytes that s, of 24 letters or more, is the base64 of.
// What has no digit or no capital may be words, which the text coder makes
// shorter.
func unbase64(s string, enc *base64.Encoding) ([]byte, bool) {
	if len(s) < 24 || !strings.ContainsAny(s, "0123456789") || strings.ToLower(s) == s {
		return nil, false
	}
	b, err := enc.Strict().DecodeString(s)
	return b, err == nil && enc.EncodeToString(b) == s
}

// unnode returns the numbers in "!a1b2c3d4" or "!a1b2c3d4:9f3c21aa".
func unnode(s string) ([]byte, bool) {
	if len(s) != 9 && len(s) != 18 || s[0] != '!' || len(s) == 18 && s[9] != ':' {
		return nil, false
	}
	return unhex(s[1:9] + s[min(10, len(s)):])
}

// mostNumber is the largest number in a frame.
const mostNumber = math.MaxUint64

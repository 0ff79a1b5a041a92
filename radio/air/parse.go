package air

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"drey/mesh"
)

// A packed frame as it was read, before anybody knows what short names stand
// for.
type packed struct {
	events []*packedEvent
	texts  []textSlot // in the order of the stream
	cut    bool       // signatures are without their end
	notes  bool       // and every event is a note: see note.go
	short  byte       // what a frame of notes tells of the time
}

// A textSlot is a text that the stream holds.
type textSlot struct {
	lines int // more than one
	text  string
}

// A packedEvent is one event of a frame.
type packedEvent struct {
	kind    mesh.Kind
	after   int64     // seconds from the frame's first event
	created mesh.Unix // 0 in a frame of notes
	topic   int       // code; topicNamed for a text
	named   int       // text slot of the topic's name, or of an earlier event's
	own     bool
	author  int    // mode
	key     []byte // or how it begins
	check   []byte // how the id begins
	sig     mesh.Signature
	cut     bool // its end is to be found
	refs    []packedRef
	keys    []packedKey
	tags    [][]part
	content part
}

// A packedRef is a reference: its mode, and the bytes that belong to it.
type packedRef struct {
	mode int
	b    []byte
}

// A packedKey is a key: its mode, and the bytes that belong to it.
type packedKey struct {
	mode int
	b    []byte
}

// A part is what a string of a tag is made of.
type part struct {
	is   partKind
	s    string // literal
	n    int    // index of a text, a reference, a key
	kind uint64 // of an address
	text int    // of an address
}

type partKind uint8

const (
	partLiteral partKind = iota
	partText
	partRef
	partKey
	partAddress // "kind:key:text"
)

func literal(s string) part { return part{s: s} }

// parsePacked reads a packed frame; limit bounds its texts.
func (c *Codec) parsePacked(b []byte, limit int) (*packed, error) {
	r := &reader{rest: b}
	head := r.byte()
	p := &packed{}
	topic, named := int(head&0x0f), -1
	if topic == topicNamed {
		named = p.slot(0)
	}
	p.cut = head >= headCut
	p.notes = head >= headNotes
	var base uint32
	if p.notes {
		p.short = r.byte()
	} else {
		base = r.uint32()
	}
	n := int(head>>4&3) + 1
	for i := range n {
		e := p.event(r, i, n, int64(base))
		if e.topic < 0 {
			e.topic, e.named = topic, named
		}
		topic, named = e.topic, e.named
		p.events = append(p.events, e)
		if r.err != nil {
			return nil, r.err
		}
	}
	if err := p.read(c.Text, r.rest, limit); err != nil {
		return nil, err
	}
	for _, e := range p.events {
		if e.topic == topicNamed {
			if _, err := topicOf(topicNamed, p.texts[e.named].text); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// slot makes room for a text and returns its index.
func (p *packed) slot(more int) int {
	p.texts = append(p.texts, textSlot{lines: more})
	return len(p.texts) - 1
}

func (p *packed) textPart() part { return part{is: partText, n: p.slot(0)} }

// event reads the i-th event of n.
func (p *packed) event(r *reader, i, n int, base int64) *packedEvent {
	if p.notes {
		return p.note(r, i)
	}
	form := r.byte()
	e := &packedEvent{topic: -1, cut: p.cut, author: int(form >> 2 & 3)}
	kind := int(form >> 4)
	switch {
	case kind == kindNote:
		e.kind = mesh.KindNote
	case kind == kindOther:
		e.kind = mesh.Kind(r.uvarint(65535))
	case kind < len(kinds):
		e.kind = kinds[kind]
	}
	e.own = true
	count := 0
	if kind != kindNote {
		tags := r.byte()
		e.own, count = tags&tagsTopic != 0, int(tags&tagsMany)
		if count == tagsMany {
			if count = int(r.byte()); count < tagsMany {
				r.fail("%d tags in a byte of their own", count)
			}
		}
		if tags&tagsOther != 0 {
			if i == 0 {
				r.fail("the first event changes the topic")
			}
			e.topic = int(r.byte())
			if e.topic > topicNamed {
				r.fail("topic code %d", e.topic)
			} else if e.topic == topicNamed {
				e.named = p.slot(0)
			}
		}
	}
	if i > 0 {
		e.after = unzigzag(r.uvarint(1 << 34))
	}
	e.created = r.unix(base + e.after)
	switch e.author {
	case authorHint:
		e.key = r.take(4)
	case authorWhole:
		e.key = r.take(32)
	default:
		if e.author != authorSame || i == 0 {
			r.fail("author of mode %d in event %d", e.author, i)
		}
	}
	e.check = r.take(2)
	if p.cut {
		copy(e.sig[:], r.take(len(e.sig)-cutBytes))
	} else {
		e.sig = mesh.Signature(r.take(64))
	}
	for range count {
		if r.err != nil || len(e.tags) > mesh.MaxTags {
			r.fail("more than %d tags", mesh.MaxTags)
			break
		}
		p.tag(r, e, i)
	}
	p.body(r, e, int(form&3), i == n-1)
	return e
}

// note reads the i-th event of a frame of notes.
func (p *packed) note(r *reader, i int) *packedEvent {
	e := &packedEvent{topic: -1, cut: true, author: authorHint, kind: mesh.KindNote, own: true}
	if i > 0 {
		e.after = unzigzag(r.uvarint(1 << 34))
	}
	e.key, e.check = r.take(1), r.take(1)
	copy(e.sig[:], r.take(len(e.sig)-cutBytes))
	e.content = p.textPart()
	return e
}

// body reads where an event's content is.
func (p *packed) body(r *reader, e *packedEvent, mode int, last bool) {
	switch mode {
	case contentText:
		e.content = p.textPart()
	case contentBytes:
		e.content = literal(base64.StdEncoding.EncodeToString(r.bytes()))
	case contentLines:
		lines := int(r.uvarint(maxWholeText))
		if last || lines == 0 {
			r.fail("%d line feeds announced where none may be", lines)
		}
		e.content = part{is: partText, n: p.slot(lines)}
	}
}

// tag reads one tag, or two.
func (p *packed) tag(r *reader, e *packedEvent, i int) {
	op := r.byte()
	mode, shape := int(op>>5), op&31
	if mode != 0 && shape != shapeItems && shape != shapeLabel && (shape < shapeE || shape > shapeA) {
		r.fail("tag of shape %d with mode %d", shape, mode)
	}
	var t []part
	switch {
	case shape == shapeItems:
		t = p.items(r, mode)
	case shape == shapeLabel:
		if mode >= len(labels) {
			r.fail("label %d", mode)
			return
		}
		for _, words := range mesh.LabelTags(labels[mode]) {
			var t []part
			for _, w := range words {
				t = append(t, literal(w))
			}
			e.tags = append(e.tags, t)
		}
		return
	case shape == shapeD:
		t = []part{literal("d"), p.textPart()}
	case shape == shapeH:
		t = []part{literal("h"), p.textPart()}
	case shape == shapeT:
		t = []part{literal("t"), p.textPart()}
	case shape == shapeK:
		t = []part{literal("k"), literal(strconv.FormatUint(r.uvarint(mostNumber), 10))}
	case shape == shapeExpires:
		at := int64(e.created) + unzigzag(r.uvarint(1<<42))
		if at < 0 {
			r.fail("expiry at %d", at)
		}
		t = []part{literal("expiration"), literal(strconv.FormatInt(at, 10))}
	case shape == shapeP:
		t = []part{literal("p"), e.keyPart(r, mode)}
	case shape == shapeA:
		a := e.keyPart(r, mode)
		a.is, a.kind = partAddress, r.uvarint(mostNumber)
		a.text = p.slot(0)
		t = []part{literal("a"), a}
	case shape >= shapeTopic:
		code := int(shape - shapeTopic)
		t = []part{literal("t"), literal(string(topics[code]))}
	default:
		t = p.reference(r, e, shape, mode, i)
	}
	e.tags = append(e.tags, t)
}

// reference reads an "e" or "q" tag.
func (p *packed) reference(r *reader, e *packedEvent, shape byte, mode, i int) []part {
	ref := packedRef{mode: mode}
	switch mode {
	case refWhole:
		ref.b = r.take(32)
	case refPrefix:
		ref.b = r.take(6)
	case refFrame:
		ref.b = r.take(1)
		if int(ref.b[0]) >= i {
			r.fail("event %d refers to event %d of the frame", i, ref.b[0])
		}
	case refAgain:
		if len(e.refs) == 0 {
			r.fail("no reference to repeat")
		}
	default:
		r.fail("reference of mode %d", mode)
	}
	e.refs = append(e.refs, ref)
	name := "e"
	if shape == shapeQ {
		name = "q"
	}
	t := []part{literal(name), {is: partRef, n: len(e.refs) - 1}}
	if shape == shapeE {
		return t
	}
	b := r.byte()
	relay, keyMode := int(b&31), int(b>>5)
	var key part
	if hasKey(shape) {
		key = e.keyPart(r, keyMode)
	} else if keyMode != 0 {
		r.fail("key of mode %d where none is", keyMode)
	}
	switch {
	case relay == relayNamed:
		t = append(t, p.textPart())
	case relay < len(relays):
		t = append(t, literal(relays[relay]))
	default:
		r.fail("relay %d", relay)
	}
	switch shape {
	case shapeERoot, shapeERootKey:
		t = append(t, literal("root"))
	case shapeEReply, shapeEReplyKey:
		t = append(t, literal("reply"))
	}
	if hasKey(shape) {
		t = append(t, key)
	}
	return t
}

// keyPart reads a key.
func (e *packedEvent) keyPart(r *reader, mode int) part {
	k := packedKey{mode: mode}
	switch {
	case mode == keyWhole:
		k.b = r.take(32)
	case mode == keyHint:
		k.b = r.take(4)
	case mode == keyOwn:
	case mode == keyAgain && len(e.keys) > 0:
	case mode >= keyRef && mode-keyRef < len(e.refs):
	default:
		r.fail("key of mode %d after %d references", mode, len(e.refs))
	}
	e.keys = append(e.keys, k)
	return part{is: partKey, n: len(e.keys) - 1}
}

// items reads a tag of any values.
func (p *packed) items(r *reader, n int) []part {
	if n == 7 {
		n = int(r.uvarint(mesh.MaxTagItems))
		if n < 7 {
			r.fail("%d items where 7 are the least", n)
		}
	}
	t := make([]part, 0, min(n, 8))
	for range n {
		if r.err != nil {
			break
		}
		t = append(t, p.value(r))
	}
	return t
}

func (p *packed) value(r *reader) part {
	switch code := r.byte(); code {
	case valueText:
		return p.textPart()
	case valueKey:
		return literal(hex.EncodeToString(r.take(32)))
	case valueHex:
		return literal(hex.EncodeToString(r.bytes()))
	case valueNumber:
		return literal(strconv.FormatUint(r.uvarint(mostNumber), 10))
	case valueEmpty:
		return literal("")
	case valueStd:
		return literal(base64.StdEncoding.EncodeToString(r.bytes()))
	case valueURL:
		return literal(base64.RawURLEncoding.EncodeToString(r.bytes()))
	case valueInline:
		return literal(string(r.bytes()))
	case valueNode:
		return literal("!" + hex.EncodeToString(r.take(4)))
	case valuePacket:
		b := r.take(8)
		return literal("!" + hex.EncodeToString(b[:4]) + ":" + hex.EncodeToString(b[4:]))
	default:
		if code < valueWord || int(code-valueWord) >= len(words) {
			r.fail("value of code %d", code)
			return part{}
		}
		return literal(words[code-valueWord])
	}
}

// read fills the texts from the stream.
func (p *packed) read(t Text, b []byte, limit int) error {
	if len(p.texts) == 0 {
		if len(b) > 0 {
			return fmt.Errorf("%w: %d bytes behind the end", ErrForm, len(b))
		}
		return nil
	}
	all, err := t.Decode(b, limit)
	if err != nil {
		return fmt.Errorf("%w: text: %w", ErrForm, err)
	}
	if !utf8.Valid(all) {
		return fmt.Errorf("%w: text is not valid UTF-8", ErrForm)
	}
	rest := string(all)
	for i := range p.texts {
		s := &p.texts[i]
		if i == len(p.texts)-1 {
			if s.lines > 0 && strings.Count(rest, "\n") != s.lines {
				return fmt.Errorf("%w: last text does not have %d line feeds", ErrForm, s.lines)
			}
			s.text = rest
			break
		}
		end := 0
		for range s.lines + 1 {
			n := strings.IndexByte(rest[end:], '\n')
			if n < 0 {
				return fmt.Errorf("%w: %d texts announced, there are fewer", ErrForm, len(p.texts))
			}
			end += n + 1
		}
		s.text, rest = rest[:end-1], rest[end:]
	}
	return nil
}

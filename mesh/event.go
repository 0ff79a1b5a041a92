package mesh

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Limits of an event. They hold on every carrier, so what one node accepts the
// next accepts too.
const (
	MaxEventSize = 64 << 10 // bytes of the canonical NIP-01 serialisation
	MaxTags      = 100      // tags in one event
	MaxTagItems  = 200      // strings in one tag
)

// ErrInvalid reports an event that no node may accept: its form, its id or its
// signature is wrong. Errors that say more wrap it.
var ErrInvalid = errors.New("invalid event")

// A Draft is what an author is about to sign. The draft owns nothing: Sign and
// NewEvent copy the tags.
type Draft struct {
	CreatedAt Unix
	Kind      Kind
	Tags      [][]string
	Content   string
}

// An Event is a signed Nostr event (NIP-01) that has passed every check of
// form: valid UTF-8, id equal to the hash of the canonical serialisation,
// within the limits above. Whether its signature holds is another question,
// which costs a thousand times more; see Verify. Events are immutable and safe
// for concurrent use.
type Event struct {
	id      EventID
	author  PubKey
	sig     Signature
	created Unix
	kind    Kind
	tags    [][]string
	content string
}

// NewEvent checks the form of a signed draft and names it. It does not check
// the signature.
func NewEvent(author PubKey, sig Signature, d Draft) (*Event, error) {
	if len(d.Tags) > MaxTags {
		return nil, fmt.Errorf("%w: %d tags, limit %d", ErrInvalid, len(d.Tags), MaxTags)
	}
	if !utf8.ValidString(d.Content) {
		return nil, fmt.Errorf("%w: content is not valid UTF-8", ErrInvalid)
	}
	size := len(d.Content)
	for i, t := range d.Tags {
		if len(t) > MaxTagItems {
			return nil, fmt.Errorf("%w: tag %d has %d items, limit %d", ErrInvalid, i, len(t), MaxTagItems)
		}
		for _, s := range t {
			if !utf8.ValidString(s) {
				return nil, fmt.Errorf("%w: tag %d is not valid UTF-8", ErrInvalid, i)
			}
			size += len(s)
		}
	}
	if size > MaxEventSize {
		return nil, fmt.Errorf("%w: %d bytes of text, limit %d", ErrInvalid, size, MaxEventSize)
	}
	e := &Event{author: author, sig: sig, created: d.CreatedAt, kind: d.Kind, content: d.Content}
	e.tags = make([][]string, len(d.Tags))
	for i, t := range d.Tags {
		e.tags[i] = append(make([]string, 0, len(t)), t...)
	}
	canonical := appendCanonical(make([]byte, 0, 256+2*size), author, d)
	if len(canonical) > MaxEventSize {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrInvalid, len(canonical), MaxEventSize)
	}
	e.id = sha256.Sum256(canonical)
	return e, nil
}

// ID returns the event's name.
func (e *Event) ID() EventID { return e.id }

// Author returns the key that signed the event.
func (e *Event) Author() PubKey { return e.author }

// Sig returns the signature, checked or not.
func (e *Event) Sig() Signature { return e.sig }

// CreatedAt returns the time the author claims.
func (e *Event) CreatedAt() Unix { return e.created }

// Kind returns the event's kind.
func (e *Event) Kind() Kind { return e.kind }

// Tags returns the event's own tags; the caller must not change them.
func (e *Event) Tags() [][]string { return e.tags }

// Content returns the event's text.
func (e *Event) Content() string { return e.content }

// Draft returns the parts that were signed; the tags are the event's own.
func (e *Event) Draft() Draft {
	return Draft{CreatedAt: e.created, Kind: e.kind, Tags: e.tags, Content: e.content}
}

// Tag returns the first value of the first tag called name, and whether there
// is such a tag. A tag without a value gives "" and true.
func (e *Event) Tag(name string) (string, bool) {
	for _, t := range e.tags {
		if len(t) > 0 && t[0] == name {
			if len(t) == 1 {
				return "", true
			}
			return t[1], true
		}
	}
	return "", false
}

// TagValues returns the first value of every tag called name that has one.
func (e *Event) TagValues(name string) []string {
	var values []string
	for _, t := range e.tags {
		if len(t) > 1 && t[0] == name {
			values = append(values, t[1])
		}
	}
	return values
}

// appendCanonical appends the bytes whose hash is the event's id (NIP-01).
// encoding/json cannot be used: it escapes U+2028, '<' and others.
func appendCanonical(b []byte, author PubKey, d Draft) []byte {
	b = append(b, `[0,"`...)
	b = hex.AppendEncode(b, author[:])
	b = append(b, `",`...)
	b = strconv.AppendUint(b, uint64(d.CreatedAt), 10)
	b = append(b, ',')
	b = strconv.AppendUint(b, uint64(d.Kind), 10)
	b = append(b, ',')
	b = appendTags(b, d.Tags)
	b = append(b, ',')
	b = appendString(b, d.Content)
	return append(b, ']')
}

func appendTags(b []byte, tags [][]string) []byte {
	b = append(b, '[')
	for i, t := range tags {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		for j, s := range t {
			if j > 0 {
				b = append(b, ',')
			}
			b = appendString(b, s)
		}
		b = append(b, ']')
	}
	return append(b, ']')
}

// appendString appends s in quotes with exactly the escapes that NIP-01 names,
// and \u00xx for the other controls, as JSON.stringify writes them.
func appendString(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	plain := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[plain:i]...)
		plain = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, '\\', 'b')
		case '\t':
			b = append(b, '\\', 't')
		case '\n':
			b = append(b, '\\', 'n')
		case '\f':
			b = append(b, '\\', 'f')
		case '\r':
			b = append(b, '\\', 'r')
		default:
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	b = append(b, s[plain:]...)
	return append(b, '"')
}

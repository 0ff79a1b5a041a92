package mesh

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends the event as the JSON object of NIP-01, on one line.
func (e *Event) AppendJSON(b []byte) []byte {
	b = e.appendUnsigned(b)
	b = append(b, `,"sig":"`...)
	b = hex.AppendEncode(b, e.sig[:])
	return append(b, `"}`...)
}

// appendUnsigned appends the object up to where its signature would stand.
func (e *Event) appendUnsigned(b []byte) []byte {
	b = append(b, `{"id":"`...)
	b = hex.AppendEncode(b, e.id[:])
	b = append(b, `","pubkey":"`...)
	b = hex.AppendEncode(b, e.author[:])
	b = append(b, `","created_at":`...)
	b = strconv.AppendUint(b, uint64(e.created), 10)
	b = append(b, `,"kind":`...)
	b = strconv.AppendUint(b, uint64(e.kind), 10)
	b = append(b, `,"tags":`...)
	b = appendTags(b, e.tags)
	b = append(b, `,"content":`...)
	return appendString(b, e.content)
}

// MarshalJSON writes the object of NIP-01. Note that encoding/json compacts
// and re-escapes what it gets from here when asked to escape HTML; use
// AppendJSON where the bytes matter.
func (e *Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

// ParseJSON reads one NIP-01 object. Unknown fields are dropped, as they are
// not signed; anything else that could not be written back refuses the event.
// The signature is not checked; see Event.Verify.
func ParseJSON(b []byte) (*Event, error) {
	raw, err := parseObject(b)
	if err != nil {
		return nil, err
	}
	if raw.ID == nil || raw.Sig == nil {
		return nil, errIncomplete
	}
	id, err := ParseEventID(*raw.ID)
	if err != nil {
		return nil, fmt.Errorf("%w: id: %w", ErrInvalid, err)
	}
	var sig Signature
	if err := unhex(sig[:], *raw.Sig); err != nil {
		return nil, fmt.Errorf("%w: sig: %w", ErrInvalid, err)
	}
	e, err := raw.event(sig)
	if err != nil {
		return nil, err
	}
	if e.id != id {
		return nil, fmt.Errorf("%w: id %s is not the hash of the event, %s", ErrInvalid, id, e.id)
	}
	return e, nil
}

var errIncomplete = fmt.Errorf("%w: id, pubkey, created_at, kind, tags, content and sig are all needed", ErrInvalid)

// An object is an event's JSON; nil is what it lacks.
type object struct {
	ID      *string     `json:"id"`
	PubKey  *string     `json:"pubkey"`
	Created *number     `json:"created_at"`
	Kind    *number     `json:"kind"`
	Tags    *[][]string `json:"tags"`
	Content *string     `json:"content"`
	Sig     *string     `json:"sig"`
}

// parseObject reads one object, all of b. It has everything that is hashed.
func parseObject(b []byte) (*object, error) {
	// Quoted text at most triples a short escape to six bytes; anything far
	// beyond that is refused before it is parsed.
	if len(b) > 8*MaxEventSize {
		return nil, fmt.Errorf("%w: %d bytes of JSON, limit %d", ErrInvalid, len(b), 8*MaxEventSize)
	}
	if !utf8.Valid(b) {
		return nil, fmt.Errorf("%w: not valid UTF-8", ErrInvalid)
	}
	o := new(object)
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(o); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: something follows the object", ErrInvalid)
	}
	if o.PubKey == nil || o.Created == nil || o.Kind == nil || o.Tags == nil || o.Content == nil {
		return nil, errIncomplete
	}
	return o, nil
}

// event checks and names what the object says.
func (o *object) event(sig Signature) (*Event, error) {
	author, err := ParsePubKey(*o.PubKey)
	if err != nil {
		return nil, fmt.Errorf("%w: pubkey: %w", ErrInvalid, err)
	}
	created, err := strconv.ParseUint(string(*o.Created), 10, 32)
	if err != nil {
		return nil, fmt.Errorf("%w: created_at %s is not a whole number from 0 to 4294967295", ErrInvalid, *o.Created)
	}
	kind, err := strconv.ParseUint(string(*o.Kind), 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%w: kind %s is not a whole number from 0 to 65535", ErrInvalid, *o.Kind)
	}
	return NewEvent(author, sig, Draft{Unix(created), Kind(kind), *o.Tags, *o.Content})
}

// A number is what stands for one, as it is written. json.Number would take it
// in quotes, too.
type number string

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(b []byte) error {
	*n = number(b)
	return nil
}

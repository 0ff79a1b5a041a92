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
	b = appendString(b, e.content)
	b = append(b, `,"sig":"`...)
	b = hex.AppendEncode(b, e.sig[:])
	return append(b, `"}`...)
}

// MarshalJSON writes the object of NIP-01. Note that encoding/json compacts
// and re-escapes what it gets from here when asked to escape HTML; use
// AppendJSON where the bytes matter.
func (e *Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

// ParseJSON reads one NIP-01 object. Unknown fields are dropped, as they are
// not signed; anything else that could not be written back refuses the event.
// The signature is not checked; see Event.Verify.
func ParseJSON(b []byte) (*Event, error) {
	// Quoted text at most triples a short escape to six bytes; anything far
	// beyond that is refused before it is parsed.
	if len(b) > 8*MaxEventSize {
		return nil, fmt.Errorf("%w: %d bytes of JSON, limit %d", ErrInvalid, len(b), 8*MaxEventSize)
	}
	if !utf8.Valid(b) {
		return nil, fmt.Errorf("%w: not valid UTF-8", ErrInvalid)
	}
	var raw struct {
		ID      *string     `json:"id"`
		PubKey  *string     `json:"pubkey"`
		Created *number     `json:"created_at"`
		Kind    *number     `json:"kind"`
		Tags    *[][]string `json:"tags"`
		Content *string     `json:"content"`
		Sig     *string     `json:"sig"`
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(&raw); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: something follows the object", ErrInvalid)
	}
	if raw.ID == nil || raw.PubKey == nil || raw.Created == nil || raw.Kind == nil ||
		raw.Tags == nil || raw.Content == nil || raw.Sig == nil {
		return nil, fmt.Errorf("%w: id, pubkey, created_at, kind, tags, content and sig are all needed", ErrInvalid)
	}
	id, err := ParseEventID(*raw.ID)
	if err != nil {
		return nil, fmt.Errorf("%w: id: %w", ErrInvalid, err)
	}
	author, err := ParsePubKey(*raw.PubKey)
	if err != nil {
		return nil, fmt.Errorf("%w: pubkey: %w", ErrInvalid, err)
	}
	var sig Signature
	if err := unhex(sig[:], *raw.Sig); err != nil {
		return nil, fmt.Errorf("%w: sig: %w", ErrInvalid, err)
	}
	created, err := strconv.ParseUint(string(*raw.Created), 10, 32)
	if err != nil {
		return nil, fmt.Errorf("%w: created_at %s is not a whole number from 0 to 4294967295", ErrInvalid, *raw.Created)
	}
	kind, err := strconv.ParseUint(string(*raw.Kind), 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%w: kind %s is not a whole number from 0 to 65535", ErrInvalid, *raw.Kind)
	}
	e, err := NewEvent(author, sig, Draft{Unix(created), Kind(kind), *raw.Tags, *raw.Content})
	if err != nil {
		return nil, err
	}
	if e.id != id {
		return nil, fmt.Errorf("%w: id %s is not the hash of the event, %s", ErrInvalid, id, e.id)
	}
	return e, nil
}

// A number is what stands for one, as it is written. json.Number would take it
// in quotes, too.
type number string

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(b []byte) error {
	*n = number(b)
	return nil
}

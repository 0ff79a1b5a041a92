package relays

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"drey/mesh"
)

// maxMessage bounds one message of a relay, in bytes. An announcement takes
// some 700.
const maxMessage = 16 << 10

// A message is what a relay says (NIP-01).
type message struct {
	verb  string      // "EVENT", "OK", "EOSE", "CLOSED", "NOTICE", or another's
	sub   string      // of EVENT, EOSE and CLOSED
	event *mesh.Event // of EVENT
	id    string      // of OK
	ok    bool        // of OK
	text  string      // of OK, CLOSED and NOTICE
}

// parseMessage reads a relay's message. Verbs that it does not know come back
// with nothing but their name. The event's signature is not checked.
func parseMessage(b []byte) (m message, err error) {
	if len(b) > maxMessage {
		return m, fmt.Errorf("message of %d bytes, limit %d", len(b), maxMessage)
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil || len(parts) == 0 {
		return m, errors.New("message is not a JSON array")
	}
	text := func(i int) (s string) {
		if i >= len(parts) {
			err = fmt.Errorf("%s of %d parts", m.verb, len(parts))
		} else if json.Unmarshal(parts[i], &s) != nil {
			err = fmt.Errorf("%s: part %d is not text", m.verb, i)
		}
		return s
	}
	m.verb = text(0)
	switch m.verb {
	case "EVENT":
		if m.sub = text(1); err != nil || len(parts) < 3 {
			return m, errors.New("EVENT without an event")
		}
		m.event, err = mesh.ParseJSON(parts[2])
	case "EOSE":
		m.sub = text(1)
	case "CLOSED":
		m.sub = text(1)
		m.text = text(2)
	case "NOTICE":
		m.text = text(1)
	case "OK":
		m.id = text(1)
		if len(parts) < 3 || json.Unmarshal(parts[2], &m.ok) != nil {
			return m, errors.New("OK without a verdict")
		}
		if len(parts) > 3 {
			m.text = text(3)
		}
	}
	return m, err
}

// held reports whether an answer to EVENT says that the relay has it.
func (m message) held() bool { return m.ok || strings.HasPrefix(m.text, "duplicate:") }

// appendEvent appends the message that publishes an event.
func appendEvent(b []byte, e *mesh.Event) []byte {
	b = append(b, `["EVENT",`...)
	b = e.AppendJSON(b)
	return append(b, ']')
}

// appendReq appends the message that asks for events. Only what filters of
// this package's callers hold is written.
func appendReq(b []byte, sub string, filters []mesh.Filter) []byte {
	b = append(b, `["REQ",`...)
	b = strconv.AppendQuote(b, sub)
	for _, f := range filters {
		m := map[string]any{}
		if f.IDs != nil {
			m["ids"] = texts(f.IDs)
		}
		if f.Authors != nil {
			m["authors"] = texts(f.Authors)
		}
		if f.Kinds != nil {
			m["kinds"] = f.Kinds
		}
		for name, values := range f.Tags {
			m["#"+name] = values
		}
		if f.Since > 0 {
			m["since"] = f.Since
		}
		if f.Until > 0 {
			m["until"] = f.Until
		}
		if f.Limit > 0 {
			m["limit"] = f.Limit
		}
		j, err := json.Marshal(m)
		if err != nil {
			panic("relays: a filter of numbers and text: " + err.Error())
		}
		b = append(append(b, ','), j...)
	}
	return append(b, ']')
}

func texts[T ~[32]byte](all []T) []string {
	list := make([]string, len(all))
	for i, v := range all {
		list[i] = hex.EncodeToString(v[:])
	}
	return list
}

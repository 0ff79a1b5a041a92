package pool

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"drey/mesh"
)

// maxMessage bounds one message of a relay, in bytes: an event of the largest
// size whose text is all escapes, and its frame.
const maxMessage = 512 << 10

// A message is what a relay says (NIP-01, 42, 77).
type message struct {
	verb  string          // EVENT, OK, EOSE, CLOSED, NOTICE, AUTH, NEG-MSG, NEG-ERR or another's
	sub   string          // of EVENT, EOSE, CLOSED, NEG-MSG, NEG-ERR
	event json.RawMessage // of EVENT, not looked at
	id    mesh.EventID    // of OK
	ok    bool            // of OK
	text  string          // of OK, CLOSED, NOTICE; the challenge of AUTH; hex of NEG-MSG; the reason of NEG-ERR
}

// parseMessage reads a relay's message. Verbs that it does not know come back
// with nothing but their name.
func parseMessage(b []byte) (m message, err error) {
	if len(b) > maxMessage {
		return m, fmt.Errorf("message of %d bytes, limit %d", len(b), maxMessage)
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil || len(parts) == 0 {
		return m, errors.New("message is not a JSON array")
	}
	text := func(i int) (s string) {
		switch {
		case err != nil:
		case i >= len(parts):
			err = fmt.Errorf("%.20q of %d parts", m.verb, len(parts))
		case len(parts[i]) == 0 || parts[i][0] != '"' || json.Unmarshal(parts[i], &s) != nil:
			err = fmt.Errorf("%.20q: part %d is not text", m.verb, i)
		}
		return s
	}
	m.verb = text(0)
	switch m.verb {
	case "EVENT":
		m.sub = text(1)
		if err == nil && len(parts) < 3 {
			err = errors.New("EVENT without an event")
		}
		if err == nil {
			m.event = parts[2]
		}
	case "EOSE":
		m.sub = text(1)
	case "CLOSED", "NEG-MSG", "NEG-ERR":
		m.sub = text(1)
		if len(parts) > 2 || m.verb == "NEG-MSG" {
			m.text = text(2)
		}
	case "NOTICE", "AUTH":
		m.text = text(1)
	case "OK":
		id := text(1)
		if err == nil {
			m.id, err = mesh.ParseEventID(id)
		}
		if err == nil && (len(parts) < 3 || json.Unmarshal(parts[2], &m.ok) != nil || string(parts[2]) == "null") {
			err = errors.New("OK without a verdict")
		}
		if len(parts) > 3 {
			m.text = text(3)
		}
	}
	return m, err
}

// held reports whether an answer to EVENT says that the relay has it.
func (m message) held() bool { return m.ok || strings.HasPrefix(m.text, "duplicate:") }

// appendEvent appends the message that publishes an event, or with verb AUTH
// signs in.
func appendEvent(b []byte, verb string, e *mesh.Event) []byte {
	b = append(append(append(b, `["`...), verb...), `",`...)
	b = e.AppendJSON(b)
	return append(b, ']')
}

// appendReq appends the message that asks for events.
func appendReq(b []byte, sub string, filters []mesh.Filter) []byte {
	b = append(b, `["REQ",`...)
	b = strconv.AppendQuote(b, sub)
	for i := range filters {
		b = appendFilter(append(b, ','), &filters[i])
	}
	return append(b, ']')
}

// appendClose appends the message that ends a subscription, or with verb
// NEG-CLOSE a reconciliation.
func appendClose(b []byte, verb, sub string) []byte {
	return fmt.Appendf(b, `["%s",%s]`, verb, strconv.Quote(sub))
}

// appendFilter appends a filter as relays read it. What only an archive can
// answer (topics of envelopes, order of receipt) has no place there.
func appendFilter(b []byte, f *mesh.Filter) []byte {
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
	if f.Search != "" {
		m["search"] = f.Search
	}
	j, err := json.Marshal(m)
	if err != nil {
		panic("pool: a filter of numbers and text: " + err.Error())
	}
	return append(b, j...)
}

func texts[T ~[32]byte](all []T) []string {
	list := make([]string, len(all))
	for i, v := range all {
		list[i] = hex.EncodeToString(v[:])
	}
	return list
}

// chosen reports whether any of the filters chooses e, by what relays can know.
func chosen(filters []mesh.Filter, e *mesh.Event) bool {
	r := &mesh.Record{Event: e}
	for _, f := range filters {
		f.Topics, f.Search, f.After, f.From = nil, "", 0, time.Time{}
		if f.Matches(r) {
			return true
		}
	}
	return false
}

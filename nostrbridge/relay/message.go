package relay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxSubID is the longest name of a subscription, in letters (NIP-01).
const maxSubID = 64

// A message is what a client said.
type message struct {
	verb    string
	id      string          // of the subscription: REQ, COUNT, CLOSE and NEG-…
	event   json.RawMessage // EVENT, AUTH
	filters []*filter       // REQ, COUNT; one for NEG-OPEN
	neg     string          // NEG-OPEN, NEG-MSG: hexadecimal digits
}

// errMessage reports a message that is not of the form of NIP-01.
var errMessage = errors.New("invalid")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errMessage, fmt.Errorf(format, args...))
}

// parse reads a message. With an error it returns what was understood before
// it, so that the answer can name what it is about; never nil.
func parse(b []byte, l *Limits) (*message, error) {
	m := &message{}
	if !utf8.Valid(b) {
		return m, malformed("the message is not valid UTF-8")
	}
	if e, ok := plainEvent(b); ok {
		return &message{verb: "EVENT", event: e}, nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return m, malformed("a message is a JSON array")
	}
	verb, err := text(d)
	if err != nil {
		return m, malformed("a message begins with its name")
	}
	switch verb {
	case "EVENT", "AUTH":
		m.verb = verb
		if !d.More() {
			return m, malformed("%s without an event", verb)
		}
		if err := d.Decode(&m.event); err != nil {
			return m, malformed("%s: %w", verb, err)
		}
	case "REQ", "COUNT", "CLOSE", "NEG-OPEN", "NEG-MSG", "NEG-CLOSE":
		m.verb = verb
		if !d.More() {
			return m, malformed("%s without a subscription", verb)
		}
		id, err := text(d)
		if n := utf8.RuneCountInString(id); err != nil || n < 1 || n > maxSubID {
			return m, malformed("%s: a subscription's name is a text of 1 to %d letters", verb, maxSubID)
		}
		m.id = id
		switch verb {
		case "REQ", "COUNT":
			err = m.readFilters(d, l)
		case "NEG-OPEN":
			if err = m.readFilter(d, l); err == nil {
				m.neg, err = negText(d)
			}
		case "NEG-MSG":
			m.neg, err = negText(d)
		}
		if err != nil {
			return m, err
		}
	default:
		return m, malformed("%.20q is unknown here: EVENT, REQ, COUNT, CLOSE, AUTH, NEG-OPEN, NEG-MSG and NEG-CLOSE are not", verb)
	}
	if d.More() {
		return m, malformed("something follows what %s needs", verb)
	}
	if _, err := d.Token(); err != nil {
		return m, malformed("the array has no end")
	}
	if _, err := d.Token(); err != io.EOF {
		return m, malformed("something follows the array")
	}
	return m, nil
}

// plainEvent returns what an EVENT holds that is written without blanks, as
// most are: reading it token by token costs several times as much.
func plainEvent(b []byte) (json.RawMessage, bool) {
	e, begins := bytes.CutPrefix(b, []byte(`["EVENT",`))
	e, ends := bytes.CutSuffix(e, []byte(`]`))
	return e, begins && ends && json.Valid(e)
}

// text reads a string; a number or an object is none.
func text(d *json.Decoder) (string, error) {
	var s *string
	if err := d.Decode(&s); err != nil {
		return "", err
	}
	if s == nil {
		return "", errMessage
	}
	return *s, nil
}

func (m *message) readFilters(d *json.Decoder, l *Limits) error {
	for d.More() {
		if len(m.filters) == l.Filters {
			return malformed("more than %d filters", l.Filters)
		}
		if err := m.readFilter(d, l); err != nil {
			return err
		}
	}
	if len(m.filters) == 0 {
		return malformed("%s without a filter", m.verb)
	}
	return nil
}

func (m *message) readFilter(d *json.Decoder, l *Limits) error {
	var raw json.RawMessage
	if err := d.Decode(&raw); err != nil {
		return malformed("filter %d: %w", len(m.filters)+1, err)
	}
	f, err := parseFilter(raw, l)
	if err != nil {
		return malformed("filter %d: %w", len(m.filters)+1, err)
	}
	m.filters = append(m.filters, f)
	return nil
}

// negText reads a message of a reconciliation, still in digits.
func negText(d *json.Decoder) (string, error) {
	s, err := text(d)
	if err != nil {
		return "", malformed("a reconciliation speaks in hexadecimal digits")
	}
	return s, nil
}

// eventID reads the id that an event claims, as far as it can be named in an
// OK; "" where it cannot.
func eventID(raw []byte) string {
	var e struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(raw, &e) != nil || len(e.ID) != 64 {
		return ""
	}
	return e.ID
}

// appendMessage appends a message of values that always marshal.
func appendMessage(b []byte, parts ...any) []byte {
	b = append(b, '[')
	for i, p := range parts {
		if i > 0 {
			b = append(b, ',')
		}
		j, err := json.Marshal(p)
		if err != nil {
			j = []byte("null")
		}
		b = append(b, j...)
	}
	return append(b, ']')
}

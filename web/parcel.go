package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"drey/mesh"
)

// Bounds of what is read from a client.
const (
	maxBody    = 8 * mesh.MaxEventSize // escapes can make JSON six times as long as its text
	bodyWithin = 30 * time.Second      // a slower body is cut off
)

// A parcel is the body of a post: a signed event, or words to sign.
type parcel struct {
	event *mesh.Event

	text    string
	urgent  bool
	replyTo string // an id, or ""
	name    string // a guest's
}

// parseParcel reads a body. JSON with a signature is an event; other JSON has
// the fields text, urgent, reply_to and name; anything else is the text
// itself, as curl sends it, with the other fields as parameters.
func parseParcel(contentType string, v url.Values, body []byte) (parcel, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil && contentType != "" {
		return parcel{}, fmt.Errorf("content type %.60q is malformed", contentType)
	}
	if media == "application/json" {
		return parseJSONParcel(body)
	}
	if media != "" && !strings.HasPrefix(media, "text/") && media != "application/x-www-form-urlencoded" && media != "application/octet-stream" {
		return parcel{}, fmt.Errorf("content type %.60q: send text/plain or application/json", contentType)
	}
	p := parcel{text: string(body), replyTo: v.Get("reply_to"), name: v.Get("name")}
	if u, ok := v["urgent"]; ok {
		if p.urgent, err = parseFlag(u[0]); err != nil {
			return parcel{}, fmt.Errorf("urgent: %w", err)
		}
	}
	return p, p.check()
}

func parseJSONParcel(body []byte) (parcel, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return parcel{}, fmt.Errorf("body: %w", err)
	}
	if _, signed := fields["sig"]; signed {
		e, err := mesh.ParseJSON(body)
		return parcel{event: e}, err
	}
	var j struct {
		Text    *string `json:"text"`
		Urgent  bool    `json:"urgent"`
		ReplyTo string  `json:"reply_to"`
		Name    string  `json:"name"`
	}
	if !utf8.Valid(body) {
		return parcel{}, errors.New("body: not valid UTF-8")
	}
	if err := strictJSON(body, &j); err != nil {
		return parcel{}, fmt.Errorf("body: %w", err)
	}
	if j.Text == nil {
		return parcel{}, errors.New(`body: "text" is needed, or a signed event`)
	}
	p := parcel{text: *j.Text, urgent: j.Urgent, replyTo: j.ReplyTo, name: j.Name}
	return p, p.check()
}

func (p parcel) check() error {
	switch {
	case !utf8.ValidString(p.text):
		return errors.New("the text is not valid UTF-8")
	case strings.TrimSpace(p.text) == "":
		return NewError(CodeUsage, "the text is empty", "", "", nil).in("empty")
	case len(p.text) > mesh.MaxEventSize:
		return NewError(CodeTooLarge, "the text is too long", fmt.Sprintf("%d bytes, limit %d", len(p.text), mesh.MaxEventSize), "send it in parts", nil).in("too-long", "n", len(p.text), "limit", mesh.MaxEventSize)
	}
	if p.replyTo != "" {
		if _, err := mesh.ParseEventID(p.replyTo); err != nil {
			return fmt.Errorf("reply_to: %w", err)
		}
	}
	return nil
}

// strictJSON reads one object and nothing else; unknown fields are errors.
func strictJSON(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the object")
	}
	// encoding/json takes null for any value, and leaves what was there.
	for d = json.NewDecoder(bytes.NewReader(b)); ; {
		switch t, err := d.Token(); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case t == nil:
			return errors.New("null is no value here: leave out what there is not")
		}
	}
}

// readBody reads a body within the bounds of size and time.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	rc := http.NewResponseController(w)
	if err := rc.SetReadDeadline(time.Now().Add(bodyWithin)); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, err
	}
	if err != nil {
		return nil, usage(fmt.Errorf("body: %w", err))
	}
	return b, rc.SetReadDeadline(time.Time{})
}

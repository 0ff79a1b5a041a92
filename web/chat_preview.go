package web

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"drey/mesh"
	"drey/web/lang"
)

// A Preview says what sending a text would mean.
type Preview struct {
	V      int      `json:"v"`
	Bytes  int      `json:"bytes"`
	Limit  int      `json:"limit"` // of the caller's texts, in bytes
	Fits   bool     `json:"fits"`  // within the limit
	Radio  *AirCost `json:"radio"` // null where the topic does not go out by radio
	Words  string   `json:"words"` // all of it in the caller's language
	Warned bool     `json:"warned"`
}

// getPreview answers GET /v1/preview: what a text of so many bytes would cost.
func (s *Server) getPreview(w http.ResponseWriter, r *http.Request, c caller) error {
	v := r.URL.Query()
	topic, err := mesh.ParseTopic(v.Get("topic"))
	if err != nil {
		return usage(err)
	}
	text := v.Get("text")
	if v.Has("bytes") {
		n, err := strconv.Atoi(v.Get("bytes"))
		if err != nil || n < 0 || n > mesh.MaxEventSize {
			return usage(fmt.Errorf("bytes: %.20q is not a whole number from 0 to %d", v.Get("bytes"), mesh.MaxEventSize))
		}
		text = textOf(n)
	}
	p, err := s.preview(r, c, topic, parcel{text: text, name: v.Get("name"), urgent: v.Get("urgent") != ""})
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, p)
}

// postPreview answers POST /v1/preview: the same for a text as it stands.
func (s *Server) postPreview(w http.ResponseWriter, r *http.Request, c caller) error {
	var b struct {
		Topic  string `json:"topic"`
		Text   string `json:"text"`
		Name   string `json:"name"`
		Urgent bool   `json:"urgent"`
	}
	body, err := readBody(w, r, maxBody)
	if err != nil {
		return err
	}
	if err := strictJSON(body, &b); err != nil {
		return usage(fmt.Errorf("body: %w", err))
	}
	topic, err := mesh.ParseTopic(b.Topic)
	if err != nil {
		return usage(err)
	}
	p, err := s.preview(r, c, topic, parcel{text: b.Text, name: b.Name, urgent: b.Urgent})
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, p)
}

// preview says what sending a text would mean. What is wrong with the text is
// said in words, too; errors are about the caller.
func (s *Server) preview(r *http.Request, c caller, topic mesh.Topic, p parcel) (*Preview, error) {
	if err := s.mayPost(c, topic); err != nil {
		return nil, err
	}
	words := s.languageOf(r)
	v := &Preview{V: Version, Bytes: len(p.text), Limit: mesh.MaxEventSize}
	if c.scope < ScopeMember {
		v.Limit = s.guests.limits.Bytes
	}
	if v.Fits = v.Bytes <= v.Limit; !v.Fits {
		v.Words, v.Warned = words.T("chat.too-long", "n", v.Bytes, "limit", v.Limit), true
		return v, nil
	}
	if strings.TrimSpace(p.text) != "" {
		post := Post{Topic: topic, Text: p.text, Urgent: p.urgent && c.scope >= ScopeMember}
		if c.scope < ScopeMember {
			name, err := parseGuestName(p.name)
			if err != nil {
				name = guestName
			}
			post.Guest = name
		}
		cost, err := s.config.Node.Cost(r.Context(), post)
		if err != nil && !errors.Is(err, mesh.ErrInvalid) {
			return nil, err
		}
		v.Radio = cost
	}
	v.Words, v.Warned = v.say(words)
	return v, nil
}

func (p *Preview) say(words *lang.Catalogue) (said string, warned bool) {
	said = words.T("chat.bytes", "n", p.Bytes, "limit", p.Limit)
	c := p.Radio
	switch {
	case c == nil:
		return said, false
	case c.TooLong:
		return said + " · " + words.T("chat.air-too-long"), true
	case c.Packets == 1:
		said += " · " + words.T("chat.one-packet")
	default:
		said += " · " + words.T("chat.packets", "n", c.Packets)
	}
	if c.WaitMS > 0 {
		wait := time.Duration(c.WaitMS) * time.Millisecond
		return said + " · " + words.T("chat.air-wait", "span", words.Span(wait)), wait > time.Minute
	}
	return said, false
}

// textOf makes a text of so many bytes that compresses as words do.
func textOf(n int) string {
	const usual = "the bridge by the mill is closed until noon, take the road over the hill instead; "
	return strings.Repeat(usual, n/len(usual)+1)[:n]
}

// showPreview shows the conversation with what was typed and what it would
// cost, and sends nothing.
func (s *Server) showPreview(w http.ResponseWriter, r *http.Request, c caller, topic mesh.Topic, form composeForm) error {
	p, err := s.preview(r, c, topic, parcel{text: form.Text, name: form.Name, urgent: form.Urgent})
	if err != nil {
		return s.showTopic(w, r, c, errorFor(c, err).Status(), topic, form, errorFor(c, err))
	}
	form.fits = p
	return s.showTopic(w, r, c, http.StatusOK, topic, form, nil)
}

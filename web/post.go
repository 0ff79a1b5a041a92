package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"drey/mesh"
)

// Bounds of what is read from a client.
const (
	maxBody     = 8 * mesh.MaxEventSize // escapes can make JSON six times as long as its text
	bodyWithin  = 30 * time.Second      // a slower body is cut off
	publishFor  = 30 * time.Second      // a message is finished even if its sender goes away
	lookBackFor = time.Second           // clocks are read twice on the way
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
		return errors.New("the text is empty")
	case len(p.text) > mesh.MaxEventSize:
		return NewError(CodeTooLarge, "the text is too long", fmt.Sprintf("%d bytes, limit %d", len(p.text), mesh.MaxEventSize), "send it in parts", nil)
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
	return nil
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

// postMessage answers POST /v1/topics/{topic}/messages.
func (s *Server) postMessage(w http.ResponseWriter, r *http.Request, c caller) error {
	topic, err := topicOf(r)
	if err != nil {
		return err
	}
	if topic == "*" {
		return usage(errors.New("a message needs one topic"))
	}
	if err := s.mayPost(c, topic); err != nil {
		return err
	}
	v := r.URL.Query()
	wait, timeout, err := parseWait(v)
	if err != nil {
		return usage(err)
	}
	key := r.Header.Get("Idempotency-Key")
	if len(key) > maxKeySize {
		return usage(fmt.Errorf("Idempotency-Key of %d bytes, limit %d", len(key), maxKeySize))
	}
	body, err := readBody(w, r, maxBody)
	if err != nil {
		return err
	}
	p, err := parseParcel(r.Header.Get("Content-Type"), v, body)
	if err != nil {
		return usage(err)
	}
	if err := s.allow(w, c); err != nil {
		return err
	}
	var id mesh.EventID
	if p.event != nil {
		id, err = s.accept(r.Context(), c, p.event, topic)
	} else {
		id, err = s.say(r.Context(), c, topic, p, c.peer, key)
	}
	if err != nil {
		return err
	}
	receipt, err := s.await(r.Context(), w, id, wait, timeout)
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusAccepted, receipt)
}

// postEvent answers POST /v1/events: a signed event whose own tags say where
// it belongs.
func (s *Server) postEvent(w http.ResponseWriter, r *http.Request, c caller) error {
	wait, timeout, err := parseWait(r.URL.Query())
	if err != nil {
		return usage(err)
	}
	body, err := readBody(w, r, maxBody)
	if err != nil {
		return err
	}
	e, err := mesh.ParseJSON(body)
	if err != nil {
		return err
	}
	if err := s.allow(w, c); err != nil {
		return err
	}
	id, err := s.accept(r.Context(), c, e, "")
	if err != nil {
		return err
	}
	receipt, err := s.await(r.Context(), w, id, wait, timeout)
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusAccepted, receipt)
}

func (s *Server) mayPost(c caller, t mesh.Topic) error {
	if c.scope >= ScopeMember || slices.Contains(s.config.GuestTopics, t) {
		return nil
	}
	return NewError(CodeForbidden, fmt.Sprintf("topic %s is not open to guests", t), "you are a guest here",
		"post to "+s.guestTopicList()+", or use the node's own socket", nil)
}

// allow counts a guest's post.
func (s *Server) allow(w http.ResponseWriter, c caller) error {
	if c.scope >= ScopeMember {
		return nil
	}
	wait := s.guests.post(c.remote, s.now())
	if wait == 0 {
		return nil
	}
	return tooFast(w, wait)
}

func tooFast(w http.ResponseWriter, wait time.Duration) *Error {
	seconds := int64((wait + time.Second - 1) / time.Second)
	w.Header().Set("Retry-After", fmt.Sprint(seconds))
	return NewError(CodeTooFast, "too many at once", "others want to be heard too", fmt.Sprintf("try again in %d s", seconds), nil)
}

// accept takes an event signed by a client. Topic is what its sender believes
// its topic to be; "" where the sender leaves that to the event.
func (s *Server) accept(ctx context.Context, c caller, e *mesh.Event, topic mesh.Topic) (mesh.EventID, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishFor)
	defer cancel()
	if topic != "" {
		if own := s.topicFor(ctx, e); own != topic {
			return e.ID(), NewError(CodeWrongTopic, fmt.Sprintf("this event belongs to topic %s, not %s", own, topic), "its own tags decide",
				fmt.Sprintf(`add the tag ["t",%q] before signing, or post it to /v1/events`, topic), nil)
		}
	}
	err := s.config.Node.Accept(ctx, e, Door{Peer: c.peer, Guest: c.scope < ScopeMember})
	if errors.Is(err, mesh.ErrDuplicate) {
		err = nil
	}
	return e.ID(), err
}

func (s *Server) topicFor(ctx context.Context, e *mesh.Event) mesh.Topic {
	topics := s.config.Node.Topics(ctx)
	t, _ := mesh.TopicFor(e, func(t mesh.Topic) bool { return slices.Contains(topics, t) }, func(id mesh.EventID) (mesh.Topic, bool) {
		rec, err := s.config.Node.Record(ctx, id, mesh.Self)
		if err != nil {
			return "", false
		}
		return rec.Topic, true
	})
	return t
}

// say has the node sign a text, once per idempotency key. Who keeps the keys
// of different callers apart.
func (s *Server) say(ctx context.Context, c caller, topic mesh.Topic, p parcel, who, key string) (mesh.EventID, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), publishFor)
	defer cancel()
	post, err := s.postOf(ctx, c, topic, p)
	if err != nil {
		return mesh.EventID{}, err
	}
	if key == "" {
		rec, err := s.config.Node.Publish(ctx, post)
		if err != nil {
			return mesh.EventID{}, err
		}
		return rec.Event.ID(), nil
	}
	claim, err := s.once.claim(ctx, who, key, fingerprint(topic, p))
	if err != nil {
		return mesh.EventID{}, err
	}
	if claim.done {
		return claim.id, nil
	}
	if claim.uncertain {
		if id, ok, err := s.earlier(ctx, post, claim.at); err != nil || ok {
			if err != nil {
				s.once.abandon(ctx, claim, true)
				return mesh.EventID{}, err
			}
			s.once.finish(claim, id)
			return id, nil
		}
	}
	rec, err := s.config.Node.Publish(ctx, post)
	if err != nil {
		s.once.abandon(ctx, claim, !refusal(err))
		return mesh.EventID{}, err
	}
	s.once.finish(claim, rec.Event.ID())
	return rec.Event.ID(), nil
}

// refusal reports whether an error says for certain that nothing was saved.
func refusal(err error) bool {
	var e *Error
	return errors.As(err, &e) || errors.Is(err, mesh.ErrRefused) || errors.Is(err, mesh.ErrInvalid) ||
		errors.Is(err, mesh.ErrBusy) || errors.Is(err, mesh.ErrUnknownAuthor) || errors.Is(err, mesh.ErrExpired)
}

func fingerprint(topic mesh.Topic, p parcel) [32]byte {
	b, _ := json.Marshal([]any{topic, p.text, p.urgent, p.replyTo, p.name}) // strings and a bool always marshal
	return sha256.Sum256(b)
}

// earlier looks for the message of an attempt whose answer was lost.
func (s *Server) earlier(ctx context.Context, p Post, at time.Time) (mesh.EventID, bool, error) {
	f := mesh.Filter{
		Authors: []mesh.PubKey{s.config.Author}, Kinds: []mesh.Kind{mesh.KindNote}, Topics: []mesh.Topic{p.Topic},
		From: at.Add(-lookBackFor), Order: mesh.ReceiptFirst,
	}
	want := p.Draft()
	for rec, err := range s.config.Node.Records(ctx, f, mesh.Self) {
		if err != nil {
			return mesh.EventID{}, false, err
		}
		if rec.Event.Content() == want.Content && hasTags(rec.Event, want.Tags) {
			return rec.Event.ID(), true, nil
		}
	}
	return mesh.EventID{}, false, nil
}

func hasTags(e *mesh.Event, tags [][]string) bool {
	for _, t := range tags {
		if !slices.ContainsFunc(e.Tags(), func(x []string) bool { return slices.Equal(x, t) }) {
			return false
		}
	}
	return true
}

// postOf checks what a caller wants to say and resolves what it answers.
func (s *Server) postOf(ctx context.Context, c caller, topic mesh.Topic, p parcel) (Post, error) {
	post := Post{Topic: topic, Text: p.text, Urgent: p.urgent}
	if c.scope < ScopeMember || p.name != "" {
		name, err := parseGuestName(p.name)
		if err != nil {
			return Post{}, usage(err)
		}
		post.Guest = name
	}
	if post.Guest != "" {
		if p.urgent {
			return Post{}, NewError(CodeForbidden, "guests cannot send urgent messages", "only members can", "send it without urgent, or ask a member", nil)
		}
		if limit := s.guests.limits.Bytes; len(p.text) > limit {
			return Post{}, NewError(CodeTooLarge, "the text is too long", fmt.Sprintf("%d bytes, guests have %d", len(p.text), limit), "shorten it, or send it in parts", nil)
		}
	}
	if p.replyTo == "" {
		return post, nil
	}
	id, err := mesh.ParseEventID(p.replyTo)
	if err != nil {
		return Post{}, usage(err)
	}
	rec, err := s.config.Node.Record(ctx, id, s.viewer(c))
	if err != nil {
		e := errorOf(err)
		return Post{}, NewError(e.Code, "the message to answer is not here", e.Why, "send it without reply_to, or wait for history to arrive", err)
	}
	if rec.Topic != topic {
		return Post{}, NewError(CodeWrongTopic, fmt.Sprintf("the message to answer is in topic %s", rec.Topic), "an answer stays where its question is",
			fmt.Sprintf("post to topic %s", rec.Topic), nil)
	}
	post.ReplyTo = rec.Event
	return post, nil
}

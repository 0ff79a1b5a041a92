package web

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"drey/mesh"
)

// Bounds of saying something.
const (
	publishFor  = 30 * time.Second // a message is finished even if its sender goes away
	lookBackFor = time.Second      // clocks are read twice on the way
)

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
		id, err = s.say(r.Context(), c, topic, p, holder(c, key), key)
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
		"post to "+s.guestTopicList()+", or use the node's own socket", nil).in("topic-closed", "topic", t, "open", s.guestTopicList())
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
	return NewError(CodeTooFast, "too many at once", "others want to be heard too", fmt.Sprintf("try again in %d s", seconds), nil).in("too-fast", "n", int(seconds))
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
	if err := s.admit(ctx, c, e); err != nil {
		return e.ID(), err
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
			return Post{}, NewError(CodeForbidden, "guests cannot send urgent messages", "only members can", "send it without urgent, or ask a member", nil).in("guest-urgent")
		}
		if limit := s.guests.limits.Bytes; len(p.text) > limit {
			return Post{}, NewError(CodeTooLarge, "the text is too long", fmt.Sprintf("%d bytes, guests have %d", len(p.text), limit), "shorten it, or send it in parts", nil).in("too-long", "n", len(p.text), "limit", limit)
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
		return Post{}, NewError(e.Code, "the message to answer is not here", e.Why, "send it without reply_to, or wait for history to arrive", err).in("no-parent")
	}
	if rec.Topic != topic {
		return Post{}, NewError(CodeWrongTopic, fmt.Sprintf("the message to answer is in topic %s", rec.Topic), "an answer stays where its question is",
			fmt.Sprintf("post to topic %s", rec.Topic), nil)
	}
	post.ReplyTo = rec.Event
	return post, nil
}

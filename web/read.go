package web

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"drey/mesh"
)

// seqHeader tells the place in the order of receipt at which a stream begins;
// a client that lost it before the first line resumes with after=.
const seqHeader = "Drey-Seq"

// getEvents answers GET /v1/events: messages of all topics, or of those named.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request, c caller) error {
	q, err := parseQuery(r.URL.Query(), s.now())
	if err != nil {
		return usage(err)
	}
	return s.sendMessages(w, r, c, q)
}

// getTopic answers GET /v1/topics/{topic}/messages.
func (s *Server) getTopic(w http.ResponseWriter, r *http.Request, c caller) error {
	topic, err := topicOf(r)
	if err != nil {
		return err
	}
	q, err := parseQuery(r.URL.Query(), s.now())
	if err != nil {
		return usage(err)
	}
	if topic != "*" {
		q.filter.Topics = []mesh.Topic{topic}
	}
	return s.sendMessages(w, r, c, q)
}

// topicOf reads the topic from a path such as /v1/topics/town/alerts/messages.
// A topic's own slashes need no escape.
func topicOf(r *http.Request) (mesh.Topic, error) {
	name, ok := strings.CutSuffix(r.PathValue("rest"), "/messages")
	if !ok {
		return "", NewError(CodeNotFound, "there is no such page", "", "messages are at /v1/topics/TOPIC/messages", nil)
	}
	if name == "*" {
		return "*", nil
	}
	t, err := mesh.ParseTopic(name)
	if err != nil {
		return "", usage(err)
	}
	return t, nil
}

func (s *Server) sendMessages(w http.ResponseWriter, r *http.Request, c caller, q query) error {
	v := s.viewer(c)
	if err := s.mayRead(c, q.filter.Topics); err != nil {
		return err
	}
	if wantsSSE(r) {
		q.follow = true
		if last := r.Header.Get("Last-Event-ID"); last != "" {
			seq, err := strconv.ParseUint(last, 10, 63)
			if err != nil {
				return usage(fmt.Errorf("Last-Event-ID: %.40q is not a number", last))
			}
			q.since, q.after, q.hasAfter, q.limit = nil, seq, true, 0
		}
	}
	if err := s.place(r.Context(), &q, v); err != nil {
		return err
	}
	last, err := s.lastSeq(r.Context())
	if err != nil {
		return err
	}
	if q.hasAfter && q.after > last {
		return NewError(CodeGone, "the cursor is ahead of this node", fmt.Sprintf("after=%d, the newest message has %d; the node may have been restored from a backup", q.after, last),
			"begin again with since=", nil)
	}
	if q.follow {
		begin := q.filter.After
		if q.since == nil && !q.hasAfter {
			begin = last
		}
		w.Header().Set(seqHeader, strconv.FormatUint(begin, 10))
	}
	s.stream(w, r, c, q.follow, q.records, func(ctx context.Context) iter.Seq2[line, error] {
		return func(yield func(line, error) bool) {
			for rec, err := range s.messages(ctx, q, v, last) {
				if err != nil {
					yield(line{}, err)
					return
				}
				if !yield(lineOf(rec, q.records), nil) {
					return
				}
			}
		}
	})
	return nil
}

// mayRead tells a guest that a topic is not for guests, rather than showing it
// as empty.
func (s *Server) mayRead(c caller, topics []mesh.Topic) error {
	if c.scope >= ScopeMember {
		return nil
	}
	for _, t := range topics {
		if !slices.Contains(s.config.GuestTopics, t) {
			return NewError(CodeForbidden, fmt.Sprintf("topic %s is not open to guests", t), "you are a guest here",
				"read "+s.guestTopicList()+", or use the node's own socket", nil).in("topic-closed", "topic", t, "open", s.guestTopicList())
		}
	}
	return nil
}

func (s *Server) guestTopicList() string {
	names := make([]string, len(s.config.GuestTopics))
	for i, t := range s.config.GuestTopics {
		names[i] = string(t)
	}
	return strings.Join(names, ", ")
}

// place turns since and after into the filter's own words.
func (s *Server) place(ctx context.Context, q *query, v mesh.Viewer) error {
	if q.hasAfter {
		q.filter.After = q.after
		return nil
	}
	if q.since == nil || q.since.all {
		return nil
	}
	if !q.since.isID {
		q.filter.From = q.since.from
		return nil
	}
	rec, err := s.config.Node.Record(ctx, q.since.id, v)
	var gone *mesh.GoneError
	if errors.As(err, &gone) {
		return NewError(CodeGone, "since: this message is gone", gone.Reason.String(), "begin with a time, such as since=1h", err)
	}
	if err != nil {
		return err
	}
	q.filter.After = rec.Seq
	return nil
}

// lastSeq returns the place of what came in last, 0 when there is nothing.
func (s *Server) lastSeq(ctx context.Context) (uint64, error) {
	for rec, err := range s.config.Node.Records(ctx, mesh.Filter{Order: mesh.ReceiptLatest, Limit: 1}, mesh.Self) {
		if err != nil {
			return 0, err
		}
		return rec.Seq, nil
	}
	return 0, nil
}

// messages yields what q asks for: history in order of receipt, then, when it
// follows, what comes in. The two meet at last without gap or double.
func (s *Server) messages(ctx context.Context, q query, v mesh.Viewer, last uint64) iter.Seq2[*mesh.Record, error] {
	return func(yield func(*mesh.Record, error) bool) {
		begun := q.since != nil || q.hasAfter
		f := q.filter
		if q.follow && (q.limit == 0 || q.hasAfter) {
			if !begun {
				f.After = last
			}
			s.config.Node.Watch(ctx, f, v)(yield)
			return
		}
		f.Limit = q.limit
		if f.Limit == 0 && !begun {
			f.Limit = defaultLimit
		}
		seen := last
		for rec, err := range s.history(ctx, f, v, q.hasAfter) {
			if !yield(rec, err) || err != nil {
				return
			}
			seen = max(seen, rec.Seq)
		}
		if !q.follow {
			return
		}
		f.Limit, f.After = 0, seen
		s.config.Node.Watch(ctx, f, v)(yield)
	}
}

// history yields in order of receipt. With a limit, the latest ones are
// meant, except from a cursor, where a reader goes on page by page. It never
// holds more than one message.
func (s *Server) history(ctx context.Context, f mesh.Filter, v mesh.Viewer, paging bool) iter.Seq2[*mesh.Record, error] {
	if f.Limit == 0 || paging {
		f.Order = mesh.ReceiptFirst
		return s.config.Node.Records(ctx, f, v)
	}
	return func(yield func(*mesh.Record, error) bool) {
		f.Order = mesh.ReceiptLatest
		first := uint64(0)
		for rec, err := range s.config.Node.Records(ctx, f, v) {
			if err != nil {
				yield(nil, err)
				return
			}
			first = rec.Seq
		}
		if first == 0 {
			return
		}
		f.Order, f.After, f.Limit = mesh.ReceiptFirst, first-1, 0
		s.config.Node.Records(ctx, f, v)(yield)
	}
}

package web

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"drey/mesh"
)

// Bounds of the page's live stream.
const (
	aliveEvery  = 20 * time.Second // scripts see that the Wi-Fi is still there
	mostCatchUp = 200              // who missed more loads the page again
)

// getLive answers GET /live: what comes in, as the same fragments of HTML that
// the page itself is made of. Events:
//
//	message   id: the place in the order of receipt; data: a list item
//	delivery  {"id": "…", "html": "…"}: what became of a message
//	count     {"topic": n}: unread messages, at the start of each stream
//	alive     {"now": milliseconds since 1970}, every 20 seconds
//	reset     {}: too much was missed, load the page again
func (s *Server) getLive(w http.ResponseWriter, r *http.Request, c caller) error {
	rd := s.reader(s.languageOf(r), c)
	topics, err := rd.liveTopics(r)
	if err != nil {
		return err
	}
	last, err := s.lastSeq(r.Context())
	if err != nil {
		return err
	}
	after, given := last, r.URL.Query().Get("after")
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		given = id
	}
	if given != "" {
		if after, err = strconv.ParseUint(given, 10, 63); err != nil {
			return usage(fmt.Errorf("after: %.40q is not a number", given))
		}
	}
	r = r.Clone(r.Context())
	r.Header.Set("Accept", "text/event-stream")
	marks := readMarks(r)
	s.stream(w, r, c, true, true, func(ctx context.Context) iter.Seq2[line, error] {
		return func(yield func(line, error) bool) {
			f := mesh.Filter{Topics: topics, Kinds: chatKinds, After: after}
			missed, err := rd.collect(ctx, mesh.Filter{Topics: topics, Kinds: chatKinds, After: after, Order: mesh.ReceiptFirst, Limit: mostCatchUp + 1})
			if err != nil {
				yield(line{}, err)
				return
			}
			if after > last || len(missed) > mostCatchUp {
				if f.After = last; !yield(line{event: "reset", id: strconv.FormatUint(last, 10), data: []byte("{}")}, nil) {
					return
				}
			}
			counts, err := rd.counts(ctx, topics, marks)
			if err != nil || !yield(counts, err) {
				return
			}
			rd.follow(ctx, f, yield)
		}
	})
	return nil
}

func (rd *reader) liveTopics(r *http.Request) ([]mesh.Topic, error) {
	var topics []mesh.Topic
	for _, t := range r.URL.Query()["topic"] {
		topic, err := mesh.ParseTopic(t)
		if err != nil {
			return nil, usage(err)
		}
		topics = append(topics, topic)
	}
	if topics == nil {
		return rd.topics(r.Context()), nil
	}
	return topics, rd.s.mayRead(rd.caller, topics)
}

func (rd *reader) counts(ctx context.Context, topics []mesh.Topic, marks []mark) (line, error) {
	counts := make(map[mesh.Topic]int, len(topics))
	for _, t := range topics {
		n, err := rd.unread(ctx, t, markOf(marks, t), 1<<63)
		if err != nil {
			return line{}, err
		}
		counts[t] = n
	}
	b, err := json.Marshal(counts)
	return line{event: "count", data: b}, err
}

// follow yields messages from where the filter begins, news of deliveries, and
// signs of life, until ctx ends.
func (rd *reader) follow(ctx context.Context, f mesh.Filter, yield func(line, error) bool) {
	type item struct {
		rec *mesh.Record
		err error
	}
	ctx, cancel := context.WithCancel(ctx)
	messages := make(chan item)
	var pump sync.WaitGroup
	defer pump.Wait()
	defer cancel()
	pump.Go(func() {
		for rec, err := range rd.s.config.Node.Watch(ctx, f, rd.viewer) {
			select {
			case messages <- item{rec, err}:
			case <-ctx.Done():
				return
			}
		}
	})
	news := rd.s.news.subscribe()
	defer rd.s.news.leave(news)
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	for {
		select {
		case m := <-messages:
			if m.err != nil {
				yield(line{}, m.err)
				return
			}
			html, err := rd.messageHTML(ctx, m.rec)
			if !yield(line{event: "message", id: strconv.FormatUint(m.rec.Seq, 10), data: html}, err) || err != nil {
				return
			}
		case <-news.signal:
			for _, d := range rd.s.news.take(news) {
				if !slices.Contains(f.Topics, d.topic) || !mesh.Visible(d.event, d.topic, rd.viewer) {
					continue
				}
				b, err := rd.deliveryLine(d)
				if !yield(line{event: "delivery", data: b}, err) || err != nil {
					return
				}
			}
		case <-alive.C:
			if !yield(line{event: "alive", data: fmt.Appendf(nil, `{"now":%d}`, rd.s.now().UnixMilli())}, nil) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// messageHTML renders a message as the page has it. Many phones ask for the
// same one at once, so it is made once for all who see the same.
func (rd *reader) messageHTML(ctx context.Context, rec *mesh.Record) ([]byte, error) {
	return rd.s.fragments.get(fragmentKey{rec.Event.ID(), rd.words.Tag, rd.caller.scope >= ScopeMember}, rd.s.now(), func() ([]byte, error) {
		fresh := rd.s.reader(rd.words, rd.caller)
		items, err := fresh.items(context.WithoutCancel(ctx), []*mesh.Record{rec})
		if err != nil {
			return nil, err
		}
		return rd.s.fragment(rd.words.Tag, "message", items[0])
	})
}

func (rd *reader) deliveryLine(d *destiny) ([]byte, error) {
	html, err := d.html(rd.words.Tag, func() ([]byte, error) {
		return rd.s.fragment(rd.words.Tag, "delivery", summarise(rd.words, d.steps))
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		ID   string `json:"id"`
		HTML string `json:"html"`
	}{d.event.ID().String(), string(html)})
}

// Bounds of what is rendered once for many.
const (
	mostFragments = 256
	fragmentFor   = 2 * time.Second // what stands in it may change
)

type fragmentKey struct {
	id     mesh.EventID
	lang   string
	member bool
}

// fragments keeps what was rendered just now.
type fragments struct {
	mu struct {
		sync.Mutex
		by map[fragmentKey]*fragment
	}
}

type fragment struct {
	at   time.Time
	once sync.Once
	html []byte
	err  error
}

func newFragments() *fragments {
	f := &fragments{}
	f.mu.by = make(map[fragmentKey]*fragment)
	return f
}

func (f *fragments) get(k fragmentKey, now time.Time, render func() ([]byte, error)) ([]byte, error) {
	e := f.entry(k, now)
	e.once.Do(func() { e.html, e.err = render() })
	return e.html, e.err
}

func (f *fragments) entry(k fragmentKey, now time.Time) *fragment {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.mu.by[k]; e != nil && now.Sub(e.at) < fragmentFor && !now.Before(e.at) {
		return e
	}
	if len(f.mu.by) >= mostFragments {
		clear(f.mu.by)
	}
	e := &fragment{at: now}
	f.mu.by[k] = e
	return e
}

// forget drops everything: what a member did changed how messages look.
func (f *fragments) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.mu.by)
}

// postRead answers POST /read: this browser has read a topic up to a place.
func (s *Server) postRead(w http.ResponseWriter, r *http.Request, c caller) error {
	v, err := smallForm(w, r)
	if err != nil {
		return err
	}
	topic, err := mesh.ParseTopic(v.Get("topic"))
	if err != nil {
		return usage(err)
	}
	if err := s.mayRead(c, []mesh.Topic{topic}); err != nil {
		return err
	}
	seq, err := strconv.ParseUint(v.Get("seq"), 10, 63)
	if err != nil {
		return usage(fmt.Errorf("seq: %.40q is not a number", v.Get("seq")))
	}
	setCookie(w, r, readCookie, spellMarks(look(readMarks(r), topic, seq, s.now())))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

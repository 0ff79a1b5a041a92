package web

import (
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"drey/mesh"
	"drey/web/lang"
)

// A messageItem is one message as the template "message" shows it.
type messageItem struct {
	ID, Short string // Short is enough for an anchor
	Seq       uint64
	Topic     mesh.Topic
	ShowTopic bool
	Author    string
	Initial   string // a letter that stands for the author
	Tone      int    // 0 to 7: a colour that stands for the author
	Badge     string // how far to trust the author's name, in words; "" for a member
	Urgent    bool
	Text      string
	Parts     []textPart // of the text
	When      string     // for machines
	Clock     string     // "14:05"
	Date      string     // with the day, for people
	Ahead     bool       // its author's clock was ahead
	Delivery  delivery
	Quote     *quote // what it answers
	Hidden    string // why it is collapsed, in words; "" for shown
	Member    bool   // whoever looks may hide and report
	Single    bool   // shown on a page of its own
	NPub      string
	day       time.Time
}

// A quote is the message that another one answers, in one line.
type quote struct {
	ID     string // "" where it is not here
	Author string
	Text   string
}

// tones is how many colours authors have.
const tones = 8

// quoteLetters is how much of a message is quoted above its answers.
const quoteLetters = 120

// A reader is one look at messages: in a language, by a caller.
type reader struct {
	s      *Server
	words  *lang.Catalogue
	caller caller
	viewer mesh.Viewer
	now    time.Time
}

func (s *Server) reader(words *lang.Catalogue, c caller) *reader {
	return &reader{s, words, c, s.viewer(c), s.now()}
}

// items prepares records for the templates, in their order.
func (rd *reader) items(ctx context.Context, records []*mesh.Record) ([]messageItem, error) {
	parents, err := rd.parents(ctx, records)
	if err != nil {
		return nil, err
	}
	names := rd.s.names(ctx, authorsOf(slices.Concat(records, parents)))
	items := make([]messageItem, len(records))
	for i, rec := range records {
		items[i] = rd.item(ctx, rec, names)
		items[i].Quote = rd.quote(ctx, rec.Event, parents, names)
	}
	return items, nil
}

func authorsOf(records []*mesh.Record) []mesh.PubKey {
	var authors []mesh.PubKey
	for _, rec := range records {
		authors = append(authors, rec.Event.Author())
	}
	slices.SortFunc(authors, func(a, b mesh.PubKey) int { return cmp.Compare(a.String(), b.String()) })
	return slices.Compact(authors)
}

func (rd *reader) item(ctx context.Context, rec *mesh.Record, names map[mesh.PubKey]string) messageItem {
	e := rec.Event
	at := rec.Received.In(rd.now.Location())
	m := messageItem{
		ID: e.ID().String(), Short: e.ID().String()[:16], Seq: rec.Seq, Topic: rec.Topic, Text: e.Content(), Parts: partsOf(e.Content()),
		Urgent: rec.Flags&mesh.FlagEmergency != 0, Ahead: rec.Flags&mesh.FlagFuture != 0,
		When: at.UTC().Format(time.RFC3339), Clock: at.Format("15:04"), Date: dateWords(rd.words, at, rd.now),
		Member: rd.caller.scope >= ScopeMember, NPub: e.Author().NPub(), day: at,
	}
	m.Author, m.Badge = rd.author(rec, names)
	m.Initial, m.Tone = initialOf(m.Author), toneOf(e.Author().String()+m.Author)
	m.Hidden = rd.hidden(ctx, e)
	if rec.Carrier == "" {
		m.Delivery = rd.delivery(ctx, e.ID())
	}
	return m
}

// author names who wrote a message, and how far to trust that.
func (rd *reader) author(rec *mesh.Record, names map[mesh.PubKey]string) (name, badge string) {
	e := rec.Event
	if p, ok := mesh.ProxyOf(e); ok {
		id, _, _ := strings.Cut(p.ID, ":")
		return id, rd.words.T("chat.unsigned-radio")
	}
	if name, ok := mesh.GuestName(e); ok {
		if name == "" || name == guestName {
			name = rd.words.T("chat.guest")
		}
		return name, rd.words.T("chat.guest")
	}
	name = names[e.Author()]
	switch {
	case e.Author() == rd.s.config.Author:
		name = rd.s.config.Name
	case name == "":
		name = shortKey(e.Author())
	}
	if rec.Flags&mesh.FlagGuest != 0 {
		return name, rd.words.T("chat.guest-key")
	}
	return name, ""
}

func initialOf(name string) string {
	for _, r := range strings.TrimLeft(name, "!@# ") {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return string(unicode.ToUpper(r))
		}
	}
	return "·"
}

func toneOf(s string) int {
	h := fnv.New32a()
	h.Write([]byte(s))
	return int(h.Sum32() % tones)
}

// parentOf returns what an event answers directly (NIP-10).
func parentOf(e *mesh.Event) (mesh.EventID, bool) {
	var root, reply, last string
	for _, t := range e.Tags() {
		if len(t) < 2 || t[0] != "e" {
			continue
		}
		switch {
		case len(t) >= 4 && t[3] == "reply":
			reply = t[1]
		case len(t) >= 4 && t[3] == "root":
			root = t[1]
		case len(t) < 4 || t[3] == "":
			last = t[1] // the older form: the last one is meant
		}
	}
	id, err := mesh.ParseEventID(cmp.Or(reply, last, root))
	return id, err == nil
}

// parents reads what records answer, as far as it is here and may be seen.
func (rd *reader) parents(ctx context.Context, records []*mesh.Record) ([]*mesh.Record, error) {
	var ids []mesh.EventID
	for _, rec := range records {
		if id, ok := parentOf(rec.Event); ok && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if ids == nil {
		return nil, nil
	}
	return rd.collect(ctx, mesh.Filter{IDs: ids})
}

func (rd *reader) quote(ctx context.Context, e *mesh.Event, parents []*mesh.Record, names map[mesh.PubKey]string) *quote {
	id, ok := parentOf(e)
	if !ok {
		return nil
	}
	i := slices.IndexFunc(parents, func(r *mesh.Record) bool { return r.Event.ID() == id })
	if i < 0 {
		return &quote{Text: rd.words.T("chat.parent-missing")}
	}
	return rd.quoteOf(ctx, parents[i], names)
}

// quoteOf is a message in one line; of a hidden one, only that it is hidden.
func (rd *reader) quoteOf(ctx context.Context, rec *mesh.Record, names map[mesh.PubKey]string) *quote {
	q := &quote{ID: rec.Event.ID().String(), Text: rd.hidden(ctx, rec.Event)}
	name, badge := rd.author(rec, names)
	if q.Author = name; badge != "" {
		q.Author += " (" + badge + ")"
	}
	if q.Text == "" {
		q.Text = firstLetters(rec.Event.Content(), quoteLetters)
	}
	return q
}

// firstLetters shortens a text to one line of at most so many letters.
func firstLetters(s string, most int) string {
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	runes := []rune(s)
	return string(runes[:most-1]) + "…"
}

// collect reads what a filter chooses and the caller may see.
func (rd *reader) collect(ctx context.Context, f mesh.Filter) ([]*mesh.Record, error) {
	var records []*mesh.Record
	for rec, err := range rd.s.config.Node.Records(ctx, f, rd.viewer) {
		if err != nil {
			return nil, err
		}
		records = append(records, rec)
	}
	return records, nil
}

// topics lists what the caller may read, sorted: guests have their list, and
// members every topic with conversations.
func (rd *reader) topics(ctx context.Context) []mesh.Topic {
	if rd.caller.scope < ScopeMember {
		return slices.Clone(rd.s.config.GuestTopics)
	}
	var list []mesh.Topic
	for _, t := range rd.s.config.Node.Topics(ctx) {
		if t != mesh.TopicRegistry && t != mesh.TopicPeople && t != mesh.TopicMail {
			list = append(list, t)
		}
	}
	for _, t := range rd.s.config.GuestTopics {
		if !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	slices.Sort(list)
	return list
}

// isGone reports whether an error says that a message was here once.
func isGone(err error) (*mesh.GoneError, bool) {
	var gone *mesh.GoneError
	ok := errors.As(err, &gone)
	return gone, ok
}

package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"drey/mesh"
	"drey/web/lang"
)

// chatViews are the pages on which people read and write.
func (s *Server) chatViews() []route {
	return []route{
		view("GET", "/{$}", ScopeGuest, s.getHome),
		view("GET", "/t/{topic...}", ScopeGuest, s.getTopicView),
		view("POST", "/t/{topic...}", ScopeGuest, s.postTopicView),
		view("GET", "/m/{id}", ScopeGuest, s.getMessageView),
		view("POST", "/m/{id}/hide", ScopeMember, s.postHide),
		view("POST", "/m/{id}/report", ScopeMember, s.postReport),
		view("GET", "/search", ScopeGuest, s.getSearch),
		view("GET", "/live", ScopeGuest, s.getLive),
		view("POST", "/read", ScopeGuest, s.postRead),
		view("GET", "/static/{hash}/{file...}", ScopeGuest, s.getStatic),
	}
}

// Bounds of what a view shows.
const (
	pageMessages = 50             // on one page of history
	mostUnread   = 99             // unread messages are counted up to here, and one more
	alertsFor    = 24 * time.Hour // urgent messages stand on the first page so long
	mostAlerts   = 3
)

// A topicItem is one conversation in the list.
type topicItem struct {
	Topic   mesh.Topic
	Href    string
	Tone    int
	Last    *messageItem // nil where nobody has written yet
	Ago     string
	Unread  int
	Many    bool // more than Unread
	Current bool
}

// topicHref is the address of a topic, at what is new in it.
func topicHref(t mesh.Topic) string { return "/t/" + string(t) + "#new" }

// chatKinds are what conversations are made of.
var chatKinds = []mesh.Kind{mesh.KindNote}

// getHome answers GET /: the conversations, and what is urgent.
func (s *Server) getHome(w http.ResponseWriter, r *http.Request, c caller) error {
	if t, err := mesh.ParseTopic(r.URL.Query().Get("topic")); err == nil { // addresses of earlier versions
		http.Redirect(w, r, topicHref(t), http.StatusSeeOther)
		return nil
	}
	rd := s.reader(s.languageOf(r), c)
	topics, err := rd.topicItems(r.Context(), readMarks(r), "")
	if err != nil {
		return err
	}
	alerts, err := rd.alerts(r.Context())
	if err != nil {
		return err
	}
	st, err := s.status(r.Context(), c)
	if err != nil {
		return err
	}
	return s.render(w, r, c, "home", struct {
		Topics    []topicItem
		Alerts    []messageItem
		Community string
		Facts     []string
	}{topics, alerts, st.Community.Name, statusWords(rd.words, st)})
}

// statusWords tell in a line how the node fares.
func statusWords(words *lang.Catalogue, st Status) []string {
	return []string{
		words.T("chat.members", "n", st.Community.Members),
		words.T("chat.machines", "n", st.PubSub.Peers),
		radioWords(words, st.Radio),
	}
}

func radioWords(words *lang.Catalogue, r RadioStatus) string {
	switch r.State {
	case "", "none", "off":
		return words.T("chat.radio-none")
	case "unplugged":
		if r.Device == "auto" {
			return words.T("chat.radio-none") // none was ever found, so none is missing
		}
	case "ready":
		if n := r.Airtime.Waiting; n > 0 {
			return words.T("chat.radio-waiting", "n", n)
		}
		return words.T("chat.radio-ready")
	}
	return words.T("chat.radio-other", "state", r.State)
}

// alerts are the urgent messages of the last day, newest first.
func (rd *reader) alerts(ctx context.Context) ([]messageItem, error) {
	topics := rd.topics(ctx)
	if len(topics) == 0 {
		return nil, nil
	}
	f := mesh.Filter{Topics: topics, Kinds: chatKinds, From: rd.now.Add(-alertsFor), Order: mesh.ReceiptLatest,
		Tags: map[string][]string{"l": {mesh.LabelEmergency}}, Limit: 4 * mostAlerts}
	found, err := rd.collect(ctx, f)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(rec *mesh.Record) bool { return rec.Flags&mesh.FlagEmergency == 0 })
	items, err := rd.items(ctx, found[:min(len(found), mostAlerts)])
	for i := range items {
		items[i].ShowTopic = true
	}
	return items, err
}

// topicItems lists the conversations, the one with the latest message first.
func (rd *reader) topicItems(ctx context.Context, marks []mark, current mesh.Topic) ([]topicItem, error) {
	var list []topicItem
	for _, t := range rd.topics(ctx) {
		item := topicItem{Topic: t, Href: topicHref(t), Tone: toneOf(string(t)), Current: t == current}
		last, err := rd.collect(ctx, mesh.Filter{Topics: []mesh.Topic{t}, Kinds: chatKinds, Order: mesh.ReceiptLatest, Limit: 1})
		if err != nil {
			return nil, err
		}
		items, err := rd.items(ctx, last)
		if err != nil {
			return nil, err
		}
		if len(items) > 0 {
			item.Last = &items[0]
			item.Last.Text = firstLetters(item.Last.Text, quoteLetters)
			item.Ago = ago(rd.words, rd.now.Sub(item.Last.day))
			if item.Unread, err = rd.unread(ctx, t, markOf(marks, t), item.Last.Seq); err != nil {
				return nil, err
			}
			if item.Unread > mostUnread {
				item.Unread, item.Many = mostUnread, true
			}
		}
		list = append(list, item)
	}
	slices.SortStableFunc(list, func(a, b topicItem) int { return b.place().Compare(a.place()) })
	return list, nil
}

func (i topicItem) place() time.Time {
	if i.Last == nil {
		return time.Time{}
	}
	return i.Last.day
}

// unread counts what came into a topic since a mark. A browser that was never
// here has nothing to catch up with.
func (rd *reader) unread(ctx context.Context, t mesh.Topic, m mark, last uint64) (int, error) {
	if m.at.IsZero() || last <= m.read {
		return 0, nil
	}
	news, err := rd.collect(ctx, mesh.Filter{Topics: []mesh.Topic{t}, Kinds: chatKinds, After: m.read, Order: mesh.ReceiptFirst, Limit: mostUnread + 1})
	return len(news), err
}

// An entry is one line of a conversation: a message, with what stands before it.
type entry struct {
	messageItem
	Day string // a new day begins
	New bool   // what follows came since the last visit
}

// A topicPage is what the view "topic" shows.
type topicPage struct {
	Topic   mesh.Topic
	Topics  []topicItem
	Entries []entry
	New     bool   // one of them is the first since the last visit
	Live    string // address of the stream; "" on pages of the past
	LastSeq uint64
	Older   string // address of the page before; "" at the beginning
	Newer   bool   // this is a page of the past
	Posted  string // what became of the form just sent, in words
	Compose compose
}

// getTopicView answers GET /t/{topic}: the newest messages, or, with before=,
// a page of the past.
func (s *Server) getTopicView(w http.ResponseWriter, r *http.Request, c caller) error {
	topic, err := mesh.ParseTopic(r.PathValue("topic"))
	if err != nil {
		return NewError(CodeNotFound, "there is no such topic", err.Error(), "", err)
	}
	if err := s.mayRead(c, []mesh.Topic{topic}); err != nil {
		return err
	}
	form := composeForm{Name: cookieName(r), ReplyTo: r.URL.Query().Get("reply")}
	return s.showTopic(w, r, c, http.StatusOK, topic, form, nil)
}

// showTopic shows a conversation with its form, and what was wrong with it.
func (s *Server) showTopic(w http.ResponseWriter, r *http.Request, c caller, status int, topic mesh.Topic, form composeForm, fault *Error) error {
	ctx := r.Context()
	rd := s.reader(s.languageOf(r), c)
	p := topicPage{Topic: topic}
	before, _ := strconv.ParseUint(r.URL.Query().Get("before"), 10, 63)
	f := mesh.Filter{Topics: []mesh.Topic{topic}, Kinds: chatKinds, Order: mesh.ReceiptLatest, Limit: pageMessages + 1, Before: before}
	records, err := rd.collect(ctx, f)
	if err != nil {
		return err
	}
	if len(records) > pageMessages {
		records = records[:pageMessages]
		p.Older = "/t/" + string(topic) + "?before=" + strconv.FormatUint(records[pageMessages-1].Seq, 10) + "#end"
	}
	slices.Reverse(records)
	items, err := rd.items(ctx, records)
	if err != nil {
		return err
	}
	marks := readMarks(r)
	if p.Newer = before != 0; !p.Newer {
		if p.LastSeq, err = s.lastSeq(ctx); err != nil {
			return err
		}
		p.Live = "/live?" + url.Values{"topic": {string(topic)}, "after": {strconv.FormatUint(p.LastSeq, 10)}}.Encode()
		marks = look(marks, topic, p.LastSeq, s.now())
		setCookie(w, r, readCookie, spellMarks(marks))
	}
	p.Entries = rd.entries(items, markOf(marks, topic).since)
	p.New = slices.ContainsFunc(p.Entries, func(e entry) bool { return e.New })
	if p.Topics, err = rd.topicItems(ctx, marks, topic); err != nil {
		return err
	}
	if p.Compose, err = rd.compose(ctx, topic, form, fault); err != nil {
		return err
	}
	if id, err := mesh.ParseEventID(r.URL.Query().Get("posted")); err == nil {
		if i := slices.IndexFunc(items, func(m messageItem) bool { return m.ID == id.String() }); i >= 0 {
			p.Posted = rd.words.T("chat.posted")
		}
	}
	return s.renderStatus(w, r, c, status, "topic", p)
}

// entries puts days and the mark of the last visit between messages.
func (rd *reader) entries(items []messageItem, since uint64) []entry {
	entries := make([]entry, len(items))
	day, marked := "", since == 0
	for i, m := range items {
		entries[i].messageItem = m
		if d := dayWords(rd.words, m.day, rd.now); d != day {
			entries[i].Day, day = d, d
		}
		if !marked && m.Seq > since {
			entries[i].New, marked = i > 0, true
		}
	}
	return entries
}

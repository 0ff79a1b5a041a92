package web

import (
	"context"
	"errors"
	"net/http"

	"drey/mesh"
)

// mostAnswers bounds the thread below a message.
const mostAnswers = 200

// A messagePage is what the view "message" shows.
type messagePage struct {
	Message *messageItem // nil where it is held no more
	Gone    string       // why, in words
	Parent  *messageItem // what it answers, where it is here
	Answers []messageItem
	Steps   []stepItem
	ID      string
	Link    string // to name the message to others
	Reports []reportItem
	Kinds   []reportKind
	CanBan  bool // the author is somebody who can be banned, and the caller may
	Done    string
	Words   string // of a report that was not sent
	Error   *toldProblem
	Compose compose
}

// A stepItem is one line of a message's history.
type stepItem struct {
	When, Clock string
	By          string // the carrier and its target
	Words       string
	Original    string // as the node has it, where the words say less
}

type reportKind struct{ Value, Label string }

// A reportItem is a report of somebody about the message.
type reportItem struct{ Author, Kind, Words, Date string }

// getMessageView answers GET /m/{id}: a message with its thread and all that
// became of it.
func (s *Server) getMessageView(w http.ResponseWriter, r *http.Request, c caller) error {
	return s.showMessage(w, r, c, http.StatusOK, "", nil)
}

// showMessage shows the message that the address names, with what was wrong
// with a form about it.
func (s *Server) showMessage(w http.ResponseWriter, r *http.Request, c caller, status int, words string, fault *Error) error {
	ctx := r.Context()
	rd := s.reader(s.languageOf(r), c)
	id, err := s.messageNamed(ctx, r.PathValue("id"), rd.viewer)
	if err != nil {
		return err
	}
	p := messagePage{ID: id.String(), Link: "/m/" + id.String()[:16], Words: words}
	if fault != nil {
		told := tell(rd.words, fault)
		p.Error = &told
	}
	rec, err := s.config.Node.Record(ctx, id, rd.viewer)
	gone, isGone := isGone(err)
	switch {
	case isGone && c.scope >= ScopeMember:
		p.Gone = rd.words.T("chat.gone-" + gone.Reason.String())
	case errors.Is(err, mesh.ErrNotFound):
		return NewError(CodeNotFound, "no such message here", "this node has never seen it", "ask another node, or wait for history to arrive", err).in("no-message")
	case err != nil:
		return err
	default:
		if err := rd.thread(ctx, &p, rec); err != nil {
			return err
		}
		form := composeForm{Name: cookieName(r), ReplyTo: id.String()}
		if p.Compose, err = rd.compose(ctx, rec.Topic, form, nil); err != nil {
			return err
		}
		p.Compose.Quote = nil // it stands above
	}
	if p.Steps, err = rd.steps(ctx, id); err != nil {
		return err
	}
	if key := doneWords[r.URL.Query().Get("done")]; key != "" {
		p.Done = rd.words.T(key)
	}
	return s.renderStatus(w, r, c, status, "message", p)
}

// doneWords say what a form about a message did.
var doneWords = map[string]string{"hidden": "chat.done-hidden", "shown": "chat.done-shown", "reported": "chat.done-reported"}

// thread fills in the message, what it answers and what answers it.
func (rd *reader) thread(ctx context.Context, p *messagePage, rec *mesh.Record) error {
	answers, err := rd.collect(ctx, mesh.Filter{Kinds: chatKinds, Tags: map[string][]string{"e": {rec.Event.ID().String()}}, Order: mesh.ReceiptFirst, Limit: mostAnswers})
	if err != nil {
		return err
	}
	all := append([]*mesh.Record{rec}, answers...)
	parents, err := rd.parents(ctx, all[:1])
	if err != nil {
		return err
	}
	items, err := rd.items(ctx, append(all, parents...))
	if err != nil {
		return err
	}
	p.Message, p.Answers = &items[0], items[1:len(all)]
	p.Message.Single, p.Message.ShowTopic, p.Message.Quote = true, true, nil
	for i := range p.Answers {
		if q := p.Answers[i].Quote; q != nil && q.ID == p.ID {
			p.Answers[i].Quote = nil // it stands above
		}
	}
	if len(parents) > 0 {
		p.Parent = &items[len(all)]
	} else if _, ok := parentOf(rec.Event); ok {
		p.Message.Quote = &quote{Text: rd.words.T("chat.parent-missing")}
	}
	if rd.caller.scope < ScopeMember {
		return nil
	}
	for _, k := range ReportKinds {
		p.Kinds = append(p.Kinds, reportKind{k, rd.words.T("chat.report-" + k)})
	}
	_, byGuest := mesh.GuestName(rec.Event)
	p.CanBan = rd.caller.scope >= ScopeAdmin && rec.Event.Author() != rd.s.config.Author && !byGuest
	p.Reports, err = rd.reports(ctx, rec.Event)
	return err
}

// reports lists what members said is wrong with a message.
func (rd *reader) reports(ctx context.Context, e *mesh.Event) ([]reportItem, error) {
	found, err := rd.collect(ctx, mesh.Filter{Kinds: []mesh.Kind{KindReport}, Tags: map[string][]string{"e": {e.ID().String()}}, Order: mesh.ReceiptLatest, Limit: mostAnswers})
	if err != nil {
		return nil, err
	}
	names := rd.s.names(ctx, authorsOf(found))
	var list []reportItem
	for _, rec := range found {
		author, _ := rd.author(rec, names)
		kind := "other"
		for _, t := range rec.Event.Tags() {
			if len(t) > 2 && t[0] == "e" && t[1] == e.ID().String() && rd.words.Has("chat.report-"+t[2]) {
				kind = t[2]
			}
		}
		list = append(list, reportItem{author, rd.words.T("chat.report-" + kind), rec.Event.Content(), dateWords(rd.words, rec.Received.In(rd.now.Location()), rd.now)})
	}
	return list, nil
}

// steps reads the whole delivery history.
func (rd *reader) steps(ctx context.Context, id mesh.EventID) ([]stepItem, error) {
	steps, err := rd.s.config.Node.History(ctx, id)
	if err != nil && !errors.Is(err, mesh.ErrNotFound) {
		return nil, err
	}
	items := make([]stepItem, len(steps))
	for i, st := range steps {
		at := st.At.In(rd.now.Location())
		items[i] = stepItem{When: at.UTC().Format("2006-01-02T15:04:05Z"), Clock: dateWords(rd.words, at, rd.now), By: st.Carrier, Words: understand(st.State).say(rd.words)}
		if st.Target != "" {
			items[i].By += " " + st.Target
		}
		if items[i].Words != st.State {
			items[i].Original = st.State
		}
	}
	return items, nil
}

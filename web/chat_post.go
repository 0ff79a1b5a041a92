package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"drey/mesh"
)

// A composeForm is what somebody typed, so that nothing is lost.
type composeForm struct {
	Text    string
	Name    string
	ReplyTo string // an id, or ""
	Urgent  bool
	Key     string // makes a form that is sent twice act once

	fits *Preview // asked for; nil when it was not
}

// A compose is the form below a conversation.
type compose struct {
	Topic  mesh.Topic
	Form   composeForm
	Open   bool // the caller may write here
	Member bool // speaks as this machine's operator, and may be urgent
	Node   string
	Limit  int    // bytes of a text
	Quote  *quote // what is answered
	Error  *toldProblem
	Fits   string // the preview, in words
	Bad    bool   // the preview is a warning
	Back   string // where to go without answering
}

// compose prepares the form. A form that came back keeps what was typed.
func (rd *reader) compose(ctx context.Context, topic mesh.Topic, form composeForm, fault *Error) (compose, error) {
	c := compose{Topic: topic, Form: form, Member: rd.caller.scope >= ScopeMember, Node: rd.s.config.Name, Limit: mesh.MaxEventSize, Back: topicHref(topic)}
	c.Open = rd.s.mayPost(rd.caller, topic) == nil
	if !c.Member {
		c.Limit = rd.s.guests.limits.Bytes
	}
	if c.Form.Key == "" || fault != nil {
		c.Form.Key = newKey()
	}
	if fault != nil {
		told := tell(rd.words, fault)
		c.Error = &told
	}
	if form.fits != nil {
		c.Fits, c.Bad = form.fits.Words, form.fits.Warned
	}
	if form.ReplyTo == "" {
		return c, nil
	}
	id, err := mesh.ParseEventID(form.ReplyTo)
	if err != nil {
		c.Form.ReplyTo = ""
		return c, nil
	}
	rec, err := rd.s.config.Node.Record(ctx, id, rd.viewer)
	if err != nil {
		c.Quote = &quote{Text: rd.words.T("chat.parent-missing")}
		return c, nil
	}
	c.Quote = rd.quoteOf(ctx, rec, rd.s.names(ctx, []mesh.PubKey{rec.Event.Author()}))
	return c, nil
}

// postTopicView answers the form: it posts, then sends the browser back to the
// conversation, so that loading it again posts nothing.
func (s *Server) postTopicView(w http.ResponseWriter, r *http.Request, c caller) error {
	topic, err := mesh.ParseTopic(r.PathValue("topic"))
	if err != nil {
		return usage(err)
	}
	if err := s.mayRead(c, []mesh.Topic{topic}); err != nil {
		return err
	}
	v, err := readLongForm(w, r)
	if err != nil {
		return err
	}
	// Browsers send line breaks as CR LF.
	form := composeForm{Text: strings.ReplaceAll(v.Get("text"), "\r\n", "\n"), Name: v.Get("name"), ReplyTo: v.Get("reply_to"),
		Urgent: v.Get("urgent") != "", Key: v.Get("key")}
	if v.Has("preview") {
		return s.showPreview(w, r, c, topic, form)
	}
	id, err := s.postForm(w, r, c, topic, form)
	if err != nil {
		e := errorFor(c, err)
		if e.Code == CodeInternal {
			s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "err", err)
		}
		if s.showTopic(w, r, c, e.Status(), topic, form, e) == nil {
			return nil
		}
		return s.showUnsent(w, r, c, topic, form, e)
	}
	if c.scope < ScopeMember {
		setCookie(w, r, nameCookie, url.QueryEscape(form.Name))
	}
	http.Redirect(w, r, "/t/"+string(topic)+"?posted="+id.String()+"#m-"+id.String()[:16], http.StatusSeeOther)
	return nil
}

// showUnsent gives a text back when nothing else can be read: the node has lost
// its store, and whoever typed must not lose that.
func (s *Server) showUnsent(w http.ResponseWriter, r *http.Request, c caller, topic mesh.Topic, form composeForm, fault *Error) error {
	told := tell(s.languageOf(r), fault)
	form.Key = newKey()
	return s.renderStatus(w, r, c, fault.Status(), "unsent", compose{
		Topic: topic, Form: form, Open: true, Member: c.scope >= ScopeMember, Node: s.config.Name, Error: &told, Back: topicHref(topic),
	})
}

// readLongForm is smallForm for texts of any length: one that is too long comes
// back to whoever wrote it.
func readLongForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	body, err := readBody(w, r, maxBody)
	if err != nil {
		return nil, err
	}
	v, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, usage(fmt.Errorf("form: %w", err))
	}
	return v, nil
}

func (s *Server) postForm(w http.ResponseWriter, r *http.Request, c caller, topic mesh.Topic, f composeForm) (mesh.EventID, error) {
	if err := s.mayPost(c, topic); err != nil {
		return mesh.EventID{}, err
	}
	if len(f.Key) > maxKeySize {
		return mesh.EventID{}, usage(errors.New("the form is malformed"))
	}
	p := parcel{text: f.Text, urgent: f.Urgent, replyTo: f.ReplyTo}
	if c.scope < ScopeMember {
		name, err := parseGuestName(f.Name)
		if err != nil {
			return mesh.EventID{}, usage(err)
		}
		p.name = name
	}
	if err := p.check(); err != nil {
		return mesh.EventID{}, usage(err)
	}
	if err := s.allow(w, c); err != nil {
		return mesh.EventID{}, err
	}
	// The key is this server's own and random, and a phone may change its address.
	return s.say(r.Context(), c, topic, p, "page", f.Key)
}

// nameCookie keeps the name that a visitor chose.
const nameCookie = "drey-name"

func cookieName(r *http.Request) string {
	c, err := r.Cookie(nameCookie)
	if err != nil {
		return ""
	}
	raw, err := url.QueryUnescape(c.Value)
	if err != nil {
		return ""
	}
	name, err := parseGuestName(raw)
	if err != nil || name == guestName {
		return ""
	}
	return name
}

func newKey() string {
	var b [16]byte
	rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}

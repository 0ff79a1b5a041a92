package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"drey/mesh"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS []byte

// pageStyle names the style sheet by its content, so that browsers may keep it.
var pageStyle = func() string {
	sum := sha256.Sum256(pageCSS)
	return "/page.css?v=" + hex.EncodeToString(sum[:6])
}()

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// pageMessages is how many messages the page shows.
const pageMessages = 50

// policy lets the page load its own style sheet, post its own forms and
// nothing else: what a message says can never run.
const policy = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// page is what the template shows.
type page struct {
	Style    string
	Status   Status
	Topics   []mesh.Topic
	Topic    mesh.Topic // shown; "" for all
	Radio    string     // in words
	Messages []pageMessage
	Posted   string   // the id of the message that was just posted
	Error    *Problem // why posting failed
	Form     pageForm
	Limit    int // bytes of a text
}

// pageForm is what the visitor typed, so that nothing is lost.
type pageForm struct {
	Topic mesh.Topic
	Name  string
	Text  string
	Key   string // makes a form that is sent twice act once
}

type pageMessage struct {
	ID      string
	Topic   mesh.Topic
	Author  string
	Badge   string // how far to trust the author's name
	Urgent  bool
	Text    string
	When    string // for machines
	Ago     string
	State   string // what became of it, for what this node sent
	Clock   bool   // its author's clock was ahead
	IsReply bool
}

func (s *Server) getStyle(w http.ResponseWriter, _ *http.Request, _ caller) error {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, err := w.Write(pageCSS)
	return err
}

// getPage answers GET /: status, the latest messages and a form to post.
func (s *Server) getPage(w http.ResponseWriter, r *http.Request, c caller) error {
	p := page{Form: pageForm{Key: newKey(), Name: cookieName(r)}}
	if t, err := mesh.ParseTopic(r.URL.Query().Get("topic")); err == nil && slices.Contains(s.config.GuestTopics, t) {
		p.Topic, p.Form.Topic = t, t
	}
	if id, err := mesh.ParseEventID(r.URL.Query().Get("posted")); err == nil {
		p.Posted = id.String()
	}
	return s.showPage(w, r, c, http.StatusOK, p)
}

// postPage answers the form: it posts, then sends the browser back to the
// page, so that loading it again posts nothing.
func (s *Server) postPage(w http.ResponseWriter, r *http.Request, c caller) error {
	body, err := readBody(w, r, maxBody)
	if err != nil {
		return err
	}
	v, err := url.ParseQuery(string(body))
	if err != nil {
		return usage(fmt.Errorf("form: %w", err))
	}
	// Browsers send line breaks as CR LF.
	text := strings.ReplaceAll(v.Get("text"), "\r\n", "\n")
	form := pageForm{Topic: mesh.Topic(v.Get("topic")), Name: v.Get("name"), Text: text, Key: v.Get("key")}
	id, err := s.postForm(w, r, c, form)
	if err != nil {
		e := errorFor(c, err)
		if e.Code == CodeInternal {
			s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "err", err)
		}
		form.Key = newKey()
		return s.showPage(w, r, c, e.Status(), page{Form: form, Error: &e.Problem})
	}
	http.SetCookie(w, &http.Cookie{Name: nameCookie, Value: url.QueryEscape(form.Name), Path: "/", MaxAge: 365 * 24 * 3600,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil})
	http.Redirect(w, r, "/?posted="+id.String()+"#m-"+id.String()[:16], http.StatusSeeOther)
	return nil
}

func (s *Server) postForm(w http.ResponseWriter, r *http.Request, c caller, f pageForm) (mesh.EventID, error) {
	topic, err := mesh.ParseTopic(string(f.Topic))
	if err != nil {
		return mesh.EventID{}, usage(err)
	}
	if !slices.Contains(s.config.GuestTopics, topic) {
		return mesh.EventID{}, s.mayPost(caller{}, topic)
	}
	name, err := parseGuestName(f.Name)
	if err != nil {
		return mesh.EventID{}, usage(err)
	}
	if len(f.Key) > maxKeySize {
		return mesh.EventID{}, usage(errors.New("the form is malformed"))
	}
	p := parcel{text: f.Text, name: name}
	if err := p.check(); err != nil {
		return mesh.EventID{}, usage(err)
	}
	if err := s.allow(w, c); err != nil {
		return mesh.EventID{}, err
	}
	// The key is this server's own and random, and a phone may change its address.
	return s.say(r.Context(), c, topic, p, "page", f.Key)
}

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
	if err != nil || name == "guest" {
		return ""
	}
	return name
}

func newKey() string {
	var b [16]byte
	rand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}

func (s *Server) showPage(w http.ResponseWriter, r *http.Request, c caller, status int, p page) error {
	st, err := s.status(r.Context(), c)
	if err != nil {
		return err
	}
	p.Style, p.Status, p.Topics, p.Radio, p.Limit = pageStyle, st, s.config.GuestTopics, radioWords(st.Radio), s.guests.limits.Bytes
	topics := s.config.GuestTopics
	if p.Topic != "" {
		topics = []mesh.Topic{p.Topic}
	}
	if p.Messages, err = s.pageMessages(r.Context(), topics); err != nil {
		return err
	}
	if !slices.ContainsFunc(p.Messages, func(m pageMessage) bool { return m.ID == p.Posted }) {
		p.Posted = ""
	}
	return s.render(w, status, "page", p)
}

// render writes a whole page or none of it.
func (s *Server) render(w http.ResponseWriter, status int, name string, data any) error {
	var b bytes.Buffer
	if err := pageTemplate.ExecuteTemplate(&b, name, data); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", policy)
	w.WriteHeader(status)
	w.Write(b.Bytes()) // a visitor who has gone is no failure
	return nil
}

func (s *Server) errorPage(w http.ResponseWriter, status int, e *Error) {
	if err := s.render(w, status, "error", struct {
		Style string
		Error Problem
	}{pageStyle, e.Problem}); err != nil {
		s.log.Error("error page", "err", err)
	}
}

// pageMessages lists the newest messages of topics, as any guest may read
// them: the page is the same for whoever looks.
func (s *Server) pageMessages(ctx context.Context, topics []mesh.Topic) ([]pageMessage, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	f := mesh.Filter{Topics: topics, Kinds: []mesh.Kind{mesh.KindNote}, Order: mesh.ReceiptLatest, Limit: pageMessages}
	var records []*mesh.Record
	var authors []mesh.PubKey
	for rec, err := range s.config.Node.Records(ctx, f, mesh.Viewer{Topics: topics}) {
		if err != nil {
			return nil, err
		}
		records = append(records, rec)
		if a := rec.Event.Author(); !slices.Contains(authors, a) {
			authors = append(authors, a)
		}
	}
	names := s.names(ctx, authors)
	list := make([]pageMessage, len(records))
	for i, rec := range records {
		list[i] = s.pageMessage(ctx, rec, names)
	}
	return list, nil
}

func (s *Server) pageMessage(ctx context.Context, r *mesh.Record, names map[mesh.PubKey]string) pageMessage {
	e := r.Event
	_, isReply := e.Tag("e")
	m := pageMessage{
		ID: e.ID().String(), Topic: r.Topic, Text: e.Content(), Urgent: r.Flags&mesh.FlagEmergency != 0,
		When: r.Received.UTC().Format(time.RFC3339), Ago: ago(s.now().Sub(r.Received)),
		Clock: r.Flags&mesh.FlagFuture != 0, IsReply: isReply,
	}
	own := e.Author() == s.config.Author
	m.Author = names[e.Author()]
	switch {
	case own:
		m.Author = s.config.Name
	case m.Author == "":
		m.Author = shortKey(e.Author())
	}
	if p, ok := mesh.ProxyOf(e); ok {
		m.Author, _, _ = strings.Cut(p.ID, ":")
		m.Badge = "by radio, unsigned"
	}
	if name, ok := mesh.GuestName(e); ok {
		m.Author, m.Badge = name, "guest"
	}
	if !own {
		return m
	}
	if steps, err := s.config.Node.History(ctx, e.ID()); err == nil && len(steps) > 0 {
		m.State = steps[len(steps)-1].State
	}
	return m
}

// ago says how long something is past, roughly.
func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

func radioWords(r RadioStatus) string {
	switch r.State {
	case "", "none", "off":
		return "no radio"
	case "unplugged":
		if r.Device == "auto" {
			return "no radio" // none was ever found, so none is missing
		}
	case "ready":
		words := "radio on the air"
		if r.Airtime.Waiting > 0 {
			words += fmt.Sprintf(", %d waiting for air", r.Airtime.Waiting)
		}
		return words
	}
	return "radio: " + r.State
}

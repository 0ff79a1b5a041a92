package web

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"drey/mesh"
	"drey/web/lang"
)

// mailHref is where the private messages of the machine itself are: they are
// opened by its own key, so that its operator needs no script to read them.
const mailHref = "/private/machine"

// mostMailShown bounds how much of a conversation is on the page.
const mostMailShown = 200

// mailPage is what mailbox.html shows: all conversations, or one of them.
type mailPage struct {
	Conversations []*mailTalk
	Talk          *mailTalk // nil: the list
	Messages      []mailItem
	Earlier       int // messages before those
	Choices       []keyHolder
	Form          mailForm
	Most          int // readers of a message
	Error         *toldProblem
}

// A mailTalk is one conversation: everybody in it but this machine.
type mailTalk struct {
	With    string // npubs, sorted, with commas between
	People  []MailReader
	Names   string
	Subject string // the latest that was said
	Last    mailItem
	Crowd   bool // more than a message can have readers
	seq     uint64
}

// Title is what a conversation is about, else who is in it. What one person says
// that it is about does not stand for his name.
func (t *mailTalk) Title() string {
	if len(t.People) == 1 && t.Subject != "" {
		return t.Names + " – " + t.Subject
	}
	return cmp.Or(t.Subject, t.Names)
}

// Initial is a letter that stands for the conversation.
func (t *mailTalk) Initial() string { return initialOf(t.Title()) }

// Href is the address of the conversation.
func (t *mailTalk) Href() string { return mailHref + "?with=" + t.With }

// A mailItem is a message as the page shows it.
type mailItem struct {
	*MailMessage
	Author, Initial string
	Tone            int
	Parts           []textPart // of the text
	Line            string     // the text, or what is in its place
	Machine, Clock  string     // when it came here
	Fates           []string   // of what was written here, for each reader
}

// A mailForm is what somebody typed.
type mailForm struct {
	To      string   // names and npubs, with commas between
	Ticked  []string // npubs
	Subject string
	Text    string
	Key     string // makes a form that is sent twice act once
}

// Has reports whether somebody is ticked.
func (f mailForm) Has(npub string) bool { return slices.Contains(f.Ticked, npub) }

func (s *Server) getMailView(w http.ResponseWriter, r *http.Request, c caller) error {
	return s.showMail(w, r, c, http.StatusOK, r.URL.Query().Get("with"), mailForm{}, nil)
}

// postMailView answers the forms: it writes, then sends the browser to the
// conversation, so that loading it again writes nothing.
func (s *Server) postMailView(w http.ResponseWriter, r *http.Request, c caller) error {
	v, err := readLongForm(w, r)
	if err != nil {
		return err
	}
	f := mailForm{To: v.Get("to"), Ticked: v["npub"], Subject: strings.TrimSpace(v.Get("subject")), Text: strings.ReplaceAll(v.Get("text"), "\r\n", "\n"), Key: v.Get("key")}
	if len(f.Key) > maxKeySize {
		return usage(errors.New("the form is malformed"))
	}
	with := v.Get("with")
	send := func(w http.ResponseWriter) error {
		m, err := s.sendForm(r.Context(), with, f)
		if err != nil {
			e := errorFor(c, err)
			if e.Code == CodeInternal {
				s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "err", err)
			}
			return s.showMail(w, r, c, e.Status(), with, f, e)
		}
		http.Redirect(w, r, (&mailTalk{With: mailWith(m, s.config.Author.NPub())}).Href()+"#write", http.StatusSeeOther)
		return nil
	}
	if f.Key == "" {
		return send(w)
	}
	sum := sha256.Sum256([]byte(v.Encode()))
	send = s.everOnce(r.Context(), "mail form", f.Key, sum, send)
	return s.actOnce(w, r, sha256.Sum256([]byte("mail form\x00"+f.Key)), sum, send)
}

// sendForm writes what a form asks for: to everybody in a conversation, or to
// whoever is named and ticked.
func (s *Server) sendForm(ctx context.Context, with string, f mailForm) (*MailMessage, error) {
	p := MailPost{Text: f.Text, Subject: f.Subject}
	if with != "" {
		p.To = strings.Split(with, ",")
	} else {
		p.To = slices.Clone(f.Ticked)
		for name := range strings.SplitSeq(f.To, ",") {
			if name = strings.TrimSpace(name); name != "" && !slices.Contains(p.To, name) {
				p.To = append(p.To, name)
			}
		}
	}
	switch {
	case strings.TrimSpace(p.Text) == "":
		return nil, NewError(CodeUsage, "there is no text", "", "", nil).in("mail-empty")
	case len(p.To) == 0 || len(p.To) > maxMailNames:
		return nil, NewError(CodeUsage, fmt.Sprintf("%d readers, allowed are 1 to %d", len(p.To), maxMailNames), "", "", nil).in("mail-readers", "n", maxMailNames)
	}
	return s.config.Node.SendMail(ctx, p)
}

func (s *Server) showMail(w http.ResponseWriter, r *http.Request, c caller, status int, with string, f mailForm, fault *Error) error {
	words := s.languageOf(r)
	p := mailPage{Form: f, Most: maxMailNames}
	if p.Form.Key == "" || fault != nil {
		p.Form.Key = newKey()
	}
	if fault != nil {
		told := tell(words, fault)
		p.Error = &told
	}
	err := s.fillMail(r.Context(), c, words, with, &p)
	if err != nil && fault == nil { // with a fault, what was typed matters more than what cannot be read now
		return err
	}
	if with != "" && p.Talk == nil {
		if fault == nil {
			return NewError(CodeNotFound, "there is no such conversation", "", "", nil).in("nothing-here")
		}
		p.Talk = &mailTalk{With: with}
	}
	return s.renderStatus(w, r, c, status, "mailbox", p)
}

// fillMail reads all conversations, or the one that is asked for.
func (s *Server) fillMail(ctx context.Context, c caller, words *lang.Catalogue, with string, p *mailPage) error {
	self := s.config.Author.NPub()
	members, err := s.members(ctx)
	if err != nil {
		return err
	}
	names := Distinct(members)
	talks := make(map[string]*mailTalk)
	for m, err := range s.config.Node.Mail(ctx, 0, false) {
		if err != nil {
			return err
		}
		m.call(names)
		in := mailWith(m, self)
		t := talks[in]
		if t == nil {
			t = newTalk(m, in, self)
			talks[in] = t
		}
		t.Subject, t.seq = cmp.Or(strings.TrimSpace(m.Subject), t.Subject), m.Seq
		t.Last = s.mailItem(words, m)
		if in == with {
			p.Messages = append(p.Messages, t.Last)
		}
	}
	if with != "" {
		p.Talk = talks[with]
		p.Earlier = max(0, len(p.Messages)-mostMailShown)
		p.Messages = p.Messages[p.Earlier:]
		return nil
	}
	p.Conversations = slices.SortedFunc(maps.Values(talks), func(a, b *mailTalk) int { return cmp.Compare(b.seq, a.seq) })
	keys, err := s.correspondents(ctx, c, members)
	if err != nil {
		return err
	}
	keys = slices.DeleteFunc(keys, func(k mesh.PubKey) bool { return k == s.config.Author })
	p.Choices = offered(s.holders(ctx, keys, members))
	for i, k := range p.Choices {
		if name, ok := names[k.NPub]; ok {
			p.Choices[i].Name = cmp.Or(name, k.Name)
		} else {
			p.Choices[i].Name = withKey(k.Name, k.NPub)
		}
	}
	return nil
}

// mailWith names the conversation of a message.
func mailWith(m *MailMessage, self string) string {
	npubs := []string{m.From.NPub}
	for _, to := range m.To {
		npubs = append(npubs, to.NPub)
	}
	slices.Sort(npubs)
	npubs = slices.Compact(npubs)
	if others := slices.DeleteFunc(slices.Clone(npubs), func(n string) bool { return n == self }); len(others) > 0 {
		npubs = others
	}
	return strings.Join(npubs, ",")
}

func newTalk(m *MailMessage, with, self string) *mailTalk {
	t := &mailTalk{With: with}
	var names []string
	for _, reader := range append([]MailReader{m.From}, m.To...) {
		if known := slices.ContainsFunc(t.People, func(p MailReader) bool { return p.NPub == reader.NPub }); known || reader.NPub == self && with != self {
			continue
		}
		reader.Name = nameOr(reader.Name, shorter(reader.NPub))
		t.People = append(t.People, reader)
		names = append(names, reader.Name)
	}
	t.Names, t.Crowd = strings.Join(names, ", "), len(t.People) > maxMailNames
	return t
}

func (s *Server) mailItem(words *lang.Catalogue, m *MailMessage) mailItem {
	at := time.UnixMilli(m.ReceivedMS).In(s.now().Location())
	i := mailItem{MailMessage: m, Author: nameOr(m.From.Name, shorter(m.From.NPub)), Tone: toneOf(m.From.NPub), Parts: partsOf(m.Text),
		Line: m.Text, Machine: at.UTC().Format(time.RFC3339), Clock: dateWords(words, at, s.now())}
	i.Initial = initialOf(i.Author)
	if m.File != nil {
		i.Line = words.T("js.private-file", "name", m.File.Name)
	}
	if m.Out {
		i.Fates = mailFates(words, m)
	}
	return i
}

// mailFates says what is known of a message for each of its readers, those of
// whom it is the same together.
func mailFates(words *lang.Catalogue, m *MailMessage) (fates []string) {
	var opened, saved []string
	for _, to := range m.To {
		if name := nameOr(to.Name, shorter(to.NPub)); to.AcknowledgedMS > 0 {
			opened = append(opened, name)
		} else {
			saved = append(saved, name)
		}
	}
	if len(opened) > 0 {
		fates = append(fates, words.T("js.private-acknowledged", "name", strings.Join(opened, ", ")))
	}
	switch {
	case len(opened) == 0:
		fates = append(fates, words.T("js.private-saved"))
	case len(saved) > 0:
		fates = append(fates, words.T("js.private-saved-for", "name", strings.Join(saved, ", ")))
	}
	return fates
}

// FileHref is where the file of a message is; "" where it has none.
func (i mailItem) FileHref() string {
	if i.File == nil {
		return ""
	}
	return "/v1/inbox/" + url.PathEscape(i.ID) + "/file"
}

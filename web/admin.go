package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"drey/mesh"
	"drey/web/lang"
)

// adminViews are the pages of who looks after the machine. A guest who comes
// to them is told how to become that.
func (s *Server) adminViews() []route {
	return []route{
		view("GET", "/admin", ScopeGuest, s.getAdmin),
		view("GET", "/admin/settings/{section}", ScopeAdmin, s.getAdminSection),
		view("POST", "/admin/settings/{section}", ScopeAdmin, s.postAdminSection),
		view("POST", "/admin/sessions", ScopeAdmin, s.postAdminSession),
		view("GET", "/pair", ScopeGuest, s.getPair),
		view("POST", "/pair", ScopeGuest, s.postPair),
	}
}

// mayPair reports whether what is said on the connection stays between the
// browser and this machine.
func mayPair(r *http.Request, c caller) bool {
	return r.TLS != nil || c.remote.IsLoopback() || c.scope >= ScopeMember
}

// adminPage is what admin.html shows.
type adminPage struct {
	Admin    bool
	Closed   bool   // over plain http: nothing can be done here
	HTTPS    string // this page over https
	TLS      TLSStatus
	Command  string
	Node     NodeStatus
	Sections []Section
	Sessions []sessionLine
	Saved    bool
	Changed  bool // some setting of some section differs from its default
	NoBook   bool // there are no settings to change
	File     string
}

type sessionLine struct {
	Session
	Made, Seen string // as dates
	Days       int    // since it was last used
}

func (s *Server) getAdmin(w http.ResponseWriter, r *http.Request, c caller) error {
	p := adminPage{Admin: c.scope >= ScopeAdmin, Closed: !mayPair(r, c), HTTPS: httpsHere(r, "/admin"), TLS: s.tlsStatus(), Saved: r.URL.Query().Has("saved"), Command: "drey ui"}
	if !p.Admin {
		return s.render(w, r, c, "admin", p)
	}
	st, err := s.config.Node.Status(r.Context())
	if err != nil {
		return err
	}
	p.Node = st.Node
	if p.Sessions, err = s.sessionLines(c); err != nil {
		return err
	}
	if book, err := s.settings(); err == nil {
		list, err := book.Settings(r.Context())
		if err != nil {
			return err
		}
		p.Sections, p.File = sayDocs(s.languageOf(r), list.Sections), list.File
	} else {
		p.NoBook = true
	}
	return s.render(w, r, c, "admin", p)
}

func (s *Server) sessionLines(c caller) ([]sessionLine, error) {
	list, err := s.sessionList(c)
	if err != nil {
		return nil, err
	}
	lines := make([]sessionLine, len(list))
	for i, x := range list {
		made, seen := time.Unix(x.Made, 0), time.Unix(x.Seen, 0)
		lines[i] = sessionLine{x, made.Format(time.DateOnly), seen.Format(time.DateOnly), int(s.now().Sub(seen) / (24 * time.Hour))}
	}
	return lines, nil
}

// httpsHere is the address of a path over https under the name by which the
// browser called.
func httpsHere(r *http.Request, path string) string {
	return (&url.URL{Scheme: "https", Host: r.Host, Path: path}).String()
}

func (s *Server) postAdminSession(w http.ResponseWriter, r *http.Request, c caller) error {
	v, err := smallForm(w, r)
	if err != nil {
		return err
	}
	id := v.Get("end")
	if id == "" {
		return usage(errors.New("the form is malformed"))
	}
	if err := s.endSession(id); err != nil && !errors.Is(err, &Error{Problem: Problem{Code: CodeNotFound}}) {
		return err // one that is gone already is what was wanted
	}
	http.Redirect(w, r, "/admin#sessions", http.StatusSeeOther)
	return nil
}

// smallForm reads a form that a page sent.
func smallForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	b, err := readBody(w, r, maxSmallBody)
	if err != nil {
		return nil, err
	}
	v, err := url.ParseQuery(string(b))
	if err != nil {
		return nil, usage(fmt.Errorf("form: %w", err))
	}
	return v, nil
}

// pairPage is what pair.html shows.
type pairPage struct {
	Closed bool
	HTTPS  string
	TLS    TLSStatus
	Wrong  bool
	Paired bool
}

func (s *Server) getPair(w http.ResponseWriter, r *http.Request, c caller) error {
	return s.render(w, r, c, "pair", pairPage{Closed: !mayPair(r, c), HTTPS: httpsHere(r, "/pair"), TLS: s.tlsStatus(), Paired: c.paired})
}

func (s *Server) postPair(w http.ResponseWriter, r *http.Request, c caller) error {
	v, err := smallForm(w, r)
	if err != nil {
		return err
	}
	p := pairPage{Closed: !mayPair(r, c), HTTPS: httpsHere(r, "/pair"), TLS: s.tlsStatus(), Wrong: true}
	if p.Closed || !s.pairings.redeem(v.Get("code"), s.now()) {
		return s.renderStatus(w, r, c, http.StatusForbidden, "pair", p)
	}
	cookie, err := s.sessions.add(r, c.peer, s.now())
	if err != nil {
		return err
	}
	s.log.Info("a browser was paired", "peer", c.peer)
	http.SetCookie(w, cookie)
	http.Redirect(w, r, "/admin", http.StatusSeeOther)
	return nil
}

// sectionPage is what settings.html shows.
type sectionPage struct {
	Section
	File    string
	Fields  []settingField
	Preview *SettingsChanged // what would change; nil before anything was sent
	Typed   []typedValue     // to send again with the yes
	Error   string           // why it cannot be
}

type typedValue struct{ Key, Value string }

// settingField is one setting with what was typed into its field.
type settingField struct {
	Setting
	Field  string // name of the form's field
	Typed  string
	Rows   int  // of a list's field
	Reset  bool // the box is ticked
	Differ bool // from the default
}

func (s *Server) getAdminSection(w http.ResponseWriter, r *http.Request, c caller) error {
	p, err := s.sectionPage(r, nil)
	if err != nil {
		return err
	}
	return s.render(w, r, c, "settings", p)
}

// sectionPage makes the page of a section; typed overlays what is in force.
func (s *Server) sectionPage(r *http.Request, typed url.Values) (*sectionPage, error) {
	name, words := r.PathValue("section"), s.languageOf(r)
	book, err := s.settings()
	if err != nil {
		return nil, err
	}
	list, err := book.Settings(r.Context())
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list.Sections, func(x Section) bool { return x.Name == name })
	if i < 0 {
		return nil, NewError(CodeNotFound, fmt.Sprintf("there is no section %.40q", name), "", "see /admin", mesh.ErrNotFound)
	}
	p := &sectionPage{Section: sayDocs(words, list.Sections[i:i+1])[0], File: list.File}
	for _, x := range p.Section.Settings {
		f := settingField{Setting: x, Field: "set." + x.Key, Typed: x.Value, Differ: x.Value != x.Default}
		if typed != nil {
			f.Typed, f.Reset = typedOf(x, typed), typed.Has("reset."+x.Key)
		}
		if f.Source == "flag" {
			f.Fixed = words.T("admin.fixed-flag")
		}
		f.Rows = min(8, strings.Count(f.Typed, "\n")+2)
		p.Fields = append(p.Fields, f)
	}
	return p, nil
}

// sayDocs puts what settings are for into the words of a language.
func sayDocs(words *lang.Catalogue, sections []Section) []Section {
	said := slices.Clone(sections)
	for i, x := range said {
		said[i].Doc = textOr(words, settingText(x.Name), x.Doc)
		said[i].Settings = slices.Clone(x.Settings)
		for j, k := range said[i].Settings {
			said[i].Settings[j].Doc = textOr(words, settingText(k.Key), k.Doc)
		}
	}
	return said
}

// settingText names the text of a section or key: "web.guest_topics" has
// settings.web-guest-topics.
func settingText(key string) string {
	return "settings." + strings.NewReplacer(".", "-", "_", "-").Replace(key)
}

// typedOf reads a setting's field; a box that is not ticked is not sent.
func typedOf(x Setting, v url.Values) string {
	if x.Kind == "flag" {
		if v.Get("set."+x.Key) == "true" {
			return "true"
		}
		return "false"
	}
	if !v.Has("set." + x.Key) {
		return x.Value
	}
	return strings.TrimSpace(strings.ReplaceAll(v.Get("set."+x.Key), "\r\n", "\n"))
}

// postAdminSection first shows what a change means, and makes it when the
// second form says yes.
func (s *Server) postAdminSection(w http.ResponseWriter, r *http.Request, c caller) error {
	v, err := smallForm(w, r)
	if err != nil {
		return err
	}
	p, err := s.sectionPage(r, v)
	if err != nil {
		return err
	}
	change := SettingsChange{Set: map[string]string{}, Preview: v.Get("yes") == ""}
	for _, f := range p.Fields {
		switch {
		case f.Reset:
			change.Reset = append(change.Reset, f.Key)
			p.Typed = append(p.Typed, typedValue{"reset." + f.Key, "on"})
		case f.Typed != f.Value && f.Fixed == "":
			change.Set[f.Key] = f.Typed
		}
		p.Typed = append(p.Typed, typedValue{f.Field, f.Typed})
	}
	if len(change.Set)+len(change.Reset) == 0 {
		p.Preview = &SettingsChanged{}
		return s.render(w, r, c, "settings", p)
	}
	done, err := s.changeSettings(r.Context(), change)
	if err != nil {
		e := errorFor(c, err)
		if e.Code != CodeSettings {
			return err
		}
		p.Error = e.Why
		return s.renderStatus(w, r, c, e.Status(), "settings", p)
	}
	if !change.Preview && done.Interrupts {
		// For about a second nobody answers here.
		w.Header().Set("Refresh", "5; url=/admin?saved=1")
		return s.render(w, r, c, "restarting", nil)
	}
	if !change.Preview {
		http.Redirect(w, r, "/admin?saved=1", http.StatusSeeOther)
		return nil
	}
	p.Preview = done
	return s.render(w, r, c, "settings", p)
}

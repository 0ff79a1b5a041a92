package web

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"

	"drey/web/lang"
)

//go:embed pages/*.html
var pageFiles embed.FS

// sharedFiles hold the templates that every view may use; each other file of
// pages is one view, with a "title" and a "main".
var sharedFiles = []string{"pages/layout.html", "pages/icons.html", "pages/parts.html", "pages/operator.html"}

// policy lets the page load what this node serves, post its own forms and
// nothing else: what a message says can never run.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self' ws: wss:; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; worker-src 'self'; media-src 'self' blob:"

// A shown is what every template of pages is given.
type shown struct {
	Page pageFrame
	Data any // of this view alone
}

// A pageFrame is what all views share.
type pageFrame struct {
	View      string // the name of the template file
	Lang, Dir string
	Node      string // this node's name
	Scope     string // of whoever looks: "guest", "local", "member", "admin"
	Member    bool   // may hide and report
	Admin     bool   // may decide about members and settings
	Path      string // of this view, with its query, for links that come back
	Static    string // begins the address of every static file
	Script    bool   // there is a script
	Strings   string // address of the script's texts in this language
	LastSeq   uint64 // where a live stream begins that misses nothing which the view does not show
	Now       int64  // this node's clock, in milliseconds since 1970: a phone's may be wrong
	Nav       []navItem
	InMore    bool // the view shown is not one of those used often
	Languages []languageItem
}

type navItem struct {
	Href, Icon, Label string
	Often             bool // has its place in the bar of small screens
	Current           bool
}

type languageItem struct{ Tag, Name, Href string }

// navigation lists the views in order; a view's icon has its key's name.
var navigation = []struct {
	href, key string
	often     bool
	least     Scope
}{
	{"/", "chat", true, ScopeGuest},
	{"/search", "search", true, ScopeGuest},
	{"/people", "people", true, ScopeGuest},
	{"/qr", "qr", true, ScopeGuest},
	{"/private", "private", false, ScopeGuest},
	{"/radio", "radio", false, ScopeGuest},
	{"/map", "map", false, ScopeGuest},
	{"/relays", "relays", false, ScopeGuest},
	{"/health", "health", false, ScopeGuest},
	{"/admin", "admin", false, ScopeGuest},
}

// pages renders views. Each language has its own set of templates, made when
// it is first asked for.
type pages struct {
	languages *lang.Set // immutable

	mu struct {
		sync.Mutex
		byTag map[string]*localPages
	}
}

// localPages are the templates in one language. A view's are made when it is
// first asked for: they cost 150 kB, and most nodes show few of them.
type localPages struct {
	words  *lang.Catalogue    // immutable
	base   *template.Template // immutable; what views are made from
	shared *template.Template // immutable; for fragments

	mu struct {
		sync.Mutex
		views map[string]*template.Template // by name of the file
	}
}

func newPages() (*pages, error) {
	set, err := lang.Load()
	if err != nil {
		return nil, err
	}
	p := &pages{languages: set}
	p.mu.byTag = make(map[string]*localPages)
	return p, nil
}

// in returns the templates of a language.
func (p *pages) in(tag string) (*localPages, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.mu.byTag[tag]; l != nil {
		return l, nil
	}
	words, ok := p.languages.Lookup(tag)
	if !ok {
		return nil, fmt.Errorf("web: no language %q", tag)
	}
	l, err := parsePages(words)
	if err == nil {
		p.mu.byTag[tag] = l
	}
	return l, err
}

func parsePages(words *lang.Catalogue) (*localPages, error) {
	l := &localPages{words: words}
	l.mu.views = make(map[string]*template.Template)
	var err error
	l.base, err = template.New("").Funcs(template.FuncMap{"t": words.T, "rich": rich}).ParseFS(pageFiles, sharedFiles...)
	if err != nil {
		return nil, err
	}
	l.shared, err = l.base.Clone()
	return l, err
}

// view returns the templates of pages/NAME.html and what is shared.
func (l *localPages) view(name string) (*template.Template, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v := l.mu.views[name]; v != nil {
		return v, nil
	}
	v, err := l.base.Clone()
	if err != nil {
		return nil, err
	}
	if v, err = v.ParseFS(pageFiles, "pages/"+name+".html"); err != nil {
		return nil, fmt.Errorf("web: view %q: %w", name, err)
	}
	l.mu.views[name] = v
	return v, nil
}

// render answers with a view: the template pages/NAME.html with data as .Data.
// It writes a whole page or none of it.
func (s *Server) render(w http.ResponseWriter, r *http.Request, c caller, name string, data any) error {
	return s.renderStatus(w, r, c, http.StatusOK, name, data)
}

// renderStatus is render with another status than 200.
func (s *Server) renderStatus(w http.ResponseWriter, r *http.Request, c caller, status int, name string, data any) error {
	words := s.language(w, r)
	local, err := s.pages.in(words.Tag)
	if err != nil {
		return err
	}
	t, err := local.view(name)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "layout", shown{s.frame(r, c, name, words), data}); err != nil {
		return err
	}
	if c.scope < ScopeMember && status == http.StatusOK && slices.Contains(talkViews, name) {
		w.Header().Set("Cache-Control", "private, no-cache")
	}
	sendPage(w, r, status, b.Bytes())
	return nil
}

// talkViews are kept by a visitor's browser, so that the way back shows what
// was typed there. It asks again before it shows one for a fresh visit.
var talkViews = []string{"home", "topic", "message", "search"}

func (s *Server) frame(r *http.Request, c caller, name string, words *lang.Catalogue) pageFrame {
	p := pageFrame{
		View: name, Lang: words.Tag, Dir: words.Dir, Node: s.config.Name,
		Scope: c.scope.String(), Member: c.scope >= ScopeMember, Admin: c.scope >= ScopeAdmin,
		Path: r.URL.RequestURI(), Static: s.static.base(), Script: s.static.has("app.js"), Strings: s.static.strings(words),
		Now: s.now().UnixMilli(),
	}
	if p.Node == "" {
		p.Node = "drey"
	}
	if seq, err := s.lastSeq(r.Context()); err == nil {
		p.LastSeq = seq
	}
	for _, n := range navigation {
		if c.scope < n.least {
			continue
		}
		item := navItem{Href: n.href, Icon: n.key, Label: words.T("nav." + n.key), Often: n.often, Current: isUnder(r.URL.Path, n.href)}
		p.InMore = p.InMore || item.Current && !item.Often
		p.Nav = append(p.Nav, item)
	}
	for _, l := range s.pages.languages.All() {
		p.Languages = append(p.Languages, languageItem{l.Tag, l.Name, withLanguage(r, l.Tag)})
	}
	return p
}

// isUnder reports whether a path belongs to a view of the navigation. Topics
// and messages belong to the chat.
func isUnder(at, href string) bool {
	if href == "/" {
		return at == "/" || strings.HasPrefix(at, "/t/") || strings.HasPrefix(at, "/m/")
	}
	return at == href || strings.HasPrefix(at, href+"/")
}

// A fragment is one shared template rendered on its own, as live streams carry it.
func (s *Server) fragment(tag, name string, data any) ([]byte, error) {
	local, err := s.pages.in(tag)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = local.shared.ExecuteTemplate(&b, name, data)
	return b.Bytes(), err
}

// worthPacking is the size from which an answer is compressed.
const worthPacking = 1 << 10

var packers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// sendPage writes HTML, compressed for a browser that takes it.
func sendPage(w http.ResponseWriter, r *http.Request, status int, page []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Vary", "Accept-Encoding, Accept-Language, Cookie")
	if len(page) < worthPacking || !takesGzip(r) {
		w.WriteHeader(status)
		w.Write(page) // a visitor who has gone is no failure
		return
	}
	h.Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	z := packers.Get().(*gzip.Writer)
	defer packers.Put(z)
	z.Reset(w)
	z.Write(page)
	z.Close()
}

func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(name, "gzip") && !strings.HasPrefix(strings.ReplaceAll(params, " ", ""), "q=0") {
			return true
		}
	}
	return false
}

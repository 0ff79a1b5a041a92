package web_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"drey/mesh"

	"golang.org/x/net/html"
)

// A page is a document that a browser would show.
type page struct {
	t    testing.TB
	root *html.Node
}

func parsePage(t testing.TB, body string) page {
	t.Helper()
	root, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return page{t, root}
}

// view opens a page and expects a status.
func (d *door) view(status int, path string, headers ...string) page {
	d.t.Helper()
	a := d.do("GET", path, "", append(headers, "Accept: text/html")...)
	if a.status != status {
		d.t.Fatalf("GET %s: %d, want %d: %s", path, a.status, status, a.body)
	}
	return parsePage(d.t, a.body)
}

// all lists the elements of a tag with a class, an attribute or "attr=value";
// "" asks for nothing further.
func (p page) all(tag, with string) []*html.Node {
	var found []*html.Node
	for n := range p.root.Descendants() {
		if n.Type == html.ElementNode && (tag == "" || n.Data == tag) && (with == "" || has(n, with)) {
			found = append(found, n)
		}
	}
	return found
}

func (p page) one(tag, with string) *html.Node {
	p.t.Helper()
	found := p.all(tag, with)
	if len(found) != 1 {
		p.t.Fatalf("%d elements <%s %s>, want one", len(found), tag, with)
	}
	return found[0]
}

// within is the part of the page below an element.
func (p page) within(n *html.Node) page { return page{p.t, n} }

func has(n *html.Node, with string) bool {
	name, value, isPair := strings.Cut(with, "=")
	for _, a := range n.Attr {
		if a.Key == name && (!isPair || a.Val == value) || a.Key == "class" && slices.Contains(strings.Fields(a.Val), with) {
			return true
		}
	}
	return false
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// text is what a person reads in an element, with single spaces.
func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func (p page) text() string { return text(p.root) }

// views are the pages without anything in their address.
var views = []string{"/", "/t/commons", "/search", "/search?q=bridge", "/people", "/qr", "/qr/scan", "/private", "/radio", "/map", "/relays", "/health", "/admin"}

// A key of the catalogues that was not translated shows as itself.
var bareKey = regexp.MustCompile(`\b(nav|chat|people|qr|radio|map|relays|health|admin|private|errors|delivery|time)\.[a-z][a-z-]+\b`)

// TestEveryViewIsSound: strict, in the right language and direction, labelled,
// without anything inline, and without a text that is not in the catalogue.
func TestEveryViewIsSound(t *testing.T) {
	s, n := newServer(t, nil)
	n.Receive(sign(t, 5, "commons", "the bridge is closed"), "commons", "gossip", 0)
	guest, admin := open(t, s, -1, lan), open(t, s, os.Getuid(), socket)
	for _, d := range []*door{guest, admin} {
		for _, view := range views {
			for lang, dir := range map[string]string{"en": "ltr", "uk": "ltr", "ar": "rtl", "en-XA": "ltr"} {
				a := d.do("GET", view, "", "Accept: text/html", "Cookie: drey-lang="+lang)
				if a.status != 200 {
					t.Errorf("GET %s: %d %s", view, a.status, a.body)
					continue
				}
				p := parsePage(t, a.body)
				root := p.one("html", "")
				if attribute(root, "lang") != lang || attribute(root, "dir") != dir {
					t.Errorf("%s: lang %q dir %q, want %s %s", view, attribute(root, "lang"), attribute(root, "dir"), lang, dir)
				}
				checkStrict(t, view, a)
				checkSound(t, view, p)
				if key := bareKey.FindString(p.text()); key != "" {
					t.Errorf("%s in %s: %s is not translated", view, lang, key)
				}
			}
		}
	}
}

// checkStrict: the policy of the page holds, and the page does not need more.
func checkStrict(t *testing.T, view string, a answer) {
	t.Helper()
	policy := a.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("%s: the policy %q lacks %s", view, policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http:") || strings.Contains(policy, "*") {
		t.Errorf("%s: policy %q", view, policy)
	}
	for _, e := range parsePage(t, a.body).all("", "") {
		for _, x := range e.Attr {
			if x.Key == "style" || strings.HasPrefix(x.Key, "on") {
				t.Errorf("%s: <%s %s=%q> is inline", view, e.Data, x.Key, x.Val)
			}
			if (x.Key == "src" || x.Key == "href" && e.Data != "a" || x.Key == "action") && strings.Contains(x.Val, "//") {
				t.Errorf("%s: <%s %s=%q> comes from outside", view, e.Data, x.Key, x.Val)
			}
		}
		if e.Data == "script" && (attribute(e, "src") == "" || text(e) != "") || e.Data == "style" {
			t.Errorf("%s: an inline <%s>", view, e.Data)
		}
	}
}

// checkSound: one heading, a title, a name for everything that can be used, no
// id twice.
func checkSound(t *testing.T, view string, p page) {
	t.Helper()
	if len(p.all("h1", "")) != 1 || text(p.all("h1", "")[0]) == "" {
		t.Errorf("%s: %d main headings", view, len(p.all("h1", "")))
	}
	if title := text(p.within(p.one("head", "")).one("title", "")); !strings.Contains(title, "Old School") || strings.HasPrefix(title, "–") {
		t.Errorf("%s: title %q", view, title)
	}
	p.one("main", "")
	ids := make(map[string]bool)
	for _, e := range p.all("", "id") {
		if id := attribute(e, "id"); ids[id] {
			t.Errorf("%s: the id %q twice", view, id)
		}
		ids[attribute(e, "id")] = true
	}
	for _, e := range p.all("", "") {
		switch e.Data {
		case "input", "select", "textarea":
			if !labelled(p, e) {
				t.Errorf("%s: <%s name=%q> has no label", view, e.Data, attribute(e, "name"))
			}
		case "a", "button", "summary":
			if text(e) == "" && attribute(e, "aria-label") == "" && !has(e, "hidden") {
				t.Errorf("%s: <%s href=%q> says nothing", view, e.Data, attribute(e, "href"))
			}
		}
	}
}

func labelled(p page, e *html.Node) bool {
	if kind := attribute(e, "type"); kind == "hidden" || kind == "submit" || attribute(e, "aria-label") != "" || attribute(e, "aria-labelledby") != "" {
		return true
	}
	for up := range e.Ancestors() {
		if up.Data == "label" {
			return true
		}
	}
	return attribute(e, "id") != "" && len(p.all("label", "for="+attribute(e, "id"))) > 0
}

func TestLanguages(t *testing.T) {
	s, _ := newServer(t, nil)
	d := open(t, s, -1, lan)
	for _, c := range []struct {
		name, path string
		headers    []string
		want       string
	}{
		{"as the browser asks", "/", []string{"Accept-Language: uk-UA,en;q=0.5"}, "uk"},
		{"as chosen before", "/", []string{"Accept-Language: uk", "Cookie: drey-lang=ar"}, "ar"},
		{"as chosen now", "/?lang=es", []string{"Accept-Language: uk", "Cookie: drey-lang=ar"}, "es"},
		{"what nobody speaks", "/?lang=tlh", []string{"Cookie: drey-lang=<script>"}, "en"},
	} {
		if got := attribute(d.view(200, c.path, c.headers...).one("html", ""), "lang"); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if a := d.do("GET", "/?lang=es", ""); !strings.Contains(a.header.Get("Set-Cookie"), "drey-lang=es") || !strings.Contains(a.header.Get("Vary"), "Cookie") {
		t.Errorf("the choice is not kept: %v", a.header)
	}
	// The chooser keeps what was looked at.
	chooser := d.view(200, "/search?q=bridge").all("a", "hreflang=uk")
	if len(chooser) == 0 || attribute(chooser[0], "href") != "/search?lang=uk&q=bridge" {
		t.Errorf("chooser: %v", chooser)
	}
}

func TestErrorsAreToldInHTML(t *testing.T) {
	s, _ := newServer(t, nil)
	d := open(t, s, -1, lan)
	a := d.do("GET", "/", "", "Host: evil.example", "Accept: text/html")
	if a.status != 421 || !strings.Contains(a.body, "open the page by its IP address") {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
	checkStrict(t, "error", a)
	if a := d.do("GET", "/<script>", "", "Accept: text/html"); a.status != 404 || strings.Contains(a.body, "<script>") {
		t.Errorf("%d %s", a.status, a.body)
	}
	p := d.view(403, "/t/council", "Cookie: drey-lang=uk")
	if got := p.text(); !strings.Contains(got, "не відкрита для гостей") || !strings.Contains(got, "commons, alerts") {
		t.Errorf("a closed topic in Ukrainian: %s", got)
	}
	// What has no text of its own is told by its code, with the original beside.
	p = d.view(421, "/", "Host: evil.example", "Cookie: drey-lang=es")
	if got := p.text(); !strings.Contains(got, "dirección IP") || !strings.Contains(got, "evil.example") {
		t.Errorf("a foreign host in Spanish: %s", got)
	}
}

// TestStaticFiles: their addresses change with their content, so browsers keep
// them for ever.
func TestStaticFiles(t *testing.T) {
	s, _ := newServer(t, nil)
	d := open(t, s, -1, lan)
	base := attribute(d.view(200, "/").one("body", ""), "data-static")
	if !regexp.MustCompile(`^/static/[0-9a-f]{12}/$`).MatchString(base) {
		t.Fatalf("static files at %q", base)
	}
	for _, c := range []struct{ path, kind, keep string }{
		{base + "page.css", "text/css; charset=utf-8", "immutable"},
		{base + "app.js", "text/javascript; charset=utf-8", "immutable"},
		{base + "icon.svg", "image/svg+xml", "immutable"},
		{base + "lang/uk.json", "application/json", "immutable"},
		{"/static/000000000000/page.css", "text/css; charset=utf-8", "no-store"},
	} {
		a := d.do("GET", c.path, "")
		if a.status != 200 || a.header.Get("Content-Type") != c.kind || !strings.Contains(a.header.Get("Cache-Control"), c.keep) || a.body == "" {
			t.Errorf("%s: %d %v", c.path, a.status, a.header)
		}
	}
	for _, missing := range []string{"nothing.js", "../page.go", "lang/xx.json", "build/package.json"} {
		if a := d.do("GET", base+missing, ""); a.status == 200 {
			t.Errorf("%s: %d", missing, a.status)
		}
	}
	plain := d.do("GET", base+"page.css", "", "Accept-Encoding: identity")
	packed := d.do("GET", base+"page.css", "", "Accept-Encoding: gzip")
	if plain.header.Get("Content-Encoding") != "" || packed.header.Get("Content-Encoding") != "gzip" || unpack(t, packed.body) != plain.body {
		t.Error("packed and plain differ")
	}
}

func unpack(t testing.TB, s string) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// firstLoad is how much of a page, its style and what its script loads at once
// may travel, compressed.
const firstLoad = 40 << 10

// TestFirstLoad weighs a conversation of fifty messages as a browser that was
// never here loads it.
func TestFirstLoad(t *testing.T) {
	s, n := newServer(t, nil)
	for i := range 60 {
		n.Receive(sign(t, byte(5+i%9), "commons", fmt.Sprintf("message %d: the bridge by the mill is closed until %d o'clock, take the road over the hill", i, i%24)), "commons", "gossip", 0)
	}
	d := open(t, s, -1, lan)
	for _, view := range []string{"/", "/t/commons"} {
		sum := 0
		load := func(path string) string {
			a := d.do("GET", path, "", "Accept-Encoding: gzip")
			if a.status != 200 {
				t.Fatalf("%s: %d", path, a.status)
			}
			sum += len(a.body)
			if a.header.Get("Content-Encoding") == "gzip" {
				return unpack(t, a.body)
			}
			return a.body
		}
		p := parsePage(t, load(view))
		for _, l := range p.all("link", "rel=stylesheet") {
			load(attribute(l, "href"))
		}
		seen := make(map[string]bool)
		var scripts func(at string)
		scripts = func(at string) { // what a module imports at once is loaded with it
			if seen[at] {
				return
			}
			seen[at] = true
			for _, m := range regexp.MustCompile(`(?m)^(?:import|export)[^'"(]*['"](\./[^'"]+)['"]`).FindAllStringSubmatch(load(at), -1) {
				scripts(path.Join(path.Dir(at), m[1]))
			}
		}
		for _, l := range p.all("script", "src") {
			scripts(attribute(l, "src"))
		}
		t.Logf("%s: %d bytes in %d scripts, style and HTML", view, sum, len(seen))
		if sum > firstLoad {
			t.Errorf("%s: the first load has %d bytes, %d are allowed", view, sum, firstLoad)
		}
	}
}

func TestMetrics(t *testing.T) {
	s, n := newServer(t, nil)
	other, _ := newServer(t, nil) // a second node in the process: nothing is shared
	n.Receive(sign(t, 5, "commons", "x"), "commons", "gossip", 0)
	d := open(t, s, -1, loopback)
	d.do("GET", "/nowhere", "")
	a := d.do("GET", "/metrics", "")
	for _, want := range []string{
		"drey_store_events 1\n", "drey_store_bytes 4096\n", `drey_refused_total{reason="invalid"} 3`, `drey_queue_length{carrier="radio"} 2`,
		"drey_gossip_peers 1\n", `drey_web_requests_total{status="404"} 1`, "drey_web_streams 0\n", "go_goroutines", "# TYPE drey_refused_total counter", "# TYPE drey_store_bytes gauge",
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("metrics lack %q", want)
		}
	}
	if b := open(t, other, -1, loopback).do("GET", "/metrics", ""); !strings.Contains(b.body, "drey_store_events 0\n") || strings.Contains(b.body, `status="404"`) {
		t.Error("two servers share figures")
	}
	n.Fail(mesh.ErrBusy)
	if a := d.do("GET", "/metrics", ""); a.status != 200 || strings.Contains(a.body, "drey_store_events") || !strings.Contains(a.body, "drey_web_requests_total") {
		t.Errorf("metrics of a broken node: %d", a.status)
	}
}

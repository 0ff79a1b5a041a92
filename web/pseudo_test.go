package web_test

import (
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"drey/web"
	"drey/web/lang"
)

// latin is a word with a vowel without an accent, as no text of the
// pseudo-locale has one.
var latin = regexp.MustCompile(`\b[A-Za-z]*[aeiouyAEIOUY][A-Za-z]*\b`)

// untold are words that are the same in every language: units, formats, names
// of this test's town, and "one", with which the pseudo-locale fills up.
var untold = strings.Fields("one O drey ui test home commons alerts Ridge relay example away tired API https Nostr Meshtastic LoRa UTC Old School Elsewhere Oakwood Bakery Tower Mill")

// spoken lists the words of a page that come from no catalogue. Code, what
// people wrote and what bears a name of their own is left out.
func spoken(root *html.Node) []string {
	var found []string
	look := func(where, text string) {
		text = strings.ReplaceAll(text, "on…", "") // a "one" that was cut
		for _, w := range latin.FindAllString(text, -1) {
			if !slices.Contains(untold, w) {
				found = append(found, where+w)
			}
		}
	}
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		switch {
		case n.Type == html.TextNode:
			look("", n.Data)
		case n.Type == html.ElementNode && (slices.Contains([]string{"head", "code", "pre", "bdi", "time", "option", "textarea"}, n.Data) || attrOf(n, "hreflang") != "" || attrOf(n, "dir") == "auto" || slices.Contains(strings.Fields(attrOf(n, "class")), "value")):
			return
		case n.Type == html.ElementNode && n.Data != "input":
			for _, a := range []string{"aria-label", "title", "data-unready"} {
				look(a+"=", attrOf(n, a))
			}
		}
		for c := range n.ChildNodes() {
			walk(c)
		}
	}
	walk(root)
	return found
}

// TestPagesSpeakOneLanguage opens every view in the pseudo-locale as each
// caller, and sends its forms: nothing that is shown is plain English.
func TestPagesSpeakOneLanguage(t *testing.T) {
	now := time.Now().Unix()
	s, n := newServer(t, func(c *web.Config) { c.Settings = newBook() })
	town := someTown(t)
	town.Relays = append(town.Relays, web.RelayStatus{URL: "wss://tired.example", Paused: true}, web.RelayStatus{URL: "wss://away.example"})
	town.Checks[1].Problem = &web.Problem{Code: "radio-region", What: "the radio has no region and does not transmit", Fix: "choose it with 'drey radio setup --region REGION', or in the Meshtastic app"}
	town.Invites = []web.IssuedInvite{{ID: "a", Made: now, Expires: now + 480, Uses: 5}, {ID: "b", Made: now, Expires: now + 480, Uses: 1, Used: 1}, {ID: "c", Made: now - 900, Expires: now - 1, Uses: 1}, {ID: "d", Made: now, Expires: now + 480, Uses: 1, Ended: true}}
	n.SetTown(town)
	guest, admin := open(t, s, -1, lan), open(t, s, os.Getuid(), socket)
	admin.do("POST", "/v1/topics/commons/messages", `{"text":"123"}`)
	gets, _ := web.ViewPaths(s)
	for who, d := range map[string]*door{"a guest": guest, "an admin": admin} {
		for _, path := range append(gets, "/search?q=123", "/search?q=456", "/t/commons?order=bad", "/t/123", "/people?q=Mill") {
			d.speaks(who, "GET", path, nil)
		}
		for path, form := range map[string]url.Values{
			"/qr/invite":          {"minutes": {"2880"}, "uses": {"1"}},
			"/qr/poster":          {"wifi": {"Mill"}},
			"/qr/join":            {},
			"/people/change":      {"op": {"ban"}, "who": {"Mill"}},
			"/relays/change":      {"op": {"test"}, "url": {"wss://relay.example"}},
			"/admin/settings/web": {"set.web.listen": {":80"}},
			"/t/commons":          {"text": {""}},
			"/pair":               {"code": {"1"}},
		} {
			d.speaks(who, "POST", path, form)
		}
		for _, code := range []string{"", "hello", "https://elsewhere.example", "http://192.168.1.10:3739"} {
			d.speaks(who, "POST", "/qr/scan", url.Values{"text": {code}})
		}
	}
}

// speaks asks for a page in the pseudo-locale and reports what is English on it.
func (d *door) speaks(who, method, path string, form url.Values) {
	d.t.Helper()
	a := d.do(method, path, form.Encode(), "Accept: text/html", "Cookie: drey-lang="+lang.PseudoTag, "Content-Type: application/x-www-form-urlencoded")
	if !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		return
	}
	if found := spoken(parsed(d.t, a.body)); len(found) > 0 {
		d.t.Errorf("%s %s %s (%d): %q", who, method, path, a.status, found)
	}
}

package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"drey/web"
	"drey/web/lang"
	"drey/web/webtest"
)

// machineKey is the key of the i-th machine of a town.
func machineKey(i int) string { return fmt.Sprintf("%064x", 0xabc000+i) }

// someTown is a community with one of everything. The machine "Mill" is linked,
// "School" is met through others, "Bakery" is away.
func someTown(t testing.TB) webtest.Town {
	t.Helper()
	npub := func(i byte) string { return newKey(t, 40+i).PubKey().NPub() }
	now := time.Now().Unix()
	return webtest.Town{
		Members: []web.Member{
			{Name: "Old School", NPub: npub(0), Node: machineKey(0), Standing: "founder", Self: true},
			{Name: "Mill", NPub: npub(1), Node: machineKey(1), Address: "200:1::1", Standing: "machine", Since: now - 86400, By: npub(0)},
			{Name: "School", NPub: npub(2), Node: machineKey(2), Address: "200:1::2", Standing: "admin"},
			{Name: "Bakery", NPub: npub(3), Node: machineKey(3), Address: "200:1::3", Standing: "machine"},
			{Name: "Nadia", NPub: npub(7), Standing: "admin"},
			{Name: "María", NPub: npub(4), Standing: "person"},
			{Name: "Tower", NPub: npub(5), Node: machineKey(5), Standing: web.StandingWaiting, By: npub(2)},
			{Name: "Spammer", NPub: npub(6), Standing: "banned", Reason: "floods"},
		},
		Met:   []string{machineKey(1), machineKey(2)},
		Links: []web.PeerStatus{{URI: "tls://192.0.2.7:3740", Key: machineKey(1), Up: true, RTTMS: 12.5, Source: "lan"}, {URI: "tls://203.0.113.9:443", Key: machineKey(77), Up: true, RTTMS: 88, Source: "config"}},
		Radios: []web.RadioNode{
			{Node: "!0000beef", Name: "Ridge", LastHeard: now - 60, SNR: 6.25, Hops: 2, Battery: 80},
			{Node: "!0000cafe", LastHeard: now - 3*3600, SNR: -4, Hops: 0, Battery: 101},
		},
		Relays: []web.RelayStatus{{URL: "wss://relay.example", Up: true, RTTMS: 40}},
		Radio: &web.RadioStatus{State: "ready", Device: "/dev/ttyACM0", Name: "roof", Region: "EU_868", Preset: "LONG_FAST", Heard: 1, ChannelUse: new(0.18),
			Channels: []web.RadioChannel{{Name: "LongFast", Public: true, Topics: []string{"alerts"}}},
			Airtime: web.AirtimeStatus{UsedMS: 30000, LimitMS: 72000, HourMS: 31000, LegalMS: 360000, Waiting: 3,
				Shares: []web.AirtimeShare{{Name: "emergency", LeftMS: -1}, {Name: "chat", Waiting: 3, WaitMS: 240000, Why: "airtime"}}}},
		Checks: []web.Check{
			{Name: "disk", Problem: &web.Problem{Code: "disk-full", What: "40 MB are left on the disk of /home/drey", Why: "of 8 GB", Fix: "make room, or lower 'store.max_bytes'",
				Said: lang.Say("checks.disk-low", "free", "40 MB", "dir", "/home/drey", "all", "8 GB")}},
			{Name: "radio", Problem: &web.Problem{Code: "clock-wrong", What: "the clock is wrong", Why: "it says 1970", Fix: "run 'drey doctor', then 'sudo timedatectl set-ntp true'"}},
			{Name: "memory", OK: true, Detail: "210 MB left", Said: lang.Say("checks.ok-memory", "free", "210 MB")},
		},
	}
}

// townServer serves a town to callers of three scopes.
func townServer(t *testing.T, change func(*webtest.Town)) (guest, member, admin *door, n *webtest.Node) {
	t.Helper()
	s, n := newServer(t, nil)
	town := someTown(t)
	if change != nil {
		change(&town)
	}
	n.SetTown(town)
	return open(t, s, -1, lan), open(t, s, os.Getuid()+1, socket), open(t, s, os.Getuid(), socket), n
}

// seen fetches a page as a browser does and returns it parsed.
func (d *door) seen(path string) *html.Node {
	d.t.Helper()
	a := d.do("GET", path, "", "Accept: text/html", "Accept-Language: en")
	if a.status != http.StatusOK {
		d.t.Fatalf("GET %s: %d\n%s", path, a.status, a.body)
	}
	return parsed(d.t, a.body)
}

// posted sends a form as a browser does.
func (d *door) posted(path string, form url.Values) answer {
	d.t.Helper()
	return d.do("POST", path, form.Encode(), "Accept: text/html", "Content-Type: application/x-www-form-urlencoded")
}

func parsed(t testing.TB, body string) *html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// find returns all elements that hold one attribute so; value "*" is any.
func find(n *html.Node, element, attribute, value string) []*html.Node {
	var all []*html.Node
	for x := range n.Descendants() {
		if x.Type != html.ElementNode || element != "" && x.Data != element {
			continue
		}
		if attribute == "" || slices.ContainsFunc(x.Attr, func(a html.Attribute) bool {
			return a.Key == attribute && (value == "*" || a.Val == value || attribute == "class" && slices.Contains(strings.Fields(a.Val), value))
		}) {
			all = append(all, x)
		}
	}
	return all
}

// words returns what a part of a page says, with single spaces.
func words(n *html.Node) string {
	var b strings.Builder
	for x := range n.Descendants() {
		if x.Type == html.TextNode {
			b.WriteString(x.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// main returns the main part of a page.
func mainOf(t testing.TB, doc *html.Node) *html.Node {
	t.Helper()
	found := find(doc, "main", "", "")
	if len(found) != 1 {
		t.Fatalf("%d main parts", len(found))
	}
	return found[0]
}

// operatorPages are the views of this file.
var operatorPages = []string{"/people", "/qr", "/qr/poster", "/qr/scan", "/radio", "/map", "/relays", "/health", "/help/clock-wrong"}

// TestOperatorPages opens each view in each language as each caller: it has one
// heading, ids are not used twice, every field has a label, every image a name,
// and nothing asks for a style of its own.
func TestOperatorPages(t *testing.T) {
	guest, member, admin, _ := townServer(t, nil)
	for who, d := range map[string]*door{"guest": guest, "member": member, "admin": admin} {
		for _, tag := range []string{"en", "ar", "en-XA"} {
			for _, path := range operatorPages {
				doc := d.seen(path + "?lang=" + tag)
				if n := len(find(doc, "h1", "", "")); n != 1 {
					t.Errorf("%s as %s: %d headings of the first order", path, who, n)
				}
				ids := make(map[string]bool)
				for _, x := range find(doc, "", "id", "*") {
					id := attrOf(x, "id")
					if ids[id] {
						t.Errorf("%s as %s: the id %q is there twice", path, who, id)
					}
					ids[id] = true
				}
				for _, x := range find(doc, "", "aria-labelledby", "*") {
					for id := range strings.FieldsSeq(attrOf(x, "aria-labelledby")) {
						if !ids[id] {
							t.Errorf("%s as %s: labelled by %q, which is not there", path, who, id)
						}
					}
				}
				for _, x := range slices.Concat(find(doc, "input", "", ""), find(doc, "select", "", ""), find(doc, "textarea", "", "")) {
					if attrOf(x, "type") != "hidden" && !within(x, "label") {
						t.Errorf("%s as %s: the field %q has no label", path, who, attrOf(x, "name"))
					}
				}
				if n := len(find(doc, "", "style", "*")) + len(find(doc, "style", "", "")); n > 0 {
					t.Errorf("%s as %s: %d styles of its own", path, who, n)
				}
				for _, x := range find(doc, "form", "", "") {
					if !strings.HasPrefix(attrOf(x, "action"), "/") {
						t.Errorf("%s as %s: a form goes to %q", path, who, attrOf(x, "action"))
					}
				}
			}
		}
	}
}

func attrOf(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func within(n *html.Node, element string) bool {
	for p := range n.Ancestors() {
		if p.Data == element {
			return true
		}
	}
	return false
}

// TestGuestsSeeNoPlaces checks what a visitor does not learn.
func TestGuestsSeeNoPlaces(t *testing.T) {
	guest, member, _, _ := townServer(t, nil)
	secrets := []string{"200:1::", "192.0.2.7", "203.0.113.9", "María", "Tower", "Spammer", "Ridge", "ttyACM0", "relay.example", "npub1", machineKey(1), "on the disk of", "12 ms"}
	if found := guest.rows("/people?q=200:1::3"); len(found) != 0 {
		t.Errorf("by its address a visitor finds %q", found)
	}
	all := ""
	for _, path := range []string{"/people", "/qr", "/radio", "/map", "/relays", "/health"} {
		page := guest.do("GET", path, "", "Accept: text/html").body
		for _, s := range secrets {
			if strings.Contains(page, s) {
				t.Errorf("%s tells a visitor %q", path, s)
			}
		}
		all += member.do("GET", path, "", "Accept: text/html").body
	}
	for _, s := range secrets {
		if !strings.Contains(all, s) && !slices.Contains([]string{"ttyACM0", machineKey(1), "192.0.2.7"}, s) {
			t.Errorf("no page tells a member %q", s)
		}
	}
}

// TestOnlyAdminsDecide sends every form of these views as others than admins.
func TestOnlyAdminsDecide(t *testing.T) {
	guest, member, _, _ := townServer(t, nil)
	for _, d := range []*door{guest, member} {
		for path, form := range map[string]url.Values{
			"/people/change": {"op": {"ban"}, "who": {"npub1"}, "confirm": {"1"}},
			"/qr/invite":     {"minutes": {"10"}, "uses": {"1"}},
			"/qr/withdraw":   {"id": {"x"}},
			"/qr/join":       {"invite": {"x"}, "confirm": {"1"}},
		} {
			if a := d.posted(path, form); a.status != http.StatusForbidden {
				t.Errorf("POST %s: %d, want 403", path, a.status)
			}
		}
	}
}

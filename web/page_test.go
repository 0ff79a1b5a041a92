package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
)

const form = "Content-Type: application/x-www-form-urlencoded"

func TestPageShowsMessages(t *testing.T) {
	s, n := newServer(t, nil)
	n.Receive(sign(t, 5, "commons", "<script>alert(1)</script> & \"quotes\""), "commons", "gossip", 0)
	n.Receive(sign(t, 5, "alerts", "bridge closed"), "alerts", "gossip", mesh.FlagEmergency)
	n.Receive(sign(t, 5, "council", "not for guests"), "council", "gossip", 0)
	radio, err := newKey(t, 6).Sign(mesh.Draft{Kind: mesh.KindNote, Tags: append([][]string{{"t", "commons"}, {"proxy", "!a1b2c3d4:9f3c21aa", "meshtastic"}}, mesh.LabelTags(mesh.LabelUnsignedRadio)...), Content: "heard on air"})
	if err != nil {
		t.Fatal(err)
	}
	n.Receive(radio, "commons", "radio", 0)
	protected, err := newKey(t, 6).Sign(mesh.Draft{Kind: mesh.KindNote, Tags: [][]string{{"-"}}, Content: "stays inside"})
	if err != nil {
		t.Fatal(err)
	}
	n.Receive(protected, "commons", "gossip", 0)

	profile, err := newKey(t, 5).Sign(mesh.Draft{Kind: mesh.KindProfile, Content: `{"name":"ana","display_name":"Ana <Baker>"}`})
	if err != nil {
		t.Fatal(err)
	}
	n.Receive(profile, "people", "gossip", 0)
	n.Receive(sign(t, 7, "commons", "who am I"), "commons", "gossip", 0)

	guest := open(t, s, -1, lan)
	a := guest.do("GET", "/", "", "Accept: text/html")
	if a.status != 200 || a.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	for _, want := range []string{"Old School", "Oakwood", "1 machine in contact", "radio on the air", "&lt;script&gt;alert(1)&lt;/script&gt;", "bridge closed", ">urgent<",
		"Ana &lt;Baker&gt;", newKey(t, 7).PubKey().NPub()[:9], "heard on air", "!a1b2c3d4", "by radio, unsigned", `<textarea`, `<option>commons</option>`, `lang="en"`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page lacks %q:\n%s", want, a.body)
		}
	}
	for _, hidden := range []string{"<script", "not for guests", "stays inside", "200::1", "onclick", "style="} {
		if strings.Contains(a.body, hidden) {
			t.Errorf("the page holds %q", hidden)
		}
	}
	if got := open(t, s, os.Getuid(), socket).do("GET", "/", "").body; strings.Contains(got, "not for guests") {
		t.Error("the page shows an admin what it hides from guests: it would look the same to both")
	}
	policy := a.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "script-src") {
		t.Errorf("policy %q", policy)
	}
	only := guest.do("GET", "/?topic=alerts", "").body
	if strings.Contains(only, "heard on air") || !strings.Contains(only, "bridge closed") {
		t.Error("?topic=alerts shows other topics")
	}
	if a := guest.do("GET", "/?topic=council", ""); strings.Contains(a.body, "not for guests") {
		t.Error("?topic=council shows what is not for guests")
	}
	style := regexp.MustCompile(`href="(/page.css[^"]+)"`).FindStringSubmatch(a.body)
	if style == nil {
		t.Fatal("no style sheet")
	}
	if css := guest.do("GET", style[1], ""); css.status != 200 || !strings.Contains(css.header.Get("Content-Type"), "text/css") || !strings.Contains(css.header.Get("Cache-Control"), "immutable") {
		t.Errorf("style sheet: %d %v", css.status, css.header)
	}
	if size := len(a.body); size > 20000 {
		t.Errorf("a page with four messages has %d bytes", size)
	}
}

func TestPagePosts(t *testing.T) {
	s, n := newServer(t, nil)
	d := open(t, s, -1, lan)
	key := regexp.MustCompile(`name="key" value="([0-9a-f]+)"`).FindStringSubmatch(d.do("GET", "/", "").body)
	if key == nil {
		t.Fatal("the form has no key")
	}
	fill := func(topic, name, text, key string) string {
		return url.Values{"topic": {topic}, "name": {name}, "text": {text}, "key": {key}}.Encode()
	}
	var location string
	for i := range 2 { // sent twice: a double tap, or a reload
		a := d.do("POST", "/", fill("alerts", "Ana مريم", "first\r\nsecond <line>", key[1]), form)
		if a.status != http.StatusSeeOther || i == 1 && a.header.Get("Location") != location {
			t.Fatalf("post %d: %d %v %s", i, a.status, a.header, a.body)
		}
		location = a.header.Get("Location")
		cookie := a.header.Get("Set-Cookie")
		if !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Strict") {
			t.Errorf("cookie %q", cookie)
		}
	}
	if n.Posts() != 1 {
		t.Errorf("published %d times", n.Posts())
	}
	path, _, _ := strings.Cut(location, "#")
	a := d.do("GET", path, "", "Cookie: drey-name="+url.QueryEscape("Ana مريم"))
	for _, want := range []string{"Saved here", "first\nsecond &lt;line&gt;", "Ana مريم", ">guest<", `value="Ana مريم"`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the page lacks %q:\n%s", want, a.body)
		}
	}
	for _, c := range []struct {
		name, body, want string
		status           int
	}{
		{"empty", fill("commons", "Ana", "   ", "k1"), "the text is empty", 400},
		{"a topic that is not for guests", fill("council", "Ana", "typed with care", "k2"), "not open to guests", 403},
		{"a bad topic", fill("../x", "Ana", "typed with care", "k3"), "not allowed", 400},
		{"too long", fill("commons", "Ana", strings.Repeat("x", 2001), "k4"), "too long", 413},
		{"a name that turns the text around", fill("commons", "a\u202eb", "typed with care", "k5"), "cannot be shown safely", 400},
	} {
		a := d.do("POST", "/", c.body, form)
		if a.status != c.status || !strings.Contains(a.body, c.want) {
			t.Errorf("%s: %d %s, want %d %q", c.name, a.status, a.body, c.status, c.want)
		}
		if strings.Contains(c.body, "typed") && !strings.Contains(a.body, "typed with care</textarea>") {
			t.Errorf("%s: what was typed is lost: %s", c.name, a.body)
		}
	}
	if n.Posts() != 1 {
		t.Errorf("published %d times", n.Posts())
	}
}

func TestPageHoldsFloodBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newServer(t, nil)
		network, stop := inBubble(t, s)
		defer stop()
		c := network.from("192.0.2.50")
		for i := range 7 {
			a := request(t, c, "POST", "/", fmt.Sprintf("topic=commons&text=number+%d&key=%d", i, i), form)
			if i < 5 && a.status != 303 || i >= 5 && (a.status != 429 || !strings.Contains(a.body, fmt.Sprintf("number %d</textarea>", i))) {
				t.Errorf("post %d: %d %s", i, a.status, a.body)
			}
		}
	})
}

// TestPageClock: what came in by a wrong clock is shown by the time it was
// received, and marked.
func TestPageClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newServer(t, nil)
		network, stop := inBubble(t, s)
		defer stop()
		e, err := newKey(t, 5).Sign(mesh.Draft{CreatedAt: mesh.UnixOf(time.Now().AddDate(40, 0, 0)), Kind: mesh.KindNote, Content: "from the year 2040"})
		if err != nil {
			t.Fatal(err)
		}
		n.Receive(e, "commons", "gossip", mesh.FlagFuture)
		for _, c := range []struct {
			after time.Duration
			want  string
		}{{30 * time.Second, "just now"}, {5 * time.Minute, "5 min ago"}, {3 * time.Hour, "3 h ago"}, {72 * time.Hour, "3 days ago"}} {
			time.Sleep(c.after) // the bubble's clock
			if a := request(t, network.from("192.0.2.50"), "GET", "/", ""); !strings.Contains(a.body, c.want) || !strings.Contains(a.body, "clock was ahead") {
				t.Errorf("after %s more: no %q in\n%s", c.after, c.want, a.body)
			}
		}
	})
}

func TestErrorsAreToldInHTML(t *testing.T) {
	s, _ := newServer(t, nil)
	d := open(t, s, -1, lan)
	a := d.do("GET", "/", "", "Host: evil.example", "Accept: text/html")
	if a.status != 421 || !strings.Contains(a.body, "What to do: open the page by its IP address") || a.header.Get("Content-Security-Policy") == "" {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
	if a := d.do("GET", "/<script>", "", "Accept: text/html"); a.status != 404 || strings.Contains(a.body, "<script>") {
		t.Errorf("%d %s", a.status, a.body)
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

package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/store/storetest"
	"drey/web"

	"golang.org/x/net/html"
)

const form = "Content-Type: application/x-www-form-urlencoded"

// item finds a message in a page by words of its text.
func (p page) item(words string) *html.Node {
	p.t.Helper()
	for _, li := range p.all("li", "message") {
		if strings.Contains(text(li), words) {
			return li
		}
	}
	p.t.Fatalf("no message with %q in: %s", words, p.text())
	return nil
}

func (p page) has(words string) bool {
	return slices.ContainsFunc(p.all("li", "message"), func(n *html.Node) bool { return strings.Contains(text(n), words) })
}

// TestTopicShowsMessages: who wrote them, how far to trust that, and nothing
// that is not for the reader.
func TestTopicShowsMessages(t *testing.T) {
	s, n := newServer(t, nil)
	n.Receive(sign(t, 5, "commons", "<script>alert(1)</script> & \"quotes\""), "commons", "gossip", 0)
	n.Receive(draft(t, 5, mesh.Draft{Kind: mesh.KindNote, Tags: append([][]string{{"t", "alerts"}}, mesh.LabelTags(mesh.LabelEmergency)...), Content: "bridge closed"}), "alerts", "gossip", mesh.FlagEmergency)
	n.Receive(sign(t, 5, "council", "not for guests"), "council", "gossip", 0)
	n.Receive(draft(t, 6, mesh.Draft{Kind: mesh.KindNote, Tags: append([][]string{{"t", "commons"}, {"proxy", "!a1b2c3d4:9f3c21aa", "meshtastic"}}, mesh.LabelTags(mesh.LabelUnsignedRadio)...), Content: "heard on air"}), "commons", "radio", 0)
	n.Receive(draft(t, 6, mesh.Draft{Kind: mesh.KindNote, Tags: [][]string{{"-"}}, Content: "stays inside"}), "commons", "gossip", 0)
	n.Receive(draft(t, 5, mesh.Draft{Kind: mesh.KindProfile, Content: `{"name":"ana","display_name":"Ana <Baker>"}`}), "people", "gossip", 0)
	n.Receive(sign(t, 7, "commons", "who am I"), "commons", "gossip", 0)
	n.Receive(sign(t, 8, "commons", "I have a pass"), "commons", "gossip", mesh.FlagGuest)
	n.Receive(sign(t, 7, "commons", "see https://example.org/a?b=1, or http://x.example."), "commons", "gossip", mesh.FlagFuture)

	guest := open(t, s, -1, lan)
	p := guest.view(200, "/t/commons")
	for _, c := range []struct{ words, author, badge string }{
		{"<script>alert(1)</script>", "Ana <Baker>", ""},
		{"heard on air", "!a1b2c3d4", "by radio, unsigned"},
		{"who am I", newKey(t, 7).PubKey().NPub()[:9], ""},
		{"I have a pass", newKey(t, 8).PubKey().NPub()[:9], "guest, own key"},
	} {
		li := p.within(p.item(c.words))
		if got := text(li.one("bdi", "author")); !strings.HasPrefix(got, c.author) {
			t.Errorf("%q: by %q, want %q", c.words, got, c.author)
		}
		if got := text(li.one("p", "meta")); c.badge != "" && !strings.Contains(got, c.badge) || c.badge == "" && len(li.all("", "badge")) > 0 {
			t.Errorf("%q: %q, want the badge %q", c.words, got, c.badge)
		}
		if attribute(li.one("p", "text"), "dir") != "auto" {
			t.Errorf("%q has no direction of its own", c.words)
		}
	}
	linked := p.within(p.item("see https"))
	var hrefs []string
	for _, a := range p.within(linked.one("p", "text")).all("a", "") {
		hrefs = append(hrefs, attribute(a, "href"))
	}
	if !slices.Equal(hrefs, []string{"https://example.org/a?b=1", "http://x.example"}) || !strings.Contains(text(linked.root), "clock was ahead") {
		t.Errorf("links %q in %s", hrefs, text(linked.root))
	}
	for _, hidden := range []string{"not for guests", "stays inside", "bridge closed"} {
		if p.has(hidden) {
			t.Errorf("the page shows %q", hidden)
		}
	}
	home := guest.view(200, "/")
	if got := text(home.one("section", "alerts")); !strings.Contains(got, "bridge closed") || !strings.Contains(got, "urgent") {
		t.Errorf("urgent: %q", got)
	}
	if got := home.text(); strings.Contains(got, "council") || strings.Contains(got, "not for guests") {
		t.Errorf("the list of topics: %s", got)
	}
	admin := open(t, s, os.Getuid(), socket)
	if !admin.view(200, "/t/council").has("not for guests") || !admin.view(200, "/t/commons").has("stays inside") {
		t.Error("a member does not see what is for members")
	}
}

func draft(t testing.TB, key byte, d mesh.Draft) *mesh.Event {
	t.Helper()
	e, err := newKey(t, key).Sign(d)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestHistoryPages: fifty at a time, each message once, in the order of
// receipt, and from a page of the past back to the newest.
func TestHistoryPages(t *testing.T) {
	s, n := newServer(t, nil)
	for i := range 120 {
		n.Receive(sign(t, 5, "commons", fmt.Sprintf("message %03d", i)), "commons", "gossip", 0)
		n.Receive(sign(t, 5, "alerts", fmt.Sprintf("another %03d", i)), "alerts", "gossip", 0)
	}
	d := open(t, s, -1, lan)
	var all []string
	at := "/t/commons"
	for pages := 0; at != ""; pages++ {
		p := d.view(200, at)
		var texts []string
		for _, li := range p.all("li", "message") {
			texts = append(texts, text(p.within(li).one("p", "text")))
		}
		all = append(texts, all...)
		list := p.one("ol", "messages")
		if live := attribute(list, "data-live"); (live != "") != (pages == 0) {
			t.Errorf("page %d is live at %q", pages, live)
		}
		at = ""
		for _, a := range p.all("a", "rel=prev") {
			at, _, _ = strings.Cut(attribute(a, "href"), "#")
		}
		if pages > 3 {
			t.Fatal("history has no beginning")
		}
		if next := len(p.all("a", "rel=next")); (next == 1) != (pages > 0) {
			t.Errorf("page %d has %d ways to the newest", pages, next)
		}
	}
	if len(all) != 120 || !slices.IsSorted(all) || all[0] != "message 000" || all[119] != "message 119" {
		t.Errorf("%d messages: %q", len(all), all)
	}
}

// TestSinceYouWereAway: what came since the last visit is counted on the first
// page and marked in the conversation, also when it is loaded again.
func TestSinceYouWereAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newServer(t, nil)
		network, stop := inBubble(t, s)
		defer stop()
		c := network.from("192.0.2.50")
		cookie := ""
		load := func(path string) page {
			a := request(t, c, "GET", path, "", "Cookie: "+cookie)
			if set := a.header.Get("Set-Cookie"); strings.HasPrefix(set, "drey-read=") {
				cookie, _, _ = strings.Cut(set, ";")
			}
			return parsePage(t, a.body)
		}
		unread := func() string { return text(load("/").one("a", "data-topic-row=commons")) }
		n.Receive(sign(t, 5, "commons", "old news"), "commons", "gossip", 0)
		if got := unread(); strings.Contains(got, "new message") {
			t.Errorf("a first visit has something to catch up with: %q", got)
		}
		if p := load("/t/commons"); len(p.all("li", "since")) != 0 {
			t.Error("a first visit has a mark")
		}
		time.Sleep(time.Hour) // the bubble's clock
		n.Receive(sign(t, 5, "commons", "first news"), "commons", "gossip", 0)
		n.Receive(sign(t, 5, "commons", "second news"), "commons", "gossip", 0)
		if got := unread(); !strings.Contains(got, "2 new messages") {
			t.Errorf("unread: %q", got)
		}
		for range 2 { // the mark stays within one visit
			p := load("/t/commons")
			mark := p.one("li", "since")
			if attribute(mark, "id") != "new" || !strings.Contains(text(nextElement(mark)), "first news") {
				t.Errorf("the mark stands before %q", text(nextElement(mark)))
			}
			time.Sleep(time.Minute)
		}
		if got := unread(); strings.Contains(got, "new message") {
			t.Errorf("read, and still unread: %q", got)
		}
		time.Sleep(time.Hour)
		n.Receive(sign(t, 5, "commons", "third news"), "commons", "gossip", 0)
		a := request(t, c, "POST", "/read", "topic=commons&seq=4", form, "Cookie: "+cookie)
		if a.status != http.StatusNoContent {
			t.Fatalf("POST /read: %d %s", a.status, a.body)
		}
		cookie, _, _ = strings.Cut(a.header.Get("Set-Cookie"), ";")
		if got := unread(); strings.Contains(got, "new message") {
			t.Errorf("after POST /read: %q", got)
		}
		for _, bad := range []string{"topic=council&seq=1", "topic=commons&seq=x", "topic=../&seq=1"} {
			if a := request(t, c, "POST", "/read", bad, form); a.status/100 != 4 {
				t.Errorf("POST /read %s: %d", bad, a.status)
			}
		}
	})
}

func nextElement(n *html.Node) *html.Node {
	for n = n.NextSibling; n != nil && n.Type != html.ElementNode; n = n.NextSibling {
	}
	return n
}

// TestDaysAndTimes: messages are told apart by the day of receipt; a wrong
// clock of an author changes nothing about that.
func TestDaysAndTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newServer(t, nil)
		network, stop := inBubble(t, s)
		defer stop()
		n.Receive(draft(t, 5, mesh.Draft{CreatedAt: mesh.UnixOf(time.Now().AddDate(40, 0, 0)), Kind: mesh.KindNote, Content: "from the year 2040"}), "commons", "gossip", mesh.FlagFuture)
		time.Sleep(26 * time.Hour)
		n.Receive(sign(t, 5, "commons", "a day later"), "commons", "gossip", 0)
		time.Sleep(3 * 24 * time.Hour)
		n.Receive(sign(t, 5, "commons", "now"), "commons", "gossip", 0)
		p := parsePage(t, request(t, network.from("192.0.2.50"), "GET", "/t/commons", "").body)
		var days []string
		for _, li := range p.all("li", "day") {
			days = append(days, text(li))
		}
		if want := []string{"Saturday, 1 January", "Sunday, 2 January", "Today"}; !slices.Equal(days, want) {
			t.Errorf("days %q, want %q", days, want)
		}
		if got := text(p.item("from the year 2040")); !strings.Contains(got, "clock was ahead") {
			t.Errorf("%q", got)
		}
		for _, c := range []struct {
			after time.Duration
			want  string
		}{{0, "just now"}, {5 * time.Minute, "5 min ago"}, {3 * time.Hour, "3 h ago"}, {72 * time.Hour, "3 days ago"}} {
			time.Sleep(c.after)
			home := parsePage(t, request(t, network.from("192.0.2.50"), "GET", "/", "").body)
			if got := text(home.one("a", "data-topic-row=commons")); !strings.Contains(got, c.want) {
				t.Errorf("after %s more: %q, want %q", c.after, got, c.want)
			}
		}
	})
}

func TestFormPosts(t *testing.T) {
	s, n := newServer(t, nil)
	d := open(t, s, -1, lan)
	asked := n.Receive(sign(t, 5, "alerts", "who has a key?"), "alerts", "gossip", 0).Event.ID().String()
	p := d.view(200, "/t/alerts?reply="+asked)
	write := p.within(p.one("form", "compose"))
	if attribute(write.root, "data-topic") != "alerts" || !strings.Contains(text(write.one("blockquote", "")), "who has a key?") {
		t.Errorf("the form: %s", text(write.root))
	}
	key := attribute(write.one("input", "name=key"), "value")
	fill := func(name, text, key string) string {
		return url.Values{"name": {name}, "text": {text}, "key": {key}, "reply_to": {attribute(write.one("input", "name=reply_to"), "value")}}.Encode()
	}
	var location string
	for i := range 2 { // sent twice: a double tap, or a reload
		a := d.do("POST", "/t/alerts", fill("Ana مريم", "first\r\nsecond <line>", key), form)
		if a.status != http.StatusSeeOther || i == 1 && a.header.Get("Location") != location {
			t.Fatalf("post %d: %d %v %s", i, a.status, a.header, a.body)
		}
		location = a.header.Get("Location")
		cookie := a.header.Get("Set-Cookie")
		if !strings.Contains(cookie, "drey-name=Ana+") || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Strict") {
			t.Errorf("cookie %q", cookie)
		}
	}
	if n.Posts() != 1 {
		t.Errorf("published %d times", n.Posts())
	}
	there, anchor, _ := strings.Cut(location, "#")
	p = d.view(200, there, "Cookie: drey-name="+url.QueryEscape("Ana مريم"))
	if got := text(p.one("p", "role=status")); !strings.Contains(got, "Saved here") {
		t.Errorf("after posting: %q", got)
	}
	li := p.within(p.item("second <line>"))
	if attribute(li.root, "id") != anchor || !strings.Contains(text(li.root), "Ana مريم") || !strings.Contains(text(li.root), "guest") || !strings.Contains(text(li.one("blockquote", "")), "who has a key?") {
		t.Errorf("the message: %s", text(li.root))
	}
	if got := attribute(p.one("input", "name=name"), "value"); got != "Ana مريم" {
		t.Errorf("the name is not kept: %q", got)
	}
}

// TestNothingTypedIsLost: whatever is wrong, the form comes back as it was,
// with what is wrong in words.
func TestNothingTypedIsLost(t *testing.T) {
	s, n := newServer(t, nil)
	d := open(t, s, -1, lan)
	huge := strings.Repeat("x", 2001)
	for _, c := range []struct {
		name           string
		visitor, typed string
		want           string
		status         int
	}{
		{"empty", "Ana", "   ", "There is no text yet", 400},
		{"too long for a guest", "Ana", huge, "2001 bytes, 2000 fit", 413},
		{"a name that turns the text around", "a\u202eb", "typed with care", "cannot be shown safely", 400},
		{"a name without end", strings.Repeat("n", 33), "typed with care", "33 letters, 32 fit", 400},
	} {
		a := d.do("POST", "/t/commons", url.Values{"text": {c.typed}, "name": {c.visitor}, "key": {"k"}}.Encode(), form)
		p := parsePage(t, a.body)
		if got := text(p.one("div", "role=alert")); a.status != c.status || !strings.Contains(got, c.want) {
			t.Errorf("%s: %d %q, want %d %q", c.name, a.status, got, c.status, c.want)
		}
		if got := p.one("textarea", "").FirstChild; got == nil || got.Data != c.typed {
			t.Errorf("%s: the text is lost", c.name)
		}
		if got := attribute(p.one("input", "name=name"), "value"); got != c.visitor {
			t.Errorf("%s: the name is lost: %q", c.name, got)
		}
		if attribute(p.one("input", "name=key"), "value") == "k" {
			t.Errorf("%s: the key was used up", c.name)
		}
	}
	a := d.do("POST", "/t/commons", "text="+strings.Repeat("x", web.MaxBody), form, "Accept: text/html")
	if a.status != 413 || !strings.Contains(a.body, "too much at once") {
		t.Errorf("a paste without end: %d %.300s", a.status, a.body)
	}
	if a := d.do("POST", "/t/council", "text=hello&key=k", form, "Accept: text/html"); a.status != 403 {
		t.Errorf("a closed topic: %d", a.status)
	}
	n.Fail(mesh.ErrBusy)
	a = d.do("POST", "/t/commons", "text=hello&key=k", form, "Accept: text/html")
	if got := text(parsePage(t, a.body).one("textarea", "")); a.status != 503 || got != "hello" {
		t.Errorf("a node without room: %d, text %q", a.status, got)
	}
	if n.Fail(nil); n.Posts() != 1 { // the one that failed inside
		t.Errorf("published %d times", n.Posts())
	}
}

func TestFormHoldsFloodBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newServer(t, nil)
		network, stop := inBubble(t, s)
		defer stop()
		c := network.from("192.0.2.50")
		for i := range 7 {
			a := request(t, c, "POST", "/t/commons", fmt.Sprintf("text=number+%d&key=%d", i, i), form, "Accept-Language: uk")
			if i < 5 {
				if a.status != http.StatusSeeOther {
					t.Errorf("post %d: %d", i, a.status)
				}
				continue
			}
			p := parsePage(t, a.body)
			if got := text(p.one("div", "role=alert")); a.status != 429 || a.header.Get("Retry-After") == "" || !strings.Contains(got, "Спробуйте за 6 секунд") {
				t.Errorf("post %d: %d %q", i, a.status, got)
			}
			if got := text(p.one("textarea", "")); got != fmt.Sprintf("number %d", i) {
				t.Errorf("post %d: the text is lost: %q", i, got)
			}
		}
	})
}

// TestMembersWrite: a member speaks as the machine's operator, and may be
// urgent; a guest who asks for it is refused.
func TestMembersWrite(t *testing.T) {
	s, _ := newServer(t, nil)
	admin, guest := open(t, s, os.Getuid(), socket), open(t, s, -1, lan)
	p := admin.view(200, "/t/alerts")
	if len(p.all("input", "name=name")) != 0 || len(p.all("input", "name=urgent")) != 1 {
		t.Error("a member's form asks for a name, or knows nothing urgent")
	}
	if a := admin.do("POST", "/t/alerts", "text=fire+at+the+mill&urgent=1&key=a", form); a.status != http.StatusSeeOther {
		t.Fatalf("%d %s", a.status, a.body)
	}
	li := guest.view(200, "/t/alerts").item("fire at the mill")
	if !has(li, "urgent") || !strings.Contains(text(li), "urgent") || !strings.Contains(text(li), "Old School") || strings.Contains(text(li), "guest") {
		t.Errorf("%s", text(li))
	}
	a := guest.do("POST", "/t/alerts", "text=fire&urgent=1&key=b", form)
	if a.status != 403 || !strings.Contains(a.body, "Guests cannot send urgent messages") {
		t.Errorf("a guest: %d", a.status)
	}
}

func TestMessageView(t *testing.T) {
	s, n := newServer(t, nil)
	guest, admin := open(t, s, -1, lan), open(t, s, os.Getuid(), socket)
	root := n.Receive(sign(t, 5, "commons", "who has bread?"), "commons", "gossip", 0).Event
	answerTags := [][]string{{"t", "commons"}, {"e", root.ID().String(), "", "root"}, {"p", root.Author().String()}}
	answer := n.Receive(draft(t, 6, mesh.Draft{Kind: mesh.KindNote, Tags: answerTags, Content: "I have two loaves"}), "commons", "", 0).Event
	n.Note(answer.ID(), "gossip", "gossiped to 3")
	n.Note(answer.ID(), "radio", "on air")
	n.Note(answer.ID(), "radio", "heard")

	p := guest.view(200, "/m/"+root.ID().String())
	if got := text(p.one("h2", "id=answers")); got != "1 answer" || !p.has("I have two loaves") || len(p.all("blockquote", "")) != 0 {
		t.Errorf("the thread: %s", p.text())
	}
	p = guest.view(200, "/m/"+answer.ID().String()[:16])
	if !p.has("who has bread?") {
		t.Error("what is answered is not shown")
	}
	const fate = "saved passed on to 3 machines on air heard by at least one radio"
	if got := text(p.within(p.item("two loaves")).one("span", "delivery")); got != fate {
		t.Errorf("delivery %q, want %q", got, fate)
	}
	if got := len(p.within(p.one("ol", "history")).all("li", "")); got != 4 {
		t.Errorf("%d lines of history", got)
	}
	if len(p.all("form", "")) != 1 {
		t.Error("a guest is offered to keep order")
	}
	n.Forget(root.ID(), mesh.ReasonDeleted)
	if got := admin.view(200, "/m/"+root.ID().String()).text(); !strings.Contains(got, "Its author deleted this message") {
		t.Errorf("gone: %s", got)
	}
	guest.view(410, "/m/"+root.ID().String())
	guest.view(404, "/m/"+strings.Repeat("0", 64))
	guest.view(400, "/m/nonsense")
}

// TestModeration: what a member hides is collapsed here, with its text still
// there; what a member reports, members read; guests can do neither.
func TestModeration(t *testing.T) {
	shelf := storetest.NewMemory(time.Now).Shelf("web")
	s, n := newServer(t, func(c *web.Config) { c.Shelf = shelf })
	guest, member := open(t, s, -1, lan), open(t, s, os.Getuid()+1, socket)
	e := n.Receive(sign(t, 5, "commons", "buy my pills"), "commons", "gossip", 0).Event
	at := "/m/" + e.ID().String()
	for _, op := range []string{"/hide", "/report"} {
		if a := guest.do("POST", at+op, "hide=1&kind=spam", form); a.status != 403 {
			t.Errorf("a guest's %s: %d", op, a.status)
		}
	}
	p := member.view(200, at)
	if got := len(p.within(p.one("select", "name=kind")).all("option", "")); got != len(web.ReportKinds) {
		t.Errorf("%d kinds of reports", got)
	}
	if len(p.all("button", "danger")) != 0 {
		t.Error("a member who is no admin is offered to ban")
	}
	if a := member.do("POST", at+"/hide", "hide=1", form); a.status != http.StatusSeeOther {
		t.Fatalf("hide: %d %s", a.status, a.body)
	}
	again, _ := newServer(t, func(c *web.Config) { c.Shelf, c.Node = shelf, n }) // after a restart
	for _, d := range []*door{guest, open(t, again, -1, lan)} {
		li := d.view(200, "/t/commons").item("buy my pills")
		if !has(li, "hidden") || len(d.view(200, "/t/commons").within(li).all("details", "")) != 1 || !strings.Contains(text(li), "Hidden here by a member") {
			t.Errorf("%s", text(li))
		}
		if got := text(d.view(200, "/").one("a", "data-topic-row=commons")); strings.Contains(got, "pills") {
			t.Errorf("the list of topics still says %q", got)
		}
	}
	n.Receive(draft(t, 6, mesh.Draft{Kind: mesh.KindNote, Tags: [][]string{{"t", "commons"}, {"e", e.ID().String(), "", "root"}}, Content: "stop that"}), "commons", "gossip", 0)
	if got := text(guest.view(200, "/t/commons").item("stop that")); strings.Contains(got, "pills") {
		t.Errorf("an answer quotes what is hidden: %q", got)
	}
	member.do("POST", at+"/hide", "hide=0", form)
	if has(guest.view(200, "/t/commons").item("buy my pills"), "hidden") {
		t.Error("it is not shown again")
	}
	a := member.do("POST", at+"/report", "kind=spam&words="+strings.Repeat("x", 501), form)
	if a.status != 413 || !strings.Contains(a.body, strings.Repeat("x", 501)) {
		t.Errorf("a report too long: %d, or its words are lost", a.status)
	}
	if a := member.do("POST", at+"/report", "kind=boredom", form); a.status != 400 {
		t.Errorf("a report of a kind that is none: %d", a.status)
	}
	if a := member.do("POST", at+"/report", "kind=spam&words=every+day", form); a.status != http.StatusSeeOther {
		t.Fatalf("report: %d %s", a.status, a.body)
	}
	if got := text(member.view(200, at).one("ul", "reports")); !strings.Contains(got, "spam") || !strings.Contains(got, "every day") {
		t.Errorf("reports: %q", got)
	}
	if got := guest.view(200, at).text(); strings.Contains(got, "every day") {
		t.Error("a guest reads reports")
	}
	ban := open(t, s, os.Getuid(), socket).view(200, at)
	if got := attribute(ban.one("input", "name=who"), "value"); got != e.Author().NPub() {
		t.Errorf("a ban would be of %q", got)
	}
}

func TestSearchView(t *testing.T) {
	s, n := newServer(t, nil)
	n.Receive(draft(t, 5, mesh.Draft{Kind: mesh.KindProfile, Content: `{"name":"Ana"}`}), "people", "gossip", 0)
	for i := range 40 {
		n.Receive(sign(t, 5, "commons", fmt.Sprintf("the bridge, day %02d", i)), "commons", "gossip", 0)
	}
	n.Receive(sign(t, 6, "alerts", "Bridge closed"), "alerts", "gossip", 0)
	n.Receive(sign(t, 6, "council", "a secret bridge"), "council", "gossip", 0)
	d := open(t, s, -1, lan)
	for _, c := range []struct {
		query string
		found int
	}{
		{"q=bridge+closed", 1}, {"q=BRIDGE&topic=alerts", 1}, {"q=secret", 0}, {"q=day+07", 1}, {"author=an%C3%A1", 30}, {"q=day+07&author=ana", 1}, {"q=day&author=nobody", 0},
		{"author=" + newKey(t, 6).PubKey().NPub(), 1}, {"q=" + strings.Repeat("x", 300), 0}, {"q=...", 0},
	} {
		p := d.view(200, "/search?"+c.query)
		if got := len(p.all("li", "message")); got != c.found {
			t.Errorf("%.60s: %d found, want %d", c.query, got, c.found)
		}
	}
	p := d.view(200, "/search?q=bridge")
	first := len(p.all("li", "message"))
	second := len(d.view(200, attribute(p.one("a", "rel=next"), "href")).all("li", "message"))
	if first != 30 || second != 11 {
		t.Errorf("%d and %d found on two pages, want 30 and 11", first, second)
	}
	d.view(403, "/search?q=bridge&topic=council")
}

package web_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"drey/mesh"
	"drey/web"
)

type told struct {
	Key, NPub, Name string
	Belongs         bool
}

func askPeople(t *testing.T, d *door, query string) (int, []told) {
	t.Helper()
	a := d.do("GET", "/private/people"+query, "")
	var body struct{ People []told }
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		t.Fatal(err)
	}
	return a.status, body.People
}

func TestWhoCanBeWrittenTo(t *testing.T) {
	ana, ben, eve := newKey(t, 21), newKey(t, 22), newKey(t, 23)
	s, node := newServer(t, func(c *web.Config) {
		c.Standing = func(k mesh.PubKey) mesh.Standing {
			if k == eve.PubKey() {
				return mesh.Stranger
			}
			return mesh.Guest
		}
	})
	say := func(k *mesh.SecretKey, name string, topic mesh.Topic) {
		for i, d := range []mesh.Draft{
			{Kind: mesh.KindProfile, Content: `{"name":"` + name + `"}`},
			{Kind: mesh.KindNote, Content: "hello", Tags: [][]string{{"t", string(topic)}}},
		} {
			d.CreatedAt = 1_800_000_000
			e, err := k.Sign(d)
			if err != nil {
				t.Fatal(err)
			}
			node.Receive(e, []mesh.Topic{mesh.TopicPeople, topic}[i], "gossip", 0)
		}
	}
	say(ana, "Ana", "commons")
	say(ben, "Ben", "council") // not for guests
	say(eve, "Eve", "commons") // does not belong any more

	names := func(people []told) (names []string) {
		for _, p := range people {
			names = append(names, p.Name)
		}
		return names
	}
	guest := open(t, s, -1, lan)
	if _, got := askPeople(t, guest, ""); !slices.Equal(names(got), []string{"Ana", "Old School"}) {
		t.Errorf("guests are offered %v", names(got))
	}
	if _, got := askPeople(t, open(t, s, 4242, socket), ""); !slices.Equal(names(got), []string{"Ana", "Ben", "Old School"}) {
		t.Errorf("members are offered %v", names(got))
	}
	status, got := askPeople(t, guest, "?key="+eve.PubKey().String()+","+ana.PubKey().String()+","+ana.PubKey().String())
	want := []told{{eve.PubKey().String(), eve.PubKey().NPub(), "Eve", false}, {ana.PubKey().String(), ana.PubKey().NPub(), "Ana", true}}
	if status != http.StatusOK || !slices.Equal(got, want) {
		t.Errorf("asked about two keys: %d %+v, want %+v", status, got, want)
	}
	for _, bad := range []string{"x", "00", strings.Repeat(ana.PubKey().String()+",", 50) + ana.PubKey().String()} {
		if status, _ := askPeople(t, guest, "?key="+bad); status != http.StatusBadRequest {
			t.Errorf("key=%.20s…: status %d, want 400", bad, status)
		}
	}
}

func TestPrivatePageSaysThatItNeedsScripts(t *testing.T) {
	s, _ := newServer(t, nil)
	a := open(t, s, -1, lan).do("GET", "/private", "", "Accept: text/html")
	doc, err := html.Parse(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	var note, app *html.Node
	for n := range doc.Descendants() {
		for _, attr := range n.Attr {
			switch attr.Key {
			case "data-private-without":
				note = n
			case "data-private":
				app = n
			}
		}
	}
	if note == nil || !strings.Contains(note.FirstChild.Data, "JavaScript") {
		t.Error("without scripts nothing tells why the page is empty")
	}
	if app == nil || !slices.ContainsFunc(app.Attr, func(a html.Attribute) bool { return a.Key == "hidden" }) {
		t.Error("the part that needs scripts is shown without them")
	}
}

func FuzzKeysOfPeople(f *testing.F) {
	for _, s := range []string{"", ",", strings.Repeat("00", 32), strings.Repeat("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798,", 3), strings.Repeat(",", 60)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		keys, err := web.ParseKeys(s)
		if err != nil {
			return
		}
		if len(keys) == 0 || len(keys) > 50 {
			t.Errorf("%q gave %d keys", s, len(keys))
		}
		for i, k := range keys {
			if !strings.Contains(s, k.String()) || slices.Contains(keys[:i], k) {
				t.Errorf("%q gave %s", s, k)
			}
		}
	})
}

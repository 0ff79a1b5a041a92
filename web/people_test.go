package web_test

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"drey/mesh"
	"drey/web"
	"drey/web/webtest"
)

// rows lists the names in a page's lists of people, in order.
func (d *door) rows(path string) []string {
	var names []string
	for _, x := range find(d.seen(path), "bdi", "class", "author") {
		names = append(names, words(x))
	}
	return names
}

func TestPeopleSearchAndSort(t *testing.T) {
	_, member, _, _ := townServer(t, nil)
	for _, c := range []struct {
		query string
		want  string
	}{
		{"", "Tower Bakery Mill Old School School María Nadia !0000cafe Ridge Spammer"},
		{"?q=maria", "María"}, // without the accent
		{"?q=SCHOOL", "Old School School"},
		{"?q=200:1::3", "Bakery"},
		{"?q=ridge", "Ridge"},
		{"?q=nobody-at-all", ""},
		{"?q=school&sort=nonsense", "Old School School"},
		{"?sort=link", "Tower Mill School Bakery Old School María Nadia !0000cafe Ridge Spammer"},
	} {
		got := member.rows("/people" + c.query)
		want := strings.Fields(strings.ReplaceAll(c.want, "Old School", "Old_School"))
		for i := range want {
			want[i] = strings.ReplaceAll(want[i], "_", " ")
		}
		if c.query == "" || strings.HasPrefix(c.query, "?sort") { // radios come in the order of the node
			slices.Sort(got[min(len(got), 7):])
			slices.Sort(want[7:])
		}
		if !slices.Equal(got, want) {
			t.Errorf("/people%s lists %q, want %q", c.query, got, want)
		}
	}
	page := words(mainOf(t, member.seen("/people?q=nobody-at-all")))
	if !strings.Contains(page, "nobody-at-all") {
		t.Errorf("a search without a find says nothing: %s", page)
	}
}

func TestPeopleTellsHowEachIsReached(t *testing.T) {
	_, member, _, _ := townServer(t, nil)
	doc := member.seen("/people")
	for name, want := range map[string]string{
		"Mill":    "in contact · 12 ms · same network", // rounded to even
		"School":  "in contact · through others",
		"Bakery":  "not in contact",
		"Tower":   "asks to belong",
		"Spammer": "floods",
		"Ridge":   "heard 1 min ago · 2 hops Signal +6.2 dB Battery 80 %",
	} {
		found := false
		for _, x := range find(doc, "li", "class", "who") {
			text := words(x)
			if strings.HasPrefix(text, name+" ") {
				found = true
				if !strings.Contains(text, want) {
					t.Errorf("%s: %q, want %q in it", name, text, want)
				}
			}
		}
		if !found {
			t.Errorf("%s is not listed", name)
		}
	}
}

// TestPeopleChange goes through a decision as a person does: button, preview,
// yes.
func TestPeopleChange(t *testing.T) {
	_, member, admin, n := townServer(t, nil)
	if len(find(member.seen("/people"), "button", "name", "op")) != 0 {
		t.Error("a member who is no admin is offered decisions")
	}
	ops := make(map[string]int)
	for _, x := range find(admin.seen("/people"), "button", "name", "op") {
		ops[attrOf(x, "value")]++
	}
	// Mill, Bakery and María; School and Nadia; Tower; Spammer. Nothing about this machine.
	want := map[string]int{"promote": 3, "remove": 5, "ban": 6, "demote": 2, "admit": 1, "lift": 1}
	for op, k := range want {
		if ops[op] != k {
			t.Errorf("%d buttons %s, want %d", ops[op], op, k)
		}
	}
	form := url.Values{"op": {"ban"}, "who": {"María"}}
	preview := admin.posted("/people/change", form)
	if text := words(mainOf(t, parsed(t, preview.body))); preview.status != http.StatusOK || !strings.Contains(text, "María does not belong") || len(n.Changes()) != 1 || !n.Changes()[0].Preview {
		t.Fatalf("the preview is %d %q, the node was asked %+v", preview.status, text, n.Changes())
	}
	if f := find(parsed(t, preview.body), "button", "name", "confirm"); len(f) != 1 {
		t.Fatalf("%d buttons to confirm", len(f))
	}
	form.Set("confirm", "1")
	form.Set("reason", " floods ")
	done := admin.posted("/people/change", form)
	last := n.Changes()[len(n.Changes())-1]
	if done.status != http.StatusSeeOther || last.Preview || last.Op != web.OpBan || last.Who != "María" || last.Reason != "floods" {
		t.Errorf("confirmed: %d, the node was asked %+v", done.status, last)
	}
	for op, check := range map[string]func(web.MemberChange) bool{
		"promote": func(c web.MemberChange) bool { return c.Op == web.OpAdmit && c.Admin && !c.Lift },
		"lift":    func(c web.MemberChange) bool { return c.Op == web.OpAdmit && c.Lift && !c.Admin },
		"admit":   func(c web.MemberChange) bool { return c.Op == web.OpAdmit && !c.Lift && !c.Admin },
		"demote":  func(c web.MemberChange) bool { return c.Op == web.OpDemote },
	} {
		admin.posted("/people/change", url.Values{"op": {op}, "who": {"x"}, "confirm": {"1"}})
		if last := n.Changes()[len(n.Changes())-1]; !check(last) {
			t.Errorf("%s asks the node for %+v", op, last)
		}
	}
	for _, bad := range []url.Values{{}, {"op": {"rotate"}, "who": {"x"}}, {"op": {"ban"}}, {"op": {"ban"}, "who": {strings.Repeat("x", 201)}}, {"op": {"ban"}, "who": {"x"}, "reason": {strings.Repeat("x", 257)}}} {
		if a := admin.posted("/people/change", bad); a.status != http.StatusBadRequest {
			t.Errorf("%v: %d, want 400", bad, a.status)
		}
	}
	if a := admin.posted("/people/change", url.Values{"op": {"ban"}, "who": {"nobody"}}); a.status != http.StatusNotFound {
		t.Errorf("a decision about nobody: %d, want 404", a.status)
	}
}

// TestPeopleEscapes has names that would like to be more.
func TestPeopleEscapes(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	_, _, admin, _ := townServer(t, func(town *webtest.Town) {
		for i := range town.Members {
			town.Members[i].Name, town.Members[i].Reason = evil, evil
		}
		for i := range town.Radios {
			town.Radios[i].Name = evil
		}
	})
	for _, path := range []string{"/people", "/map", "/radio", "/people?q=" + url.QueryEscape(evil)} {
		doc := admin.seen(path)
		for _, x := range find(doc, "script", "", "") {
			if words(x) != "" {
				t.Errorf("%s: a script of somebody's name", path)
			}
		}
		if len(find(doc, "", "onerror", "*")) != 0 {
			t.Errorf("%s: an attribute of somebody's name", path)
		}
	}
}

func TestManyPeople(t *testing.T) {
	_, member, _, _ := townServer(t, func(town *webtest.Town) {
		for range 3000 {
			town.Members = append(town.Members, web.Member{Name: "crowd", NPub: "npub1x", Standing: "person"})
		}
	})
	if n := len(member.rows("/people")); n > 510 {
		t.Errorf("%d rows on one page", n)
	}
}

// countingNode counts what is read.
type countingNode struct {
	*webtest.Node
	reads int
}

func (n *countingNode) Records(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	if f.Authors != nil && !slices.Contains(f.Kinds, mesh.KindProfile) { // all names are one question
		n.reads++
	}
	return n.Node.Records(ctx, f, v)
}

// TestLastHeard tells when members were last heard, without asking the store
// much: a page asks for some of them, the next look for more, and answers last.
func TestLastHeard(t *testing.T) {
	node := &countingNode{}
	now := time.Now()
	s, _ := newServer(t, func(c *web.Config) {
		node.Node = c.Node.(*webtest.Node)
		c.Node, c.Clock = node, func() time.Time { return now }
	})
	var town webtest.Town
	for i := range 70 {
		key := newKey(t, byte(100+i))
		town.Members = append(town.Members, web.Member{Name: fmt.Sprint("member ", i), NPub: key.PubKey().NPub(), Standing: "person"})
	}
	node.SetTown(town)
	node.Receive(sign(t, 100, "commons", "hello"), "commons", "gossip", 0)
	now = now.Add(90 * time.Minute)
	member := open(t, s, os.Getuid()+1, socket)
	doc := member.seen("/people?q=member+0")
	if text := words(find(doc, "li", "class", "who")[0]); !strings.Contains(text, "last heard 1 h ago") {
		t.Errorf("member 0: %q", text)
	}
	if node.reads != 50 {
		t.Errorf("the first look asked the store %d times, want 50", node.reads)
	}
	for look, want := range []int{70, 70} {
		if member.seen("/people"); node.reads != want {
			t.Errorf("look %d: asked %d times in all, want %d", look+2, node.reads, want)
		}
	}
	now = now.Add(3 * time.Minute)
	if member.seen("/people"); node.reads != 120 {
		t.Errorf("three minutes later: asked %d times in all, want 120", node.reads)
	}
}

package web_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"drey/mesh"
	"drey/web"
	"drey/web/webtest"
)

// TestOneNameEverywhere has somebody rename himself to what another member is
// called: every place shows the same name, with the key where two are alike, and
// lists of members say under which name he was admitted.
func TestOneNameEverywhere(t *testing.T) {
	s, node := newServer(t, func(c *web.Config) { c.Standing = func(mesh.PubKey) mesh.Standing { return mesh.Person } })
	ana, ben := newKey(t, 21), newKey(t, 22)
	node.SetTown(webtest.Town{Members: []web.Member{
		{Name: "Ana", NPub: ana.PubKey().NPub(), Standing: mesh.Person.String()},
		{Name: "Ben", NPub: ben.PubKey().NPub(), Standing: mesh.Person.String()},
	}})
	d := open(t, s, os.Getuid(), socket)
	if a := d.do("GET", "/v1/members", ""); strings.Contains(a.body, `"called"`) {
		t.Errorf("nobody has renamed himself: %s", a.body)
	}
	e, err := ben.Sign(mesh.Draft{Kind: mesh.KindProfile, CreatedAt: 1_800_000_000, Content: `{"name":"ANA"}`})
	if err != nil {
		t.Fatal(err)
	}
	node.Receive(e, mesh.TopicPeople, "gossip", 0)
	if a := d.do("GET", "/v1/members", ""); !strings.Contains(a.body, `"name":"Ben","called":"ANA"`) {
		t.Errorf("the members are %s", a.body)
	}
	mark := func(k *mesh.SecretKey, name string) string { return name + " (" + k.PubKey().NPub()[5:11] + "…)" }
	d.do("POST", "/v1/dm", `{"to":["`+ana.PubKey().NPub()+`","`+ben.PubKey().NPub()+`"],"text":"which of you?"}`)
	for _, path := range []string{"/people", "/v1/inbox", "/private/machine"} {
		a := d.do("GET", path, "", "Accept: text/html, application/x-ndjson")
		for _, want := range []string{mark(ana, "Ana"), mark(ben, "ANA")} {
			if !strings.Contains(a.body, want) {
				t.Errorf("%s does not show %q", path, want)
			}
		}
	}
	page := d.do("GET", "/private/machine", "", "Accept: text/html").body
	if !strings.Contains(page, `value="`+ben.PubKey().NPub()+`"> <bdi>`+mark(ben, "ANA")) {
		t.Error("two boxes to tick have the same name")
	}
	// A name that somebody was admitted with is not free when he calls himself otherwise.
	if e, err = ana.Sign(mesh.Draft{Kind: mesh.KindProfile, CreatedAt: 1_800_000_000, Content: `{"name":"Anita"}`}); err != nil {
		t.Fatal(err)
	}
	node.Receive(e, mesh.TopicPeople, "gossip", 0)
	if a := d.do("GET", "/people", "", "Accept: text/html"); !strings.Contains(a.body, mark(ben, "ANA")) || strings.Contains(a.body, mark(ana, "Anita")) {
		t.Error("Ben is called as Ana was admitted, and is not told apart")
	}
	// The machine calls him who is not on the roster what he calls himself.
	eve := newKey(t, 23)
	for _, name := range []string{"Ana", "x\u202eanA", strings.Repeat("A", 1000)} {
		node.Deliver(web.MailMessage{From: web.MailReader{NPub: eve.PubKey().NPub(), Name: name}, Text: "it is me", Subject: "Ana"})
	}
	if a := d.do("GET", "/v1/inbox", ""); strings.Count(a.body, `"name":"`+mark(eve, "Ana")+`"`) != 1 || strings.Contains(a.body, "anA") || strings.Contains(a.body, "AAA") {
		t.Errorf("a stranger's name stands alone, or disturbs: %s", a.body)
	}
	if a := d.do("GET", "/v1/messages/"+fmt.Sprintf("%064x", 2), ""); !strings.Contains(a.body, `"name":"`+mark(eve, "Ana")+`"`) {
		t.Errorf("the history of a stranger's message: %s", a.body)
	}
	if a := d.do("GET", "/private/machine", "", "Accept: text/html"); !strings.Contains(a.body, mark(eve, "Ana")+" – Ana</bdi>") {
		t.Error("a subject stands in the place of a name")
	}
	if a := d.do("GET", "/people?q=ben", "", "Accept: text/html"); !strings.Contains(a.body, "Admitted as") || !strings.Contains(a.body, "<bdi>Ben</bdi>") {
		t.Error("who is looked for by the roster's name is not found, or not said to have it")
	}
}

// TestAGuestsNameIsMarkedEverywhere: also where a message is quoted, and in the
// list of conversations.
func TestAGuestsNameIsMarkedEverywhere(t *testing.T) {
	s, _ := newServer(t, nil)
	guest, d := open(t, s, -1, lan), open(t, s, os.Getuid(), socket)
	a := guest.do("POST", "/v1/topics/commons/messages", `{"text":"it is off","name":"Ana"}`, "Content-Type: application/json")
	var said struct{ ID string }
	if err := json.Unmarshal([]byte(a.body), &said); err != nil || a.status != 202 {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	if list := d.do("GET", "/", "", "Accept: text/html").body; !strings.Contains(list, `<bdi>Ana</bdi></span> <span class="as">(guest):</span>`) {
		t.Error("the list of conversations has a guest's name alone")
	}
	d.do("POST", "/v1/topics/commons/messages", `{"text":"why?","reply_to":"`+said.ID+`"}`, "Content-Type: application/json")
	if talk := d.do("GET", "/t/commons", "", "Accept: text/html").body; !strings.Contains(talk, `<bdi>Ana (guest)</bdi>`) {
		t.Error("a quotation has a guest's name alone")
	}
}

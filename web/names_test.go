package web_test

import (
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
	s, node := newServer(t, nil)
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
	if a := d.do("GET", "/people?q=ben", "", "Accept: text/html"); !strings.Contains(a.body, "Admitted as") || !strings.Contains(a.body, "<bdi>Ben</bdi>") {
		t.Error("who is looked for by the roster's name is not found, or not said to have it")
	}
}

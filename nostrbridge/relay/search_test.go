package relay

import (
	"fmt"
	"strings"
	"testing"

	"drey/mesh"
)

// A search finds the same in what is stored, in what comes in and by COUNT, for
// each only what he may see, and never private messages.
func TestSearch(t *testing.T) {
	w := newDiskWorld(t, nil)
	post := w.connectAs(t, "ana")
	events := func(round string) []*mesh.Event {
		return []*mesh.Event{
			note("ana", "Fresh BREAD at the mill "+round),
			note("ben", "ပေါင်မုန့်ရှိတယ် "+round),
			note("ana", "bread inside "+round, []string{"-"}),
			note("ana", "nothing to eat "+round),
			sign(key("once "+round), mesh.Draft{CreatedAt: now(), Kind: 1059, Tags: [][]string{{"p", keyHex("ben")}}, Content: "bread " + round}),
			sign(key("ana"), mesh.Draft{CreatedAt: now(), Kind: 7, Content: "bread " + round}),
		}
	}
	for _, e := range events("stored") {
		post.posted(e)
	}
	for i, c := range []struct{ who, filter, want string }{
		{"", `{"search":"bread"}`, "[Fresh BREAD at the mill %s]"},
		{"ben", `{"search":"bread"}`, "[Fresh BREAD at the mill %[1]s bread inside %[1]s]"},
		{"ben", `{"search":"mill bread language:en include:spam"}`, "[Fresh BREAD at the mill %s]"},
		{"ben", `{"search":"bread","authors":["` + keyHex("ben") + `"]}`, "[]"},
		{"", `{"search":"မုန့်"}`, "[ပေါင်မုန့်ရှိတယ် %s]"},
		{"ben", `{"search":"ပန့်"}`, "[]"},
		{"ben", `{"search":"\" OR NEAR(* ) bread -x"}`, "[]"},
		{"ben", `{"search":"..."}`, "[]"},
		{"ben", `{"kinds":[1059],"search":"bread"}`, "[]"},
	} {
		c.want = strings.ReplaceAll(c.want, "%s", "%[1]s")
		t.Run(c.who+c.filter, func(t *testing.T) {
			cl := w.connect(t)
			if c.who != "" {
				cl.auth(c.who)
			}
			got := cl.find(c.filter)
			list := "[" + sorted(got) + "]"
			if want := fmt.Sprintf(c.want, "stored"); list != want && c.want != "[]" || c.want == "[]" && len(got) > 0 {
				t.Errorf("stored: %s, want %s", list, want)
			}
			if n := cl.ask(`["COUNT","c",` + c.filter + `]`); words(n) != fmt.Sprintf("COUNT c map[count:%d]", len(got)) {
				t.Errorf("COUNT = %v, want %d", n, len(got))
			}
			cl.req("live", strings.Replace(c.filter, "{", `{"limit":0,`, 1))
			round := fmt.Sprintf("live %d", i)
			news := events(round)
			for _, e := range news {
				post.posted(e)
			}
			w.settled(t)
			cl.send(`["REQ","fence",{"limit":0}]`)
			live := []string{}
			for m := cl.next(); m[0] != "EOSE"; m = cl.next() {
				live = append(live, m[2].(map[string]any)["content"].(string))
			}
			if list, want := "["+sorted(live)+"]", strings.ReplaceAll(c.want, "%[1]s", round); list != want {
				t.Errorf("live: %s, want %s", list, want)
			}
			for _, e := range news { // the next must not find them
				for _, name := range []string{"ana", "ben"} {
					if key(name).PubKey() == e.Author() {
						post.posted(sign(key(name), mesh.Draft{CreatedAt: now(), Kind: 5, Tags: [][]string{{"e", e.ID().String()}}}))
					}
				}
			}
		})
	}
}

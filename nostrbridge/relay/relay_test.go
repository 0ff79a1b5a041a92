package relay

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"drey/mesh"
	"drey/store/storetest"
)

func TestPublishAndRead(t *testing.T) {
	w := newDiskWorld(t, nil)
	ana, ben := w.connectAs(t, "ana"), w.connectAs(t, "ben")
	if got, end := ben.req("s", `{"kinds":[1]}`); len(got) != 0 || end[0] != "EOSE" {
		t.Fatalf("an empty relay sent %v, %v", got, end)
	}
	e := note("ana", "hello")
	ana.posted(e)
	if m := ben.next(); m[0] != "EVENT" || m[1] != "s" || m[2].(map[string]any)["id"] != e.ID().String() {
		t.Errorf("live came %v", m)
	}
	if got := ana.find(`{"ids":["` + e.ID().String() + `"]}`); !slices.Equal(got, []string{"hello"}) {
		t.Errorf("stored is %q", got)
	}
	if ok, why := ana.post(e); !ok || why != "duplicate: it is here already" {
		t.Errorf("the second time: %v %q", ok, why)
	}
	ben.send(`["CLOSE","s"]`)
	ben.find(`{"kinds":[9]}`) // CLOSE has been read
	ana.posted(note("ana", "after close"))
	if got := ben.ask(`["COUNT","c",{"kinds":[1]}]`); fmt.Sprint(got) != "[COUNT c map[count:2]]" {
		t.Errorf("after CLOSE came %v", got)
	}
}

// A relay tester's list of what must be refused, and how it is said.
func TestAnswersToWhatDoesNotHold(t *testing.T) {
	w := newWorld(t, nil)
	good := note("ana", "good")
	text := string(good.AppendJSON(nil))
	other := note("ana", "other")
	swap := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("%s has no %s", text, old)
		}
		return `["EVENT",` + strings.Replace(text, old, new, 1) + `]`
	}
	event := func(d mesh.Draft) string { return `["EVENT",` + string(sign(key("ana"), d).AppendJSON(nil)) + `]` }
	bombs := strings.Repeat(`["t","x"],`, 2000)
	for _, c := range []struct{ name, say, want string }{
		{"no JSON", `hello`, "NOTICE invalid: a message is a JSON array"},
		{"an object", `{}`, "NOTICE invalid: a message is a JSON array"},
		{"empty array", `[]`, "NOTICE invalid: a message begins with its name"},
		{"unknown", `["HELLO"]`, `NOTICE invalid: "HELLO" is unknown here`},
		{"half", `["REQ","x",{`, "CLOSED x invalid: filter 1"},
		{"rest", `["CLOSE","x"] x`, "NOTICE invalid: something follows the array"},
		{"wrong id", swap(good.ID().String(), other.ID().String()), "OK " + other.ID().String() + " false invalid: id"},
		{"short id", swap(good.ID().String(), "abcd"), "NOTICE invalid: id"},
		{"upper case id", swap(good.ID().String(), strings.ToUpper(good.ID().String())), "false invalid: id"},
		{"wrong signature", swap(good.Sig().String(), other.Sig().String()), "OK " + good.ID().String() + " false invalid: signature does not match"},
		{"no signature", swap(`,"sig":"`+good.Sig().String()+`"`, ""), "OK " + good.ID().String() + " false invalid: id, pubkey"},
		{"kind too large", swap(`"kind":1`, `"kind":70000`), "false invalid: kind 70000"},
		{"kind as text", swap(`"kind":1`, `"kind":"1"`), "false invalid"},
		{"negative date", swap(`"created_at":`, `"created_at":-`), "false invalid: created_at"},
		{"fractional date", swap(`,"kind"`, `.5,"kind"`), "false invalid: created_at"},
		{"tag of numbers", swap(`"tags":[]`, `"tags":[["t",1]]`), "false invalid"},
		{"tags as object", swap(`"tags":[]`, `"tags":{}`), "false invalid"},
		{"tag bomb", swap(`"tags":[]`, `"tags":[`+bombs[:len(bombs)-1]+`]`), "false invalid: 2000 tags, limit 100"},
		{"future", event(mesh.Draft{CreatedAt: now() + 86400, Kind: 1}), "false invalid: dated"},
		{"expired", event(mesh.Draft{CreatedAt: now(), Kind: 1, Tags: [][]string{{"expiration", "1000"}}}), "false invalid: since 1970"},
		{"seal in the open", event(mesh.Draft{CreatedAt: now(), Kind: 13}), "false invalid: kind 13 belongs inside a gift wrap"},
		{"auth as event", event(mesh.Draft{CreatedAt: now(), Kind: 22242}), "false invalid: kind 22242 is said with AUTH"},
		{"old ephemeral", event(mesh.Draft{CreatedAt: now() - 86400, Kind: 20001}), "false invalid: dated"},
		{"no filter", `["REQ","x"]`, "CLOSED x invalid: REQ without a filter"},
		{"no name", `["REQ"]`, "NOTICE invalid: REQ without a subscription"},
		{"empty name", `["REQ","",{}]`, "NOTICE invalid: REQ: a subscription's name"},
		{"long name", `["REQ","` + strings.Repeat("x", 65) + `",{}]`, "NOTICE invalid: REQ: a subscription's name"},
		{"number as name", `["REQ",1,{}]`, "NOTICE invalid: REQ: a subscription's name"},
		{"filter as list", `["REQ","x",[]]`, "CLOSED x invalid: filter 1"},
		{"filter null", `["REQ","x",null]`, "CLOSED x invalid: filter 1: a filter is an object"},
		{"upper case author", `["REQ","x",{"authors":["` + strings.ToUpper(keyHex("ana")) + `"]}]`, "CLOSED x invalid: filter 1: authors"},
		{"short id", `["REQ","x",{"ids":["abcd"]}]`, "CLOSED x invalid: filter 1: ids"},
		{"negative limit", `["REQ","x",{"limit":-1}]`, "CLOSED x invalid: filter 1: limit"},
		{"kind too large", `["REQ","x",{"kinds":[65536]}]`, "CLOSED x invalid: filter 1: kinds: 65536"},
		{"since as text", `["REQ","x",{"since":"1"}]`, "CLOSED x invalid: filter 1: since"},
		{"long tag name", `["REQ","x",{"#proxy":["1"]}]`, "CLOSED x invalid: filter 1: #proxy: tags are chosen by one letter"},
		{"search of no text", `["REQ","x",{"search":7}]`, "CLOSED x invalid: filter 1: search: want a text"},
		{"long search", `["REQ","x",{"search":"` + strings.Repeat("x", 10_000) + `"}]`, "CLOSED x invalid: filter 1: search: 10000 bytes, limit 256"},
		{"too many filters", `["REQ","x"` + strings.Repeat(",{}", 17) + `]`, "CLOSED x invalid: more than 16 filters"},
		{"too many values", `["COUNT","x",{"kinds":[1` + strings.Repeat(",1", 90000) + `]}]`, "CLOSED x invalid: filter 1: more than 8192 values"},
		{"close without a name", `["CLOSE"]`, "NOTICE invalid: CLOSE without a subscription"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := w.connect(t)
			if got := words(cl.ask(c.say)); !strings.Contains(got, c.want) {
				t.Errorf("answered %s, want %s", got, c.want)
			}
			cl.find(`{"limit":0}`) // it still answers
		})
	}
	if got := w.connectAs(t, "ana").find(`{"kinds":[1,13,20001,22242]}`); len(got) != 0 {
		t.Errorf("stored is %q, want nothing", got)
	}
}

func words(m []any) string { return strings.TrimSuffix(fmt.Sprintln(m...), "\n") }

func TestUnknownFieldsAreLeftAlone(t *testing.T) {
	w := newWorld(t, nil)
	c := w.connectAs(t, "ana")
	e := note("ana", "seen on")
	text := strings.Replace(string(e.AppendJSON(nil)), `{"id"`, `{"seen_on":["wss://x"],"id"`, 1)
	if got := c.ask(`["EVENT",` + text + `]`); got[2] != true {
		t.Errorf("EVENT with a field more: %v", got)
	}
	if got := c.find(`{"kinds":[1],"relays":["x"],"cache":true,"until":null}`); !slices.Equal(got, []string{"seen on"}) {
		t.Errorf("a filter with fields more brought %q", got)
	}
}

// at signs a note of a date.
func at(name string, date mesh.Unix, text string, tags ...[]string) *mesh.Event {
	return sign(key(name), mesh.Draft{CreatedAt: date, Kind: mesh.KindNote, Tags: tags, Content: text})
}

func TestFilters(t *testing.T) {
	w := newDiskWorld(t, nil)
	c := w.connectAs(t, "ana")
	base := now() - 1000
	var events []*mesh.Event
	for i, name := range []string{"ana", "ben", "ana", "ben", "ana"} {
		events = append(events, at(name, base+mesh.Unix(i), fmt.Sprint(i), []string{"t", fmt.Sprintf("x%d", i%2)}, []string{"p", keyHex("ana")}, []string{"e"}))
	}
	for _, e := range events {
		c.posted(e)
	}
	c.posted(sign(key("ana"), mesh.Draft{CreatedAt: base + 2, Kind: 7, Content: "+"}))
	id := func(i int) string { return events[i].ID().String() }
	for _, x := range []struct {
		filter string
		want   string
	}{
		{`{"kinds":[1]}`, "4 3 2 1 0"},
		{`{"kinds":[1],"limit":2}`, "4 3"},
		{`{"kinds":[1],"limit":0}`, ""},
		{`{"kinds":[1],"limit":100000}`, "4 3 2 1 0"},
		{`{"kinds":[]}`, ""},
		{`{"ids":[]}`, ""},
		{`{"authors":[]}`, ""},
		{`{"#t":[]}`, ""},
		{`{"ids":["` + id(1) + `","` + id(3) + `","` + id(1) + `"]}`, "3 1"},
		{`{"authors":["` + keyHex("ben") + `"]}`, "3 1"},
		{`{"authors":["` + keyHex("ana") + `"],"kinds":[7]}`, "+"},
		{`{"#t":["x1"]}`, "3 1"},
		{`{"#t":["x1","x0"],"limit":1}`, "4"},
		{`{"#t":["x1"],"#p":["` + keyHex("ana") + `"]}`, "3 1"},
		{`{"#t":["x1"],"#p":["` + keyHex("ben") + `"]}`, ""},
		{`{"#e":[""]}`, ""},
		{fmt.Sprintf(`{"kinds":[1],"since":%d}`, base+3), "4 3"},
		{fmt.Sprintf(`{"kinds":[1],"until":%d}`, base+1), "1 0"},
		{fmt.Sprintf(`{"kinds":[1],"since":%d,"until":%d}`, base+1, base+1), "1"},
		{fmt.Sprintf(`{"kinds":[1],"since":%d,"until":%d}`, base+2, base+1), ""},
		{`{"kinds":[1],"until":0}`, ""},
		{`{"kinds":[1],"until":-5}`, ""},
		{`{"kinds":[1],"since":-5,"limit":1}`, "4"},
		{`{"kinds":[1],"since":99999999999}`, ""},
		{`{"kinds":[1],"until":1e11,"limit":1}`, "4"},
		{`{"#t":["x0"],"limit":1},{"#t":["x1"]},{"ids":["` + id(4) + `"]}`, "4 3 1"},
		{`{"kinds":[1],"limit":1},{"kinds":[7]}`, "4 +"},
	} {
		got := strings.Join(c.find(x.filter), " ")
		if got != x.want {
			t.Errorf("%s brought %q, want %q", x.filter, got, x.want)
		}
	}
}

// Of one second the lowest id comes first (NIP-01), whatever the limit.
func TestOrderWithinASecond(t *testing.T) {
	w := newDiskWorld(t, nil)
	c := w.connectAs(t, "ana")
	second := now() - 50
	var want []string
	ids := map[string]string{}
	for i := range 20 {
		e := at("ana", second, fmt.Sprint(i))
		c.posted(e)
		want = append(want, e.ID().String())
		ids[fmt.Sprint(i)] = e.ID().String()
	}
	slices.Sort(want)
	var got []string
	for _, text := range c.find(`{"kinds":[1],"limit":7}`) {
		got = append(got, ids[text])
	}
	if !slices.Equal(got, want[:7]) {
		t.Errorf("of one second came %v, want %v", got, want[:7])
	}
}

func TestReplaceableAddressableEphemeral(t *testing.T) {
	w := newDiskWorld(t, nil)
	c := w.connectAs(t, "ana")
	base := now() - 100
	draft := func(name string, kind mesh.Kind, age mesh.Unix, text string, tags ...[]string) *mesh.Event {
		return sign(key(name), mesh.Draft{CreatedAt: base + age, Kind: kind, Tags: tags, Content: text})
	}
	d := func(v ...string) []string { return append([]string{"d"}, v...) }
	for _, x := range []struct {
		e    *mesh.Event
		want bool
	}{
		{draft("ana", 0, 2, "profile 2"), true},
		{draft("ana", 0, 1, "profile 1"), false},
		{draft("ben", 0, 1, "ben's"), true},
		{draft("ana", 3, 1, "contacts 1"), true},
		{draft("ana", 3, 2, "contacts 2"), true},
		{draft("ana", 10002, 1, "relays 1"), true},
		{draft("ana", 10002, 3, "relays 3"), true},
		{draft("ana", 30023, 1, "article x", d("x")), true},
		{draft("ana", 30023, 2, "article x 2", d("x")), true},
		{draft("ana", 30023, 1, "article y", d("y")), true},
		{draft("ana", 30023, 1, "no d", []string{"d"}), true}, // panics khatru
		{draft("ana", 30023, 3, "empty d", d("")), true},
		{draft("ana", 30023, 2, "without d"), false},
		{draft("ana", 30023, 0, "article x 0", d("x")), false},
	} {
		if ok, why := c.post(x.e); ok != x.want || !ok && why != "blocked: a newer version of it is here" {
			t.Errorf("%q: OK %v %q, want %v", x.e.Content(), ok, why, x.want)
		}
	}
	for filter, want := range map[string]string{
		`{"kinds":[0]}`:               "profile 2 ben's",
		`{"kinds":[3]}`:               "contacts 2",
		`{"kinds":[10002]}`:           "relays 3",
		`{"kinds":[30023]}`:           "empty d article x 2 article y",
		`{"kinds":[30023],"#d":[""]}`: "empty d",
	} {
		if got := strings.Join(c.find(filter), " "); got != want {
			t.Errorf("%s brought %q, want %q", filter, got, want)
		}
	}
	// Ephemeral events reach who listens, and nobody later.
	ben := w.connectAs(t, "ben")
	ben.req("s", `{"kinds":[20001]}`)
	c.posted(sign(key("ana"), mesh.Draft{CreatedAt: now(), Kind: 20001, Content: "typing"}))
	if m := ben.next(); m[0] != "EVENT" || m[2].(map[string]any)["content"] != "typing" {
		t.Errorf("live came %v", m)
	}
	if got := c.find(`{"kinds":[20001]}`); len(got) != 0 {
		t.Errorf("stored is %q, want nothing", got)
	}
}

func TestDeletion(t *testing.T) {
	w := newDiskWorld(t, nil)
	ana, ben := w.connectAs(t, "ana"), w.connectAs(t, "ben")
	e, f := note("ana", "regretted"), note("ana", "stays")
	ana.posted(e)
	ana.posted(f)
	del := func(name string, tags ...[]string) *mesh.Event {
		return sign(key(name), mesh.Draft{CreatedAt: now(), Kind: mesh.KindDeletion, Tags: tags, Content: "del by " + name})
	}
	ben.posted(del("ben", []string{"e", e.ID().String()}, []string{"e", f.ID().String()}))
	if got := ana.find(`{"kinds":[1]}`); len(got) != 2 {
		t.Errorf("after another's deletion there is %q", got)
	}
	ana.posted(del("ana", []string{"e", e.ID().String()}))
	if got := ana.find(`{"kinds":[1]}`); !slices.Equal(got, []string{"stays"}) {
		t.Errorf("after its author's deletion there is %q", got)
	}
	if ok, why := ben.post(e); ok || why != "blocked: its author deleted it" {
		t.Errorf("a deleted event was answered with %v %q", ok, why)
	}
	// One that comes after its own deletion, too.
	late := note("ana", "late")
	ana.posted(del("ana", []string{"e", late.ID().String()}))
	if ok, why := ana.post(late); ok || why != "blocked: its author deleted it" {
		t.Errorf("an event after its deletion was answered with %v %q", ok, why)
	}
	if got := ana.find(`{"kinds":[1]}`); !slices.Equal(got, []string{"stays"}) {
		t.Errorf("in the end there is %q", got)
	}
}

func TestExpiry(t *testing.T) {
	var ahead atomic.Int64
	s := storetest.NewMemory(func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
	w := newWorldOn(t, s, func(context.Context) error { return nil }, nil)
	c := w.connectAs(t, "ana")
	c.posted(note("ana", "short", []string{"expiration", fmt.Sprint(now() + 100)}))
	c.posted(note("ana", "long", []string{"expiration", fmt.Sprint(now() + 1000)}))
	if got := c.find(`{"kinds":[1]}`); len(got) != 2 {
		t.Fatalf("before it expires there is %q", got)
	}
	ahead.Store(int64(200 * time.Second))
	if got := c.find(`{"kinds":[1]}`); !slices.Equal(got, []string{"long"}) {
		t.Errorf("afterwards there is %q", got)
	}
	if got := c.ask(`["COUNT","c",{"kinds":[1]}]`); words(got) != "COUNT c map[count:1]" {
		t.Errorf("counted %v", got)
	}
}

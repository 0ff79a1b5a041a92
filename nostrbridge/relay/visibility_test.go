package relay

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	"drey/mesh"
)

// Whoever asks, by whatever path: REQ of what is stored, REQ of what comes in,
// and COUNT show the same, and that is what mesh.Visible says.
func TestVisibilityByEveryPath(t *testing.T) {
	w := newDiskWorld(t, nil)
	post := w.connectAs(t, "ana")
	water := sign(key("ana"), mesh.Draft{CreatedAt: now(), Kind: mesh.KindTopic, Tags: [][]string{{"d", "water"}}})
	post.posted(water)
	wrap := func(seed, to string) *mesh.Event {
		return sign(key(seed), mesh.Draft{CreatedAt: now() - 2*86400 + 100, Kind: mesh.KindGiftWrap, Tags: [][]string{{"p", keyHex(to)}}, Content: "wrap to " + to})
	}
	events := func(round string) []*mesh.Event {
		return []*mesh.Event{
			note("ana", "open", []string{"t", "commons"}, []string{"r", round}),
			note("ana", "inside", []string{"t", "water"}, []string{"r", round}),
			note("ana", "protected", []string{"-"}, []string{"r", round}),
			wrap("once "+round+" a", "ben"),
			wrap("once "+round+" b", "ana"),
		}
	}
	for _, e := range events("stored") {
		post.posted(e)
	}
	readers := []struct {
		name string
		dial func(*testing.T) *client
		want string
	}{
		{"stranger", func(t *testing.T) *client { return w.connect(t) }, "open"},
		{"stranger with a key", func(t *testing.T) *client { return w.connectAs(t, "carl") }, "open"},
		{"member", func(t *testing.T) *client { return w.connectAs(t, "ben") }, "inside open protected wrap to ben"},
		{"author of the wraps' like", func(t *testing.T) *client { return w.connectAs(t, "once stored a") }, "open"},
		{"two keys", func(t *testing.T) *client { c := w.connectAs(t, "ben"); c.auth("ana"); return c }, "inside open protected wrap to ana wrap to ben"},
		{"app", func(t *testing.T) *client { return w.dial(t, http.Header{"Origin": {"capacitor://localhost"}}) }, "open"},
		{"website with a stranger's key", func(t *testing.T) *client {
			c := w.dial(t, http.Header{"Origin": {"http://evil.example"}})
			c.auth("carl")
			return c
		}, ""},
		{"website with a member's key", func(t *testing.T) *client {
			c := w.dial(t, http.Header{"Origin": {"http://evil.example"}})
			c.auth("ben")
			return c
		}, "inside open protected wrap to ben"},
	}
	const filter = `{"kinds":[1,1059]}`
	clients := make([]*client, len(readers))
	for i, r := range readers {
		t.Run("stored/"+r.name, func(t *testing.T) {
			c := r.dial(t)
			if got := sorted(c.find(filter)); got != r.want {
				t.Errorf("REQ brought %q, want %q", got, r.want)
			}
			for _, f := range []string{`{}`, `{"limit":500}`, fmt.Sprintf(`{"#p":["%s","%s"]}`, keyHex("ana"), keyHex("ben")), `{"authors":["` + keyHex("ana") + `"]}`, `{"#r":["stored"]}`} {
				for _, got := range c.find(f) {
					if !strings.Contains(" "+r.want+" ", " "+got+" ") && (got == "inside" || got == "protected" || strings.HasPrefix(got, "wrap")) {
						t.Errorf("%s brought %q", f, got)
					}
				}
			}
		})
		t.Run("count/"+r.name, func(t *testing.T) {
			want := 0
			for _, text := range []string{"open", "inside", "protected", "wrap to ana", "wrap to ben"} {
				if strings.Contains(r.want, text) {
					want++
				}
			}
			if got := r.dial(t).ask(`["COUNT","c",` + filter + `]`); words(got) != fmt.Sprintf("COUNT c map[count:%d]", want) {
				t.Errorf("COUNT = %v, want %d", got, want)
			}
		})
		clients[i] = r.dial(t)
		clients[i].req("live", `{"kinds":[1,1059],"limit":0}`)
	}
	for _, e := range events("live") {
		post.posted(e)
	}
	w.settled(t)
	for i, r := range readers {
		t.Run("live/"+r.name, func(t *testing.T) {
			got := []string{}
			clients[i].send(`["REQ","fence",{"limit":0}]`) // answered after what came before it
			for {
				m := clients[i].next()
				if m[0] == "EOSE" {
					break
				}
				got = append(got, m[2].(map[string]any)["content"].(string))
			}
			if s := sorted(got); s != r.want {
				t.Errorf("live came %q, want %q", s, r.want)
			}
		})
	}
}

func sorted(s []string) string {
	slices.Sort(s)
	return strings.Join(s, " ")
}

// What is asked of private messages alone is refused by name, so that an app
// knows to show its key.
func TestPrivateMessagesNeedAuth(t *testing.T) {
	w := newWorld(t, nil)
	ana := fmt.Sprintf(`{"kinds":[1059],"#p":[%q]}`, keyHex("ana"))
	for _, verb := range []string{"REQ", "COUNT"} {
		stranger := w.connect(t)
		if got := words(stranger.ask(`["` + verb + `","x",` + ana + `]`)); !strings.HasPrefix(got, "CLOSED x auth-required: ") {
			t.Errorf("%s by nobody: %s", verb, got)
		}
		stranger.auth("carl")
		if got := words(stranger.ask(`["` + verb + `","x",` + ana + `]`)); !strings.HasPrefix(got, "CLOSED x restricted: ") {
			t.Errorf("%s by another: %s", verb, got)
		}
		stranger.auth("ana")
		if got := words(stranger.ask(`["` + verb + `","x",` + ana + `]`)); strings.HasPrefix(got, "CLOSED") {
			t.Errorf("%s by ana: %s", verb, got)
		}
	}
	web := w.dial(t, http.Header{"Origin": {"https://evil.example"}})
	if got := words(web.ask(`["REQ","x",{"kinds":[1]}]`)); !strings.HasPrefix(got, "CLOSED x auth-required: ") {
		t.Errorf("REQ by a website: %s", got)
	}
}

func TestAuth(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct {
		name string
		d    func(c *client) mesh.Draft
		want string
	}{
		{"another challenge", func(c *client) mesh.Draft { return authDraft(c.url, "guess") }, "invalid: it answers another challenge"},
		{"another relay", func(c *client) mesh.Draft { return authDraft("ws://evil.example/", c.challenge) }, "invalid: it is meant for another relay"},
		{"no relay", func(c *client) mesh.Draft { return authDraft("", c.challenge) }, "invalid: it is meant for another relay"},
		{"another kind", func(c *client) mesh.Draft { d := authDraft(c.url, c.challenge); d.Kind = 1; return d }, "invalid: AUTH takes kind 22242"},
		{"good", func(c *client) mesh.Draft { return authDraft(c.url, c.challenge) }, ""},
		{"good, with a clock that is wrong", func(c *client) mesh.Draft { d := authDraft(c.url, c.challenge); d.CreatedAt = 7; return d }, ""},
	} {
		cl := w.connect(t)
		got := cl.ask(`["AUTH",` + string(sign(key("ana"), c.d(cl)).AppendJSON(nil)) + `]`)
		if got[0] != "OK" || got[2] != (c.want == "") || !strings.HasPrefix(got[3].(string), c.want) {
			t.Errorf("%s: answered %v, want %q", c.name, got, c.want)
		}
	}
	c := w.connect(t)
	forged := string(sign(key("ana"), authDraft(c.url, c.challenge)).AppendJSON(nil))
	mine := sign(key("carl"), authDraft(c.url, c.challenge))
	i := strings.Index(forged, `"sig":"`) + 7
	if got := c.ask(`["AUTH",` + forged[:i] + mine.Sig().String() + `"}]`); got[2] != false || !strings.HasPrefix(got[3].(string), "invalid: signature") {
		t.Errorf("a forged AUTH was answered with %v", got)
	}
	w.ban("ben")
	if got := c.ask(`["AUTH",` + string(sign(key("ben"), authDraft(c.url, c.challenge)).AppendJSON(nil)) + `]`); got[2] != false || !strings.HasPrefix(got[3].(string), "blocked:") {
		t.Errorf("the AUTH of one who is banned was answered with %v", got)
	}
}

func authDraft(relay, challenge string) mesh.Draft {
	return mesh.Draft{CreatedAt: now(), Kind: kindAuth, Tags: [][]string{{"relay", relay}, {"challenge", challenge}}}
}

// A ban reaches connections that stand: the next event is not theirs.
func TestBanEndsWhatAMemberSees(t *testing.T) {
	w := newWorld(t, nil)
	ana, ben := w.connectAs(t, "ana"), w.connectAs(t, "ben")
	ana.posted(sign(key("ana"), mesh.Draft{CreatedAt: now(), Kind: mesh.KindTopic, Tags: [][]string{{"d", "water"}}}))
	ben.req("s", `{"kinds":[1]}`)
	ana.posted(note("ana", "before", []string{"t", "water"}))
	if m := ben.next(); m[0] != "EVENT" {
		t.Fatalf("before the ban came %v", m)
	}
	changed := w.front.roster.Load()
	w.ban("ben")
	for w.front.roster.Load() == changed { // the relay hears of it by itself
		runtime.Gosched()
	}
	ana.posted(note("ana", "after", []string{"t", "water"}))
	ana.posted(note("ana", "for all"))
	if m := ben.next(); m[2].(map[string]any)["content"] != "for all" {
		t.Errorf("after the ban came %v", m)
	}
	if got := ben.find(`{"#t":["water"]}`); len(got) != 0 {
		t.Errorf("after the ban REQ brings %q", got)
	}
	if ok, why := ben.post(note("ben", "still here")); ok || !strings.HasPrefix(why, "blocked: ") {
		t.Errorf("a banned author was answered with %v %q", ok, why)
	}
}

func TestGuests(t *testing.T) {
	w := newWorld(t, nil)
	c := w.connect(t)
	c.posted(note("carl", "I am new"))
	if s := w.node.Standing(key("carl").PubKey()); s != mesh.Guest {
		t.Errorf("carl is %s after his first note, want guest", s)
	}
	passes := len(w.book.Passes(now().Time()))
	c.posted(note("carl", "again"))
	if n := len(w.book.Passes(now().Time())); n != passes || n != 1 {
		t.Errorf("there are %d passes, want 1", n)
	}
	for r, err := range w.node.Records(context.Background(), mesh.Filter{Authors: []mesh.PubKey{key("carl").PubKey()}}, mesh.Self) {
		if err != nil || r.Flags&mesh.FlagGuest == 0 || r.Carrier != "relay" {
			t.Errorf("kept as %+v, %v; want a guest's, from the relay", r, err)
		}
	}
	ana := w.connectAs(t, "ana")
	ana.posted(sign(key("ana"), mesh.Draft{CreatedAt: now(), Kind: mesh.KindTopic, Tags: [][]string{{"d", "water"}}}))
	inside := note("ana", "inside", []string{"t", "water"})
	ana.posted(inside)
	kind := func(k mesh.Kind, tags ...[]string) *mesh.Event {
		return sign(key("carl"), mesh.Draft{CreatedAt: now(), Kind: k, Tags: tags, Content: "x"})
	}
	for _, x := range []struct {
		name string
		e    *mesh.Event
		want string
	}{
		{"another topic", note("carl", "x", []string{"t", "water"}), "restricted: topic water is not open to guests"},
		{"an answer in another topic", note("carl", "x", []string{"e", inside.ID().String()}), "restricted: topic water is not open to guests"},
		{"a topic of his own", kind(mesh.KindTopic, []string{"d", "mine"}), "restricted: guests decide nothing"},
		{"a decision", kind(mesh.KindRoster, []string{"op", "ban"}), "restricted: guests decide nothing"},
		{"a pass", kind(mesh.KindPass, []string{"op", "pass"}), "restricted: guests decide nothing"},
		{"too large", note("carl", strings.Repeat("x", 9000)), "restricted: the event is larger than guests may write"},
		{"protected, without showing his key", note("carl", "x", []string{"-"}), "auth-required: a protected event"},
		{"a forged stranger", forge("dora"), "invalid: signature"},
		{"mail for nobody", sign(key("once"), mesh.Draft{CreatedAt: now(), Kind: mesh.KindGiftWrap, Tags: [][]string{{"p", keyHex("nobody")}}}), "restricted: "},
	} {
		if ok, why := c.post(x.e); ok || !strings.HasPrefix(why, x.want) {
			t.Errorf("%s: OK %v %q, want %q", x.name, ok, why, x.want)
		}
	}
	for _, e := range []*mesh.Event{
		kind(mesh.KindProfile), kind(mesh.KindRelayList), kind(mesh.KindDeletion, []string{"e", inside.ID().String()}),
		note("carl", "x", []string{"t", "alerts"}),
		sign(key("once"), mesh.Draft{CreatedAt: now() - 2*86400, Kind: mesh.KindGiftWrap, Tags: [][]string{{"p", keyHex("ana")}}}),
	} {
		c.posted(e)
	}
	if w.node.Standing(key("dora").PubKey()) != mesh.Stranger {
		t.Error("a forged note got its alleged author a pass")
	}
}

// forge returns a note whose signature is another's.
func forge(name string) *mesh.Event {
	e := note(name, "forged")
	f, err := mesh.NewEvent(e.Author(), note("carl", "other").Sig(), e.Draft())
	if err != nil {
		panic(err)
	}
	return f
}

func TestWithoutPassesOnlyMembersWrite(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Welcome = false })
	c := w.connect(t)
	if ok, why := c.post(note("carl", "x")); ok || why != "restricted: only members write here" {
		t.Errorf("a stranger: %v %q", ok, why)
	}
	c.posted(note("ana", "whoever brings it"))
	web := newWorld(t, nil).dial(t, http.Header{"Origin": {"https://evil.example"}})
	if ok, why := web.post(note("carl", "x")); ok || why != "restricted: only members write here" {
		t.Errorf("a website: %v %q", ok, why)
	}
}

// A household, or a school, has one address: its phones have an allowance each,
// and new guests one together that is large.
func TestPassesAreBounded(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.PassBurst = 3 })
	for i := range 5 {
		c := w.connect(t)
		ok, why := c.post(note(fmt.Sprint("guest ", i), "hello"))
		if want := i < 3; ok != want || !ok && !strings.HasPrefix(why, "rate-limited: too many new guests") {
			t.Errorf("guest %d: %v %q", i, ok, why)
		}
	}
	w.connect(t).posted(note("guest 0", "who has a pass goes on"))
	w.connect(t).posted(note("ana", "and members, too"))
}

// An app may know the machine by another name than the one it connected to, and
// by either scheme.
func TestAuthNamesThisMachine(t *testing.T) {
	f, _ := bareFront(t, Limits{})
	f.config.Ours = func(host string) bool { return host == "school.local" || host == "2001:db8::1" }
	for _, c := range []struct {
		connected, relay string
		want             bool
	}{
		{"192.0.2.1:3739", "ws://192.0.2.1:3739", true},
		{"192.0.2.1:3739", "wss://192.0.2.1:3739/", true},
		{"192.0.2.1:3739", "WSS://School.Local:3739/path", true},
		{"192.0.2.1:3739", "wss://[2001:db8::1]:3739", true},
		{"[2001:db8::1]:3739", "ws://[2001:DB8::1]:3739", true},
		{"relay.example", "wss://relay.example", true},
		{"relay.example", "wss://relay.example:443/", true},
		{"relay.example:443", "wss://relay.example", true},
		{"relay.example:80", "ws://relay.example/", true},
		{"192.0.2.1:3739", "ws://school.local:7777", false},
		{"192.0.2.1:3739", "ws://school.local", false},
		{"192.0.2.1:3739", "ws://192.0.2.2:3739", false},
		{"192.0.2.1:3739", "http://192.0.2.1:3739", false},
		{"192.0.2.1:3739", "ws://192.0.2.1:3739@evil.example", false},
		{"192.0.2.1:3739", "ws://school.local.evil.example:3739", false},
		{"192.0.2.1:3739", "%zz", false},
		{"192.0.2.1:3739", "", false},
	} {
		if got := (&conn{front: f, host: c.connected}).here(c.relay); got != c.want {
			t.Errorf("connected to %s, signed for %s: %v, want %v", c.connected, c.relay, got, c.want)
		}
	}
}

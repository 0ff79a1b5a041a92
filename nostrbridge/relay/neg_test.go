package relay

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/mesh/negentropy"
)

// negOpen begins a reconciliation and returns the answer.
func (c *client) negOpen(id, filter string, set *negentropy.Set) (*negentropy.Asker, []any) {
	c.t.Helper()
	ask, m := negentropy.Ask(set, 30<<10, 100_000)
	return ask, c.ask(fmt.Sprintf(`["NEG-OPEN",%q,%s,"%x"]`, id, filter, m))
}

// reconcile returns what the relay has of a filter and set lacks, and the other
// way round.
func (c *client) reconcile(filter string, set *negentropy.Set) (need []mesh.EventID, have []mesh.Item) {
	c.t.Helper()
	ask, got := c.negOpen("neg", filter, set)
	for {
		if got[0] != "NEG-MSG" || got[1] != "neg" {
			c.t.Fatalf("%s: answered %v", filter, got)
		}
		b, err := hex.DecodeString(got[2].(string))
		if err != nil {
			c.t.Fatal(err)
		}
		m, err := ask.Next(b)
		if err != nil {
			c.t.Fatal(err)
		}
		if m == nil {
			c.send(`["NEG-CLOSE","neg"]`)
			return ask.Need, ask.Have
		}
		got = c.ask(fmt.Sprintf(`["NEG-MSG","neg","%x"]`, m))
	}
}

func setOf(events ...*mesh.Event) *negentropy.Set {
	s := &negentropy.Set{}
	for _, e := range events {
		s.Add(mesh.Item{CreatedAt: e.CreatedAt(), ID: e.ID()})
	}
	s.Seal()
	return s
}

func TestReconcile(t *testing.T) {
	w := newDiskWorld(t, generous)
	c := w.connectAs(t, "ana")
	var theirs, ours []*mesh.Event
	for i := range 300 {
		e := at("ana", now()-mesh.Unix(i/3), fmt.Sprint(i)) // three in a second
		if i%10 != 3 {
			c.posted(e)
		}
		if i%7 != 2 {
			theirs = append(theirs, e)
		}
		ours = append(ours, e)
	}
	need, have := c.reconcile(`{"kinds":[1],"authors":["`+keyHex("ana")+`"]}`, setOf(theirs...))
	var wantNeed, wantHave []string
	for i, e := range ours {
		switch posted, known := i%10 != 3, i%7 != 2; {
		case posted && !known:
			wantNeed = append(wantNeed, e.ID().String())
		case known && !posted:
			wantHave = append(wantHave, e.ID().String())
		}
	}
	var gotNeed, gotHave []string
	for _, id := range need {
		gotNeed = append(gotNeed, id.String())
	}
	for _, it := range have {
		gotHave = append(gotHave, it.ID.String())
	}
	for _, list := range [][]string{gotNeed, gotHave, wantNeed, wantHave} {
		slices.Sort(list)
	}
	if !slices.Equal(gotNeed, wantNeed) || !slices.Equal(gotHave, wantHave) {
		t.Errorf("need %d and have %d, want %d and %d", len(gotNeed), len(gotHave), len(wantNeed), len(wantHave))
	}
	// A filter's limit counts, beyond what a REQ brings too.
	if need, _ := c.reconcile(`{"kinds":[1],"limit":5}`, setOf()); len(need) != 5 {
		t.Errorf("with a limit of 5: %d ids", len(need))
	}
	if need, _ := c.reconcile(`{"kinds":[1],"search":"29"}`, setOf()); len(need) != 12 { // 29, 129, 229, 290 to 299 without 293
		t.Errorf("with a search: %d ids", len(need))
	}
	if s := w.front.Stats(); s.Recons != 3 {
		t.Errorf("Stats = %+v, want 3 reconciliations", s)
	}
}

// What deletions and newer versions took away is not offered, nor what was
// never kept; nobody learns of others' mail, or of its recipients.
func TestReconcileShowsWhatREQShows(t *testing.T) {
	w := newDiskWorld(t, nil)
	post := w.connectAs(t, "ana")
	gone := note("ana", "gone")
	for _, e := range []*mesh.Event{
		note("ana", "open"),
		note("ana", "protected", []string{"-"}),
		sign(key("ana"), mesh.Draft{CreatedAt: now(), Kind: 33739, Tags: [][]string{{"d", "water"}}}),
		sign(key("once a"), mesh.Draft{CreatedAt: now() - 86400, Kind: 1059, Tags: [][]string{{"p", keyHex("ben")}}, Content: "to ben"}),
		gone,
		sign(key("ana"), mesh.Draft{CreatedAt: now(), Kind: 5, Tags: [][]string{{"e", gone.ID().String()}}}),
		sign(key("ana"), mesh.Draft{CreatedAt: now() - 1, Kind: 0, Content: `{"name":"old"}`}),
		sign(key("ana"), mesh.Draft{CreatedAt: now(), Kind: 0, Content: `{"name":"new"}`}),
	} {
		post.posted(e)
	}
	for name, dial := range map[string]func() *client{
		"stranger":  func() *client { return w.connect(t) },
		"member":    func() *client { return w.connectAs(t, "ana") },
		"recipient": func() *client { return w.connectAs(t, "ben") },
		"other site": func() *client {
			c := w.dial(t, http.Header{"Origin": {"http://evil.example"}})
			c.auth("carl")
			return c
		},
	} {
		for _, filter := range []string{
			`{"kinds":[0,1,5,1059]}`, `{"kinds":[0,1,5,1059],"#p":["` + keyHex("ben") + `"]}`, `{"kinds":[0,1,5,1059],"authors":["` + keyHex("once a") + `"]}`,
		} {
			c := dial()
			c.send(`["REQ","s",` + filter + `]`)
			var want, got []string
			for m := c.next(); m[0] != "EOSE"; m = c.next() {
				want = append(want, m[2].(map[string]any)["id"].(string))
			}
			need, _ := c.reconcile(filter, setOf())
			for _, id := range need {
				got = append(got, id.String())
			}
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s, %s: reconciliation offers %d, REQ %d", name, filter, len(got), len(want))
			}
		}
	}
	private := `{"kinds":[1059],"#p":["` + keyHex("ben") + `"]}`
	if _, got := w.connect(t).negOpen("n", private, setOf()); !strings.HasPrefix(words(got), "NEG-ERR n auth-required: ") {
		t.Errorf("mail, by nobody: %v", got)
	}
	if _, got := w.connectAs(t, "ana").negOpen("n", private, setOf()); !strings.HasPrefix(words(got), "NEG-ERR n restricted: ") {
		t.Errorf("mail, by another: %v", got)
	}
	if need, _ := w.connectAs(t, "ben").reconcile(private, setOf()); len(need) != 1 {
		t.Errorf("mail, by its recipient: %d ids", len(need))
	}
}

func TestReconcileLimits(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Limits.NegItems, c.Limits.NegItemsAll, c.Limits.NegEach, c.Limits.AskBurst = 20, 50, 3, 10_000
	})
	c := w.connectAs(t, "ana")
	for i := range 21 {
		c.posted(note("ana", fmt.Sprint(i)))
	}
	open := func(c *client, id, filter, want string) {
		t.Helper()
		if _, got := c.negOpen(id, filter, setOf()); !strings.HasPrefix(words(got), want) {
			t.Errorf("%s %s: %v, want %s", id, filter, got, want)
		}
	}
	const twenty = `{"kinds":[1],"limit":20}`
	open(c, "big", `{"kinds":[1]}`, "NEG-ERR big blocked: this query is too big 20")
	open(c, "a", twenty, "NEG-MSG a ")
	open(c, "a", twenty, "NEG-MSG a ") // in the place of the first
	open(c, "b", twenty, "NEG-MSG b ")
	open(c, "c", `{"kinds":[1],"limit":1}`, "NEG-ERR c blocked: too many reconciliations on one connection")
	other := w.connectAs(t, "ana")
	open(other, "d", `{"kinds":[1],"limit":1}`, "NEG-ERR d blocked: too many reconciliations of one key")
	ben := w.connectAs(t, "ben")
	open(ben, "e", twenty, "NEG-ERR e error: the node has no room for more reconciliations")
	open(ben, "e", `{"kinds":[1],"limit":10}`, "NEG-MSG e ")
	c.send(`["NEG-CLOSE","a"]`)
	c.ask(`["COUNT","fence",{"kinds":[9]}]`)
	open(other, "d", twenty, "NEG-MSG d ")
	var strangers []*client
	for i := range 4 {
		strangers = append(strangers, w.connect(t))
		open(strangers[i], "s", `{"kinds":[9]}`, []string{"NEG-MSG", "NEG-MSG", "NEG-MSG", "NEG-ERR s blocked: too many reconciliations from your address"}[i])
	}
	for _, c := range append(strangers, c, other, ben) {
		c.ws.CloseNow()
	}
	for w.front.Stats().Conns > 0 {
		runtime.Gosched()
	}
	if r := w.front.recons; r.mu.items != 0 || len(r.mu.keys) != 0 || len(r.mu.addrs) != 0 {
		t.Errorf("after all connections: %+v", &r.mu)
	}
}

// A reconciliation ends when who may see what has changed, and when its client
// has gone to sleep.
func TestReconcileEnds(t *testing.T) {
	w := newWorld(t, nil)
	c := w.connectAs(t, "ana")
	c.posted(note("ana", "hello"))
	c.negOpen("n", `{"kinds":[1]}`, setOf())
	changed := w.front.roster.Load()
	w.ban("ben")
	for w.front.roster.Load() == changed {
		runtime.Gosched()
	}
	if got := words(c.ask(`["NEG-MSG","n","61"]`)); !strings.HasPrefix(got, "NEG-ERR n closed: who may read what has changed") {
		t.Errorf("after a ban: %s", got)
	}
	if got := words(c.ask(`["NEG-MSG","n","61"]`)); !strings.HasPrefix(got, "NEG-ERR n closed: no reconciliation of this name is open") {
		t.Errorf("after its end: %s", got)
	}
}

func TestReconcileIdles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := bareFront(t, Limits{})
		f.mu.ctx = t.Context()
		c := &conn{front: f, addr: addrOf("[::1]:1")}
		if _, err := f.enter(c); err != nil {
			t.Fatal(err)
		}
		_, ask := negentropy.Ask(setOf(), 30<<10, 10)
		l := Limits{}.filled()
		m, err := parse(fmt.Appendf(nil, `["NEG-OPEN","n",{"kinds":[1]},"%x"]`, ask), &l)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.negOpen(m); err != nil {
			t.Fatal(err)
		}
		time.Sleep(negIdle - time.Second)
		if err := c.negNext(&message{id: "n", neg: "61"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(negIdle - time.Second)
		synctest.Wait()
		c.mu.Lock()
		if len(c.mu.recons) != 1 {
			t.Error("it ended though it was used")
		}
		c.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if last := c.out.mu.frames[len(c.out.mu.frames)-1]; len(c.mu.recons) != 0 || len(f.recons.mu.addrs) != 0 ||
			string(last.body) != `["NEG-ERR","n","closed: you took too much time"]` {
			t.Errorf("%d are open, last said %s", len(c.mu.recons), last.body)
		}
	})
}

// What no client would say is answered with words, and others are not harmed.
func TestHostileReconcilers(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		still(c)
		c.Limits.AskBurst = 1 << 20
	})
	good := w.connectAs(t, "ana")
	for i := range 50 {
		good.posted(note("ana", fmt.Sprint(i)))
	}
	for name, c := range map[string]struct{ say, want string }{
		"no digits":         {`["NEG-OPEN","n",{},"xyz"]`, "NEG-ERR n invalid: the message is not hexadecimal"},
		"nothing":           {`["NEG-OPEN","n",{},""]`, "NEG-ERR n invalid: the message is not hexadecimal"},
		"no message":        {`["NEG-OPEN","n",{}]`, "NEG-ERR n invalid: a reconciliation speaks in hexadecimal digits"},
		"no filter":         {`["NEG-OPEN","n"]`, "NEG-ERR n invalid: filter 1"},
		"older form":        {`["NEG-OPEN","n",{},16,"61"]`, "NEG-ERR n invalid: a reconciliation speaks in hexadecimal digits"},
		"next version":      {`["NEG-OPEN","n",{},"62000000"]`, "NEG-MSG n 61"},
		"no version":        {`["NEG-OPEN","n",{},"00"]`, "NEG-ERR n invalid: malformed reconciliation message"},
		"ids without bytes": {`["NEG-OPEN","n",{},"61000002ff7f"]`, "NEG-ERR n invalid: malformed reconciliation message"},
		"not open":          {`["NEG-MSG","m","61"]`, "NEG-ERR m closed: no reconciliation of this name is open"},
		"no name":           {`["NEG-OPEN"]`, "NOTICE invalid: NEG-OPEN without a subscription"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := words(w.connect(t).ask(c.say)); !strings.HasPrefix(got, c.want) {
				t.Errorf("%s: %s, want %s", c.say, got, c.want)
			}
		})
	}
	// Bytes without a meaning, again and again, end the connection like any others.
	bad := w.connect(t)
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; ; i++ {
		b := make([]byte, 1+r.IntN(200))
		for j := range b {
			b[j] = byte(r.Uint32())
		}
		bad.send(fmt.Sprintf(`["NEG-OPEN","n",{},"00%x"]`, b))
		if _, err := bad.read(); err != nil {
			if i != faultBurst {
				t.Errorf("the connection ended after %d faults: %v", i, err)
			}
			break
		}
	}
	if need, _ := good.reconcile(`{"kinds":[1]}`, setOf()); len(need) != 50 {
		t.Errorf("meanwhile another finds %d of 50", len(need))
	}
}

// Many begin at a time: memory stays within the bound, and everything is given
// back.
func TestManyReconcilers(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.NegItemsAll = 100 })
	c := w.connectAs(t, "ana")
	for i := range 40 {
		c.posted(note("ana", fmt.Sprint(i)))
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	served := 0
	for range 8 {
		c := w.connect(t)
		wg.Go(func() {
			if _, got := c.negOpen("n", `{"kinds":[1]}`, setOf()); got[0] == "NEG-MSG" {
				mu.Lock()
				served++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if served < 1 || served > 2 {
		t.Errorf("%d of 8 were served at a time, want 1 or 2", served)
	}
}

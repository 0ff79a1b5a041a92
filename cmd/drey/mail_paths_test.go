package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"drey/mesh"
	"drey/mesh/negentropy"
	"drey/nostrbridge/mail"
	"drey/web"
)

// TestWhoSeesMail asks a whole node for mail by every path that reads, as
// everybody who may ask: nobody but its reader sees or counts a gift wrap, and
// nobody at all what machines write to each other.
func TestWhoSeesMail(t *testing.T) {
	t.Parallel()
	n := settleNode(t, "school", nil)
	defer n.end()
	named := func(name string) *mesh.SecretKey {
		k, err := mesh.NewSecretKey(sha256.Sum256([]byte(name)))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for _, name := range []string{"ana", "ben"} {
		n.decide(t, web.MemberChange{Op: web.OpAdmit, Who: named(name).PubKey().NPub(), Name: name})
	}
	ben := named("ben").PubKey()
	sent, err := n.mail.Send(t.Context(), mail.Post{To: []mesh.PubKey{ben}, Text: "sealed"})
	if err != nil {
		t.Fatal(err)
	}
	wrap := sent.Wraps[0].ID
	secret := map[mesh.EventID]string{wrap: "wrap to ben"}
	for _, d := range []mesh.Draft{{Kind: mesh.KindLetter, Content: "sealed letter"}, {Kind: mesh.KindTaken, Content: "sealed", Tags: [][]string{{"e", wrap.String()}}},
		{Kind: mesh.KindOutward, Content: "sealed", Tags: [][]string{{"p", ben.String()}}}} {
		r, err := (mailNode{n.parts}).Publish(t.Context(), mesh.TopicMail, d)
		if err != nil {
			t.Fatal(err)
		}
		secret[r.Event.ID()] = fmt.Sprintf("kind %d", d.Kind)
	}
	for r, err := range n.store.Records(t.Context(), mesh.Filter{Topics: []mesh.Topic{mesh.TopicMail}}, mesh.Self) {
		if err != nil {
			t.Fatal(err)
		}
		if secret[r.Event.ID()] == "" {
			secret[r.Event.ID()] = "wrap to school"
		}
	}
	if len(secret) != 5 {
		t.Fatalf("the node holds %v", secret)
	}
	var ids []string
	for id := range secret {
		ids = append(ids, fmt.Sprintf("%q", id))
	}
	filters := []string{
		`{}`, `{"kinds":[1059,3742,3744,3746]}`, `{"kinds":[1,1059]}`, `{"kinds":[1059],"#p":["` + ben.String() + `"]}`, `{"#p":["` + ben.String() + `"]}`,
		`{"ids":[` + strings.Join(ids, ",") + `]}`, `{"#e":["` + wrap.String() + `"]}`, `{"authors":["` + n.who.Author.PubKey().String() + `"]}`,
		`{"search":"sealed"}`, `{"kinds":[3742,3744,3746]}`,
	}
	open := func(t *testing.T, who string) *nostrApp {
		var key *mesh.SecretKey
		if who != "" {
			key = named(who)
		}
		return openApp(t, n.web.Listening().String(), key)
	}
	paths := map[string]func(t *testing.T, who string) []mesh.EventID{
		"subscription": func(t *testing.T, who string) (seen []mesh.EventID) {
			app := open(t, who)
			for _, f := range filters {
				seen = append(seen, app.find(f)...)
			}
			return seen
		},
		"negentropy": func(t *testing.T, who string) (seen []mesh.EventID) {
			app := open(t, who)
			for _, f := range filters {
				if !strings.Contains(f, "search") { // it has no set of its own
					seen = append(seen, app.reconcile(f)...)
				}
			}
			return seen
		},
	}
	for path, look := range paths {
		for who, want := range map[string][]string{"": nil, "carl": nil, "ana": nil, "ben": {"wrap to ben"}} {
			t.Run(path+"/"+who, func(t *testing.T) {
				var got []string
				for _, id := range look(t, who) {
					if s := secret[id]; s != "" && !slices.Contains(got, s) {
						got = append(got, s)
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("%q sees %q, want %q", who, got, want)
				}
			})
		}
	}
	for who, want := range map[string]int{"": 0, "carl": 0, "ana": 0, "ben": 1} {
		t.Run("count/"+who, func(t *testing.T) {
			app := open(t, who)
			for _, f := range []string{`{"kinds":[1059,3742,3744,3746]}`, `{"kinds":[1059],"#p":["` + ben.String() + `"]}`, `{"ids":[` + strings.Join(ids, ",") + `]}`} {
				if got := app.count(f); got != want && got != -1 {
					t.Errorf("%q counts %d by %s, want %d", who, got, f, want)
				}
			}
		})
	}
	t.Run("api", func(t *testing.T) {
		for _, path := range []string{"/v1/events?since=all", "/v1/events?since=all&kind=1059", "/v1/events?since=all&topic=mail", "/v1/inbox", "/v1/messages/" + wrap.String(), "/v1/messages/" + sent.ID().String(), "/v1/messages/" + wrap.String()[:8], "/?topic=mail", "/metrics"} {
			r, err := http.Get("http://" + n.web.Listening().String() + path)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			for id, what := range secret {
				if strings.Contains(string(b), id.String()) && r.StatusCode == http.StatusOK {
					t.Errorf("a guest sees %s at %s", what, path)
				}
			}
			if strings.Contains(string(b), "sealed") {
				t.Errorf("a guest reads the text at %s: %s", path, b)
			}
		}
	})
	t.Run("export", func(t *testing.T) {
		c := web.NewClient(string(n.home))
		defer c.Close()
		for r, err := range c.Messages(t.Context(), web.Following{Since: "all"}) {
			if err != nil {
				t.Fatal(err)
			}
			if what := secret[r.Event.ID()]; what != "" && what != "wrap to school" {
				t.Errorf("the admin exports %s", what)
			}
		}
	})
	t.Run("sync", func(t *testing.T) {
		for name, v := range map[string]mesh.Viewer{"a neighbour of an open community": {Member: true}, "a guest": {Topics: []mesh.Topic{mesh.TopicMail}}} {
			for it, err := range n.store.Items(t.Context(), 0, 1<<32-1, v) {
				if err != nil {
					t.Fatal(err)
				}
				if what := secret[it.ID]; what != "" {
					t.Errorf("%s learns of %s", name, what)
				}
			}
		}
	})
}

// A nostrApp is a websocket at a node's relay.
type nostrApp struct {
	t  *testing.T
	ws *websocket.Conn
}

// openApp connects, and shows a key if there is one.
func openApp(t *testing.T, addr string, key *mesh.SecretKey) *nostrApp {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), "ws://"+addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(1 << 20)
	t.Cleanup(func() { ws.CloseNow() })
	a := &nostrApp{t, ws}
	hello := a.next()
	if key == nil {
		return a
	}
	e, err := key.Sign(mesh.Draft{CreatedAt: mesh.UnixOf(time.Now()), Kind: 22242, Tags: [][]string{{"relay", "ws://" + addr + "/"}, {"challenge", hello[1].(string)}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := a.ask(`["AUTH",` + string(e.AppendJSON(nil)) + `]`); got[0] != "OK" || got[2] != true {
		t.Fatalf("AUTH was answered with %v", got)
	}
	return a
}

func (a *nostrApp) next() []any {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), awaitPatience)
	defer cancel()
	_, b, err := a.ws.Read(ctx)
	if err != nil {
		a.t.Fatal(err)
	}
	var m []any
	if err := json.Unmarshal(b, &m); err != nil || len(m) < 2 {
		a.t.Fatal(errors.Join(err, fmt.Errorf("%s", b)))
	}
	return m
}

func (a *nostrApp) ask(text string) []any {
	a.t.Helper()
	if err := a.ws.Write(a.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		a.t.Fatal(err)
	}
	return a.next()
}

// find returns what is stored and matches; nothing where that is refused.
func (a *nostrApp) find(filter string) (ids []mesh.EventID) {
	a.t.Helper()
	m := a.ask(`["REQ","s",` + filter + `]`)
	for ; m[0] == "EVENT"; m = a.next() {
		id, err := mesh.ParseEventID(m[2].(map[string]any)["id"].(string))
		if err != nil {
			a.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if m[0] == "EOSE" {
		if err := a.ws.Write(a.t.Context(), websocket.MessageText, []byte(`["CLOSE","s"]`)); err != nil {
			a.t.Fatal(err)
		}
	}
	return ids
}

// count returns what COUNT tells, −1 where it is refused.
func (a *nostrApp) count(filter string) int {
	a.t.Helper()
	m := a.ask(`["COUNT","c",` + filter + `]`)
	if m[0] != "COUNT" {
		return -1
	}
	return int(m[2].(map[string]any)["count"].(float64))
}

// reconcile returns what the relay has of a filter; nothing where that is refused.
func (a *nostrApp) reconcile(filter string) []mesh.EventID {
	a.t.Helper()
	set := &negentropy.Set{}
	set.Seal()
	ask, question := negentropy.Ask(set, 30<<10, 100_000)
	m := a.ask(fmt.Sprintf(`["NEG-OPEN","n",%s,"%x"]`, filter, question))
	for m[0] == "NEG-MSG" {
		b, err := hex.DecodeString(m[2].(string))
		if err != nil {
			a.t.Fatal(err)
		}
		if question, err = ask.Next(b); err != nil {
			a.t.Fatal(err)
		}
		if question == nil {
			if err := a.ws.Write(a.t.Context(), websocket.MessageText, []byte(`["NEG-CLOSE","n"]`)); err != nil {
				a.t.Fatal(err)
			}
			break
		}
		m = a.ask(fmt.Sprintf(`["NEG-MSG","n","%x"]`, question))
	}
	return ask.Need
}

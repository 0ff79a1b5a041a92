package relay

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"drey/hub"
	"drey/mesh"
	"drey/mesh/roster"
	"drey/store"
	"drey/store/storetest"
)

// khatru, the yardstick of some benchmarks, leaves a goroutine behind.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/fiatjaf/khatru.(*expirationManager).start"))
}

// A world is a relay over a real hub and roster. The machine is the founder,
// ana and ben are members; everybody else is unknown.
type world struct {
	t     testing.TB
	hub   *hub.Hub
	book  *roster.Book
	node  *testNode
	front *Front
	url   string // ws://
}

// A testNode is what cmd/drey makes of a node's parts.
type testNode struct {
	mesh.Port
	w       *world
	archive mesh.Archive
	sync    func(context.Context) error
}

func (n *testNode) Flush(ctx context.Context) error { return n.sync(ctx) }
func (n *testNode) Records(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	return n.archive.Records(ctx, f, v)
}
func (n *testNode) Watch(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	return n.w.hub.Watch(ctx, f, v)
}
func (n *testNode) Topics() []mesh.Topic { return n.w.hub.Topics() }
func (n *testNode) Standing(k mesh.PubKey) mesh.Standing {
	return n.w.book.Standing(k, time.Now())
}
func (n *testNode) Changed() <-chan struct{} { return n.w.book.Changed() }
func (n *testNode) Welcome(ctx context.Context, guest mesh.PubKey) error {
	now := time.Now()
	d, err := n.w.book.DraftPass(guest, now.Add(time.Hour), 30, mesh.UnixOf(now))
	if err != nil {
		return err
	}
	_, err = n.w.hub.Publish(ctx, mesh.TopicRegistry, d, hub.Options{})
	return err
}

func key(name string) *mesh.SecretKey {
	k, err := mesh.NewSecretKey(sha256.Sum256([]byte(name)))
	if err != nil {
		panic(err)
	}
	return k
}

// newWorld makes a relay over a store in memory.
func newWorld(t testing.TB, change func(*Config)) *world {
	m := storetest.NewMemory(time.Now)
	return newWorldOn(t, m, func(context.Context) error { return nil }, change)
}

// newDiskWorld makes a relay over a real store.
func newDiskWorld(t testing.TB, change func(*Config)) *world {
	s, err := store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "drey.db")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("store ended with %v", err)
		}
		s.Close()
	})
	return newWorldOn(t, s, s.Sync, change)
}

func newWorldOn(t testing.TB, s hub.Store, sync func(context.Context) error, change func(*Config)) *world {
	w := &world{t: t}
	id, err := mesh.Seed{1}.Identity()
	if err != nil {
		t.Fatal(err)
	}
	self := id.Author
	community := mesh.Found(self.PubKey(), "Riverside", [32]byte{1})
	w.book = roster.New(community)
	w.hub, err = hub.New(hub.Config{
		Store: s, Roster: w.book, Signer: self, Clocks: func() hub.Clocks { return hub.Clocks{Synced: true} },
		Pass: func(guest mesh.PubKey, now time.Time) (mesh.PubKey, int, bool) {
			p, ok := w.book.Pass(guest, now)
			return p.Issuer, p.Rate, ok
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	record, err := id.SignPeerRecord(mesh.PeerRecord{Community: [8]byte(community.ID[:8])})
	if err != nil {
		t.Fatal(err)
	}
	e, err := roster.Found(id, &mesh.Membership{Community: community, Nonce: [32]byte{1}}, record, "school", mesh.UnixOf(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.hub.Accept(t.Context(), e, mesh.Origin{Topic: mesh.TopicRegistry, Durable: true}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ana", "ben"} {
		w.admit(name)
	}
	w.node = &testNode{Port: w.hub.Port("relay"), w: w, archive: s, sync: sync}
	c := Config{Node: w.node, Name: "school", Author: self.PubKey(), GuestTopics: []mesh.Topic{"commons", "alerts"}, Welcome: true}
	if change != nil {
		change(&c)
	}
	if w.front, err = New(c); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.front)
	w.url = "ws" + strings.TrimPrefix(server.URL, "http") + "/"
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.front.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
		server.Close()
	})
	return w
}

func (w *world) decide(d mesh.Draft) {
	w.t.Helper()
	if _, err := w.hub.Publish(context.Background(), mesh.TopicRegistry, d, hub.Options{}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) admit(name string) {
	w.t.Helper()
	d, err := w.book.DraftAdmitPerson(key(name).PubKey(), name, mesh.UnixOf(time.Now()))
	if err != nil {
		w.t.Fatal(err)
	}
	w.decide(d)
}

func (w *world) ban(name string) {
	w.t.Helper()
	d, err := w.book.DraftBan(roster.Subject{Author: key(name).PubKey()}, "test", mesh.UnixOf(time.Now()))
	if err != nil {
		w.t.Fatal(err)
	}
	w.decide(d)
}

// settled returns when what was posted before has gone to every connection: the
// relay spreads one event after the other, and an OK does not wait for that.
func (w *world) settled(t testing.TB) {
	t.Helper()
	c := w.connectAs(t, "ana")
	c.req("settled", `{"kinds":[9],"limit":0}`)
	last := sign(key("ana"), mesh.Draft{CreatedAt: now(), Kind: 9, Content: time.Now().String()})
	c.send(`["EVENT",` + string(last.AppendJSON(nil)) + `]`)
	for c.next()[0] != "EVENT" { // OK may come before it
	}
}

// still stops the relay's clock, so that no allowance comes back however long a
// test takes.
func still(c *Config) {
	at := time.Now()
	c.Clock = func() time.Time { return at }
}

// A client is a Nostr app.
type client struct {
	t         testing.TB
	ws        *websocket.Conn
	challenge string
	url       string
}

// dial connects an app; header may be nil.
func (w *world) dial(t testing.TB, header http.Header) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, w.url, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(1 << 20)
	c := &client{t: t, ws: ws, url: w.url}
	t.Cleanup(func() { ws.CloseNow() })
	got := c.next()
	if got[0] != "AUTH" {
		t.Fatalf("the relay began with %v, want AUTH", got)
	}
	c.challenge = got[1].(string)
	return c
}

func (w *world) connect(t testing.TB) *client { return w.dial(t, nil) }

// connectAs connects an app that shows the key of a name.
func (w *world) connectAs(t testing.TB, name string) *client {
	t.Helper()
	c := w.connect(t)
	c.auth(name)
	return c
}

func (c *client) auth(name string) {
	c.t.Helper()
	e := sign(key(name), mesh.Draft{CreatedAt: now(), Kind: kindAuth, Tags: [][]string{{"relay", c.url}, {"challenge", c.challenge}}})
	c.send(`["AUTH",` + string(e.AppendJSON(nil)) + `]`)
	if got := c.next(); got[0] != "OK" || got[2] != true {
		c.t.Fatalf("AUTH was answered with %v", got)
	}
}

func (c *client) send(text string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.ws.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) read() ([]any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, b, err := c.ws.Read(ctx)
	if err != nil {
		return nil, err
	}
	var m []any
	return m, json.Unmarshal(b, &m)
}

// next returns the next message of the relay.
func (c *client) next() []any {
	c.t.Helper()
	m, err := c.read()
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// ask sends a message and returns the answer.
func (c *client) ask(text string) []any {
	c.t.Helper()
	c.send(text)
	return c.next()
}

// post publishes an event and returns OK's verdict and reason.
func (c *client) post(e *mesh.Event) (bool, string) {
	c.t.Helper()
	got := c.ask(`["EVENT",` + string(e.AppendJSON(nil)) + `]`)
	if got[0] != "OK" || got[1] != e.ID().String() {
		c.t.Fatalf("EVENT was answered with %v", got)
	}
	return got[2].(bool), got[3].(string)
}

// posted publishes what must be taken.
func (c *client) posted(e *mesh.Event) {
	c.t.Helper()
	if ok, why := c.post(e); !ok {
		c.t.Fatalf("%.60q was refused: %s", e.Content(), why)
	}
}

// find returns the contents of what a REQ brings until EOSE.
func (c *client) find(filters ...string) []string {
	c.t.Helper()
	got, end := c.req("find", filters...)
	if end[0] != "EOSE" {
		c.t.Fatalf("%v ended with %v", filters, end)
	}
	c.send(`["CLOSE","find"]`)
	return got
}

// req subscribes and returns the contents of what is stored, and the message
// that ended it.
func (c *client) req(id string, filters ...string) (contents []string, end []any) {
	c.t.Helper()
	c.send(fmt.Sprintf(`["REQ",%q,%s]`, id, strings.Join(filters, ",")))
	contents = []string{}
	for {
		m := c.next()
		if m[0] != "EVENT" {
			return contents, m
		}
		contents = append(contents, m[2].(map[string]any)["content"].(string))
	}
}

func now() mesh.Unix { return mesh.UnixOf(time.Now()) }

func sign(k *mesh.SecretKey, d mesh.Draft) *mesh.Event {
	e, err := k.Sign(d)
	if err != nil {
		panic(err)
	}
	return e
}

// note signs a note of now.
func note(name, text string, tags ...[]string) *mesh.Event {
	return sign(key(name), mesh.Draft{CreatedAt: now(), Kind: mesh.KindNote, Tags: tags, Content: text})
}

func keyHex(name string) string { return key(name).PubKey().String() }

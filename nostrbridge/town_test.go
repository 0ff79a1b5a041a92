package nostrbridge

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"testing"
	"time"

	"drey/hub"
	"drey/mesh"
	"drey/nostrbridge/pool"
	"drey/nostrbridge/pool/badrelay"
	"drey/store/storetest"
)

// A town is some machines, each a real hub, pool and bridge over a store in
// memory, with gossip that reaches whom the test lets it, and foreign relays
// on a network in memory.
type town struct {
	t      *testing.T
	net    *badrelay.Net
	relays map[string]*badrelay.Relay // by name
	nodes  []*machine
	roster *book

	mu struct {
		sync.Mutex
		cut map[[2]*machine]bool
		up  map[*machine]*hub.Hub
	}
}

// A machine is one node of a town.
type machine struct {
	town   *town
	name   string
	key    *mesh.SecretKey
	store  *storetest.Memory
	hub    *hub.Hub
	pool   *pool.Pool
	bridge *Bridge
	stop   func() // nil while it does not run
}

func newTown(t *testing.T, relays ...string) *town {
	w := &town{t: t, net: badrelay.NewNet(), relays: map[string]*badrelay.Relay{}, roster: newBook()}
	w.mu.cut, w.mu.up = map[[2]*machine]bool{}, map[*machine]*hub.Hub{}
	for _, name := range relays {
		w.relays[name] = w.net.Relay(name, badrelay.Behaviour{})
	}
	t.Cleanup(w.close)
	return w
}

func (w *town) close() {
	for _, m := range w.nodes {
		m.kill()
	}
	for _, r := range w.relays {
		r.Close()
	}
}

func (w *town) urls() (all []string) {
	for _, r := range w.relays {
		all = append(all, r.URL)
	}
	return all
}

func keyOf(name string) *mesh.SecretKey {
	k, err := mesh.NewSecretKey(sha256.Sum256([]byte(name)))
	if err != nil {
		panic(err)
	}
	return k
}

// add starts a machine; change makes its configuration.
func (w *town) add(name string, change func(*Config)) *machine {
	m := &machine{town: w, name: name, key: keyOf(name), store: storetest.NewMemory(time.Now)}
	w.roster.set(m.key.PubKey(), mesh.Machine)
	w.nodes = append(w.nodes, m)
	m.begin(change)
	return m
}

// begin runs a machine on what its store holds.
func (m *machine) begin(change func(*Config)) {
	t := m.town.t
	m.pool = pool.New(pool.Config{
		URLs: m.town.urls(), Signer: m.key, Archive: m.store, Shelf: m.store.Shelf("pool"), Client: m.town.net.Client(), Private: true,
		Log: slog.New(slog.DiscardHandler), Clock: time.Now,
	})
	c := Config{
		Gateway: true, Out: []mesh.Topic{"alerts"}, Relays: m.pool, Node: node{m},
		Signer: m.key, Roster: m.town.roster, Archive: m.store, Shelf: m.store.Shelf("bridge"),
	}
	if change != nil {
		change(&c)
	}
	m.bridge = New(c)
	var err error
	m.hub, err = hub.New(hub.Config{
		Store: m.store, Roster: m.town.roster, Signer: m.key, Clock: time.Now,
		Clocks: func() hub.Clocks { return hub.Clocks{Synced: true} },
		Pass:   m.town.roster.passOf,
		Outside: func(r *mesh.Record) bool {
			return r.Flags&mesh.FlagGuest != 0 && m.town.roster.outsider(r.Event.Author()) || m.bridge.FromWorld(r.Event.ID())
		},
		Routes: []hub.Route{
			{Carrier: &bus{m}, Fast: true},
			{Carrier: m.bridge, Public: true, Lanes: true, Targets: m.bridge.Targets},
			{Carrier: air{}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { m.pool.Run(ctx) })
	wg.Go(func() { m.hub.Run(ctx) })
	m.stop = func() { cancel(); wg.Wait() }
	m.town.setUp(m, m.hub)
}

// kill ends a machine without a word.
func (m *machine) kill() {
	if m.stop != nil {
		m.town.setUp(m, nil)
		m.stop()
		m.stop = nil
	}
}

// alive reports whether m runs.
func (m *machine) alive() bool { return m.stop != nil }

// say posts a note.
func (m *machine) say(topic mesh.Topic, text string) *mesh.Event {
	m.town.t.Helper()
	r, err := m.hub.Publish(context.Background(), topic, mesh.Draft{Kind: mesh.KindNote, Content: text}, hub.Options{Urgent: text[0] == '!'})
	if err != nil {
		m.town.t.Fatalf("%s cannot say %q: %v", m.name, text, err)
	}
	return r.Event
}

// split cuts the gossip between two machines; heal mends it, and history sync
// brings each what it missed.
func (w *town) split(a, b *machine) { w.setCut(a, b, true) }

func (w *town) heal(a, b *machine) {
	w.setCut(a, b, false)
	for _, way := range [][2]*machine{{a, b}, {b, a}} {
		for r, err := range way[0].store.Records(context.Background(), mesh.Filter{Order: mesh.ReceiptFirst}, mesh.Self) {
			if err != nil {
				w.t.Fatal(err)
			}
			way[1].hub.Port("gossip").Receive(context.Background(), r.Event, mesh.Origin{Peer: way[0].name, Topic: r.Topic, History: true})
		}
	}
}

func (w *town) setCut(a, b *machine, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.cut[[2]*machine{a, b}], w.mu.cut[[2]*machine{b, a}] = cut, cut
}

func (w *town) setUp(m *machine, h *hub.Hub) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if delete(w.mu.up, m); h != nil {
		w.mu.up[m] = h
	}
}

// reached lists the hubs that a machine's gossip reaches now.
func (w *town) reached(from *machine) (all []*hub.Hub) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for m, h := range w.mu.up {
		if m != from && !w.mu.cut[[2]*machine{from, m}] {
			all = append(all, h)
		}
	}
	return all
}

// A bus is gossip: whoever can be reached gets everything at once.
type bus struct{ m *machine }

func (*bus) Name() string        { return "gossip" }
func (*bus) Limits() mesh.Limits { return mesh.Limits{} }
func (b *bus) Run(ctx context.Context, p mesh.Port) error {
	for {
		d, err := p.Next(ctx)
		if err != nil {
			return err
		}
		for _, other := range b.m.town.reached(b.m) {
			other.Port("gossip").Receive(ctx, d.Event, mesh.Origin{Peer: b.m.name, Topic: d.Topic})
		}
		d.Done(nil)
	}
}

// air is a radio that says nothing: what it is owed shows in the outbox.
type air struct{}

func (air) Name() string                               { return "radio" }
func (air) Limits() mesh.Limits                        { return mesh.Limits{Scarce: true} }
func (air) Run(ctx context.Context, _ mesh.Port) error { <-ctx.Done(); return ctx.Err() }

// A node is a machine as its bridge sees it.
type node struct{ m *machine }

func (n node) Say(ctx context.Context, t mesh.Topic, d mesh.Draft) error {
	_, err := n.m.hub.Publish(ctx, t, d, hub.Options{})
	return err
}

func (n node) Watch(ctx context.Context, f mesh.Filter) iter.Seq2[*mesh.Record, error] {
	return n.m.hub.Watch(ctx, f, mesh.Self)
}

func (n node) Note(id mesh.EventID, target, state string) {
	n.m.store.Note(context.Background(), id, mesh.Step{At: time.Now(), Carrier: Name, Target: target, State: state})
}

func (n node) Withdraw(id mesh.EventID) { n.m.hub.Withdraw(id) }

func (n node) Topics() []mesh.Topic { return n.m.hub.Topics() }

func (n node) Members() (all []mesh.PubKey) { return n.m.town.roster.members() }

func (n node) Welcome(_ context.Context, author mesh.PubKey, perHour int, lasts time.Duration) error {
	n.m.town.roster.welcome(author, perHour, lasts)
	return nil
}

// history spells an event's lines at a machine that are about relays.
func (m *machine) history(id mesh.EventID) (all []string) {
	steps, err := m.store.History(context.Background(), id)
	if err != nil && !errors.Is(err, mesh.ErrNotFound) {
		m.town.t.Fatal(err)
	}
	for _, s := range steps {
		if s.Carrier == Name {
			all = append(all, fmt.Sprintf("%s %s", s.Target, s.State))
		}
	}
	return all
}

// owes counts what a machine owes a carrier.
func (m *machine) owes(carrier string) int {
	owed, err := m.store.Owed(context.Background(), carrier, 0)
	if err != nil {
		m.town.t.Fatal(err)
	}
	return len(owed)
}

// A book is a roster that tests write.
type book struct {
	mu      sync.Mutex
	by      map[mesh.PubKey]mesh.Standing
	passes  map[mesh.PubKey]pass
	changed chan struct{}
	open    bool
}

type pass struct {
	rate  int
	until time.Time
}

func newBook() *book {
	return &book{by: map[mesh.PubKey]mesh.Standing{}, passes: map[mesh.PubKey]pass{}, changed: make(chan struct{})}
}

func (b *book) set(k mesh.PubKey, s mesh.Standing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.by[k] = s
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *book) welcome(k mesh.PubKey, rate int, lasts time.Duration) {
	b.mu.Lock()
	b.passes[k] = pass{rate, time.Now().Add(lasts)}
	b.mu.Unlock()
	b.set(k, mesh.Stranger)
}

func (b *book) passOf(k mesh.PubKey, now time.Time) (mesh.PubKey, int, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.passes[k]
	return mesh.PubKey{}, p.rate, ok && now.Before(p.until)
}

func (b *book) outsider(k mesh.PubKey) bool {
	_, _, ok := b.passOf(k, time.Now())
	return ok
}

func (b *book) members() (all []mesh.PubKey) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, s := range b.by {
		if s.Member() {
			all = append(all, k)
		}
	}
	return all
}

func (b *book) Standing(k mesh.PubKey, now time.Time) mesh.Standing {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.by[k]; s != mesh.Stranger {
		return s
	}
	if p, ok := b.passes[k]; ok && now.Before(p.until) {
		return mesh.Guest
	}
	return mesh.Stranger
}

func (b *book) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

func (b *book) Apply(*mesh.Event) (bool, error) { return false, nil }
func (b *book) Community() mesh.Community       { return mesh.Community{Open: b.open} }
func (b *book) Admits(mesh.NodeKey) bool        { return true }
func (b *book) Nodes() []mesh.NodeKey           { return nil }

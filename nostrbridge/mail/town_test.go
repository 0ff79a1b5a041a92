package mail

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"drey/hub"
	"drey/mesh"
	"drey/store/storetest"
)

// A town is some machines whose hubs are real, with stores in memory, and two
// media between them that tests cut: one carries everything, one letters only.
type town struct {
	t      *testing.T
	roster *testRoster

	mu     sync.Mutex
	all    []*machine
	medium map[string]bool // by carrier name: whether it works
	hubs   map[*machine]*hub.Hub
}

// cut breaks and mends media.
func (w *town) cut(names ...string)  { w.set(false, names) }
func (w *town) mend(names ...string) { w.set(true, names) }

func (w *town) set(works bool, names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range names {
		w.medium[n] = works
	}
}

// others lists the hubs that a medium leads to from a machine; none where it is
// cut.
func (w *town) others(medium string, from *machine) []*hub.Hub {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []*hub.Hub
	for _, m := range w.all {
		if h := w.hubs[m]; m != from && h != nil && w.medium[medium] {
			all = append(all, h)
		}
	}
	return all
}

type machine struct {
	town  *town
	name  string
	key   *mesh.SecretKey
	store *storetest.Memory
	hub   *hub.Hub
	mail  *Mail
	stop  func()
	inbox []string
	box   Limits
	clock func() time.Time // nil: the right one
	full  atomic.Bool      // the disk
}

// A crowded shelf takes nothing while the disk is full.
type crowded struct {
	mesh.Shelf
	full *atomic.Bool
}

func (c *crowded) Put(ctx context.Context, key string, value []byte) error {
	if c.full.Load() {
		return errors.New("the disk is full")
	}
	return c.Shelf.Put(ctx, key, value)
}

// inTown runs f on a clock of its own.
func inTown(t *testing.T, f func(*testing.T, *town)) {
	synctest.Test(t, func(t *testing.T) {
		w := &town{t: t, roster: newTestRoster(), medium: map[string]bool{"net": true, "air": true}, hubs: make(map[*machine]*hub.Hub)}
		defer func() {
			for _, m := range w.all {
				m.stop()
			}
		}()
		f(t, w)
	})
}

// settle adds a member machine.
func (w *town) settle(name string, seed byte, change ...func(*machine)) *machine {
	m := &machine{town: w, name: name, key: newKey(w.t, seed), store: storetest.NewMemory(time.Now)}
	for _, f := range change {
		f(m)
	}
	w.roster.set(m.key.PubKey(), mesh.Machine)
	w.mu.Lock()
	w.all = append(w.all, m)
	w.mu.Unlock()
	m.start()
	return m
}

// start begins a life of the machine on its store.
func (m *machine) start() {
	h, err := hub.New(hub.Config{
		Store: m.store, Roster: m.town.roster, Signer: m.key, Clock: m.clock, Built: time.Now().Add(-time.Minute),
		Routes: []hub.Route{
			{Carrier: &link{m, "net", nil}, Fast: true},
			{Carrier: &link{m, "air", []mesh.Kind{mesh.KindLetter}}, Targets: func(r *mesh.Record) []string {
				if r.Event.Kind() == mesh.KindLetter {
					return []string{"signed"}
				}
				return nil
			}},
		},
	})
	if err != nil {
		m.town.t.Fatal(err)
	}
	m.hub = h
	m.town.mu.Lock()
	m.town.hubs[m] = h
	m.town.mu.Unlock()
	m.mail, err = New(Config{
		Key: m.key, Node: node{m}, Roster: m.town.roster, Shelf: &crowded{Shelf: m.store.Shelf("mail"), full: &m.full},
		Machine: m.town.machine, Name: m.town.nameOf, Inbox: func() []string { return m.inbox }, Box: m.box,
		Clock: m.clock, Stamp: h.Now,
	})
	if err != nil {
		m.town.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	for _, run := range []func(context.Context) error{h.Run, m.mail.Run} {
		parts.Go(func() {
			if err := run(ctx); err != nil && !errors.Is(err, context.Canceled) {
				m.town.t.Errorf("%s: %v", m.name, err)
			}
		})
	}
	m.stop = func() { cancel(); parts.Wait() }
}

func (m *machine) restart() {
	m.stop()
	m.start()
}

func (w *town) machine(k mesh.PubKey) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.all, func(m *machine) bool { return m.key.PubKey() == k })
}

func (w *town) nameOf(k mesh.PubKey) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.all {
		if m.key.PubKey() == k {
			return m.name
		}
	}
	return "somebody"
}

// A link is a medium as one machine has it.
type link struct {
	from  *machine
	name  string
	kinds []mesh.Kind // nil: all
}

func (l *link) Name() string        { return l.name }
func (l *link) Limits() mesh.Limits { return mesh.Limits{} }

func (l *link) Run(ctx context.Context, p mesh.Port) error {
	for {
		d, err := p.Next(ctx)
		if err != nil {
			return err
		}
		if l.kinds != nil && !slices.Contains(l.kinds, d.Event.Kind()) {
			d.Done(errors.New("not carried"))
			continue
		}
		for _, h := range l.from.town.others(l.name, l.from) {
			h.Port(l.name).Receive(ctx, d.Event, mesh.Origin{Peer: l.from.name, Topic: d.Topic, Durable: true})
		}
		d.Report("on " + l.name)
		d.Done(nil)
	}
}

// sync hands a machine what another holds, as history.
func (w *town) sync(from, to *machine) {
	for r, err := range from.store.Records(w.t.Context(), mesh.Filter{Order: mesh.ReceiptFirst}, mesh.Viewer{Node: true}) {
		if err != nil {
			w.t.Fatal(err)
		}
		to.hub.Port("net").Receive(w.t.Context(), r.Event, mesh.Origin{Peer: from.name, Topic: r.Topic, History: true, Durable: true})
	}
}

// after lets so much time go by.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (m *machine) send(p Post) *Message {
	m.town.t.Helper()
	msg, err := m.mail.Send(m.town.t.Context(), p)
	if err != nil {
		m.town.t.Fatal(err)
	}
	return msg
}

func (m *machine) texts() []string {
	m.town.t.Helper()
	var all []string
	for msg, err := range m.mail.Messages(m.town.t.Context(), 0) {
		if err != nil {
			m.town.t.Fatal(err)
		}
		all = append(all, msg.Rumor.Content())
	}
	return all
}

func (m *machine) message(id mesh.EventID) *Message {
	m.town.t.Helper()
	msg, err := m.mail.Message(m.town.t.Context(), id)
	if err != nil {
		m.town.t.Fatalf("%s: %v", m.name, err)
	}
	return msg
}

// held counts what a machine holds of a kind.
func (m *machine) held(k mesh.Kind) int {
	n := 0
	for range m.store.Records(m.town.t.Context(), mesh.Filter{Kinds: []mesh.Kind{k}}, mesh.Self) {
		n++
	}
	return n
}

// node is a machine as its mail sees it.
type node struct{ *machine }

func (n node) Accept(ctx context.Context, e *mesh.Event, from mesh.Origin) error {
	return n.hub.Accept(ctx, e, from)
}

func (n node) Publish(ctx context.Context, t mesh.Topic, d mesh.Draft) (*mesh.Record, error) {
	return n.hub.Publish(ctx, t, d, hub.Options{})
}

func (n node) Records(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	return n.store.Records(ctx, f, v)
}

func (n node) Watch(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	return n.hub.Watch(ctx, f, v)
}

func (n node) History(ctx context.Context, id mesh.EventID) ([]mesh.Step, error) {
	return n.hub.History(ctx, id)
}

func (n node) Note(ctx context.Context, id mesh.EventID, s mesh.Step) error {
	return n.store.Note(ctx, id, s)
}

func (n node) Bury(ctx context.Context, id mesh.EventID, created mesh.Unix, why mesh.Reason) error {
	return n.store.Bury(ctx, id, created, why)
}

// testRoster is a roster that tests write themselves.
type testRoster struct {
	mu        sync.Mutex
	community mesh.Community
	by        map[mesh.PubKey]mesh.Standing
	changed   chan struct{}
}

func newTestRoster() *testRoster {
	return &testRoster{community: mesh.Found(mesh.PubKey{1}, "Riverside", [32]byte{1}), by: make(map[mesh.PubKey]mesh.Standing), changed: make(chan struct{})}
}

func (r *testRoster) set(k mesh.PubKey, s mesh.Standing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.by[k] = s
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *testRoster) Standing(k mesh.PubKey, _ time.Time) mesh.Standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.by[k]
}

func (r *testRoster) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

func (r *testRoster) Community() mesh.Community       { return r.community }
func (r *testRoster) Admits(mesh.NodeKey) bool        { return true }
func (r *testRoster) Nodes() []mesh.NodeKey           { return nil }
func (r *testRoster) Apply(*mesh.Event) (bool, error) { return false, mesh.ErrRefused }

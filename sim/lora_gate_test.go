package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"drey/hub"
	"drey/mesh"
	"drey/pubsub/pubsubtest"
	"drey/radio"
	"drey/radio/radiotest"
	"drey/store/storetest"
)

// A gate is a whole node beside a simulated radio, but for its disk and its
// overlay: real hub, real radio carrier, a store in memory and a wire to the
// other gates instead of gossip.
type gate struct {
	name   string
	store  *storetest.Memory
	hub    *hub.Hub
	radio  *radio.Carrier
	device *radiotest.Radio
	wire   *wire
	signer *mesh.SecretKey
	roster hub.Roster
	config radio.Config
	stop   context.CancelFunc
	done   chan struct{}
}

// loraTopic is what the gates carry.
const loraTopic = mesh.TopicCommons

func loraSeed(name string) (seed [32]byte) {
	copy(seed[:], name+"................................")
	return seed
}

// loraKey makes a key that one name always gives.
func loraKey(t testing.TB, name string) *mesh.SecretKey {
	t.Helper()
	k, err := mesh.NewSecretKey(loraSeed(name))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A crew is a roster on which the gates are machines; everybody else on it is a
// person.
type crew struct{ members }

// maxGates bounds how many gates a test has.
const maxGates = 3

var gateKeys = sync.OnceValue(func() map[mesh.PubKey]bool {
	keys := make(map[mesh.PubKey]bool)
	for i := range maxGates {
		if k, err := mesh.NewSecretKey(loraSeed(fmt.Sprintf("gate %d", i))); err == nil {
			keys[k.PubKey()] = true
		}
	}
	return keys
})

// Standing implements mesh.Roster.
func (c crew) Standing(author mesh.PubKey, now time.Time) mesh.Standing {
	if gateKeys()[author] {
		return mesh.Machine
	}
	return c.members.Standing(author, now)
}

// newGate makes a gate at a radio. authors are the community's people; change
// may adjust the carrier's configuration.
func newGate(t testing.TB, name string, device *radiotest.Radio, form string, authors []*mesh.SecretKey, change func(*radio.Config)) *gate {
	t.Helper()
	g := &gate{name: name, device: device, signer: loraKey(t, name), store: storetest.NewMemory(time.Now), wire: &wire{}}
	g.roster = crew{members{pubsubtest.NewRoster(community, 3)}}
	g.config = radio.Config{
		Device: "sim", Dial: func(context.Context) (io.ReadWriteCloser, error) { return device.Conn(), nil },
		Maps:    []radio.TopicMap{{Topic: loraTopic, Channel: loraPrivate, Form: form}},
		Archive: g.store, Shelf: g.store.Shelf("radio"), Signer: g.signer, Roster: g.roster,
		Secrets: func() []mesh.Secret { return []mesh.Secret{loraSecret} },
		Members: func() (keys []mesh.PubKey) {
			for _, a := range authors {
				keys = append(keys, a.PubKey())
			}
			return keys
		},
		Text: loraText(), Seed: uint64(device.Num()),
	}
	if change != nil {
		change(&g.config)
	}
	g.open(t)
	return g
}

// open makes the parts of the gate that do not outlive a restart.
func (g *gate) open(t testing.TB) {
	t.Helper()
	g.radio = radio.New(g.config)
	var err error
	g.hub, err = hub.New(hub.Config{
		Store: g.store, Roster: g.roster, Signer: g.signer, Original: g.radio.Original,
		Routes: []hub.Route{{Carrier: g.wire, Fast: true}, {Carrier: g.radio, Targets: g.radio.Targets}},
	})
	if err != nil {
		t.Fatal(err)
	}
	g.wire.port, g.wire.store = g.hub.Port(g.wire.Name()), g.store
}

// start runs the gate until ctx ends or halt is called.
func (g *gate) start(ctx context.Context) {
	ctx, g.stop = context.WithCancel(ctx)
	g.done = make(chan struct{})
	go func() {
		defer close(g.done)
		_ = g.hub.Run(ctx)
	}()
}

// halt kills the gate; its radio goes on as a repeater.
func (g *gate) halt() {
	g.stop()
	<-g.done
}

// join wires gates to each other.
func join(gates ...*gate) {
	for _, g := range gates {
		g.wire.mu.Lock()
		for _, o := range gates {
			if o != g {
				g.wire.mu.peers = append(g.wire.mu.peers, o.wire)
			}
		}
		g.wire.mu.Unlock()
	}
}

// publish signs a note in somebody's name and hands it to the gate.
func (g *gate) publish(t testing.TB, author *mesh.SecretKey, text string, tags ...[]string) *mesh.Event {
	t.Helper()
	e, err := author.Sign(mesh.Draft{
		CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindNote, Content: text,
		Tags: append([][]string{{"t", string(loraTopic)}}, tags...),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.hub.Accept(context.Background(), e, mesh.Origin{Topic: loraTopic, Durable: true}); err != nil {
		t.Fatalf("gate %s refuses %q: %v", g.name, text, err)
	}
	return e
}

// holds reports whether the gate has an event.
func (g *gate) holds(id mesh.EventID) bool {
	_, err := g.store.Record(context.Background(), id, mesh.Self)
	return err == nil
}

// history is what became of an event on the radio, as one line.
func (g *gate) history(id mesh.EventID) []string {
	steps, _ := g.store.History(context.Background(), id)
	var list []string
	for _, s := range steps {
		if s.Carrier == "radio" {
			list = append(list, s.State)
		}
	}
	return list
}

// A wire is the fast side: it brings what one gate has to the others after a
// moment, as gossip does, and what a gate missed when it is back, as history
// sync does. It is a mesh.Carrier called "gossip".
type wire struct {
	port  mesh.Port
	store mesh.Archive

	mu struct {
		sync.Mutex
		peers []*wire
		cut   bool
	}
}

// wireDelay is what gossip takes from gate to gate.
const wireDelay = 200 * time.Millisecond

// Name implements mesh.Carrier.
func (w *wire) Name() string { return "gossip" }

// Limits implements mesh.Carrier.
func (w *wire) Limits() mesh.Limits { return mesh.Limits{} }

// Run implements mesh.Carrier.
func (w *wire) Run(ctx context.Context, p mesh.Port) error {
	var flying sync.WaitGroup
	defer flying.Wait()
	for {
		d, err := p.Next(ctx)
		if err != nil {
			return err
		}
		flying.Go(func() { w.spread(ctx, d) })
		d.Done(nil)
	}
}

func (w *wire) spread(ctx context.Context, d *mesh.Delivery) {
	select {
	case <-time.After(wireDelay):
	case <-ctx.Done():
		return
	}
	w.send(ctx, d)
}

// send gives d to every gate that is not cut off.
func (w *wire) send(ctx context.Context, d *mesh.Delivery) {
	if w.isCut() {
		return
	}
	for _, p := range w.all() {
		if !p.isCut() {
			p.deliver(ctx, d.Event, mesh.Origin{Peer: "gate", Topic: d.Topic})
		}
	}
}

func (w *wire) isCut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.cut
}

// all lists the other gates' wires.
func (w *wire) all() []*wire {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.mu.peers)
}

func (w *wire) deliver(ctx context.Context, e *mesh.Event, from mesh.Origin) {
	err := w.port.Receive(ctx, e, from)
	if err != nil && !errors.Is(err, mesh.ErrDuplicate) && ctx.Err() == nil {
		panic(fmt.Sprintf("a gate refuses what another took: %v", err))
	}
}

// setCut cuts the gate off the fast side, or joins it again: then it and the
// others bring each other what they lack.
func (w *wire) setCut(ctx context.Context, cut bool) {
	w.mu.Lock()
	w.mu.cut = cut
	w.mu.Unlock()
	if cut {
		return
	}
	for _, o := range w.all() {
		if !o.isCut() {
			o.bring(ctx, w)
			w.bring(ctx, o)
		}
	}
}

// bring hands another gate what this one has.
func (w *wire) bring(ctx context.Context, to *wire) {
	for r, err := range w.store.Records(ctx, mesh.Filter{Order: mesh.ReceiptFirst}, mesh.Self) {
		if err != nil {
			return
		}
		to.deliver(ctx, r.Event, mesh.Origin{Peer: "gate", Topic: r.Topic, History: true})
	}
}

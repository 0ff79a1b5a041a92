// Package pubsubtest holds what tests of gossip and sync stand on: a hub in
// miniature over a store in memory, a roster that admits whom it is told, and
// hosts on loopback.
package pubsubtest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"drey/mesh"
	"drey/store/storetest"
)

// A Hub takes what a carrier receives into a store in memory and owes the
// carrier what Publish is given. It implements mesh.Port and mesh.Ledger.
type Hub struct {
	*storetest.Memory
	Verify  bool                                        // check signatures
	Answer  func(e *mesh.Event, from mesh.Origin) error // may refuse an event before it is looked at
	Arrived func(e *mesh.Event, from mesh.Origin)       // called for each event that was new
	news    chan *mesh.Delivery
	Calls   atomic.Uint64 // of Receive
	Doubles atomic.Uint64 // of Receive for what was known

	mu struct {
		sync.Mutex
		topics  []mesh.Topic
		changed chan struct{}
		states  map[mesh.EventID][]string
	}
}

// NewHub makes a hub that knows the topics every community has.
func NewHub() *Hub {
	h := &Hub{Memory: storetest.NewMemory(time.Now), news: make(chan *mesh.Delivery, 1024)}
	h.mu.topics = mesh.BuiltinTopics()
	h.mu.changed = make(chan struct{})
	h.mu.states = make(map[mesh.EventID][]string)
	return h
}

// Receive implements mesh.Port.
func (h *Hub) Receive(ctx context.Context, e *mesh.Event, from mesh.Origin) error {
	h.Calls.Add(1)
	if h.Answer != nil {
		if err := h.Answer(e, from); err != nil {
			return err
		}
	}
	if _, known, _ := h.Known(ctx, e.ID()); known {
		h.Doubles.Add(1)
		return mesh.ErrDuplicate
	}
	if h.Verify {
		if err := e.Verify(); err != nil {
			return err
		}
	}
	err := h.Save(ctx, &mesh.Record{Event: e, Topic: from.Topic, Received: time.Now(), Carrier: "gossip"}, nil, from.Durable)
	if errors.Is(err, mesh.ErrDuplicate) {
		h.Doubles.Add(1)
	}
	if err == nil && h.Arrived != nil {
		h.Arrived(e, from)
	}
	return err
}

// Next implements mesh.Port.
func (h *Hub) Next(ctx context.Context) (*mesh.Delivery, error) {
	select {
	case d := <-h.news:
		return d, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Keep puts an event into the store without telling anybody.
func (h *Hub) Keep(t mesh.Topic, events ...*mesh.Event) {
	for _, e := range events {
		r := &mesh.Record{Event: e, Topic: t, Received: time.Now()}
		if err := h.Save(context.Background(), r, nil, false); err != nil {
			panic(err)
		}
	}
}

// Publish keeps an event and owes it to the carrier.
func (h *Hub) Publish(t mesh.Topic, e *mesh.Event) {
	h.Keep(t, e)
	h.news <- &mesh.Delivery{Event: e, Topic: t, Attempt: 1, Ledger: h}
}

// Holds reports whether an event is held.
func (h *Hub) Holds(id mesh.EventID) bool {
	_, err := h.Record(context.Background(), id, mesh.Self)
	return err == nil
}

// Topics lists the topics known.
func (h *Hub) Topics() []mesh.Topic {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]mesh.Topic(nil), h.mu.topics...)
}

// TopicsChanged returns a channel that is closed at the next change.
func (h *Hub) TopicsChanged() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mu.changed
}

// AddTopic makes a topic known.
func (h *Hub) AddTopic(t mesh.Topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.topics = append(h.mu.topics, t)
	close(h.mu.changed)
	h.mu.changed = make(chan struct{})
}

// Report implements mesh.Ledger.
func (h *Hub) Report(d *mesh.Delivery, state string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.states[d.Event.ID()] = append(h.mu.states[d.Event.ID()], state)
}

// Release implements mesh.Ledger.
func (h *Hub) Release(d *mesh.Delivery) { h.Report(d, "released") }

// Done implements mesh.Ledger.
func (h *Hub) Done(d *mesh.Delivery, err error) {
	if err != nil {
		h.Report(d, "failed: "+err.Error())
		return
	}
	h.Report(d, "done")
}

// States lists what became of an event that was published.
func (h *Hub) States(id mesh.EventID) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.mu.states[id]...)
}

// A Roster admits every machine but those it is told to shut out. It
// implements mesh.Roster.
type Roster struct {
	Of mesh.Community

	mu struct {
		sync.Mutex
		nodes   []mesh.NodeKey
		out     map[mesh.NodeKey]bool
		changed chan struct{}
	}
}

// NewRoster makes a roster of so many machines.
func NewRoster(c mesh.Community, nodes int) *Roster {
	r := &Roster{Of: c}
	r.mu.nodes = make([]mesh.NodeKey, nodes)
	r.mu.out = make(map[mesh.NodeKey]bool)
	r.mu.changed = make(chan struct{})
	return r
}

// Community implements mesh.Roster.
func (r *Roster) Community() mesh.Community { return r.Of }

// Standing implements mesh.Roster: everybody is a member.
func (r *Roster) Standing(mesh.PubKey, time.Time) mesh.Standing { return mesh.Person }

// Admits implements mesh.Roster.
func (r *Roster) Admits(n mesh.NodeKey) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.mu.out[n]
}

// Nodes implements mesh.Roster: as many as it was made for, without keys.
func (r *Roster) Nodes() []mesh.NodeKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.nodes
}

// Changed implements mesh.Roster.
func (r *Roster) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.changed
}

// Shut shuts a machine out, or lets it in again.
func (r *Roster) Shut(p peer.ID, out bool) {
	pub, err := p.ExtractPublicKey()
	if err != nil {
		panic(err)
	}
	raw, err := pub.Raw()
	if err != nil {
		panic(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.out[mesh.NodeKey(raw)] = out
	close(r.mu.changed)
	r.mu.changed = make(chan struct{})
}

// NewHost makes a libp2p host on loopback TCP that is closed when the test
// ends.
func NewHost(t testing.TB) host.Host {
	t.Helper()
	h, err := libp2p.New(
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.DisableRelay(),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableIdentifyAddressDiscovery(),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// Connect lets a dial b.
func Connect(t testing.TB, a, b host.Host) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := a.Connect(ctx, peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		t.Fatal(err)
	}
}

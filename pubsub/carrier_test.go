package pubsub

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"go.uber.org/goleak"

	"drey/mesh"
	"drey/pubsub/pubsubtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	town   = mesh.Community{ID: [32]byte{1, 2, 3}, Name: "town"}
	author = mustKey(7)
)

func mustKey(n byte) *mesh.SecretKey {
	k, err := mesh.NewSecretKey([32]byte{31: n})
	if err != nil {
		panic(err)
	}
	return k
}

// began is when the history in these tests begins.
const began mesh.Unix = 1_790_000_000

func said(n int, text string) *mesh.Event {
	e, err := author.Sign(mesh.Draft{CreatedAt: began + mesh.Unix(n), Kind: mesh.KindNote, Content: text})
	if err != nil {
		panic(err)
	}
	return e
}

// A node is one carrier with all it stands on.
type node struct {
	*pubsubtest.Hub
	host    host.Host
	roster  *pubsubtest.Roster
	carrier *Carrier
	arrived chan mesh.EventID
}

// newNode makes a node that does not run yet.
func newNode(t testing.TB, c mesh.Community, of int) *node {
	t.Helper()
	n := &node{Hub: pubsubtest.NewHub(), host: pubsubtest.NewHost(t), roster: pubsubtest.NewRoster(c, of)}
	n.arrived = make(chan mesh.EventID, 1<<16)
	n.Arrived = func(e *mesh.Event, _ mesh.Origin) { n.arrived <- e.ID() }
	n.carrier = New(Config{
		Host:      func(context.Context) (host.Host, error) { return n.host, nil },
		Community: c, Roster: n.roster, Archive: n.Hub, Graves: n.Hub,
		Topics: n.Topics, TopicsChanged: n.TopicsChanged,
	})
	return n
}

// start runs a node until the test ends or stop is called.
func (n *node) start(t testing.TB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.carrier.Run(ctx, n.Hub) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v, want %v", err, context.Canceled)
		}
	}
	t.Cleanup(stop)
	return stop
}

// until waits for something that no channel tells.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(time.Minute)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("still not so after a minute: %s", what)
		}
	}
}

// gossiping waits until each node has so many neighbours in every topic.
func gossiping(t testing.TB, neighbours int, nodes ...*node) {
	t.Helper()
	for i, n := range nodes {
		until(t, fmt.Sprintf("node %d has %d neighbours in commons", i, neighbours), func() bool {
			r := n.carrier.running()
			return r != nil && len(r.gossip.ps.ListPeers(n.carrier.names.of(mesh.TopicCommons))) >= neighbours
		})
	}
}

func TestGossipReachesANeighbour(t *testing.T) {
	a, b := newNode(t, town, 2), newNode(t, town, 2)
	a.start(t)
	b.start(t)
	pubsubtest.Connect(t, a.host, b.host)
	gossiping(t, 1, a, b)
	e := said(1, "the bridge is open")
	a.Publish(mesh.TopicCommons, e)
	if got := <-b.arrived; got != e.ID() {
		t.Errorf("%s arrived, want %s", got, e.ID())
	}
	until(t, "the delivery is done", func() bool { return len(a.States(e.ID())) == 2 })
	if got := fmt.Sprint(a.States(e.ID())); got != "[gossiped to 1 done]" {
		t.Errorf("delivery history %s, want gossiped to 1, done", got)
	}
	if n := a.Calls.Load(); n != 0 {
		t.Errorf("a's own message was received %d times by a itself", n)
	}
	r, err := b.Record(t.Context(), e.ID(), mesh.Self)
	if err != nil || r.Topic != mesh.TopicCommons {
		t.Errorf("b holds %v, %v, want topic %s", r, err, mesh.TopicCommons)
	}
}

func TestSyncBringsWhatWasMissed(t *testing.T) {
	a, b := newNode(t, town, 2), newNode(t, town, 2)
	for i := range 300 {
		e := said(i, fmt.Sprint("line ", i))
		switch {
		case i%5 == 0:
			a.Keep(mesh.TopicCommons, e)
		case i%7 == 0:
			b.Keep(mesh.TopicAlerts, e)
		default:
			a.Keep(mesh.TopicCommons, e)
			b.Keep(mesh.TopicCommons, e)
		}
	}
	a.start(t)
	b.start(t)
	pubsubtest.Connect(t, a.host, b.host)
	for i := range 300 {
		id := said(i, fmt.Sprint("line ", i)).ID()
		until(t, fmt.Sprint("both hold line ", i), func() bool { return a.Holds(id) && b.Holds(id) })
	}
	id := said(7, "line 7").ID()
	if r, err := a.Record(t.Context(), id, mesh.Self); err != nil || r.Topic != mesh.TopicAlerts {
		t.Errorf("line 7 came as %v, %v, want topic %s", r, err, mesh.TopicAlerts)
	}
}

// TestForgerIsCutOff lets a neighbour send events with wrong signatures until it
// is disconnected, and checks that it stays out while others go on.
func TestForgerIsCutOff(t *testing.T) {
	a, forger, good := newNode(t, town, 3), newNode(t, town, 3), newNode(t, town, 3)
	a.Verify = true
	for _, n := range []*node{a, forger, good} {
		n.start(t)
	}
	pubsubtest.Connect(t, forger.host, a.host)
	pubsubtest.Connect(t, good.host, a.host)
	gossiping(t, 2, a)
	until(t, "the first syncs are over", func() bool { return len(a.carrier.Status().Sync) == 2 }) // they would bring some
	for i := range invalidLimit {
		e := said(i, "forged")
		bad, err := mesh.NewEvent(e.Author(), mesh.Signature{byte(i)}, e.Draft())
		if err != nil {
			t.Fatal(err)
		}
		forger.Publish(mesh.TopicCommons, bad)
	}
	until(t, "the forger is cut off", func() bool { return a.carrier.Status().CutOff == 1 })
	until(t, "it is disconnected", func() bool { return len(a.host.Network().ConnsToPeer(forger.host.ID())) == 0 })
	until(t, "what came by gossip is counted", func() bool { return a.carrier.Status().Rejected > 0 })
	pubsubtest.Connect(t, forger.host, a.host) // it tries again
	until(t, "it is disconnected again", func() bool { return len(a.host.Network().ConnsToPeer(forger.host.ID())) == 0 })
	e := said(100, "the real thing")
	good.Publish(mesh.TopicCommons, e)
	until(t, "others are heard", func() bool { return a.Holds(e.ID()) })
}

// TestStrangersAreLeftAlone connects a machine that the roster does not admit;
// it hears nothing until it is admitted, and then without a new connection.
func TestStrangersAreLeftAlone(t *testing.T) {
	a, b := newNode(t, town, 2), newNode(t, town, 2)
	a.roster.Shut(b.host.ID(), true)
	a.start(t)
	b.start(t)
	pubsubtest.Connect(t, a.host, b.host)
	e := said(1, "among ourselves")
	a.Publish(mesh.TopicCommons, e)
	until(t, "it is done", func() bool { return len(a.States(e.ID())) == 2 })
	if got := a.States(e.ID())[0]; got != "no neighbour now: history sync will bring it" {
		t.Errorf("with only a stranger connected the delivery says %q", got)
	}
	until(t, "the stranger is up", func() bool { return b.carrier.running() != nil })
	if _, err := b.carrier.running().ask(t.Context(), a.host.ID(), true); err == nil {
		t.Error("a stranger's sync was answered")
	}
	a.roster.Shut(b.host.ID(), false)
	until(t, "sync brings it after admission", func() bool { return b.Holds(e.ID()) })
	gossiping(t, 1, a, b)
	next := said(2, "welcome")
	a.Publish(mesh.TopicCommons, next)
	until(t, "gossip reaches the new member", func() bool { return b.Holds(next.ID()) })
}

// TestNewTopicReachesThoseWhoDoNotKnowIt publishes in a topic that no neighbour
// takes part in.
func TestNewTopicReachesThoseWhoDoNotKnowIt(t *testing.T) {
	a, b := pair(t, town, 2)
	gossiping(t, 1, a, b)
	a.AddTopic("hill")
	e := said(1, "first on the hill")
	a.Publish("hill", e)
	until(t, "sync brings it at once", func() bool { return b.Holds(e.ID()) })
	b.AddTopic("hill")
	until(t, "the neighbour takes part", func() bool {
		return len(a.carrier.running().gossip.ps.ListPeers(a.carrier.names.of("hill"))) == 1
	})
	next := said(2, "second on the hill")
	a.Publish("hill", next)
	until(t, "gossip brings it", func() bool { return b.Holds(next.ID()) })
}

// BenchmarkGossip measures from handing an event over to its arrival at a
// neighbour on loopback, without checks or disks.
func BenchmarkGossip(b *testing.B) {
	x, y := pair(b, town, 2)
	gossiping(b, 1, x, y)
	n := 0
	for b.Loop() {
		n++
		b.StopTimer()
		e := said(n, fmt.Sprint("line ", n))
		b.StartTimer()
		x.Publish(mesh.TopicCommons, e)
		<-y.arrived
	}
}

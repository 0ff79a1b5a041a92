package main

import (
	"context"
	"iter"
	"time"

	"drey/hub"
	"drey/mesh"
	"drey/nostrbridge/relay"
	"drey/web"
)

// A guest's pass, as the relay gives it to a key that is new.
const (
	passFor  = 30 * 24 * time.Hour
	passRate = 30 // events an hour
)

// A relayNode is the node as its own Nostr relay sees it.
type relayNode struct {
	*parts
	port mesh.Port
}

var _ relay.Node = relayNode{}

// Receive takes an event as any carrier's.
func (n relayNode) Receive(ctx context.Context, e *mesh.Event, from mesh.Origin) error {
	return n.port.Receive(ctx, e, from)
}

// Flush returns when what Receive took is on disk.
func (n relayNode) Flush(ctx context.Context) error { return n.store.Sync(ctx) }

// Records yields what matches.
func (n relayNode) Records(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	return n.store.Records(ctx, f, v)
}

// Watch yields what matches, then what comes in.
func (n relayNode) Watch(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	return n.hub.Watch(ctx, f, v)
}

// Topics lists the topics that exist.
func (n relayNode) Topics() []mesh.Topic { return n.hub.Topics() }

// Standing tells what a key is now. This machine may speak at home even where
// nobody has admitted it yet.
func (n relayNode) Standing(author mesh.PubKey) mesh.Standing {
	s := n.book.Standing(author, n.clock())
	if s == mesh.Stranger && author == n.who.Author.PubKey() {
		return mesh.Machine
	}
	return s
}

// Changed returns a channel that is closed when standings change.
func (n relayNode) Changed() <-chan struct{} { return n.book.Changed() }

// Welcome signs a pass for a guest.
func (n relayNode) Welcome(ctx context.Context, guest mesh.PubKey) error {
	now := n.clock()
	d, err := n.book.DraftPass(guest, now.Add(passFor), passRate, mesh.UnixOf(now))
	if err != nil {
		return err
	}
	_, err = n.hub.Publish(ctx, mesh.TopicRegistry, d, hub.Options{})
	return err
}

// relaySamples are the relay's figures for /metrics.
func (p *parts) relaySamples() []web.Sample {
	s := p.relay.Stats()
	return []web.Sample{
		{Name: "drey_relay_connections", Help: "Nostr apps at the relay.", Value: float64(s.Conns)},
		{Name: "drey_relay_subscriptions", Help: "Their subscriptions.", Value: float64(s.Subs)},
		{Name: "drey_relay_accepted_total", Help: "Events that were answered with OK true.", Value: float64(s.Events), Counter: true},
		{Name: "drey_relay_queries_total", Help: "Questions that were answered.", Value: float64(s.Queries), Counter: true},
		{Name: "drey_relay_reconciliations_total", Help: "Reconciliations (NIP-77) that were begun.", Value: float64(s.Recons), Counter: true},
		{Name: "drey_relay_full_total", Help: "Connections that found no room.", Value: float64(s.Full), Counter: true},
		{Name: "drey_relay_slow_total", Help: "Connections that were closed since they did not read.", Value: float64(s.Slow), Counter: true},
		{Name: "drey_relay_dropped_total", Help: "Messages that waited for those.", Value: float64(s.Dropped), Counter: true},
		{Name: "drey_watch_dropped_total", Help: "Ephemeral events that a slow reader on this machine missed.", Value: float64(p.hub.Stats().WatchDropped), Counter: true},
	}
}

package main

import (
	"context"
	"iter"
	"slices"
	"time"

	"drey/hub"
	"drey/mesh"
	"drey/nostrbridge"
	"drey/web"
)

// newBridge makes the carrier between this node and public relays.
func (p *parts) newBridge() *nostrbridge.Bridge {
	n := p.conf.Nostr
	c := nostrbridge.Config{
		Gateway: n.Gateway,
		Out:     topics(n.Out),
		In:      topics(n.In),
		InOpen:  n.InOpen,
		Relays:  p.pool,
		Mail:    p.mail,
		Node:    bridgeNode{p},
		Signer:  p.who.Author,
		Roster:  p.book,
		Archive: p.store,
		Shelf:   p.store.Shelf("bridge"),
		Log:     p.log.With("part", "bridge"),
		Clock:   p.clock,
	}
	for _, a := range n.Authors {
		if k, err := mesh.ParseAuthor(a); err == nil { // Validate has checked it
			c.Authors = append(c.Authors, k)
		}
	}
	return nostrbridge.New(c)
}

// A bridgeNode is the node as its bridge sees it.
type bridgeNode struct{ p *parts }

var _ nostrbridge.Node = bridgeNode{}

// Say publishes a draft in the node's name.
func (n bridgeNode) Say(ctx context.Context, t mesh.Topic, d mesh.Draft) error {
	_, err := n.p.say(ctx, t, d)
	return err
}

// Watch yields what comes in.
func (n bridgeNode) Watch(ctx context.Context, f mesh.Filter) iter.Seq2[*mesh.Record, error] {
	return n.p.hub.Watch(ctx, f, mesh.Self)
}

// Note adds a line to an event's history.
func (n bridgeNode) Note(id mesh.EventID, target, state string) {
	n.p.hub.Note(id, mesh.Step{Carrier: nostrbridge.Name, Target: target, State: state})
}

// Withdraw ends what is owed of an event that came from the world.
func (n bridgeNode) Withdraw(id mesh.EventID) { n.p.hub.Withdraw(id) }

// Topics lists the topics that exist.
func (n bridgeNode) Topics() []mesh.Topic { return n.p.hub.Topics() }

// Members lists the authors on the roster. Where there is none, as in an open
// community, they are those whose profiles or notes are here; nobody is listed.
func (n bridgeNode) Members() []mesh.PubKey {
	all := n.p.authors()
	if own := n.p.who.Author.PubKey(); !slices.Contains(all, own) {
		all = append(all, own)
	}
	return all
}

// Welcome signs a pass for somebody out in the world.
func (n bridgeNode) Welcome(ctx context.Context, author mesh.PubKey, perHour int, lasts time.Duration) error {
	now := n.p.clock()
	d, err := n.p.book.DraftWorldPass(author, now.Add(lasts), perHour, mesh.UnixOf(now))
	if err != nil {
		return err
	}
	_, err = n.p.hub.Publish(ctx, mesh.TopicRegistry, d, hub.Options{})
	return err
}

// outside reports whether a record came from the world: by its author's pass, or
// by a gateway's word.
func (p *parts) outside(r *mesh.Record) bool {
	if r.Flags&mesh.FlagGuest != 0 {
		if pass, ok := p.book.Pass(r.Event.Author(), r.Received); ok && pass.World {
			return true
		}
	}
	return p.bridge.FromWorld(r.Event.ID())
}

// bridgeSamples are the bridge's figures for /metrics.
func (p *parts) bridgeSamples() []web.Sample {
	s := p.bridge.Status()
	return []web.Sample{
		{Name: "drey_bridge_gateways", Help: "Other gateways that were heard lately.", Value: float64(s.Gateways)},
		{Name: "drey_bridge_leads", Help: "Topics that this gateway carries, over all public relays.", Value: float64(len(s.Leads))},
		{Name: "drey_bridge_carried_total", Help: "Events that public relays acknowledged.", Value: float64(s.Carried), Counter: true},
		{Name: "drey_bridge_refused_total", Help: "Events that public relays refused for good.", Value: float64(s.Refused), Counter: true},
		{Name: "drey_bridge_settled_total", Help: "Events that another gateway carried.", Value: float64(s.Settled), Counter: true},
		{Name: "drey_bridge_asked_total", Help: "Events about which a public relay was asked before they went.", Value: float64(s.Asked), Counter: true},
		{Name: "drey_bridge_taken_total", Help: "Events from public relays that were new.", Value: float64(s.Taken), Counter: true},
		{Name: "drey_bridge_too_fast_total", Help: "Events from public relays beyond what strangers may send in an hour.", Value: float64(s.TooFast), Counter: true},
		{Name: "drey_bridge_turned_away_total", Help: "Events from public relays that do not come in.", Value: float64(s.Turned), Counter: true},
	}
}

package pubsub

import (
	ps "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// A tracer counts what gossipsub does. It is called within gossipsub's loop, so
// it never blocks.
type tracer struct{ g *gossip }

// Graft notes that a neighbour joined the mesh of a topic.
func (t tracer) Graft(p peer.ID, topic string) {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	m := t.g.mu.mesh[topic]
	if m == nil {
		m = make(map[peer.ID]struct{})
		t.g.mu.mesh[topic] = m
	}
	m[p] = struct{}{}
}

// Prune notes that a neighbour left the mesh of a topic.
func (t tracer) Prune(p peer.ID, topic string) {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	delete(t.g.mu.mesh[topic], p)
}

// Leave notes that this node left a topic.
func (t tracer) Leave(topic string) {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	delete(t.g.mu.mesh, topic)
}

// OnClosedOutboundStream notes that a neighbour is gone.
func (t tracer) OnClosedOutboundStream(p peer.ID) {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	for _, m := range t.g.mu.mesh {
		delete(m, p)
	}
}

// DeliverMessage counts what was new, here or from here.
func (t tracer) DeliverMessage(m *ps.Message) {
	if m.ReceivedFrom != t.g.run.host.ID() {
		t.g.run.counts.delivered.Add(1)
	}
}

// DuplicateMessage counts copies.
func (t tracer) DuplicateMessage(*ps.Message) { t.g.run.counts.duplicate.Add(1) }

// RejectMessage counts what was not passed on, by cause.
func (t tracer) RejectMessage(_ *ps.Message, reason string) {
	c := t.g.run.counts
	switch reason {
	case ps.RejectValidationFailed:
		c.rejected.Add(1)
	case ps.RejectValidationQueueFull:
		c.validation.Add(1)
	case ps.RejectValidationThrottled:
		c.throttled.Add(1)
	default:
		c.ignored.Add(1)
	}
}

// DropRPC counts messages that did not fit into a neighbour's queue.
func (t tracer) DropRPC(*ps.RPC, peer.ID) { t.g.run.counts.outbound.Add(1) }

// The rest is of no interest here.

func (tracer) OnNewOutboundStream(peer.ID, protocol.ID) {}
func (tracer) Join(string)                              {}
func (tracer) ValidateMessage(*ps.Message)              {}
func (tracer) ThrottlePeer(peer.ID)                     {}
func (tracer) RecvRPC(*ps.RPC)                          {}
func (tracer) SendRPC(*ps.RPC, peer.ID)                 {}
func (tracer) UndeliverableMessage(*ps.Message)         {}

// allowed lets only topics of this community in. A neighbour may know topics
// that have not reached this node yet, so unknown names are taken too, up to a
// bound. Gossipsub calls it from its loop and from Join.
type allowed struct {
	g       *gossip
	foreign map[string]struct{} // only used in gossipsub's loop
}

// CanSubscribe reports whether a topic is one of this community's.
func (a *allowed) CanSubscribe(topic string) bool {
	_, ok := a.g.run.c.names.parse(topic)
	return ok
}

// FilterIncomingSubscriptions leaves out what may not be subscribed to.
func (a *allowed) FilterIncomingSubscriptions(_ peer.ID, subs []*pb.RPC_SubOpts) ([]*pb.RPC_SubOpts, error) {
	if len(subs) > maxTopics {
		a.g.run.counts.subscriptions.Add(uint64(len(subs)))
		return nil, ps.ErrTooManySubscriptions
	}
	return ps.FilterSubscriptions(subs, a.take), nil
}

func (a *allowed) take(topic string) bool {
	t, ok := a.g.run.c.names.parse(topic)
	if !ok {
		a.g.run.counts.subscriptions.Add(1)
		return false
	}
	if a.g.topic(t) != nil {
		delete(a.foreign, topic)
		return true
	}
	if _, known := a.foreign[topic]; known {
		return true
	}
	if len(a.foreign) >= maxForeign {
		a.g.run.counts.subscriptions.Add(1)
		return false
	}
	if a.foreign == nil {
		a.foreign = make(map[string]struct{})
	}
	a.foreign[topic] = struct{}{}
	return true
}

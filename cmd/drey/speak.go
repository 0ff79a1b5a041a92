package main

import (
	"context"

	"drey/hub"
	"drey/mesh"
	"drey/web"
)

// say signs a draft in this node's name and returns when it is on disk.
func (p *parts) say(ctx context.Context, t mesh.Topic, d mesh.Draft) (*mesh.Record, error) {
	return p.hub.Publish(ctx, t, d, hub.Options{})
}

// accept takes an event that this node's own parts bring and returns when it
// is on disk.
func (p *parts) accept(ctx context.Context, e *mesh.Event) error {
	return p.hub.Accept(ctx, e, mesh.Origin{Topic: mesh.TopicRegistry, Durable: true})
}

// Publish signs a post in this node's name.
func (a api) Publish(ctx context.Context, p web.Post) (*mesh.Record, error) {
	return a.say(ctx, p.Topic, p.Draft())
}

// Accept takes an event that somebody signed elsewhere.
func (a api) Accept(ctx context.Context, e *mesh.Event, from web.Door) error {
	return a.hub.Accept(ctx, e, mesh.Origin{Peer: from.Peer, Topic: from.Topic, History: from.Import, Durable: !from.Later})
}

// Flush returns when what Accept took is on disk.
func (a api) Flush(ctx context.Context) error { return a.store.Sync(ctx) }

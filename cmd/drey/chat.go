package main

import (
	"context"

	"drey/mesh"
	"drey/web"
)

// Cost tells what the radio would need for a post. It is signed to measure it
// as it would go out, and forgotten.
func (a api) Cost(_ context.Context, p web.Post) (*web.AirCost, error) {
	d := p.Draft()
	d.CreatedAt = mesh.UnixOf(a.clock())
	e, err := a.who.Author.Sign(d)
	if err != nil {
		return nil, err
	}
	priority := mesh.Chat
	if mesh.Urgent(e) {
		priority = mesh.Emergency
	}
	c, ok := a.radio.Estimate(&mesh.Record{Event: e, Topic: p.Topic}, priority)
	if !ok {
		return nil, nil
	}
	return &web.AirCost{Packets: c.Packets, AirtimeMS: c.Airtime.Milliseconds(), WaitMS: c.Wait.Milliseconds(), Why: c.Why, TooLong: c.TooLong}, nil
}

// Report tells the community what is wrong with a message.
func (a api) Report(ctx context.Context, r web.Report) (*mesh.Record, error) {
	return a.say(ctx, r.Topic, r.Draft())
}

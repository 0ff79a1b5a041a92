package webtest

import (
	"context"

	"drey/mesh"
	"drey/web"
)

// Cost implements web.Conversing: alerts go out by radio, in packets of 200
// bytes that take two seconds each.
func (n *Node) Cost(_ context.Context, p web.Post) (*web.AirCost, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p.Topic != mesh.TopicAlerts {
		return nil, n.mu.fail
	}
	packets := (len(p.Text) + 199) / 200
	c := &web.AirCost{Packets: packets, AirtimeMS: int64(packets) * 2000, TooLong: packets > 3}
	if packets > 1 {
		c.WaitMS, c.Why = 120_000, "airtime"
	}
	return c, n.mu.fail
}

// Report implements web.Conversing.
func (n *Node) Report(_ context.Context, r web.Report) (*mesh.Record, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.fail != nil {
		return nil, n.mu.fail
	}
	d := r.Draft()
	d.CreatedAt = mesh.UnixOf(n.now())
	e, err := n.key.Sign(d)
	if err != nil {
		return nil, err
	}
	return n.keepLocked(&mesh.Record{Event: e, Topic: r.Topic}), nil
}

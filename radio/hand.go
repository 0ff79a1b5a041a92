package radio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"drey/radio/meshtastic"
)

// hand gives an operator's errand to the radio's owner.
func (c *Carrier) hand(ctx context.Context, e *errand) error {
	if s := c.Status(); s.State != StateLive {
		return fmt.Errorf("the radio is %s", s.State)
	}
	select {
	case c.errands <- e:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// self returns the number of the node's own radio, 0 while it is not known.
func (c *Carrier) self() meshtastic.NodeNum { return c.nodes.own() }

// ask sends the radio itself, or another, a message and returns the answer.
func (c *Carrier) ask(ctx context.Context, p meshtastic.Packet) (news, error) {
	updates := make(chan news, 8)
	e := &errand{packet: p, tell: func(_ *owner, n news) {
		select {
		case updates <- n:
		default:
		}
	}}
	if err := c.hand(ctx, e); err != nil {
		return news{}, err
	}
	for {
		select {
		case <-ctx.Done():
			return news{}, ctx.Err()
		case n := <-updates:
			switch {
			case n.err != nil:
				return n, n.err
			case n.packet == nil && n.routing != meshtastic.ErrorNone:
				return n, routingError{n.routing}
			case n.sent && p.Data.WantResponse:
				continue
			}
			return n, nil
		}
	}
}

// A Probe is what became of a test.
type Probe struct {
	Sent  bool          `json:"sent"`
	Heard bool          `json:"heard"` // at least one radio repeated it
	After time.Duration `json:"-"`     // from the order until that was known
	Why   string        `json:"why"`   // where it was not sent, or not heard
}

// Test sends a short packet, which no handheld shows, and tells whether any
// radio was heard repeating it. The channel is the first that carries a topic. It costs
// up to three short transmissions.
func (c *Carrier) Test(ctx context.Context) (Probe, error) {
	s := c.Status()
	if s.State == StateLive && s.Problem != "" && s.Code != CodeChannel && s.Code != CodeKey {
		return Probe{Why: s.Problem}, nil
	}
	channel := 0
	if len(c.cfg.Maps) > 0 {
		m := c.cfg.Maps[0]
		if channel = m.Channel; !m.text() && s.Signed.Channel >= 0 {
			channel = s.Signed.Channel
		}
		if s.State == StateLive && !slices.ContainsFunc(s.Channels, func(h ChannelStatus) bool { return h.Index == channel }) {
			return Probe{Why: m.lacking() + ": " + fixChannel}, nil
		}
	}
	began := time.Now()
	updates := make(chan news, 8)
	e := &errand{
		packet: meshtastic.Packet{
			To: meshtastic.Broadcast, Channel: uint32(channel), WantAck: true, HopLimit: 1,
			Data: &meshtastic.Data{Port: meshtastic.PortProbe, Payload: []byte("?")},
		},
		tell: func(_ *owner, n news) {
			select {
			case updates <- n:
			default:
			}
		},
	}
	if err := c.hand(ctx, e); err != nil {
		return Probe{}, err
	}
	var p Probe
	for {
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				if p.Why = "no news within the time given"; !p.Sent {
					p.Why = "it still waits for air"
				}
				return p, nil
			}
			return p, ctx.Err()
		case n := <-updates:
			switch {
			case n.err != nil:
				p.Why = n.err.Error()
				return p, nil
			case n.sent:
				p.Sent = true
			case n.packet == nil && n.routing == meshtastic.ErrorNone:
				p.Sent, p.Heard, p.After = true, true, time.Since(began)
				return p, nil
			case n.packet == nil:
				p.Why = n.routing.String()
				p.Sent = p.Sent || n.routing == meshtastic.ErrorMaxRetransmit
				return p, nil
			}
		}
	}
}

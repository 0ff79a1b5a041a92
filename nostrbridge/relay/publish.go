package relay

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"drey/mesh"
)

// kindAuth is what a client signs to show its key (NIP-42).
const kindAuth mesh.Kind = 22242

// publish answers an EVENT. Events of one connection are taken in its order,
// and answered when the disk has them.
func (c *conn) publish(raw []byte) error {
	e, err := mesh.ParseJSON(raw)
	if err != nil {
		if err := c.fault(); err != nil {
			return err
		}
		if id := eventID(raw); id != "" {
			return c.say("OK", id, false, sentence("invalid", mesh.ErrInvalid, err))
		}
		return c.say("NOTICE", sentence("invalid", mesh.ErrInvalid, err))
	}
	select {
	case c.flights <- struct{}{}:
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
	text, err := c.take(e)
	if err == nil {
		c.front.disk.add(ack{c, e.ID(), text})
		return nil
	}
	<-c.flights
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	if errors.Is(err, mesh.ErrInvalid) {
		if err := c.fault(); err != nil {
			return err
		}
	}
	return c.say("OK", e.ID().String(), false, answer(err))
}

// A denial is the relay's own no, as a client reads it.
type denial string

func (d denial) Error() string { return string(d) }

// take brings an event into the node. A nil error says that it is there, in
// memory at least; text is what the OK says besides.
func (c *conn) take(e *mesh.Event) (text string, err error) {
	if e.Kind() == kindAuth {
		return "", denial("invalid: kind 22242 is said with AUTH")
	}
	if _, protected := e.Tag("-"); protected && !c.holds(e.Author()) {
		if len(c.sight.Load().keys) == 0 {
			return "", denial("auth-required: a protected event is taken from its author alone")
		}
		return "", denial("restricted: a protected event is taken from its author alone")
	}
	s := c.front.node.Standing(e.Author())
	pace := c.guests
	if s.Member() && (!c.front.config.Open || e.Author() == c.front.config.Author) {
		pace = c.members
	}
	if !pace.AllowN(c.front.config.Clock(), 1) {
		return "", denial("rate-limited: too many events at once; try again in a moment")
	}
	if !s.Member() && e.Kind() != mesh.KindGiftWrap {
		if err := c.admitGuest(e, s); err != nil {
			return "", err
		}
	}
	err = c.receive(e)
	var gone *mesh.GoneError
	if errors.Is(err, mesh.ErrDuplicate) && !errors.As(err, &gone) {
		return "duplicate: it is here already", nil
	}
	return "", err
}

// receive hands an event to the node: at once, so that the next one need not
// wait for this one's way to the disk, or, where there is no room, patiently.
// Of what it saw lately the node tells only then whether it holds it still.
func (c *conn) receive(e *mesh.Event) error {
	from := mesh.Origin{Peer: c.addr.String()}
	err := c.front.node.Receive(c.ctx, e, from)
	if errors.Is(err, mesh.ErrBusy) || errors.Is(err, mesh.ErrDuplicate) {
		from.Durable = true
		err = c.front.node.Receive(c.ctx, e, from)
	}
	return err
}

// admitGuest asks whether somebody who is no member may write e here, and gives
// a key that is new a pass.
func (c *conn) admitGuest(e *mesh.Event, s mesh.Standing) error {
	return c.front.admit(c.ctx, e, s, c.addr, c.foreign)
}

// guestMay tells why a guest may not write e, "" where it may: what the page's
// visitors may, and who they are themselves.
func (f *Front) guestMay(ctx context.Context, e *mesh.Event) string {
	switch e.Kind() {
	case mesh.KindDeletion: // reaches the author's own alone
		return ""
	}
	switch t := f.topicOf(ctx, e); {
	case t == mesh.TopicRegistry:
		return "restricted: guests decide nothing"
	case t != mesh.TopicPeople && !slices.Contains(f.config.GuestTopics, t):
		return "restricted: topic " + string(t) + " is not open to guests"
	}
	return ""
}

// topicOf tells where the node will put e.
func (f *Front) topicOf(ctx context.Context, e *mesh.Event) mesh.Topic {
	topics := f.node.Topics()
	t, _ := mesh.TopicFor(e, func(t mesh.Topic) bool { return slices.Contains(topics, t) }, func(id mesh.EventID) (mesh.Topic, bool) {
		for r, err := range f.node.Records(ctx, mesh.Filter{IDs: []mesh.EventID{id}, Limit: 1}, mesh.Self) {
			if err == nil {
				return r.Topic, true
			}
		}
		return "", false
	})
	return t
}

// passes bound how many new guests come from an address and from all: each
// costs the whole community an event.
type passes struct {
	limits Limits // immutable

	mu struct {
		sync.Mutex
		all  *rate.Limiter
		each map[netip.Addr]*rate.Limiter // at most passAddresses
	}
}

const passAddresses = 1024

func newPasses(l Limits) *passes {
	p := &passes{limits: l}
	p.mu.all = rate.NewLimiter(rate.Every(l.PassEveryAll), l.PassBurstAll)
	p.mu.each = make(map[netip.Addr]*rate.Limiter)
	return p
}

func (p *passes) allow(a netip.Addr, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.mu.each[a]
	if one == nil {
		for k, l := range p.mu.each {
			if l.TokensAt(now) >= float64(p.limits.PassBurst) {
				delete(p.mu.each, k)
			}
		}
		if len(p.mu.each) >= passAddresses {
			return false
		}
		one = rate.NewLimiter(rate.Every(p.limits.PassEvery), p.limits.PassBurst)
		p.mu.each[a] = one
	}
	return p.mu.all.TokensAt(now) >= 1 && one.AllowN(now, 1) && p.mu.all.AllowN(now, 1)
}

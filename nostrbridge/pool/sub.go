package pool

import (
	"context"
	"sync"

	"drey/mesh"
)

// What may wait of one subscription. More is dropped, counted and asked for
// again.
const (
	queued      = 512     // events
	queuedBytes = 4 << 20 // of their text
)

// A sub is one subscription: events come over a queue, the rest by a signal.
type sub struct {
	c       *conn
	name    string
	verb    string // that ends it
	filters []mesh.Filter
	events  chan *mesh.Event

	begun  chan struct{} // closed when the relay first says anything about it
	lax    bool          // what comes before EOSE may be dropped: others ask for it
	stored chan struct{} // closed at EOSE
	closed chan struct{} // closed when the relay ended it; then refusal is set
	full   chan struct{} // closed when something was dropped
	reply  chan message  // NEG-MSG, NEG-ERR

	mu struct {
		sync.Mutex
		bytes   int
		refusal *Refusal
	}
}

// subscribe opens a subscription with the message that ask makes of its name.
func (c *conn) subscribe(ctx context.Context, filters []mesh.Filter, lax bool, end string, ask func(name string) []byte) (*sub, error) {
	s := &sub{
		c: c, verb: end, filters: filters, lax: lax, events: make(chan *mesh.Event, queued),
		begun: make(chan struct{}), stored: make(chan struct{}), closed: make(chan struct{}), full: make(chan struct{}), reply: make(chan message, 1),
	}
	c.mu.Lock()
	s.name = c.nameLocked()
	c.mu.subs[s.name] = s
	c.mu.Unlock()
	if err := c.send(ctx, ask(s.name)); err != nil {
		c.forget(s)
		return nil, err
	}
	return s, nil
}

// req opens a subscription to filters; see sub.lax.
func (c *conn) req(ctx context.Context, filters []mesh.Filter, lax bool) (*sub, error) {
	return c.subscribe(ctx, filters, lax, "CLOSE", func(name string) []byte { return appendReq(nil, name, filters) })
}

func (c *conn) forget(s *sub) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.mu.subs, s.name)
}

// end closes the subscription, unless the relay did.
func (s *sub) end() {
	s.c.forget(s)
	select {
	case <-s.closed:
		return
	default:
	}
	select {
	case s.c.out <- appendClose(nil, s.verb, s.name):
	case <-s.c.ctx.Done():
	}
}

// shut closes a channel that one goroutine alone closes, unless it is closed.
func shut(ch chan struct{}) {
	select {
	case <-ch:
	default:
		close(ch)
	}
}

// offer queues an event, and reports whether there was room.
func (s *sub) offer(e *mesh.Event) bool {
	n := weight(e)
	defer shut(s.begun)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.bytes+n <= queuedBytes {
		select {
		case s.events <- e:
			s.mu.bytes += n
			return true
		default:
		}
	}
	if s.lax {
		select {
		case <-s.stored:
		default:
			return false
		}
	}
	shut(s.full)
	return false
}

// taken makes room again.
func (s *sub) taken(e *mesh.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.bytes -= weight(e)
}

// drain takes what waits, after some events that were taken before.
func (s *sub) drain(events ...*mesh.Event) []*mesh.Event {
	for len(s.events) > 0 && len(events) < batch {
		events = append(events, <-s.events)
	}
	for _, e := range events {
		s.taken(e)
	}
	return events
}

// weight is about what an event takes in memory, in bytes.
func weight(e *mesh.Event) int {
	n := 256 + len(e.Content())
	for _, t := range e.Tags() {
		n += 24
		for _, v := range t {
			n += 16 + len(v)
		}
	}
	return n
}

// tell takes what is no event. It is called by the reader alone.
func (s *sub) tell(m message) {
	defer shut(s.begun)
	switch m.verb {
	case "EOSE":
		shut(s.stored)
	case "CLOSED":
		s.mu.Lock()
		if s.mu.refusal == nil {
			s.mu.refusal = parseRefusal(m.text)
		}
		s.mu.Unlock()
		shut(s.closed)
	default:
		select {
		case s.reply <- m:
		default: // more than one answer to one question
		}
	}
}

// refusal says why the relay ended the subscription.
func (s *sub) refusal() *Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.refusal
}

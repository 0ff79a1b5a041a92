package relay

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"drey/mesh"
)

const (
	// queryFor is how long one REQ or COUNT may work, its waiting for a slow
	// client included.
	queryFor = 20 * time.Second
	// pendingMost is how many live events may wait for the end of what is stored.
	pendingMost = 1024
	// pageMost is how many records are read before the client gets them.
	pageMost = 64
)

// A sub is one subscription. What is not immutable is guarded by its
// connection's mu.
type sub struct {
	id      string    // immutable
	filters []*filter // immutable
	weight  int       // immutable

	gone    bool
	live    bool            // what is stored has been sent
	over    bool            // more came in meanwhile than could wait
	from    uint64          // position when it began: up to here the store has told
	early   map[uint64]bool // what the store has told beyond that
	pending []*news
}

func (s *sub) matches(n *news) bool {
	return slices.ContainsFunc(s.filters, func(f *filter) bool {
		return f.chooses(n.rec.Event) && (f.search.All() || f.search.In(n.searched()))
	})
}

// giveLocked sends an event, or keeps it until what is stored has been sent.
func (s *sub) giveLocked(out *outbox, n *news) {
	switch {
	case !s.live && len(s.pending) >= pendingMost:
		s.over = true
	case !s.live:
		s.pending = append(s.pending, n)
	case s.told(n.rec.Seq):
	default:
		out.live(frame{s.id, n.json()})
	}
}

// told reports whether the store has told an event that comes live now, which
// it does once.
func (s *sub) told(seq uint64) bool {
	if s.early[seq] {
		delete(s.early, seq)
		return true
	}
	return seq != 0 && seq <= s.from
}

// subscribe answers a REQ.
func (c *conn) subscribe(m *message) error {
	if why := c.refuseQuery(m, 1); why != "" {
		return c.say("CLOSED", m.id, why)
	}
	s := &sub{id: m.id, filters: m.filters, early: make(map[uint64]bool)}
	for _, f := range m.filters {
		s.weight += f.weight
	}
	if why := c.add(s); why != "" {
		return c.say("CLOSED", m.id, why)
	}
	from := c.front.position.Load() // after add: what comes later is offered
	c.mu.Lock()
	s.from = from
	c.mu.Unlock()
	why, err := c.sendStored(s)
	if err != nil {
		return err
	}
	c.front.stats.queries.Add(1)
	if why == "" {
		if err := c.say("EOSE", s.id); err != nil {
			return err
		}
		if why = c.goLive(s); why == "" {
			return nil
		}
	}
	c.unsubscribe(s.id)
	return c.say("CLOSED", s.id, why)
}

// goLive sends what came in while the store told, and lets the rest come.
func (c *conn) goLive(s *sub) (why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.over {
		return "error: more came in than could wait while you read; ask again"
	}
	s.live = true
	for _, n := range s.pending {
		s.giveLocked(c.out, n)
	}
	s.pending = nil
	return ""
}

// sendStored sends what the store has, the newest of all filters first.
func (c *conn) sendStored(s *sub) (why string, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, queryFor)
	defer cancel()
	for page, err := range c.pages(ctx, s.filters, true) {
		if err != nil {
			return c.failed(ctx, err)
		}
		c.mu.Lock()
		for _, r := range page {
			if r.Seq > s.from {
				s.early[r.Seq] = true
			}
		}
		c.mu.Unlock()
		for _, r := range page {
			if err := c.out.reply(ctx, frame{s.id, r.Event.AppendJSON(nil)}); err != nil {
				return c.failed(ctx, err)
			}
		}
	}
	return "", nil
}

// pages yields what is stored, some records at a time; see stored. It holds one
// of the few places for queries only while it reads: no client's slowness keeps
// others from theirs.
func (c *conn) pages(ctx context.Context, filters []*filter, limited bool) iter.Seq2[[]*mesh.Record, error] {
	return func(yield func([]*mesh.Record, error) bool) {
		if err := c.front.enterQuery(ctx); err != nil {
			yield(nil, err)
			return
		}
		reading := true
		defer func() {
			if reading {
				c.front.leaveQuery()
			}
		}()
		var page []*mesh.Record
		bytes := 0
		for r, err := range c.stored(ctx, filters, limited) {
			if err != nil {
				yield(nil, err)
				return
			}
			page = append(page, r)
			if bytes += len(r.Event.Content()); len(page) < pageMost && bytes < replyBytes {
				continue
			}
			c.front.leaveQuery()
			reading = false
			if !yield(page, nil) {
				return
			}
			page, bytes = nil, 0
			if err := c.front.enterQuery(ctx); err != nil {
				yield(nil, err)
				return
			}
			reading = true
		}
		c.front.leaveQuery()
		reading = false
		if len(page) > 0 {
			yield(page, nil)
		}
	}
}

func (f *Front) enterQuery(ctx context.Context) error {
	select {
	case f.queries <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *Front) leaveQuery() { <-f.queries }

// failed tells what ended a query: the connection's end is an error, all else
// is for the client.
func (c *conn) failed(ctx context.Context, err error) (why string, end error) {
	switch {
	case c.ctx.Err() != nil:
		return "", c.ctx.Err()
	case errors.Is(err, context.Canceled): // the client is being sent away
		return "", err
	case ctx.Err() != nil:
		return "error: it took too long; ask for less", nil
	}
	c.front.log.Error("query failed", "err", err)
	return "error: the store could not be read", nil
}

// count answers a COUNT (NIP-45).
func (c *conn) count(m *message) error {
	if why := c.refuseQuery(m, 1); why != "" {
		return c.say("CLOSED", m.id, why)
	}
	ctx, cancel := context.WithTimeout(c.ctx, queryFor)
	defer cancel()
	var told struct {
		Count       int  `json:"count"`
		Approximate bool `json:"approximate,omitempty"`
	}
	for page, err := range c.pages(ctx, m.filters, false) {
		if err != nil {
			why, err := c.failed(ctx, err)
			if err != nil {
				return err
			}
			return c.say("CLOSED", m.id, why)
		}
		told.Count += len(page)
		if most := c.front.limits.Counted; told.Count > most {
			told.Count, told.Approximate = most, true
			break
		}
	}
	c.front.stats.queries.Add(1)
	return c.say("COUNT", m.id, told)
}

// refuseQuery tells why a REQ, COUNT or NEG-OPEN is not for this client, "" where
// it is. It counts for so many questions.
func (c *conn) refuseQuery(m *message, questions int) string {
	if !c.asks.AllowN(c.front.config.Clock(), questions) {
		return "rate-limited: too many questions at once; try again in a moment"
	}
	s := c.look()
	if c.foreign && !s.viewer.Member && len(s.keys) == 0 {
		return "auth-required: websites read here for members only"
	}
	for _, f := range m.filters {
		if !f.private() || len(s.keys) > 0 && f.reaches(s.keys) {
			return ""
		}
	}
	if len(s.keys) == 0 {
		return "auth-required: private messages go to their recipient alone"
	}
	return "restricted: private messages go to their recipient alone"
}

// add takes a subscription in, in the place of one of the same name.
func (c *conn) add(s *sub) (why string) {
	c.unsubscribe(s.id)
	l := &c.front.limits
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case len(c.mu.subs) >= l.Subs:
		return "rate-limited: too many subscriptions; close one first"
	case c.mu.weight+s.weight > l.Weight:
		return "rate-limited: your filters are too large together; close one first"
	}
	if c.front.weight.Add(int64(s.weight)) > int64(l.WeightAll) {
		c.front.weight.Add(-int64(s.weight))
		return "error: the node has no room for more filters; try again later"
	}
	c.mu.weight += s.weight
	c.mu.subs = append(c.mu.subs, s)
	return ""
}

// unsubscribe ends the subscription of a name, if there is one.
func (c *conn) unsubscribe(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.subs = slices.DeleteFunc(c.mu.subs, func(s *sub) bool {
		if s.id != id {
			return false
		}
		c.endLocked(s)
		return true
	})
}

func (c *conn) unsubscribeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.mu.subs {
		c.endLocked(s)
	}
	c.mu.subs = nil
}

func (c *conn) endLocked(s *sub) {
	s.gone, s.pending = true, nil
	c.mu.weight -= s.weight
	c.front.weight.Add(-int64(s.weight))
}

func (c *conn) subscriptions() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.mu.subs)
}

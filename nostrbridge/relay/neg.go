package relay

import (
	"context"
	"encoding/hex"
	"net/netip"
	"slices"
	"sync"
	"time"

	"drey/mesh"
	"drey/mesh/negentropy"
)

const (
	// negFrame is the longest answer of a reconciliation, in bytes; on the wire
	// it has twice as many digits.
	negFrame = 60 << 10
	// negIdle is how long a reconciliation waits for its client.
	negIdle = time.Minute
	// negCost is how many questions the beginning of one counts for: it may read
	// Limits.NegItems events.
	negCost = 20
	// negVersion is the first byte of messages of the protocol spoken here;
	// negVersions those of all there may ever be.
	negVersion   = 0x61
	negVersions  = 0x60
	negVersionOf = 0xf0
)

// A recon is one reconciliation (NIP-77): what the client may see of one filter
// as it was when it began.
type recon struct {
	id     string          // immutable
	set    *negentropy.Set // immutable
	roster uint64          // immutable; by which it was judged who sees what
	free   func()          // immutable; gives its places back
	idle   *time.Timer     // immutable; ends it
}

// negOpen answers a NEG-OPEN.
func (c *conn) negOpen(m *message) error {
	c.negDrop(m.id)
	if why := c.refuseQuery(m, negCost); why != "" {
		return c.negEnd(m.id, why)
	}
	s := c.look()
	free, why := c.front.recons.take(c, s.keys)
	if why != "" {
		return c.negEnd(m.id, why)
	}
	set, why, err := c.gather(m.filters[0])
	if err != nil || why != "" {
		free()
	}
	switch {
	case err != nil:
		return err
	case why == tooBig:
		return c.say("NEG-ERR", m.id, why, c.front.limits.NegItems)
	case why != "":
		return c.negEnd(m.id, why)
	}
	r := &recon{id: m.id, set: set, roster: s.roster, free: func() { c.front.recons.hold(-set.Len()); free() }}
	c.mu.Lock()
	r.idle = time.AfterFunc(negIdle, func() { c.negExpire(r) })
	c.mu.recons = append(c.mu.recons, r)
	c.mu.Unlock()
	c.front.stats.recons.Add(1)
	return c.negAnswer(r, m.neg)
}

// tooBig is what NIP-77 has a relay say of too wide a filter.
const tooBig = "blocked: this query is too big"

// gather takes down what the client may see of a filter. What it takes is
// counted as held, unless it fails.
func (c *conn) gather(f *filter) (set *negentropy.Set, why string, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, queryFor)
	defer cancel()
	whole := *f
	whole.limit = f.asked // of reconciliations the bound is another
	set = &negentropy.Set{}
	held := 0
	defer func() {
		if set == nil {
			c.front.recons.hold(-held)
		}
	}()
	for page, err := range c.pages(ctx, []*filter{&whole}, f.asked >= 0) {
		if err != nil {
			why, err := c.failed(ctx, err)
			return nil, why, err
		}
		switch {
		case held+len(page) > c.front.limits.NegItems:
			return nil, tooBig, nil
		case !c.front.recons.hold(len(page)):
			return nil, "error: the node has no room for more reconciliations; try again later", nil
		}
		held += len(page)
		for _, r := range page {
			set.Add(mesh.Item{CreatedAt: r.Event.CreatedAt(), ID: r.Event.ID()})
		}
	}
	set.Seal()
	return set, "", nil
}

// negNext answers a NEG-MSG.
func (c *conn) negNext(m *message) error {
	c.mu.Lock()
	i := slices.IndexFunc(c.mu.recons, func(r *recon) bool { return r.id == m.id })
	var r *recon
	if i >= 0 {
		r = c.mu.recons[i]
		r.idle.Reset(negIdle)
	}
	c.mu.Unlock()
	if r == nil {
		return c.negEnd(m.id, "closed: no reconciliation of this name is open")
	}
	if !c.asks.AllowN(c.front.config.Clock(), 1) {
		return c.negEnd(m.id, "rate-limited: too many questions at once; try again in a moment")
	}
	if c.look().roster != r.roster {
		return c.negEnd(m.id, "closed: who may read what has changed; begin again")
	}
	return c.negAnswer(r, m.neg)
}

func (c *conn) negAnswer(r *recon, digits string) error {
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) == 0 {
		return c.negFault(r.id, "invalid: the message is not hexadecimal")
	}
	if b[0] != negVersion && b[0]&negVersionOf == negVersions {
		return c.say("NEG-MSG", r.id, hex.EncodeToString([]byte{negVersion})) // what is spoken here
	}
	answer, err := negentropy.Answer(r.set, negFrame, b)
	if err != nil {
		return c.negFault(r.id, "invalid: "+err.Error())
	}
	return c.say("NEG-MSG", r.id, hex.EncodeToString(answer))
}

// negFault ends a reconciliation by a message that does not hold.
func (c *conn) negFault(id, why string) error {
	if err := c.fault(); err != nil {
		return err
	}
	return c.negEnd(id, why)
}

// negEnd ends a reconciliation with a reason, whether there is one or not.
func (c *conn) negEnd(id, why string) error {
	c.negDrop(id)
	return c.say("NEG-ERR", id, why)
}

// negDrop forgets the reconciliation of a name, and reports whether there was
// one.
func (c *conn) negDrop(id string) bool {
	return c.negDropIf(func(r *recon) bool { return r.id == id })
}

func (c *conn) negDropIf(which func(*recon) bool) (some bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.recons = slices.DeleteFunc(c.mu.recons, func(r *recon) bool {
		if !which(r) {
			return false
		}
		some = true
		r.idle.Stop()
		r.free()
		return true
	})
	return some
}

// negExpire ends a reconciliation that has waited too long for its client.
func (c *conn) negExpire(r *recon) {
	if c.negDropIf(func(o *recon) bool { return o == r }) {
		c.out.force(frame{body: appendMessage(nil, "NEG-ERR", r.id, "closed: you took too much time")})
	}
}

// recons bounds the reconciliations of all connections together.
type recons struct {
	limits Limits // immutable

	mu struct {
		sync.Mutex
		items int // held, of at most NegItemsAll
		keys  map[mesh.PubKey]int
		addrs map[netip.Addr]int // of connections that have shown no key
	}
}

func newRecons(l Limits) *recons {
	r := &recons{limits: l}
	r.mu.keys = make(map[mesh.PubKey]int)
	r.mu.addrs = make(map[netip.Addr]int)
	return r
}

// take lets one more begin, or tells why not. free gives its place back.
func (r *recons) take(c *conn, keys []mesh.PubKey) (free func(), why string) {
	c.mu.Lock()
	own := len(c.mu.recons)
	c.mu.Unlock()
	if own >= r.limits.Neg {
		return nil, "blocked: too many reconciliations on one connection; close one first"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range keys {
		if r.mu.keys[k] >= r.limits.Neg {
			return nil, "blocked: too many reconciliations of one key; close one first"
		}
	}
	if len(keys) == 0 && r.mu.addrs[c.addr] >= r.limits.NegEach {
		return nil, "blocked: too many reconciliations from your address; show a key, or try again later"
	}
	count := func(by int) {
		for _, k := range keys {
			if r.mu.keys[k] += by; r.mu.keys[k] == 0 {
				delete(r.mu.keys, k)
			}
		}
		if len(keys) == 0 {
			if r.mu.addrs[c.addr] += by; r.mu.addrs[c.addr] == 0 {
				delete(r.mu.addrs, c.addr)
			}
		}
	}
	count(1)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		count(-1)
	}, ""
}

// hold counts items in, or out with a negative number; it reports whether there
// was room.
func (r *recons) hold(items int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if items > 0 && r.mu.items+items > r.limits.NegItemsAll {
		return false
	}
	r.mu.items += items
	return true
}

package nostrbridge

import (
	"bytes"
	"crypto/sha256"
	"maps"
	"slices"
	"sync"
	"time"

	"drey/mesh"
)

// A pace says when gateways speak and change over. The package comment tells
// why the steps do not overlap.
type pace struct {
	beat  time.Duration // between words
	dead  time.Duration // a gateway that has said nothing for so long is gone
	yield time.Duration // a colleague that was ready for so long is given the lead
	act   time.Duration // and takes it after so long, where there are others
	alone time.Duration // and after so long where it hears of no other
	blip  time.Duration // a relay may be away for so long and still count as ready
	told  time.Duration // news waits for so long for company in one word
	sweep time.Duration // between looks at what waits for colleagues
}

// usual is the pace of real gateways: a takeover takes 45 s and what a word may
// be late.
var usual = pace{
	beat: 20 * time.Second, dead: 45 * time.Second, yield: 15 * time.Second, act: 20 * time.Second,
	alone: 5 * time.Second, blip: 30 * time.Second, told: 2 * time.Second, sweep: time.Minute,
}

// ownFor is how long a lead that was taken over lasts.
const ownFor = time.Hour

// maxGateways bounds how many colleagues are listened to.
const maxGateways = 64

// A council is what a gateway knows of itself and its colleagues. It decides
// who carries a topic to a relay. It does no I/O; times are arguments.
type council struct {
	self mesh.PubKey // immutable
	pace pace        // immutable

	mu struct {
		sync.Mutex
		own    map[lead]time.Time // leads taken from who did not carry: until when
		began  time.Time
		ready  map[string]time.Time // by relay: since when this gateway can write there
		out    map[mesh.Topic]bool
		others map[mesh.PubKey]*claim
	}
}

// A claim is a colleague's last word.
type claim struct {
	heard   time.Time
	created mesh.Unix // of the word: an older one changes nothing
	word    *word
}

func newCouncil(self mesh.PubKey, p pace, out []mesh.Topic) *council {
	c := &council{self: self, pace: p}
	c.mu.own = make(map[lead]time.Time)
	c.mu.ready = make(map[string]time.Time)
	c.mu.others = make(map[mesh.PubKey]*claim)
	c.mu.out = make(map[mesh.Topic]bool)
	for _, t := range out {
		c.mu.out[t] = true
	}
	return c
}

// begin says that the gateway has begun to listen to others.
func (c *council) begin(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.began = now
	clear(c.mu.ready)
}

// setReady says since when this gateway can write to relays.
func (c *council) setReady(relays map[string]time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.ready = relays
}

// idle reports whether this gateway can write to no relay.
func (c *council) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.mu.ready) == 0
}

// topics lists those that this gateway carries.
func (c *council) topics() []mesh.Topic {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.mu.out))
}

// word returns what this gateway says of itself.
func (c *council) word(now time.Time) *word {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &word{ready: make(map[string]time.Duration), out: make(map[mesh.Topic]bool), alone: true}
	for _, o := range c.mu.others {
		w.alone = w.alone && now.Sub(o.heard) > c.pace.dead
	}
	for url, since := range c.mu.ready {
		w.ready[url] = now.Sub(since)
	}
	for t := range c.mu.out {
		w.out[t] = true
	}
	return w
}

// hear takes a colleague's word. fresh reports that it was not known to be
// there, has begun anew, or hears nobody: it wants to know who else is. A word
// that is older than the last is not taken, unless no newer one has come for
// longer than a beat: then his clock was put back.
func (c *council) hear(from mesh.PubKey, created mesh.Unix, w *word, now time.Time) (taken, fresh bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.mu.others[from]
	switch {
	case from == c.self:
		return false, false
	case old != nil && created < old.created && now.Sub(old.heard) <= c.pace.beat*3/2:
		return false, false
	case old == nil && len(c.mu.others) >= maxGateways && !c.forgetLocked(now):
		return false, false
	}
	c.mu.others[from] = &claim{now, created, w}
	return true, old == nil || w.alone || now.Sub(old.heard) > c.pace.dead
}

// forgetLocked makes room among the colleagues who are gone.
func (c *council) forgetLocked(now time.Time) bool {
	for k, o := range c.mu.others {
		if now.Sub(o.heard) > c.pace.dead {
			delete(c.mu.others, k)
		}
	}
	return len(c.mu.others) < maxGateways
}

// leads reports whether this gateway carries a topic to a relay now.
func (c *council) leads(relay string, t mesh.Topic, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	since, ready := c.mu.ready[relay]
	if !ready && t == mesh.TopicMail {
		since, ready = latest(c.mu.ready)
	}
	if !ready || !c.mu.out[t] {
		return false
	}
	if until, taken := c.mu.own[lead{relay, t}]; taken {
		if now.Before(until) {
			return true
		}
		delete(c.mu.own, lead{relay, t})
	}
	mine := lot(c.self, relay, t)
	accompanied := false
	for k, o := range c.mu.others {
		d, there := o.word.ready[relay]
		if !there && t == mesh.TopicMail {
			d, there = shortest(o.word.ready)
		}
		if !there || !o.word.out[t] || now.Sub(o.heard) > c.pace.dead {
			continue
		}
		accompanied = true
		theirs := lot(k, relay, t)
		if d+now.Sub(o.heard) >= c.pace.yield && bytes.Compare(theirs[:], mine[:]) > 0 {
			return false
		}
	}
	if accompanied {
		return now.Sub(since) >= c.pace.act
	}
	// Whoever came back with the relay says so within this time.
	return now.Sub(c.mu.began) >= c.pace.alone && now.Sub(since) >= c.pace.alone
}

// takeOver gives this gateway the lead for a while, whatever others say: who has
// it does not carry. In an open community words prove nothing, and somebody who
// only says that he is a gateway must silence nobody.
func (c *council) takeOver(relay string, t mesh.Topic, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.own[lead{relay, t}] = now.Add(ownFor)
}

// owns reports whether a lead was taken over.
func (c *council) owns(relay string, t mesh.Topic, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return now.Before(c.mu.own[lead{relay, t}])
}

// latest returns when the last of a gateway's relays became ready. A relay where
// a reader looks for his mail need not be in anybody's list: whoever reaches
// any relay can carry there.
func latest(ready map[string]time.Time) (since time.Time, ok bool) {
	for _, t := range ready {
		if !ok || t.After(since) {
			since, ok = t, true
		}
	}
	return since, ok
}

// shortest is latest for what a colleague says of himself.
func shortest(ready map[string]time.Duration) (d time.Duration, ok bool) {
	for _, t := range ready {
		if !ok || t < d {
			d, ok = t, true
		}
	}
	return d, ok
}

// company counts the colleagues who are there.
func (c *council) company(now time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, o := range c.mu.others {
		if now.Sub(o.heard) <= c.pace.dead {
			n++
		}
	}
	return n
}

// lot is a gateway's lot for a topic and a relay: the highest leads
// (rendezvous hashing), so that one gateway's going moves only its own.
func lot(gateway mesh.PubKey, relay string, t mesh.Topic) [32]byte {
	b := append([]byte("drey/1/gateway\x00"), gateway[:]...)
	b = append(append(b, relay...), 0)
	return sha256.Sum256(append(b, t...))
}

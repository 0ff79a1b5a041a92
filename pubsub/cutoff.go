package pubsub

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"drey/mesh"
)

// When a neighbour is cut off. Honest neighbours check before they pass on, so
// even one invalid event is odd; a few may come from a bug.
const (
	invalidLimit  = 8                // invalid events within invalidWindow
	invalidWindow = 10 * time.Minute //
	cutFor        = 10 * time.Minute // doubling each time
	cutMost       = 24 * time.Hour
	maxCulprits   = 1024
)

// cutoffs counts what neighbours did wrong and blocks the worst for a time. It
// is gossipsub's blacklist too. Strangers are blocked like culprits: a
// connection is no admission.
type cutoffs struct {
	roster mesh.Roster // immutable
	clock  func() time.Time

	mu struct {
		sync.Mutex
		by    map[peer.ID]*culprit
		total uint64
	}
}

type culprit struct {
	count int
	since time.Time
	times int
	until time.Time
}

func newCutoffs(roster mesh.Roster, clock func() time.Time) *cutoffs {
	c := &cutoffs{roster: roster, clock: clock}
	c.mu.by = make(map[peer.ID]*culprit)
	return c
}

// invalid counts one invalid event from p and reports whether p is now to be
// disconnected.
func (c *cutoffs) invalid(p peer.ID) (cut bool) {
	now := c.clock()
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.mu.by[p]
	if u == nil {
		c.makeRoomLocked(now)
		u = &culprit{since: now}
		c.mu.by[p] = u
	}
	if now.Sub(u.since) > invalidWindow {
		u.since, u.count = now, 0
	}
	if u.count++; u.count < invalidLimit {
		return false
	}
	u.count = 0
	u.until = now.Add(min(cutFor<<min(u.times, 10), cutMost))
	u.times++
	c.mu.total++
	return true
}

func (c *cutoffs) makeRoomLocked(now time.Time) {
	if len(c.mu.by) < maxCulprits {
		return
	}
	for p, u := range c.mu.by {
		if now.After(u.until) {
			delete(c.mu.by, p)
			return
		}
	}
	for p := range c.mu.by {
		delete(c.mu.by, p)
		return
	}
}

// count returns how often a neighbour was cut off.
func (c *cutoffs) count() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.total
}

// blocked reports whether p is cut off just now.
func (c *cutoffs) blocked(p peer.ID) bool {
	now := c.clock()
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.mu.by[p]
	return u != nil && now.Before(u.until)
}

// admits reports whether the roster lets a peer in.
func (c *cutoffs) admits(p peer.ID) bool {
	key, ok := nodeKey(p)
	return ok && c.roster.Admits(key)
}

// Contains is gossipsub's question whether to leave a peer alone.
func (c *cutoffs) Contains(p peer.ID) bool {
	return len(p) > 0 && (c.blocked(p) || !c.admits(p))
}

// Add is never used: this node counts by itself.
func (c *cutoffs) Add(peer.ID) bool { return false }

// nodeKey returns the machine's key that a peer ID holds.
func nodeKey(p peer.ID) (mesh.NodeKey, bool) {
	pub, err := p.ExtractPublicKey()
	if err != nil {
		return mesh.NodeKey{}, false
	}
	raw, err := pub.Raw()
	if err != nil || len(raw) != len(mesh.NodeKey{}) {
		return mesh.NodeKey{}, false
	}
	return mesh.NodeKey(raw), true
}

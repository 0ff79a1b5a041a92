package overlay

import (
	"bytes"
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"golang.org/x/sync/errgroup"

	"drey/mesh"
)

const (
	// connectAll is how many members a node keeps connections to. In larger
	// communities it keeps as many, chosen so that the choice is stable and
	// differs from node to node.
	connectAll    = 24
	connectAtOnce = 8
	connectLook   = 10 * time.Second
	connectLeast  = time.Second
	connectMost   = 2 * time.Minute
	// Both ends of a link would call each other at the same moment: the higher
	// key gives way for a while. Over links the lower key needs a few
	// milliseconds, a node that is just starting on a busy machine a few hundred;
	// a path through the tree takes longer.
	giveWayNear = 500 * time.Millisecond
	giveWayFar  = 2 * time.Second
	// spareFor is how long a connection beside another may be without a use.
	spareFor = 5 * time.Second
)

// A connector keeps libp2p connections to members.
type connector struct {
	n       *node
	tries   map[mesh.NodeKey]*try // touched by run only
	done    chan mesh.NodeKey
	working int
	linked  map[mesh.NodeKey]bool // at the last look; touched by run only
}

// A try is the state of connecting to one member.
type try struct {
	pause   time.Duration
	next    time.Time
	calling bool
	failed  bool
	near    bool // a link led there when it was last considered
}

func newConnector(n *node) *connector {
	return &connector{n: n, tries: map[mesh.NodeKey]*try{}, done: make(chan mesh.NodeKey)}
}

func (c *connector) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		changed := c.n.gate.roster.Changed()
		wait := c.consider(ctx, group, time.Now())
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			for c.working > 0 {
				<-c.done
				c.working--
			}
			return group.Wait()
		case <-changed:
		case <-c.n.links.changed:
		case <-timer.C:
		case key := <-c.done:
			c.finished(key, time.Now())
		}
	}
}

// consider starts what is due and returns when to look again.
func (c *connector) consider(ctx context.Context, group *errgroup.Group, now time.Time) time.Duration {
	c.n.gate.refresh()
	c.n.links.thin(now)
	c.probe()
	wait := connectLook
	wanted := c.wanted()
	for _, key := range wanted {
		id, err := PeerOf(key)
		if err != nil {
			continue
		}
		t := c.tries[key]
		near := c.n.links.neighbour(key) != nil
		if t == nil {
			t = &try{pause: connectLeast, near: near, next: now.Add(c.giveWay(key, near))}
			c.tries[key] = t
		}
		if near && !t.near && !t.calling {
			t.pause, t.next = connectLeast, now.Add(c.giveWay(key, near)) // a fresh link: now
		}
		t.near = near
		if conns := c.n.host.Network().ConnsToPeer(id); len(conns) > 0 {
			spare(conns, now)
			t.failed, t.pause = false, connectLeast
			t.next = now.Add(c.giveWay(key, near)) // from now on, should it go
			continue
		}
		if t.calling {
			continue
		}
		if t.next.After(now) {
			wait = min(wait, t.next.Sub(now))
			continue
		}
		if c.working >= connectAtOnce {
			continue
		}
		t.calling = true
		c.working++
		group.Go(func() error {
			c.connect(ctx, key)
			c.done <- key
			return nil
		})
	}
	for key := range c.tries {
		if !c.tries[key].calling && !slices.Contains(wanted, key) {
			delete(c.tries, key)
		}
	}
	return wait
}

// probe looks after the connections to members whose links came or went since
// the last time.
func (c *connector) probe() {
	before := c.linked
	c.linked = map[mesh.NodeKey]bool{}
	for _, key := range c.n.links.keys() {
		c.linked[key] = true
		if !before[key] {
			c.n.probe(key)
		}
	}
	for key := range before {
		if !c.linked[key] {
			c.n.probe(key)
		}
	}
}

// spare closes the connections of a member that crossed another and were not
// used since. The other end sees the same streams, so both keep the same one.
func spare(conns []network.Conn, now time.Time) {
	used := slices.ContainsFunc(conns, func(c network.Conn) bool { return len(c.GetStreams()) > 0 })
	for _, c := range conns {
		if used && len(c.GetStreams()) == 0 && now.Sub(c.Stat().Opened) > spareFor {
			c.Close()
		}
	}
}

func (c *connector) finished(key mesh.NodeKey, now time.Time) {
	c.working--
	t := c.tries[key]
	t.calling = false
	id, err := PeerOf(key)
	if err == nil && len(c.n.host.Network().ConnsToPeer(id)) > 0 {
		return
	}
	t.next = now.Add(t.pause + rand.N(t.pause/2))
	t.pause = min(2*t.pause, connectMost)
}

func (c *connector) connect(ctx context.Context, key mesh.NodeKey) {
	info, err := InfoOf(key)
	if err != nil {
		return
	}
	c.n.clearBackoff(info.ID)
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := c.n.host.Connect(ctx, info); err != nil && ctx.Err() == nil {
		c.n.log.Debug("member not reached", "key", key.String(), "err", err)
	}
}

// clearBackoff lets libp2p call a node at once: the pauses are ours.
func (n *node) clearBackoff(id peer.ID) {
	if s, ok := n.host.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(id)
	}
}

// giveWay returns how long the higher key waits for the lower one's call.
func (c *connector) giveWay(key mesh.NodeKey, near bool) time.Duration {
	switch {
	case bytes.Compare(c.n.self[:], key[:]) < 0:
		return 0
	case near:
		return giveWayNear
	}
	return giveWayFar
}

// wanted returns the members to be connected to: those with a link first.
// Without any link nobody can be reached.
func (c *connector) wanted() []mesh.NodeKey {
	if !c.n.links.any() && !c.n.usesElsewhere() {
		return nil
	}
	var members []mesh.NodeKey
	if c.n.gate.members.Load().open {
		members = c.n.links.keys() // an open community has no list: those who are linked
	} else {
		members = c.n.gate.roster.Nodes()
	}
	members = slices.DeleteFunc(slices.Clone(members), func(k mesh.NodeKey) bool { return k == c.n.self || !c.n.gate.admits(k) })
	return choose(c.n.self, members, func(k mesh.NodeKey) bool { return c.n.links.neighbour(k) != nil }, connectAll)
}

// choose returns at most most of members: neighbours first, then by a hash of
// both keys, which is stable and spreads the choices of all nodes evenly.
func choose(self mesh.NodeKey, members []mesh.NodeKey, near func(mesh.NodeKey) bool, most int) []mesh.NodeKey {
	type place struct {
		near bool
		hash [sha256.Size]byte
	}
	places := make(map[mesh.NodeKey]place, len(members))
	for _, k := range members {
		a, b := self, k
		if bytes.Compare(a[:], b[:]) > 0 {
			a, b = b, a // both sides compute the same, so choices meet
		}
		places[k] = place{near(k), sha256.Sum256(append(append([]byte{}, a[:]...), b[:]...))}
	}
	slices.SortFunc(members, func(a, b mesh.NodeKey) int {
		p, q := places[a], places[b]
		if p.near != q.near {
			if p.near {
				return -1
			}
			return 1
		}
		return bytes.Compare(p.hash[:], q.hash[:])
	})
	return members[:min(len(members), most)]
}

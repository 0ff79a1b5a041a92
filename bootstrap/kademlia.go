package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	"drey/mesh"
)

// A KademliaConfig is what a Kademlia finder works with. All fields are needed.
type KademliaConfig struct {
	Self   mesh.NodeKey
	Host   func(context.Context) (host.Host, error) // that only members can reach
	Roster mesh.Roster
	Log    *slog.Logger
	Clock  func() time.Time
}

// A Kademlia is the finder of the third node through the second: a distributed
// table (libp2p's Kademlia, with the protocol /drey/kad/1) among the members
// that the overlay connects. It holds one thing: under "/drey/" and a node's
// key in hexadecimal, that node's peer record in clear.
type Kademlia struct {
	c   KademliaConfig // immutable
	own *latest
	tally
}

const (
	kadProtocol = "/drey/kad/1"
	kadPrefix   = "/drey/"

	// A round tells this node's record and looks for others': soon after a
	// change of who is connected, then ever more rarely.
	kadLeast = time.Second
	kadMost  = 20 * time.Minute
	kadRound = 30 * time.Second // a round takes at most
	kadAsks  = 32               // records looked for in one round
	kadFresh = 15 * time.Minute // for so long a record that was found is not looked for again

	kadRecordAge = 24 * time.Hour
	kadRecords   = 512 // let in during kadRecordAge: strangers in an open community must not fill the memory
)

// NewKademlia returns a finder over the overlay.
func NewKademlia(c KademliaConfig) *Kademlia { return &Kademlia{c: c, own: newLatest()} }

// Name returns FinderKademlia.
func (k *Kademlia) Name() string { return FinderKademlia }

// Announce has this node's record put into the table.
func (k *Kademlia) Announce(a Announcement) { k.own.set(a.Record) }

// Run takes part in the table until ctx ends.
func (k *Kademlia) Run(ctx context.Context, found func(Candidate)) error {
	h, err := k.c.Host(ctx)
	if err != nil {
		return err
	}
	sub, err := h.EventBus().Subscribe(new(event.EvtPeerConnectednessChanged), eventbus.BufSize(64))
	if err != nil {
		return fmt.Errorf("kademlia: %w", err)
	}
	defer sub.Close()
	if err := k.company(ctx, h, sub.Out()); err != nil {
		return nil
	}
	records := &kadShelf{k: k, found: found}
	defer records.stop() // the table may call it until it is closed
	table, err := dht.New(h,
		dht.Mode(dht.ModeServer),
		dht.ProtocolPrefix("/drey"), // none of the public table's rules
		dht.V1ProtocolOverride(kadProtocol),
		dht.Validator(records),
		dht.DisableProviders(),
		dht.DisableAutoRefresh(), // rounds do that, and less often
		dht.MaxRecordAge(kadRecordAge),
		dht.Concurrency(3),
		dht.LookupCheckConcurrency(8),
	)
	if err != nil {
		return fmt.Errorf("kademlia: %w", err)
	}
	defer table.Close()
	fresh := map[peer.ID]time.Time{}
	pause := kadLeast
	wait := time.NewTimer(pause)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-sub.Out():
			if !ok {
				return errors.New("kademlia: the overlay has stopped")
			}
			pause = kadLeast
			wait.Reset(pause)
		case <-k.own.changed():
			wait.Reset(kadLeast)
		case <-wait.C:
			if len(h.Network().Peers()) > 0 {
				k.round(ctx, table, fresh)
			}
			wait.Reset(pause)
			pause = min(2*pause, kadMost)
		}
	}
}

// company waits until the overlay connects this node to anybody: a node alone
// needs no table.
func (k *Kademlia) company(ctx context.Context, h host.Host, changed <-chan any) error {
	for len(h.Network().Peers()) == 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, ok := <-changed:
			if !ok {
				return errors.New("the overlay has stopped")
			}
		}
	}
	return nil
}

// round tells this node's record, then looks for those of the nodes nearest to
// it and to a random place. What it finds the shelf hands on.
func (k *Kademlia) round(ctx context.Context, table *dht.IpfsDHT, fresh map[peer.ID]time.Time) {
	ctx, cancel := context.WithTimeout(ctx, kadRound)
	defer cancel()
	if own := k.own.get(); own != nil {
		if err := table.PutValue(ctx, kadKey(own.Node), own.AppendBinary(nil)); err != nil {
			k.c.Log.Debug("record not put into the table", "err", err)
		}
	}
	now := k.c.Clock()
	for id, at := range fresh {
		if now.Sub(at) > kadFresh {
			delete(fresh, id)
		}
	}
	var asks sync.WaitGroup
	defer asks.Wait()
	var mu sync.Mutex
	left := kadAsks
	asked := map[peer.ID]bool{table.PeerID(): true}
	for _, at := range []string{string(table.PeerID()), k.elsewhere(table)} {
		ids, err := table.GetClosestPeers(ctx, at)
		if err != nil {
			k.c.Log.Debug("lookup in the table", "err", err)
		}
		for _, id := range ids {
			mu.Lock()
			_, is := fresh[id]
			mu.Unlock()
			node, err := nodeOf(id)
			if asked[id] || is || err != nil || left == 0 {
				continue
			}
			asked[id] = true
			left--
			asks.Go(func() {
				if _, err := table.GetValue(ctx, kadKey(node), dht.Quorum(2)); err != nil {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				fresh[id] = now
			})
		}
	}
}

// elsewhere returns a random place of the table, far from this node.
func (k *Kademlia) elsewhere(table *dht.IpfsDHT) string {
	id, err := table.RoutingTable().GenRandPeerID(0)
	if err != nil {
		return string(table.PeerID())
	}
	return string(id)
}

// kadKey is where a node's record is.
func kadKey(node mesh.NodeKey) string { return kadPrefix + node.String() }

// nodeOf returns the key that a peer ID holds.
func nodeOf(id peer.ID) (mesh.NodeKey, error) {
	public, err := id.ExtractPublicKey()
	if err != nil {
		return mesh.NodeKey{}, err
	}
	raw, err := public.Raw()
	if err != nil || len(raw) != len(mesh.NodeKey{}) {
		return mesh.NodeKey{}, fmt.Errorf("peer %s: not a node's key", id)
	}
	return mesh.NodeKey(raw), nil
}

// A kadShelf says what the table may hold, and hands on what comes by. It is a
// record.Validator of libp2p. Safe for concurrent use.
type kadShelf struct {
	k     *Kademlia
	found func(Candidate)

	mu struct {
		sync.Mutex
		over   bool                  // found may be called no more
		held   map[mesh.NodeKey]bool // whose records were let in
		turned time.Time             // since when
	}
}

// Validate lets in a record that the node whose key names the place has signed
// and that belongs.
func (s *kadShelf) Validate(key string, value []byte) error {
	r, why := s.look(key, value)
	if why != "" {
		s.k.add(why)
		return fmt.Errorf("record refused: %s", why)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Node != s.k.c.Self && !s.mu.over {
		s.found(Candidate{Record: value})
	}
	if !s.roomLocked(r.Node, s.k.c.Clock()) {
		s.k.add(RefusedFlood)
		return errors.New("record refused: no room")
	}
	return nil
}

func (s *kadShelf) look(key string, value []byte) (*mesh.PeerRecord, Refusal) {
	name, ok := strings.CutPrefix(key, kadPrefix)
	node, err := mesh.ParseNodeKey(name)
	if !ok || err != nil || key != kadKey(node) {
		return nil, RefusedForm
	}
	if len(value) > mesh.MaxPeerRecord {
		return nil, RefusedSize
	}
	r, err := mesh.ParsePeerRecord(value)
	community := s.k.c.Roster.Community()
	switch {
	case err != nil:
		return nil, RefusedForm
	case r.Node != node:
		return nil, RefusedForged
	case r.Community != [8]byte(community.ID[:8]) && r.Community != [8]byte{}:
		return nil, RefusedCommunity
	case !community.Open && !s.k.c.Roster.Admits(node):
		return nil, RefusedStranger
	case r.Verify() != nil:
		return nil, RefusedForged
	}
	return r, ""
}

// roomLocked reports whether there is room for a node's record.
func (s *kadShelf) roomLocked(node mesh.NodeKey, now time.Time) bool {
	if s.mu.held == nil || now.Sub(s.mu.turned) > kadRecordAge {
		s.mu.held, s.mu.turned = map[mesh.NodeKey]bool{}, now
	}
	if !s.mu.held[node] && len(s.mu.held) >= kadRecords && node != s.k.c.Self {
		return false
	}
	s.mu.held[node] = true
	return true
}

// stop ends the handing on.
func (s *kadShelf) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.over = true
}

// Select returns the index of the record that counts: the one with the highest
// number.
func (s *kadShelf) Select(_ string, values [][]byte) (int, error) {
	best, at := (*mesh.PeerRecord)(nil), -1
	for i, v := range values {
		if r, err := mesh.ParsePeerRecord(v); err == nil && (best == nil || r.Supersedes(best)) {
			best, at = r, i
		}
	}
	if at < 0 {
		return 0, errors.New("no record among the values")
	}
	return at, nil
}

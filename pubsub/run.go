package pubsub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	ps "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"golang.org/x/sync/errgroup"

	"drey/mesh"
)

// A run is the carrier at work on one host.
type run struct {
	c      *Carrier
	host   host.Host
	port   mesh.Port
	gossip *gossip
	plan   *plan

	// The carrier's own, which outlive the run.
	aside  *aside
	cut    *cutoffs
	counts *counts
	hands  chan struct{}

	cutting chan peer.ID // to be disconnected
}

func newRun(ctx context.Context, c *Carrier, h host.Host, port mesh.Port) (*run, error) {
	r := &run{
		c: c, host: h, port: port,
		aside: c.aside, cut: c.cut, counts: &c.counts, hands: c.hands,
		cutting: make(chan peer.ID, 16),
	}
	r.plan = newPlan(r)
	var err error
	if r.gossip, err = newGossip(ctx, r); err != nil {
		return nil, fmt.Errorf("start gossipsub: %w", err)
	}
	return r, nil
}

// keep works until ctx ends, then takes everything down in reverse.
func (r *run) keep(ctx context.Context) error {
	defer r.gossip.close()
	ctx, cancel := context.WithCancel(ctx)
	var door door
	defer door.shut()
	defer cancel()
	r.host.SetStreamHandler(SyncProtocol, func(s network.Stream) {
		if !door.enter() {
			_ = s.Reset()
			return
		}
		defer door.leave()
		r.answer(ctx, s)
	})
	defer r.host.RemoveStreamHandler(SyncProtocol)

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.watch(ctx) })
	group.Go(func() error { return r.gossip.follow(ctx) })
	group.Go(func() error { return r.gossip.publish(ctx) })
	group.Go(func() error { return r.plan.keep(ctx) })
	return group.Wait()
}

// A door counts who is inside, and once shut lets nobody in.
type door struct {
	mu     sync.Mutex
	closed bool
	inside sync.WaitGroup
}

func (d *door) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.inside.Add(1)
	return true
}

func (d *door) leave() { d.inside.Done() }

func (d *door) shut() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.inside.Wait()
}

// Pauses between two looks for neighbours that gossipsub does not know.
const (
	mendLeast = 300 * time.Millisecond
	mendSoon  = time.Second // while one is missing
	mendMost  = 10 * time.Second
)

// watch follows who is connected and who belongs.
func (r *run) watch(ctx context.Context) error {
	sub, err := r.host.EventBus().Subscribe(new(event.EvtPeerConnectednessChanged), eventbus.BufSize(256))
	if err != nil {
		return fmt.Errorf("watch connections: %w", err)
	}
	defer sub.Close()
	emit, err := r.host.EventBus().Emitter(new(event.EvtPeerProtocolsUpdated))
	if err != nil {
		return fmt.Errorf("watch connections: %w", err)
	}
	defer emit.Close()
	for _, p := range r.host.Network().Peers() {
		r.connected(p)
	}
	pause := mendLeast
	mend := time.NewTimer(pause)
	defer mend.Stop()
	lost := make(map[peer.ID]int)
	var renewing sync.WaitGroup
	defer renewing.Wait()
	for {
		changed := r.c.roster.Changed()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case ev, ok := <-sub.Out():
			if !ok {
				return errors.New("the host has closed")
			}
			e := ev.(event.EvtPeerConnectednessChanged)
			if e.Connectedness == network.Connected {
				r.connected(e.Peer)
				if pause > mendSoon {
					pause = mendSoon
					mend.Reset(pause)
				}
			} else {
				r.plan.lost(e.Peer)
			}
		case p := <-r.cutting:
			_ = r.host.Network().ClosePeer(p)
		case <-changed:
			r.aside.rosterChanged()
			r.plan.others("", spread, "the roster changed")
			pause = mendLeast
			mend.Reset(pause)
		case <-mend.C:
			renew, fresh := r.mend(emit, lost)
			for _, p := range renew {
				renewing.Go(func() { r.renew(ctx, p) })
			}
			if pause = min(2*pause, mendMost); fresh {
				pause = min(pause, mendSoon)
			}
			mend.Reset(pause)
		}
	}
}

func (r *run) connected(p peer.ID) {
	if r.cut.blocked(p) {
		_ = r.host.Network().ClosePeer(p)
		return
	}
	r.plan.met(p)
}

// hasNeighbour reports whether a member is connected.
func (r *run) hasNeighbour() bool {
	return slices.ContainsFunc(r.host.Network().Peers(), func(p peer.ID) bool { return !r.cut.Contains(p) })
}

// Looks in a row at which a neighbour was not heard in any topic.
const (
	freshLooks = 8  // so long the looks stay close together
	muteLooks  = 3  // then its connection is renewed
	tryAgain   = 64 // and every so many looks after
)

// mend helps gossipsub where it has lost sight of a neighbour. lost counts, by
// neighbour, the looks at which it was heard in no topic; fresh reports that one
// has been lost lately.
//
// Neighbours that were strangers when they connected, on either side, and are
// members now, were passed over: gossipsub hears only what libp2p says of a
// peer's protocols, so that is said again. And a neighbour that started its
// gossip anew on the old connection may have told its topics just before the
// end of an old stream was noticed, which wipes them on this side for good.
// Only a new connection makes both sides tell them again.
func (r *run) mend(emit event.Emitter, lost map[peer.ID]int) (renew []peer.ID, fresh bool) {
	known := r.gossip.ps.ListPeers("")
	heard := r.gossip.ps.ListPeers(r.c.names.of(mesh.TopicRegistry))
	for _, p := range r.host.Network().Peers() {
		if r.cut.Contains(p) || slices.Contains(heard, p) {
			delete(lost, p)
			continue
		}
		lost[p]++
		fresh = fresh || lost[p] < freshLooks
		if !slices.Contains(known, p) {
			_ = emit.Emit(event.EvtPeerProtocolsUpdated{Peer: p, Added: []protocol.ID{ps.GossipSubID_v11}})
		} else if lost[p]%tryAgain == muteLooks {
			renew = append(renew, p)
		}
	}
	if len(lost) > maxCulprits { // of peers that never came back
		clear(lost)
	}
	return renew, fresh
}

// renew replaces the connection to a neighbour.
func (r *run) renew(ctx context.Context, p peer.ID) {
	r.c.log.Debug("neighbour heard in no topic", "peer", p)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_ = r.host.Network().ClosePeer(p)
	_ = r.host.Connect(ctx, peer.AddrInfo{ID: p}) // or whoever looks after connections does it
}

// blame counts an invalid event against a neighbour, and disconnects it when it
// is one too many.
func (r *run) blame(p peer.ID) (cut bool) {
	if !r.cut.invalid(p) {
		return false
	}
	r.c.log.Warn("neighbour cut off", "peer", p, "err", "keeps sending invalid events")
	select {
	case r.cutting <- p:
	default: // the validator refuses it anyway
	}
	return true
}

// known reports whether an id is held here or was.
func (r *run) known(ctx context.Context, id mesh.EventID) bool {
	_, err := r.c.archive.Record(ctx, id, mesh.Self)
	return !errors.Is(err, mesh.ErrNotFound)
}

// bury takes over a tombstone.
func (r *run) bury(ctx context.Context, it mesh.Item, why mesh.Reason) {
	if r.c.graves == nil {
		return
	}
	if err := r.c.graves.Bury(ctx, it.ID, it.CreatedAt, why); err != nil && ctx.Err() == nil {
		r.c.log.Warn("tombstone not kept", "event", it.ID, "err", err)
	}
}

// snapshot gathers this side of a comparison with a neighbour.
func (r *run) snapshot(ctx context.Context, p peer.ID, w window) (*snapshot, error) {
	viewer := viewerOf(r.c.community)
	if w.set == setRegistry {
		s, err := registry(ctx, r.c.archive, viewer, w, r.c.windowItems)
		if err != nil {
			return nil, fmt.Errorf("list the registry: %w", err)
		}
		s.add(nil, w.last)
		return s, nil
	}
	s, err := newest(ctx, r.c.archive, viewer, w, r.c.windowItems)
	if err != nil {
		return nil, fmt.Errorf("list what is known: %w", err)
	}
	more, _ := r.aside.items(p, r.c.clock())
	s.add(more, w.last)
	return s, nil
}

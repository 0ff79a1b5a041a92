package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"drey/mesh"
	"drey/overlay"
)

// A home that was restored from a backup, or copied to another machine, may
// have a twin: the machine it came from, still online with the same keys. Two
// nodes with one key take each other's packets away, and whichever is asked
// first answers for both, so the later one must not start.
//
// Nobody needs to be trusted to find out. Before the node takes up its own
// key it joins the overlay for a moment under a key drawn for the occasion,
// as a stranger, and calls its own address. Whoever answers there has proved
// in the handshake to hold the node's secret key: that is the twin. When no
// link comes up nobody could be asked, which is said and not taken for a no.

// A verdict is what the search for a twin found.
type verdict int

const (
	twinUnknown verdict = iota // no other machine could be reached
	twinAbsent                 // others were reached, and the own address did not answer
	twinOnline                 // the own address answered
)

// How long a twin is looked for: links come up and a first path is found
// within a few seconds.
const (
	twinPatience = 10 * time.Second // in all
	linkPatience = 5 * time.Second  // until the first link is up
	callPatience = 3 * time.Second  // for one call: a packet lost on the first path is sent again late
)

// lookForTwin calls the node's own address from outside. conf says how the
// node would reach others; its key, roster and ports are not used.
func lookForTwin(ctx context.Context, c mesh.Community, own mesh.NodeKey, conf overlay.Config, log *slog.Logger) (verdict, error) {
	stranger, err := drawStranger()
	if err != nil {
		return twinUnknown, err
	}
	answered := &answerBook{}
	conf.Key = stranger.Node
	conf.Listen = []string{}
	conf.NoTransit = true
	conf.Roster = onlyOne{c, own}
	conf.Book = answered
	conf.Log = log
	probe, err := overlay.New(conf)
	if err != nil {
		return twinUnknown, err
	}
	ctx, stop := context.WithTimeout(ctx, twinPatience)
	defer stop()
	l := newLife(ctx)
	defer l.end()
	l.begin("overlay", probe.Run)
	h, err := probe.Host(ctx)
	if err != nil {
		return twinUnknown, err
	}
	self, err := overlay.InfoOf(own)
	if err != nil {
		return twinUnknown, err
	}
	began, found := time.Now(), twinUnknown
	for pause(ctx, 100*time.Millisecond) {
		if found == twinUnknown && !anyUp(probe.Links()) {
			if time.Since(began) > linkPatience {
				return twinUnknown, nil
			}
			continue
		}
		found = twinAbsent
		err := callOnce(ctx, h, self)
		log.Debug("own address called", "err", err)
		if err == nil || answered.asked.Load() {
			return twinOnline, nil
		}
	}
	return found, nil
}

// drawStranger draws a key for the occasion that is greater than nearly every
// other: the lowest key is the root of Yggdrasil's tree, and a node that goes
// again in a moment must not become that.
func drawStranger() (*mesh.Identity, error) {
	for {
		i, err := mesh.NewSeed().Identity()
		if err != nil || i.NodeKey()[0] == 0xff {
			return i, err
		}
	}
}

// callOnce calls an address once, whatever became of the last call.
func callOnce(ctx context.Context, h host.Host, to peer.AddrInfo) error {
	ctx, stop := context.WithTimeout(ctx, callPatience)
	defer stop()
	if s, ok := h.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(to.ID)
	}
	return h.Connect(ctx, to)
}

func anyUp(links []overlay.Link) bool {
	for _, l := range links {
		if l.Up {
			return true
		}
	}
	return false
}

// answerBook holds no events. The overlay asks for them only once the other
// side has proved its key, so to be asked is to have met the twin.
type answerBook struct{ asked atomic.Bool }

func (b *answerBook) Digest() [32]byte {
	b.asked.Store(true)
	return [32]byte{}
}

func (*answerBook) Locator() []mesh.EventID                          { return nil }
func (*answerBook) Bring(mesh.NodeKey, []mesh.EventID) []*mesh.Event { return nil }
func (*answerBook) Proof(mesh.NodeKey) []*mesh.Event                 { return nil }
func (*answerBook) Merge(context.Context, []*mesh.Event) error       { return nil }

// onlyOne is a roster with one machine on it.
type onlyOne struct {
	community mesh.Community
	key       mesh.NodeKey
}

func (o onlyOne) Community() mesh.Community                     { return o.community }
func (o onlyOne) Standing(mesh.PubKey, time.Time) mesh.Standing { return mesh.Stranger }
func (o onlyOne) Admits(k mesh.NodeKey) bool                    { return k == o.key }
func (o onlyOne) Nodes() []mesh.NodeKey                         { return []mesh.NodeKey{o.key} }
func (o onlyOne) Changed() <-chan struct{}                      { return nil }

package overlay

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	ma "github.com/multiformats/go-multiaddr"

	"drey/mesh"
)

// Beyond so many connections the least useful ones are closed: libp2p's own
// figures.
const connsLow, connsHigh = 160, 192

// newHost makes the libp2p host. Its only transport is the porch. libp2p.New
// would make the same of fewer words, and put all of libp2p's own transports
// into the program: 6 of 52 MB.
func (n *node) newHost(private ed25519.PrivateKey, book RosterBook) (_ host.Host, err error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("node key: %w", err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("node key: %w", err)
	}
	var closers []io.Closer // until the host takes care of them
	defer func() {
		if err != nil {
			for _, c := range slices.Backward(closers) {
				c.Close()
			}
		}
	}()
	limits := rcmgr.DefaultLimits
	limiter, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.AutoScale()))
	if err != nil {
		return nil, fmt.Errorf("libp2p's limits: %w", err)
	}
	closers = append(closers, limiter)
	peers, err := pstoremem.NewPeerstore()
	if err != nil {
		return nil, fmt.Errorf("libp2p's peers: %w", err)
	}
	closers = append(closers, peers)
	if err := errors.Join(peers.AddPrivKey(id, key), peers.AddPubKey(id, key.GetPublic())); err != nil {
		return nil, fmt.Errorf("libp2p's peers: %w", err)
	}
	conns, err := connmgr.NewConnManager(connsLow, connsHigh)
	if err != nil {
		return nil, fmt.Errorf("libp2p's connections: %w", err)
	}
	closers = append(closers, conns)
	gater := connGater{n.gate}
	bus := eventbus.NewBus()
	net, err := swarm.NewSwarm(id, peers, bus,
		swarm.WithConnectionGater(gater),
		swarm.WithResourceManager(limiter),
		swarm.WithIPv6BlackHoleSuccessCounter(nil), // 200::/7 says nothing of the internet
		swarm.WithUDPBlackHoleSuccessCounter(nil),
		swarm.WithDialTimeout(callTimeout),
	)
	if err != nil {
		return nil, fmt.Errorf("libp2p's network: %w", err)
	}
	closers = append(closers, net)
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: muxer()}}
	secure, err := noise.New(noise.ID, key, muxers)
	if err != nil {
		return nil, fmt.Errorf("noise: %w", err)
	}
	up, err := upgrader.New([]sec.SecureTransport{secure}, muxers, nil, limiter, gater)
	if err != nil {
		return nil, fmt.Errorf("upgrader: %w", err)
	}
	if err := net.AddTransport(&porch{
		stack: n.stack, gate: n.gate, book: book, self: n.self, log: n.log, upgrader: up, rcmgr: limiter, reach: n.reach,
		near: func(k mesh.NodeKey) bool { return n.links.neighbour(k) != nil },
	}); err != nil {
		return nil, fmt.Errorf("libp2p's network: %w", err)
	}
	h, err := basichost.NewHost(net, &basichost.HostOpts{EventBus: bus, ConnManager: conns, EnablePing: true, UserAgent: "drey"})
	if err != nil {
		return nil, fmt.Errorf("libp2p's host: %w", err)
	}
	closers = []io.Closer{h}
	h.Start()
	return h, net.Listen(dialAddr(n.self))
}

// streamWindow is how much of one stream may be on its way, in bytes. The
// stock 256 kB would be asked to grow only on longer round trips, and stalls
// a busy stream between neighbours; memory is taken only by what has arrived.
const streamWindow = 2 << 20

func muxer() *yamux.Transport {
	config := *yamux.DefaultTransport.Config()
	config.InitialStreamWindowSize = streamWindow
	return (*yamux.Transport)(&config)
}

// connGater keeps libp2p from members that were struck off while they waited
// on the porch.
type connGater struct{ gate *gate }

func (g connGater) admits(id peer.ID) bool {
	key, err := KeyOf(id)
	return err == nil && g.gate.admits(key)
}
func (g connGater) InterceptPeerDial(id peer.ID) bool {
	key, err := KeyOf(id)
	return err == nil && g.gate.mayCall(key)
}
func (g connGater) InterceptAddrDial(id peer.ID, a ma.Multiaddr) bool { return true }
func (g connGater) InterceptAccept(network.ConnMultiaddrs) bool       { return true }
func (g connGater) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool {
	return true // strangers may come as far as the porch
}
func (g connGater) InterceptUpgraded(c network.Conn) (bool, control.DisconnectReason) {
	return g.admits(c.RemotePeer()), 0
}

// watchRoster judges again whenever the roster changes, and hangs up on those
// who no longer belong.
func (n *node) watchRoster(ctx context.Context) error {
	for {
		changed := n.gate.roster.Changed()
		n.gate.refresh()
		for _, id := range n.host.Network().Peers() {
			if key, err := KeyOf(id); err != nil || !n.gate.admits(key) {
				n.log.Info("hanging up: no longer on the roster", "peer", id.String())
				n.host.Network().ClosePeer(id)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// probeTime is how long a member may take to answer over whatever way is left.
const probeTime = 3 * time.Second

// probe finds out, in a goroutine of its own, what connections to a node are
// still good for. The other end may have started anew: then it resets what it
// is sent, and the old connection is gone before a new one comes. And it may be
// out of reach altogether, of which TCP would be told much later.
func (n *node) probe(key mesh.NodeKey) {
	id, err := PeerOf(key)
	if err != nil {
		return
	}
	conns := n.host.Network().ConnsToPeer(id)
	if len(conns) == 0 {
		return
	}
	n.running.Go(func() {
		ctx, cancel := context.WithTimeout(n.ctx, probeTime)
		defer cancel()
		for _, conn := range conns {
			if s, err := conn.NewStream(ctx); err == nil {
				s.Reset()
			}
		}
		for ctx.Err() == nil {
			if _, err := n.pingOnce(ctx, key, time.Second); err == nil {
				return
			}
		}
		if n.ctx.Err() == nil && !n.links.linked(key) {
			n.log.Info("hanging up: no answer", "peer", id.String())
			n.host.Network().ClosePeer(id)
		}
	})
}

// connected lists the members that libp2p is connected to.
func (n *node) connected() []mesh.NodeKey {
	var keys []mesh.NodeKey
	for _, id := range n.host.Network().Peers() {
		if key, err := KeyOf(id); err == nil {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b mesh.NodeKey) int { return slices.Compare(a[:], b[:]) })
	return keys
}

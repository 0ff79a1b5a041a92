package overlay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/yggdrasil-network/yggdrasil-go/src/core"
	"golang.org/x/sync/errgroup"
	"gvisor.dev/gvisor/pkg/buffer"

	"drey/mesh"
)

// A node is an overlay that is up. Its parts are started by start and ended,
// in reverse order, by stop.
type node struct {
	log    *slog.Logger
	self   mesh.NodeKey
	gate   *gate
	router *router
	links  *links
	nic    *nic
	stack  *userStack
	host   host.Host
	lan    *lan

	listeners []listener
	foreign   []foreignListener
	ctx       context.Context // ends when stop begins
	cancel    context.CancelFunc
	running   sync.WaitGroup // the nic's goroutines and path seekers

	mu struct {
		sync.Mutex
		elsewhere map[string]Source // peers of Yggdrasil's own schemes, by URI
	}
}

// start brings every part up. On an error nothing is left.
func (o *Overlay) start(ctx context.Context) (*node, error) {
	n := &node{log: o.log, self: o.self, gate: o.gate}
	n.mu.elsewhere = map[string]Source{}
	// The links outlive ctx by a moment, see stop.
	n.ctx, n.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := n.assemble(ctx, o.config); err != nil {
		n.stop()
		return nil, err
	}
	return n, nil
}

// assemble starts the parts, the lowest first.
func (n *node) assemble(ctx context.Context, c Config) error {
	cert, err := newCertificate(c.Key)
	if err != nil {
		return err
	}
	if n.router, err = newRouter(c.Key, cert, n.log); err != nil {
		return err
	}
	n.links = &links{
		log: n.log, private: c.Key, self: n.self, tls: newTLS(cert), transit: !c.NoTransit,
		attach: n.router.attach, changed: make(chan struct{}, 1), ctx: n.ctx, corks: newCorkPool(), beat: time.Now(),
	}
	n.links.mu.wanted = map[string]*dialer{}
	n.links.mu.news = make(chan struct{})
	n.links.mu.up = map[*link]struct{}{}
	n.links.mu.neighbours = map[mesh.NodeKey]*neighbour{}
	n.nic = newNIC(AddressOf(n.self), n.gate, n.links.neighbour, n.router.send, n.log)
	n.links.deliver = n.nic.receive
	n.running.Go(func() { n.nic.run(n.ctx.Done()) })
	n.running.Go(func() {
		buf := make([]byte, mtu+1) // and the mark of what it is
		for {
			from, packet, err := n.router.receive(buf)
			if err != nil {
				return // closed
			}
			n.nic.receive(senderOf(from), buffer.NewViewWithData(packet))
		}
	})
	if n.stack, err = newUserStack(AddressOf(n.self), n.nic); err != nil {
		return err
	}
	if err := n.listen(ctx, c.Listen); err != nil {
		return err
	}
	if n.host, err = n.newHost(c.Key, c.Book); err != nil {
		return err
	}
	n.host.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
		if key, err := KeyOf(c.RemotePeer()); err != nil || !n.gate.admits(key) {
			go c.Close() // the roster changed in the moment between the porch and here
		}
	}})
	if c.LAN {
		if n.lan, err = newLAN(n, c.LANInterfaces); err != nil {
			n.log.Warn("no discovery on the local network", "err", err)
			n.lan = nil
		}
	}
	for _, uri := range c.Peers {
		p, err := parsePeering(uri)
		if err != nil {
			return err
		}
		if err := n.want(p, SourceStatic); err != nil {
			return err
		}
	}
	return nil
}

// stop ends every part, the youngest first. Members are told: a node that
// stayed connected in their eyes would be sought on the old connection when it
// comes back.
func (n *node) stop() {
	if n.host != nil {
		n.host.Close()
		n.links.farewell(time.Now().Add(farewellPatience))
	}
	n.cancel()
	if n.lan != nil {
		n.lan.sock.Close()
	}
	for _, l := range n.listeners {
		l.Close()
	}
	for _, l := range n.foreign {
		l.Cancel()
	}
	if n.links != nil {
		n.links.close()
	}
	if n.router != nil {
		n.router.stop()
	}
	n.running.Wait()
	if n.stack != nil {
		n.stack.close()
	}
}

// serve runs what has no constructor of its own until ctx ends.
func (n *node) serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range n.listeners {
		group.Go(func() error { return n.links.answer(ctx, l) })
	}
	// Accept does not see ctx.
	defer context.AfterFunc(ctx, func() {
		for _, l := range n.listeners {
			l.Close()
		}
	})()
	group.Go(func() error { return n.watchRoster(ctx) })
	group.Go(func() error { return n.watchNetwork(ctx) })
	group.Go(func() error { return newConnector(n).run(ctx) })
	if n.lan != nil {
		group.Go(func() error { return n.lan.run(ctx) })
	}
	return group.Wait()
}

// reach waits until packets for key have a way to go: a link straight there,
// or a path.
func (n *node) reach(ctx context.Context, key mesh.NodeKey) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	return n.router.seek(ctx, key, func() bool { return n.links.neighbour(key) != nil })
}

func (n *node) want(p *peering, source Source) error {
	if p.ours() {
		n.links.want(p, source, false)
		return nil
	}
	q := p.url.Query()
	if q.Get("maxbackoff") == "" {
		q.Set("maxbackoff", defaultMaxBackoff.String())
	}
	u := *p.url
	u.RawQuery = q.Encode()
	if err := n.router.core.AddPeer(&u, ""); err != nil && !errors.Is(err, core.ErrLinkAlreadyConfigured) {
		return fmt.Errorf("peer %q: %w", p.uri, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.elsewhere[p.uri] = source
	return nil
}

func (n *node) unwant(p *peering) error {
	if p.ours() {
		if !n.links.forget(p.uri) {
			return fmt.Errorf("peer %s: %w", p.uri, mesh.ErrNotFound)
		}
		return nil
	}
	n.mu.Lock()
	delete(n.mu.elsewhere, p.uri)
	n.mu.Unlock()
	if err := n.router.core.RemovePeer(p.url, ""); errors.Is(err, core.ErrLinkNotConfigured) {
		return fmt.Errorf("peer %s: %w", p.uri, mesh.ErrNotFound)
	} else if err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// list merges our links and those of Yggdrasil's own schemes. Yggdrasil's list
// is asked for only where there are such links: ironwood reads the times in it
// without a lock.
func (n *node) list() []Link {
	all := n.links.list()
	if !n.usesElsewhere() {
		return all
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.router.core.GetPeers() {
		one := Link{URI: p.URI, Up: p.Up, RTT: p.Latency, Source: SourceIncoming}
		if source, ok := n.mu.elsewhere[p.URI]; ok && !p.Inbound {
			one.Source = source
		}
		if len(p.Key) == len(one.Key) {
			one.Key = mesh.NodeKey(p.Key)
		}
		if p.Up {
			one.Since = time.Now().Add(-p.Uptime)
		} else if one.Err = "calling"; p.LastError != nil {
			one.Err = p.LastError.Error()
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b Link) int { return strings.Compare(a.URI, b.URI) })
	return all
}

// usesElsewhere reports whether there are links of Yggdrasil's own schemes.
func (n *node) usesElsewhere() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.mu.elsewhere) > 0 || len(n.foreign) > 0
}

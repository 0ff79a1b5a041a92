package overlay

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	ma "github.com/multiformats/go-multiaddr"
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
	cache  *cache
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

// A listener is one open underlay port.
type listener struct {
	net.Listener
	peering *peering
	local   bool // only for callers on the local network; not shown to others
}

// A foreignListener is an open underlay port of one of Yggdrasil's own schemes.
type foreignListener struct {
	*core.Listener
	peering *peering
}

// start brings every part up. On an error nothing is left.
func (o *Overlay) start(ctx context.Context) (*node, error) {
	n := &node{log: o.log, self: o.self, gate: o.gate}
	n.mu.elsewhere = map[string]Source{}
	n.ctx, n.cancel = context.WithCancel(ctx)
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
	n.cache = newCache(c.Shelf, n.log)
	n.links = &links{
		log: n.log, private: c.Key, self: n.self, tls: newTLS(cert), transit: !c.NoTransit,
		attach: n.router.attach, lasted: n.cache.lasted, changed: make(chan struct{}, 1), ctx: n.ctx,
	}
	n.links.mu.wanted = map[string]*dialer{}
	n.links.mu.up = map[*link]struct{}{}
	n.links.mu.neighbours = map[mesh.NodeKey]*neighbour{}
	n.nic = newNIC(AddressOf(n.self), n.gate, n.links.neighbour, n.router.send, n.log)
	n.links.deliver = n.nic.receive
	n.running.Go(func() { n.nic.run(n.ctx.Done()) })
	n.running.Go(func() {
		buf := make([]byte, maxMessage)
		for {
			from, packet, err := n.router.receive(buf)
			if err != nil {
				return // closed
			}
			n.nic.receive(from, buffer.NewViewWithData(packet))
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

// stop ends every part, the youngest first.
func (n *node) stop() {
	n.cancel()
	if n.host != nil {
		n.host.Close()
	}
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
	group.Go(func() error { return n.cache.run(ctx, n) })
	group.Go(func() error { return newConnector(n).run(ctx) })
	if n.lan != nil {
		group.Go(func() error { return n.lan.run(ctx) })
	}
	return group.Wait()
}

// listen opens the underlay ports.
func (n *node) listen(ctx context.Context, uris []string) error {
	for _, uri := range uris {
		p, err := parsePeering(uri)
		if err != nil {
			return err
		}
		if !p.ours() {
			l, err := n.router.core.Listen(p.url, "")
			if err != nil {
				return listenError(p, err)
			}
			n.foreign = append(n.foreign, foreignListener{l, p})
			continue
		}
		config := net.ListenConfig{KeepAlive: -1}
		l, err := config.Listen(ctx, "tcp", p.url.Host)
		if err != nil {
			return listenError(p, err)
		}
		n.listeners = append(n.listeners, listener{Listener: l, peering: p})
	}
	return nil
}

// An Error is a fault of the overlay that a person can mend.
type Error struct {
	Code string // a short name that never changes, such as "port-taken"
	What string // one line
	Fix  string // one line
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.What, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Hint returns what to do.
func (e *Error) Hint() string { return e.Fix }

func listenError(p *peering, err error) error {
	e := &Error{Code: "port-taken", What: "listen on " + p.uri, Err: err, Fix: "check overlay.listen: is the address one of this machine's?"}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		_, port, _ := net.SplitHostPort(p.url.Host)
		e.Err = fmt.Errorf("port %s is in use", port)
		e.Fix = "stop the other program, or use another port: --underlay " + p.url.Scheme + "://[::]:0"
	case errors.Is(err, syscall.EACCES):
		e.Fix = "ports below 1024 need privileges: choose a higher one"
	}
	return e
}

// newHost makes the libp2p host. Its only transport is the porch.
func (n *node) newHost(private ed25519.PrivateKey, book RosterBook) (host.Host, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("node key: %w", err)
	}
	return libp2p.New(
		libp2p.Identity(key),
		libp2p.ListenAddrs(dialAddr(n.self)),
		libp2p.Transport(func(u transport.Upgrader, r network.ResourceManager) *porch {
			return &porch{
				stack: n.stack, gate: n.gate, book: book, self: n.self, log: n.log, upgrader: u, rcmgr: r, reach: n.reach,
				near: func(k mesh.NodeKey) bool { return n.links.neighbour(k) != nil },
			}
		}),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ConnectionGater(connGater{n.gate}),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.IPv6BlackHoleSuccessCounter(nil), // 200::/7 says nothing of the internet
		libp2p.UDPBlackHoleSuccessCounter(nil),
		libp2p.WithDialTimeout(callTimeout),
		libp2p.UserAgent("drey"),
	)
}

// connGater keeps libp2p from members that were struck off while they waited
// on the porch.
type connGater struct{ gate *gate }

func (g connGater) admits(id peer.ID) bool {
	key, err := KeyOf(id)
	return err == nil && g.gate.admits(key)
}
func (g connGater) InterceptPeerDial(id peer.ID) bool                 { return g.admits(id) }
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
	n.cache.forget(p)
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

// listening returns the URIs under which the underlay ports can be called.
func (n *node) listening() []string {
	var uris []string
	add := func(p *peering, a net.Addr) {
		at, err := netip.ParseAddrPort(a.String())
		if err != nil {
			return // a unix socket
		}
		ips := []netip.Addr{at.Addr().Unmap()}
		if at.Addr().IsUnspecified() {
			ips = machineAddrs(at.Addr().Is4())
		}
		for _, ip := range ips {
			u := url.URL{Scheme: p.url.Scheme, Host: netip.AddrPortFrom(ip, at.Port()).String(), RawQuery: "key=" + n.self.String()}
			uris = append(uris, u.String())
		}
	}
	for _, l := range n.listeners {
		if !l.local {
			add(l.peering, l.Addr())
		}
	}
	for _, l := range n.foreign {
		add(l.peering, l.Addr())
	}
	return uris
}

// machineAddrs returns this machine's addresses that others can call: no
// loopback, link-local or overlay address, unless loopback is all there is.
func machineAddrs(only4 bool) []netip.Addr {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var far, loop []netip.Addr
	for _, a := range all {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		ip := prefix.Addr().Unmap()
		switch {
		case only4 && !ip.Is4(), ip.IsLinkLocalUnicast(), allowUnderlay(ip) != nil:
		case ip.IsLoopback():
			loop = append(loop, ip)
		default:
			far = append(far, ip)
		}
	}
	if len(far) == 0 {
		return loop
	}
	return far
}

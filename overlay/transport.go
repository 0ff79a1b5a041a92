package overlay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multistream"

	"drey/mesh"
)

const (
	// callTimeout covers a first path through a large network, the handshakes
	// and the roster exchange.
	callTimeout = 20 * time.Second
	// porchTimeout is how long a caller may take for the roster exchange.
	porchTimeout = 10 * time.Second
	// verdictTimeout is how long a refused caller may take to read why.
	verdictTimeout = time.Second
	// maxProposals is how many other protocols a caller may ask for before the
	// connection is cut.
	maxProposals = 8
)

// A porch is the libp2p transport over the userspace stack, and the door in
// front of libp2p: a connection is handed to the swarm only after the roster
// exchange has shown that both sides belong. Whoever does not belong is never
// seen by libp2p, so no other protocol can be opened.
type porch struct {
	stack    *userStack
	gate     *gate
	book     RosterBook
	self     mesh.NodeKey
	log      *slog.Logger
	near     func(mesh.NodeKey) bool                   // whether a link leads straight there
	reach    func(context.Context, mesh.NodeKey) error // waits until packets have a way to go
	upgrader transport.Upgrader
	rcmgr    network.ResourceManager
}

var _ transport.Transport = (*porch)(nil)

// CanDial accepts only overlay addresses, so nothing leaves the overlay.
func (p *porch) CanDial(a ma.Multiaddr) bool {
	_, ok := overlayTCP(a)
	return ok
}

// Protocols returns TCP's code.
func (p *porch) Protocols() []int { return []int{ma.P_TCP} }

// Proxy returns false.
func (p *porch) Proxy() bool { return false }

// overlayTCP takes apart /ip6/<200::/7>/tcp/<port>.
func overlayTCP(a ma.Multiaddr) (netip.AddrPort, bool) {
	if len(a) != 2 || a[0].Protocol().Code != ma.P_IP6 || a[1].Protocol().Code != ma.P_TCP {
		return netip.AddrPort{}, false
	}
	na, err := manet.ToNetAddr(a)
	if err != nil {
		return netip.AddrPort{}, false
	}
	ap := na.(*net.TCPAddr).AddrPort()
	return ap, overlayPrefix.Contains(ap.Addr())
}

// Dial calls a member, or one that Meet looks at. Its address must follow from
// its key.
func (p *porch) Dial(ctx context.Context, raddr ma.Multiaddr, id peer.ID) (transport.CapableConn, error) {
	key, err := KeyOf(id)
	if err != nil {
		return nil, err
	}
	to, ok := overlayTCP(raddr)
	if !ok || to.Addr() != AddressOf(key) {
		return nil, fmt.Errorf("address %s does not follow from the key of %s", raddr, id)
	}
	if !p.gate.mayCall(key) {
		return nil, fmt.Errorf("%s is not on the roster", key)
	}
	scope, err := p.rcmgr.OpenConnection(network.DirOutbound, true, raddr)
	if err != nil {
		return nil, err
	}
	conn, err := p.dial(ctx, to, key, id, scope)
	if err != nil {
		scope.Done()
		return nil, err
	}
	return conn, nil
}

func (p *porch) dial(ctx context.Context, to netip.AddrPort, key mesh.NodeKey, id peer.ID, scope network.ConnManagementScope) (transport.CapableConn, error) {
	if err := scope.SetPeer(id); err != nil {
		return nil, err
	}
	defer p.gate.dial(key)()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := p.reach(ctx, key); err != nil {
		return nil, fmt.Errorf("no path to %s: %w", to.Addr(), err)
	}
	raw, err := p.stack.dial(ctx, to.Addr(), to.Port(), p.segment(key))
	if err != nil {
		return nil, err
	}
	wrapped, err := manet.WrapNetConn(raw)
	if err != nil {
		raw.Close()
		return nil, err
	}
	conn, err := p.upgrader.Upgrade(ctx, p, wrapped, network.DirOutbound, id, scope)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	member := p.gate.admits(key)
	if err = p.callOn(ctx, conn, key); member {
		p.gate.called(key, err)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("roster exchange with %s: %w", to.Addr(), err)
	}
	if !stop() {
		return nil, ctx.Err()
	}
	if p.gate.refresh(); !p.gate.admits(key) {
		conn.Close()
		return nil, fmt.Errorf("%s is no longer on the roster", key)
	}
	return conn, nil
}

func (p *porch) callOn(ctx context.Context, conn transport.CapableConn, key mesh.NodeKey) error {
	s, err := conn.OpenStream(ctx)
	if err != nil {
		return err
	}
	if err = multistream.SelectProtoOrFail(protocol.ID(RosterProtocol), s); err == nil {
		err = call(ctx, s, p.gate.roster.Community(), p.book, p.judge, p.self, key)
	}
	if err != nil {
		s.Reset()
		return err
	}
	return s.Close()
}

// judge reports whether a key belongs as the roster stands now.
func (p *porch) judge(key mesh.NodeKey) bool {
	p.gate.refresh()
	return p.gate.admits(key)
}

// segment bounds the TCP segments of a connection to key: packets that cross
// foreign routers must fit into their queues, which are smaller than ours.
func (p *porch) segment(key mesh.NodeKey) int {
	if p.near(key) {
		return 0
	}
	return routedSegment
}

// Listen opens the port that the roster protocol and libp2p share.
func (p *porch) Listen(laddr ma.Multiaddr) (transport.Listener, error) {
	at, ok := overlayTCP(laddr)
	if !ok || at.Addr() != p.stack.self {
		return nil, fmt.Errorf("cannot listen on %s: the overlay address is %s", laddr, p.stack.self)
	}
	raw, err := p.stack.listen(at.Port())
	if err != nil {
		return nil, err
	}
	wrapped, err := manet.WrapNetListener(closedListener{raw})
	if err != nil {
		raw.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &porchListener{
		Listener: p.upgrader.UpgradeGatedMaListener(p, p.upgrader.GateMaListener(wrapped)),
		porch:    p,
		ctx:      ctx,
		cancel:   cancel,
		members:  make(chan transport.CapableConn),
	}
	l.running.Go(l.receive)
	return l, nil
}

// closedListener gives gVisor's error for a closed listener the name that
// libp2p knows.
type closedListener struct{ net.Listener }

func (l closedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", net.ErrClosed, err)
	}
	return c, nil
}

// A porchListener receives callers and gives libp2p those who belong.
type porchListener struct {
	transport.Listener
	porch   *porch
	ctx     context.Context // of the listener; ended by Close
	cancel  context.CancelFunc
	members chan transport.CapableConn
	running sync.WaitGroup
}

// receive runs until the listener is closed.
func (l *porchListener) receive() {
	defer close(l.members)
	var callers sync.WaitGroup
	defer callers.Wait()
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return
		}
		callers.Go(func() {
			if err := l.porch.welcome(l.ctx, conn); err != nil {
				conn.Close()
				if l.ctx.Err() == nil {
					l.porch.log.Debug("caller turned away", "remote", conn.RemoteMultiaddr(), "err", err)
				}
				return
			}
			select {
			case l.members <- conn:
			case <-l.ctx.Done():
				conn.Close()
			}
		})
	}
}

// Accept returns the next connection of a member.
func (l *porchListener) Accept() (transport.CapableConn, error) {
	for conn := range l.members {
		if !conn.IsClosed() {
			return conn, nil
		}
	}
	return nil, transport.ErrListenerClosed
}

// Close stops receiving and waits for callers on the porch to be gone.
func (l *porchListener) Close() error {
	l.cancel()
	err := l.Listener.Close()
	for conn := range l.members {
		conn.Close()
	}
	l.running.Wait()
	return err
}

// welcome runs the roster exchange with a caller. It returns nil when the
// caller belongs.
func (p *porch) welcome(ctx context.Context, conn transport.CapableConn) error {
	key, err := KeyOf(conn.RemotePeer())
	if err != nil {
		p.gate.refuse(refusedAddress)
		return err
	}
	from, ok := overlayTCP(conn.RemoteMultiaddr())
	if !ok || from.Addr() != AddressOf(key) {
		p.gate.refuse(refusedAddress)
		return fmt.Errorf("key %s does not make the address %s", key, conn.RemoteMultiaddr())
	}
	done, ok := p.gate.exchange(key, time.Now())
	if !ok {
		p.gate.refuse(refusedRate)
		return errors.New("too many attempts")
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, porchTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err = p.answerOn(ctx, conn, key)
	switch {
	case err == nil && !stop():
		err = ctx.Err()
	case errors.Is(err, errForeign):
		p.gate.refuse(refusedForeign)
	case errors.Is(err, errProof):
		p.gate.refuse(refusedProof)
	case errors.Is(err, errFormat) || errors.Is(err, context.DeadlineExceeded):
		p.gate.refuse(refusedFormat)
	}
	if err != nil {
		return err
	}
	return nil
}

func (p *porch) answerOn(ctx context.Context, conn transport.CapableConn, key mesh.NodeKey) error {
	s, err := conn.AcceptStream()
	if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	proposals := 0
	mux := multistream.NewMultistreamMuxer[protocol.ID]()
	mux.AddHandler(RosterProtocol, nil)
	mux.AddHandlerWithFunc("other", func(protocol.ID) bool {
		p.gate.refuse(refusedProtocol)
		if proposals++; proposals >= maxProposals {
			conn.Close()
		}
		return false
	}, nil)
	if _, _, err := mux.Negotiate(s); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	if err := answer(ctx, s, p.gate.roster.Community(), p.book, p.judge, p.self, key); err != nil {
		// Closing the connection at once could outrun the verdict: wait until
		// the caller has hung up, but not long.
		s.CloseWrite()
		s.SetReadDeadline(time.Now().Add(verdictTimeout))
		io.Copy(io.Discard, io.LimitReader(s, 1))
		return errors.Join(ctx.Err(), err)
	}
	return s.Close()
}

package overlay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"syscall"
	"time"

	"golang.org/x/net/ipv6"
	"golang.org/x/sync/errgroup"

	"drey/mesh"
)

const (
	lanGroup = "ff02::114"
	lanPort  = 9001
	// Beacons go out at once, then with pauses that grow to the longest, each
	// shortened by up to a quarter so that a village does not sing in chorus.
	lanPauseLeast = time.Second
	lanPauseMost  = 15 * time.Second
	lanPatience   = 60 * time.Millisecond // from a beacon to a call; the higher key waits four times as long
	// What beacons, which anybody on the cable can forge, may make this node do:
	// calls under way to members and to others, and links with others.
	lanCalls = 64
	lanLinks = 128
)

// A lan finds Yggdrasil nodes on the local network by multicast, ours or not.
type lan struct {
	n       *node
	choose  *regexp.Regexp // nil for all interfaces
	port    uint16         // where links over TLS are answered
	sock    *ipv6.PacketConn
	group   *net.UDPAddr
	message []byte
	again   chan struct{} // holds one: start over, the network changed
}

// newLAN opens the multicast socket; run uses and closes it.
func newLAN(n *node, choose *regexp.Regexp) (*lan, error) {
	l := &lan{n: n, choose: choose, group: &net.UDPAddr{IP: net.ParseIP(lanGroup), Port: lanPort}, again: make(chan struct{}, 1)}
	if err := l.answering(); err != nil {
		return nil, err
	}
	var err error
	if l.message, err = appendBeacon(nil, beacon{n.self, l.port}); err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		// Several nodes share one machine, and Yggdrasil's daemon does the same.
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
		})
		return errors.Join(err, failed)
	}}
	conn, err := config.ListenPacket(n.ctx, "udp6", fmt.Sprintf("[::]:%d", lanPort))
	if err != nil {
		return nil, fmt.Errorf("multicast: %w", err)
	}
	l.sock = ipv6.NewPacketConn(conn)
	l.sock.SetControlMessage(ipv6.FlagDst, true)
	l.sock.SetMulticastLoopback(true)
	return l, nil
}

// answering finds the port that beacons announce, or opens one: link-local
// addresses are only covered by listeners on every address.
func (l *lan) answering() error {
	for _, open := range l.n.listeners {
		at := open.Addr().(*net.TCPAddr).AddrPort()
		if open.peering.url.Scheme == "tls" && open.peering.password == "" && at.Addr().Is6() && at.Addr().IsUnspecified() {
			l.port = at.Port()
			return nil
		}
	}
	if err := l.n.listen(l.n.ctx, []string{"tls://[::]:0"}); err != nil {
		return err
	}
	own := &l.n.listeners[len(l.n.listeners)-1]
	own.local = true
	l.port = own.Addr().(*net.TCPAddr).AddrPort().Port()
	return nil
}

func (l *lan) run(ctx context.Context) error {
	defer l.sock.Close()
	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { l.sock.Close() })()
	group.Go(func() error { return l.hear(ctx) })
	group.Go(func() error { return l.shout(ctx) })
	return group.Wait()
}

// shout sends beacons.
func (l *lan) shout(ctx context.Context) error {
	for pause := lanPauseLeast; ; pause = min(pause+lanPauseLeast, lanPauseMost) {
		for _, i := range l.interfaces() {
			l.sock.JoinGroup(&i, l.group) // fails when joined already
			to := *l.group
			to.Zone = i.Name
			if _, err := l.sock.WriteTo(l.message, nil, &to); err != nil && ctx.Err() == nil {
				l.n.log.Debug("beacon", "interface", i.Name, "err", err)
			}
		}
		wait := time.NewTimer(pause - rand.N(pause/4))
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-l.again:
			pause = 0
		case <-wait.C:
		}
		wait.Stop()
	}
}

// interfaces returns those that can multicast and have a link-local address.
func (l *lan) interfaces() (use []net.Interface) {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	const want = net.FlagUp | net.FlagRunning | net.FlagMulticast
	for _, i := range all {
		if i.Flags&want != want || i.Flags&net.FlagPointToPoint != 0 || !l.chosen(i.Name) {
			continue
		}
		addrs, err := i.Addrs()
		if err == nil && slices.ContainsFunc(addrs, func(a net.Addr) bool {
			prefix, err := netip.ParsePrefix(a.String())
			return err == nil && prefix.Addr().Is6() && prefix.Addr().IsLinkLocalUnicast()
		}) {
			use = append(use, i)
		}
	}
	return use
}

func (l *lan) chosen(name string) bool { return l.choose == nil || l.choose.MatchString(name) }

// hear calls nodes whose beacons come in.
func (l *lan) hear(ctx context.Context) error {
	buf := make([]byte, 2048)
	for {
		n, control, from, err := l.sock.ReadFrom(buf)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			l.n.log.Debug("multicast", "err", err) // an interface went away
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		}
		if control != nil && !control.Dst.Equal(l.group.IP) {
			continue
		}
		b, err := parseBeacon(buf[:n])
		at, ok := from.(*net.UDPAddr)
		if err != nil || !ok || b.key == l.n.self || at.Zone == "" || !l.chosen(at.Zone) {
			continue
		}
		l.heard(b, at)
	}
}

// heard calls the node of a beacon that came from at.
func (l *lan) heard(b beacon, at *net.UDPAddr) {
	if l.n.links.linked(b.key) || !l.room(b.key) {
		return
	}
	to := netip.AddrPortFrom(at.AddrPort().Addr(), b.port)
	u := url.URL{Scheme: "tls", Host: to.String(), RawQuery: "key=" + b.key.String()}
	p, err := parsePeering(u.String())
	if err != nil {
		return
	}
	// Both hear each other, and one of them may be calling already on other
	// grounds: two links are one too many.
	after := lanPatience
	if slices.Compare(l.n.self[:], b.key[:]) > 0 {
		after *= 4
	}
	l.n.links.wantAfter(p, SourceLAN, true, after)
}

// room reports whether one more node that a beacon names may be called.
func (l *lan) room(key mesh.NodeKey) bool {
	member := l.n.gate.admits(key)
	calls, up := l.n.links.called(SourceLAN, func(k mesh.NodeKey) bool { return l.n.gate.admits(k) == member })
	return calls < lanCalls && (member || up < lanLinks)
}

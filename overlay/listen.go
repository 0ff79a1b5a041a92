package overlay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"syscall"

	"github.com/yggdrasil-network/yggdrasil-go/src/core"
)

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
		e.Fix = "stop the other program, or use other ports: --underlay " + p.url.Scheme + "://[::]:0, and --web :0 for the page"
	case errors.Is(err, syscall.EACCES):
		e.Fix = "ports below 1024 need privileges: choose a higher one"
	}
	return e
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

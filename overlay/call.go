package overlay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"time"

	"github.com/yggdrasil-network/yggdrasil-go/src/core"

	"drey/mesh"
)

// ErrCalled reports an underlay URI that is being called already, or linked.
var ErrCalled = errors.New("this address is being called already")

// Call calls an underlay URI once and returns, when a link is up, whose it is.
// The link stays until it breaks or RemovePeer names it; it is not called
// again. When ctx ends before the link is up, the call is given up.
func (o *Overlay) Call(ctx context.Context, uri string, source Source) (mesh.NodeKey, error) {
	n := o.current()
	if n == nil {
		return mesh.NodeKey{}, errStopped
	}
	p, err := parsePeering(uri)
	if err != nil {
		return mesh.NodeKey{}, err
	}
	if !p.ours() {
		return n.callElsewhere(ctx, p, source)
	}
	d := n.links.want(p, source, true)
	if d == nil {
		return mesh.NodeKey{}, ErrCalled
	}
	select {
	case key := <-d.up:
		return key, nil
	case <-d.over:
		select {
		case key := <-d.up: // up, and over at once
			return key, nil
		default:
		}
		return mesh.NodeKey{}, d.reason()
	case <-ctx.Done():
		d.cancel()
		return mesh.NodeKey{}, ctx.Err()
	}
}

// elsewhereLook is how often a call by Yggdrasil's own link code is looked at:
// it does not tell.
const elsewhereLook = 100 * time.Millisecond

// callElsewhere is Call for Yggdrasil's own schemes.
func (n *node) callElsewhere(ctx context.Context, p *peering, source Source) (mesh.NodeKey, error) {
	if err := n.router.core.CallPeer(p.url, ""); errors.Is(err, core.ErrLinkAlreadyConfigured) {
		return mesh.NodeKey{}, ErrCalled
	} else if err != nil {
		return mesh.NodeKey{}, fmt.Errorf("call %s: %w", p.uri, err)
	}
	n.mu.Lock()
	n.mu.elsewhere[p.uri] = source
	n.mu.Unlock()
	tick := time.NewTicker(elsewhereLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			n.unwant(p)
			return mesh.NodeKey{}, ctx.Err()
		case <-n.ctx.Done():
			return mesh.NodeKey{}, errStopped
		case <-tick.C:
		}
		for _, l := range n.list() {
			if l.URI == p.uri && l.Up {
				return l.Key, nil
			}
		}
	}
}

// LinksChanged returns a channel that is closed when a link next comes up or
// goes down, and when the overlay comes up. After its end it is nil.
func (o *Overlay) LinksChanged() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.mu.node != nil:
		return o.mu.node.links.changes()
	case o.mu.err != nil:
		return nil
	}
	return o.ready
}

// changes returns a channel that is closed at the next change.
func (l *links) changes() <-chan struct{} {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.mu.news
}

// meetTimeout bounds how long a node is asked whether it belongs.
const meetTimeout = 20 * time.Second

// Meet connects to a node over the overlay by its key: both show each other
// the roster, and it returns nil when both belong. A node that is not on the
// roster here is shown no more than what proves this one, until it has proved
// itself.
func (o *Overlay) Meet(ctx context.Context, key mesh.NodeKey) error {
	n := o.current()
	if n == nil {
		return errStopped
	}
	info, err := InfoOf(key)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, meetTimeout)
	defer cancel()
	defer n.gate.meet(key)()
	n.clearBackoff(info.ID)
	return n.host.Connect(ctx, info)
}

// Met reports whether libp2p is connected to a node.
func (o *Overlay) Met(key mesh.NodeKey) bool {
	n := o.current()
	if n == nil {
		return false
	}
	id, err := PeerOf(key)
	return err == nil && len(n.host.Network().ConnsToPeer(id)) > 0
}

// Linked reports whether an underlay link leads straight to a node.
func (o *Overlay) Linked(key mesh.NodeKey) bool {
	n := o.current()
	return n != nil && n.links.linked(key)
}

// ListeningLocally returns underlay URIs with this machine's link-local IPv6
// addresses, without zones: what neighbours on the same cable can call though
// nobody has given out addresses. Empty before Run is up.
func (o *Overlay) ListeningLocally() []string {
	n := o.current()
	if n == nil {
		return nil
	}
	ips := linkLocals()
	var uris []string
	for _, l := range n.listeners {
		at := l.Addr().(*net.TCPAddr).AddrPort()
		if !at.Addr().IsUnspecified() || !at.Addr().Is6() || l.peering.password != "" {
			continue
		}
		for _, ip := range ips {
			u := url.URL{Scheme: l.peering.url.Scheme, Host: netip.AddrPortFrom(ip, at.Port()).String()}
			uris = append(uris, u.String())
		}
	}
	return uris
}

// linkLocals lists this machine's link-local IPv6 addresses, without zones.
func linkLocals() []netip.Addr {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var ips []netip.Addr
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
			ips = append(ips, p.Addr())
		}
	}
	return ips
}

package main

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"drey/mesh"
)

// recordLife is how long others need not doubt a peer record.
const recordLife = 30 * 24 * time.Hour

// maxShown bounds the endpoints that a node tells of itself: a machine with
// twenty addresses is not reached any better.
const maxShown = 6

// record returns what this node says of itself now: where it is reached and
// what it can do.
func (p *parts) record() *mesh.PeerRecord {
	r, err := p.card.Record(context.Background())
	if r != nil {
		return r
	}
	p.log.Error("peer record not issued", "err", err) // the store fails: status tells
	blank := mesh.PeerRecord{
		Community: [8]byte(p.membership.Community.ID[:8]), Seq: uint32(mesh.UnixOf(p.clock())),
		Issued: mesh.UnixOf(p.clock()), Lifetime: recordLife,
	}
	signed, err := p.who.SignPeerRecord(blank)
	if err != nil {
		p.log.Error("peer record not signed", "err", err) // a fault of ours: everything in it is our own
	}
	return signed
}

// radioWakes is how long a radio has to show itself after the start; until then
// what the last record said of it stands, so that no start makes a new record.
const radioWakes = time.Minute

// abilities says what this node can do; last is what its last record said.
func (p *parts) abilities(last mesh.Abilities) mesh.Abilities {
	var able mesh.Abilities
	if p.conf.Overlay.Transit {
		able |= mesh.AbleTransit
	}
	if seen := p.radio.Status().Node != ""; seen {
		able |= mesh.AbleRadio
	} else if p.conf.Radio.Device != "none" && p.clock().Sub(p.began) < radioWakes {
		able |= last & mesh.AbleRadio
	}
	if p.conf.Nostr.Gateway {
		able |= mesh.AbleGateway
	}
	if !p.membership.Community.Open {
		able |= mesh.AbleMailbox // sealed, until their readers come
	}
	if len(p.webEndpoints()) > 0 {
		able |= mesh.AbleRelay // at the root of the page's port
	}
	return able
}

// endpoints lists where this node is reached, the likeliest first: what the
// operator has set, its underlay, its page, and what reaches it on the same
// cable when nobody has given out addresses.
func (p *parts) endpoints() []mesh.Endpoint {
	var all []mesh.Endpoint
	add := func(uris []string, most int) {
		for _, uri := range uris {
			if e, err := mesh.ParseEndpoint(bareURI(uri)); err == nil && most > 0 && !slices.Contains(all, e) {
				all = append(all, e)
				most--
			}
		}
	}
	local := p.overlay.ListeningLocally()
	under := p.overlay.Listening()
	if len(local) > 0 {
		under = slices.DeleteFunc(under, loops) // all that there is beside link-local addresses
	}
	slices.SortStableFunc(under, func(a, b string) int { return strings.Count(a, "[") - strings.Count(b, "[") }) // IPv4 first: it is short
	add(p.conf.Bootstrap.Endpoints, maxShown)
	add(under, maxShown)
	if len(under) == 0 {
		add(local, maxShown)
	}
	web := p.webEndpoints()
	all = append(all, web[:min(len(web), maxShown)]...)
	add(local, 1)
	return all[:min(len(all), mesh.MaxEndpoints)]
}

// loops reports whether an underlay URI leads to this machine only.
func loops(uri string) bool {
	e, err := mesh.ParseEndpoint(bareURI(uri))
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(e.Host)
	return err == nil && a.IsLoopback()
}

// webEndpoints lists the addresses of the page, the likeliest first.
func (p *parts) webEndpoints() []mesh.Endpoint {
	bound, ok := p.web.Listening().(*net.TCPAddr)
	if !ok {
		return nil
	}
	at, _ := netip.AddrFromSlice(bound.IP)
	var all []mesh.Endpoint
	for _, ip := range reachable(at.Unmap()) {
		if e, err := mesh.ParseEndpoint("http://" + netip.AddrPortFrom(ip, uint16(bound.Port)).String()); err == nil {
			all = append(all, e)
		}
	}
	return all
}

// reachable lists the addresses of this machine at which a listener bound to
// at is reached: IPv4 before IPv6, as it takes less room in a code; loopback
// only where there is nothing else.
func reachable(at netip.Addr) []netip.Addr {
	if at.IsValid() && !at.IsUnspecified() {
		return []netip.Addr{at}
	}
	var far, loop []netip.Addr
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		switch ip := prefix.Addr().Unmap(); {
		case ip.IsLinkLocalUnicast(), overlayRange.Contains(ip):
		case ip.IsLoopback():
			loop = append(loop, ip)
		default:
			far = append(far, ip)
		}
	}
	if len(far) == 0 {
		far = loop
	}
	slices.SortStableFunc(far, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	return far
}

// overlayRange holds the addresses of Yggdrasil itself.
var overlayRange = netip.MustParsePrefix("200::/7")

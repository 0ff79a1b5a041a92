package main

import (
	"net"
	"net/netip"
	"slices"
	"time"

	"drey/mesh"
)

// recordLife is how long others need not doubt a peer record.
const recordLife = 30 * 24 * time.Hour

// maxShown bounds the endpoints that a node tells of itself: a machine with
// twenty addresses is not reached any better.
const maxShown = 6

// record returns what this node says of itself now: where it is reached and
// what it can do. Its number is the time, so that a later one counts more.
func (p *parts) record() *mesh.PeerRecord {
	now := p.clock()
	r := mesh.PeerRecord{
		Community: [8]byte(p.membership.Community.ID[:8]),
		Seq:       uint32(mesh.UnixOf(now)),
		Issued:    mesh.UnixOf(now),
		Lifetime:  recordLife,
		Endpoints: p.endpoints(),
	}
	if p.conf.Overlay.Transit {
		r.Abilities |= mesh.AbleTransit
	}
	if p.conf.Radio.Device != "none" {
		r.Abilities |= mesh.AbleRadio
	}
	signed, err := p.who.SignPeerRecord(r)
	if err != nil {
		p.log.Error("peer record not signed", "err", err) // a fault of ours: everything in it is our own
		r.Endpoints = nil
		signed, _ = p.who.SignPeerRecord(r)
	}
	return signed
}

// endpoints lists where this node is reached: underlay first, then the web.
func (p *parts) endpoints() []mesh.Endpoint {
	var all []mesh.Endpoint
	for _, uri := range p.overlay.Listening() {
		uri = bareURI(uri)
		if e, err := mesh.ParseEndpoint(uri); err == nil && len(all) < maxShown {
			all = append(all, e)
		}
	}
	web := p.webEndpoints()
	return append(all, web[:min(len(web), maxShown)]...)
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

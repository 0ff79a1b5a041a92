package bootstrap

import (
	"net"
	"net/netip"
	"strings"
)

// escapeZone writes the zone of an IPv6 address in a URI as RFC 6874 wants it.
func escapeZone(uri string) string {
	head, tail, ok := strings.Cut(uri, "%")
	if !ok || strings.HasPrefix(tail, "25") {
		return uri
	}
	return head + "%25" + tail
}

// zones lists the interfaces that have a link-local IPv6 address, at most
// maxZones: where a link-local address without a zone may be.
func zones() []string {
	const maxZones = 4
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var names []string
	for _, i := range all {
		if i.Flags&net.FlagUp != 0 && i.Flags&net.FlagLoopback == 0 && linkLocal(i).IsValid() && len(names) < maxZones {
			names = append(names, i.Name)
		}
	}
	return names
}

// linkLocal returns an interface's link-local IPv6 address, without a zone.
func linkLocal(i net.Interface) netip.Addr {
	addrs, err := i.Addrs()
	if err != nil {
		return netip.Addr{}
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

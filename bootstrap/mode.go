package bootstrap

import "net/netip"

// A Mode says in one word how far a node reaches.
type Mode string

// The modes. They follow from the links that are up, and from nothing else.
const (
	ModeAlone    Mode = "alone"    // no link: reads, writes and serves by itself, and can be found
	ModeLocal    Mode = "local"    // links to machines on the same premises only
	ModeInternet Mode = "internet" // at least one link over a public address
)

// overlayPrefix holds Yggdrasil's own addresses, which lead nowhere by
// themselves.
var overlayPrefix = netip.MustParsePrefix("200::/7")

// carrierNAT holds the addresses that providers hand out behind a translation
// (RFC 6598): whoever has one is not next door.
var carrierNAT = netip.MustParsePrefix("100.64.0.0/10")

// modeOf returns the mode that follows from links.
func modeOf(links []Link) Mode {
	mode := ModeAlone
	for _, l := range links {
		if !l.Up {
			continue
		}
		if far(l.Remote) {
			return ModeInternet
		}
		mode = ModeLocal
	}
	return mode
}

// far reports whether an address is reached over the internet.
func far(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return a.IsGlobalUnicast() && !a.IsPrivate() && !overlayPrefix.Contains(a) || carrierNAT.Contains(a)
}

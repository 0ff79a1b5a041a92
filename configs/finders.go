package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// Finds reports whether a finder is switched on. Those of the local network
// need overlay.lan too.
func (c *Config) Finds(name string) bool {
	local := []string{"multicast", "mdns", "broadcast"}
	return slices.Contains(c.Bootstrap.Finders, name) && (c.Overlay.LAN || !slices.Contains(local, name))
}

func (c *Config) validateBootstrap(f *faults) {
	b := c.Bootstrap
	for i, name := range b.Finders {
		at := index("bootstrap.finders", i)
		if !slices.Contains(AllFinders(), name) {
			f.add(at, fmt.Errorf("%.40q is not one of %s", name, strings.Join(AllFinders(), ", ")))
		}
		if slices.Index(b.Finders, name) != i {
			f.add(at, fmt.Errorf("%q is there twice", name))
		}
	}
	for i, uri := range b.Endpoints {
		f.add(index("bootstrap.endpoints", i), checkEndpoint(uri))
	}
	for i, name := range b.DNS {
		f.add(index("bootstrap.dns", i), checkDNSName(name))
	}
	for i, s := range b.DNSServers {
		_, err := netip.ParseAddr(s)
		if _, withPort := netip.ParseAddrPort(s); err != nil && withPort != nil {
			f.add(index("bootstrap.dns_servers", i), fmt.Errorf("%.80q is not the address of a server, such as \"192.0.2.53\" or \"[2001:db8::53]:53\"", s))
		}
	}
	for i, at := range b.Tables {
		f.add(index("bootstrap.tables", i), checkTable(at))
	}
	for i, uri := range b.Relays {
		f.add(index("bootstrap.relays", i), checkRelay(uri))
	}
	if len(b.Relays) > maxRelays {
		f.add("bootstrap.relays", fmt.Errorf("%d relays, at most %d are allowed", len(b.Relays), maxRelays))
	}
	if b.PublicNostr && !slices.Contains(b.Finders, "nostr") {
		f.add("bootstrap.public_nostr", errors.New("nothing is announced while \"nostr\" is not in bootstrap.finders"))
	}
	if b.PublicNostr && len(b.Endpoints) == 0 {
		f.add("bootstrap.public_nostr", errors.New("is for gateways: bootstrap.endpoints says where others reach this one"))
	}
	for i, path := range b.Files {
		if !filepath.IsAbs(path) {
			f.add(index("bootstrap.files", i), fmt.Errorf("%.80q is not a whole path, such as \"/media/stick/town.drey\"", path))
		}
	}
}

// checkEndpoint checks an address that a machine tells of itself: nothing but
// scheme, host and port has room in a record.
func checkEndpoint(s string) error {
	if err := checkUnderlay(s, false); err != nil {
		return err
	}
	u, _ := url.Parse(s)
	if !slices.Contains([]string{"tls", "tcp", "quic", "ws", "wss"}, u.Scheme) || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" || u.Port() == "0" || u.User != nil {
		return fmt.Errorf("%.80q is not a scheme, a host and a port, such as \"tls://drey.example.org:3740\"", s)
	}
	if len(u.Hostname()) > longestEndpoint {
		return fmt.Errorf("the name of %.80q has %d letters, a record has room for %d", s, len(u.Hostname()), longestEndpoint)
	}
	return nil
}

// longestEndpoint is how long a host name may be so that it fits, with its port,
// into a record within its budget (bootstrap.RecordBudget).
const longestEndpoint = 37

func checkDNSName(s string) error {
	if len(s) < 1 || len(s) > 253 {
		return errors.New("a DNS name has 1 to 253 bytes")
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if len(label) < 1 || len(label) > 63 || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return fmt.Errorf("%.80q is not a DNS name, such as \"_drey.example.org\"", s)
		}
	}
	return nil
}

package overlay

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"drey/mesh"
)

// A Source says why a link exists. Whoever calls may use names of its own.
type Source string

// The sources of links that the overlay knows of.
const (
	SourceStatic   Source = "static"   // configuration, or peers add
	SourceLAN      Source = "lan"      // heard by multicast
	SourceIncoming Source = "incoming" // the other side called
	SourceInvite   Source = "invite"   // named by an invite
)

// A peering is a parsed underlay URI such as
//
//	tls://203.0.113.5:3740?key=<hex>&maxbackoff=30s&priority=1&password=x
type peering struct {
	uri        string // scheme and host only: names the link
	url        *url.URL
	keys       []mesh.NodeKey // the other side must have one of these; nil for any
	priority   uint8          // Yggdrasil prefers lower
	password   string
	sni        string
	maxBackoff time.Duration
}

const (
	defaultMaxBackoff = time.Minute
	leastMaxBackoff   = time.Second
)

// parsePeering checks an underlay URI. Schemes other than tcp and tls are
// handed to Yggdrasil's own links as they are.
func parsePeering(uri string) (*peering, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, fmt.Errorf("peer %q: %w", uri, err)
	}
	u.Scheme = strings.ToLower(u.Scheme)
	p := &peering{url: u, maxBackoff: defaultMaxBackoff, uri: (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()}
	switch u.Scheme {
	case "tcp", "tls":
		host, port, err := net.SplitHostPort(u.Host)
		if err != nil {
			return nil, fmt.Errorf("peer %q: want %s://host:port", uri, u.Scheme)
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return nil, fmt.Errorf("peer %q: port %q is not a number from 0 to 65535", uri, port)
		}
		if ip, err := netip.ParseAddr(host); err == nil {
			if err := allowUnderlay(ip); err != nil {
				return nil, fmt.Errorf("peer %q: %w", uri, err)
			}
		} else if host != "" {
			p.sni = host
		}
	case "quic", "ws", "wss", "unix", "socks", "sockstls":
	default:
		return nil, fmt.Errorf("peer %q: unknown scheme %q, want tls, tcp, quic, ws, wss, unix, socks or sockstls", uri, u.Scheme)
	}
	q := u.Query()
	for _, text := range q["key"] {
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != len(mesh.NodeKey{}) {
			return nil, fmt.Errorf("peer %q: key is not 64 hexadecimal digits", uri)
		}
		p.keys = append(p.keys, mesh.NodeKey(raw))
	}
	if text := q.Get("priority"); text != "" {
		n, err := strconv.ParseUint(text, 10, 8)
		if err != nil {
			return nil, fmt.Errorf("peer %q: priority %q is not a number from 0 to 255", uri, text)
		}
		p.priority = uint8(n)
	}
	if p.password = q.Get("password"); len(p.password) > maxPassword {
		return nil, fmt.Errorf("peer %q: password of %d bytes, limit %d", uri, len(p.password), maxPassword)
	}
	if text := q.Get("maxbackoff"); text != "" {
		if p.maxBackoff, err = time.ParseDuration(text); err != nil || p.maxBackoff < leastMaxBackoff {
			return nil, fmt.Errorf("peer %q: maxbackoff %q is not a duration of at least %v", uri, text, leastMaxBackoff)
		}
	}
	if text := q.Get("sni"); text != "" {
		p.sni = text
	}
	return p, nil
}

// ours reports whether this package runs links of the scheme itself.
func (p *peering) ours() bool { return p.url.Scheme == "tcp" || p.url.Scheme == "tls" }

// redial returns the URI with everything that is needed to call again.
func (p *peering) redial() string {
	u := url.URL{Scheme: p.url.Scheme, Host: p.url.Host, Path: p.url.Path, RawQuery: p.url.RawQuery}
	return u.String()
}

// accepts reports whether the pinned keys, if any, allow key.
func (p *peering) accepts(key mesh.NodeKey) bool {
	if len(p.keys) == 0 {
		return true
	}
	for _, k := range p.keys {
		if k == key {
			return true
		}
	}
	return false
}

var (
	errSelf       = errors.New("that is this node itself")
	errOverItself = errors.New("an address in 200::/7 is inside the overlay: it must not run over itself")
)

// allowUnderlay refuses addresses that no underlay link can have.
func allowUnderlay(ip netip.Addr) error {
	switch ip = ip.Unmap(); {
	case overlayPrefix.Contains(ip.WithZone("")):
		return errOverItself
	case ip.IsMulticast():
		return fmt.Errorf("%s is a multicast address", ip)
	}
	return nil
}

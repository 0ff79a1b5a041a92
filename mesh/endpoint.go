package mesh

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A Scheme says what speaks at an endpoint. The numbers are part of the wire
// format; a scheme that this version does not know is carried, not dialled.
type Scheme uint8

// The schemes of endpoints.
const (
	SchemeTCP   Scheme = 1 // Yggdrasil underlay
	SchemeTLS   Scheme = 2 // Yggdrasil underlay
	SchemeQUIC  Scheme = 3 // Yggdrasil underlay
	SchemeWS    Scheme = 4 // Yggdrasil underlay
	SchemeWSS   Scheme = 5 // Yggdrasil underlay
	SchemeHTTP  Scheme = 6 // page, API, relay and invites
	SchemeHTTPS Scheme = 7 // the same, encrypted
)

const maxScheme = 15

var schemeNames = []string{
	SchemeTCP: "tcp", SchemeTLS: "tls", SchemeQUIC: "quic", SchemeWS: "ws", SchemeWSS: "wss",
	SchemeHTTP: "http", SchemeHTTPS: "https",
}

// String returns the scheme as it stands in a URI.
func (s Scheme) String() string {
	if s >= SchemeTCP && int(s) < len(schemeNames) {
		return schemeNames[s]
	}
	return "scheme-" + strconv.Itoa(int(s))
}

// Underlay reports whether Yggdrasil peers over this scheme.
func (s Scheme) Underlay() bool { return s >= SchemeTCP && s <= SchemeWSS }

// Web reports whether a node's page answers over this scheme.
func (s Scheme) Web() bool { return s == SchemeHTTP || s == SchemeHTTPS }

// An Endpoint is one place where a node can be reached from outside the
// overlay. Two equal endpoints have equal bytes.
type Endpoint struct {
	Scheme Scheme
	Host   string // an IPv4 or IPv6 address as netip writes it, or a DNS name in lower case
	Port   uint16 // 1 to 65535
}

// String returns the endpoint as a URI without a path, such as
// "tls://203.0.113.5:3740".
func (e Endpoint) String() string {
	return e.Scheme.String() + "://" + net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
}

// ParseEndpoint reads a URI of a scheme, a host and a port. Anything behind
// the port must be absent, except a single '/'. Upper case is taken as lower.
func ParseEndpoint(uri string) (Endpoint, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return Endpoint{}, fmt.Errorf("endpoint %.100q: not a URI", uri)
	}
	if u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return Endpoint{}, fmt.Errorf("endpoint %.100q: only scheme://host:port is allowed", uri)
	}
	i := slices.Index(schemeNames, strings.ToLower(u.Scheme))
	if i < 1 {
		return Endpoint{}, fmt.Errorf("endpoint %.100q: unknown scheme, known are %s", uri, strings.Join(schemeNames[1:], ", "))
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 0 {
		return Endpoint{}, fmt.Errorf("endpoint %.100q: a port from 1 to 65535 is needed", uri)
	}
	host := strings.ToLower(u.Hostname())
	if a, err := netip.ParseAddr(host); err == nil {
		host = a.Unmap().String()
	}
	e := Endpoint{Scheme(i), host, uint16(port)}
	if err := e.check(); err != nil {
		return Endpoint{}, fmt.Errorf("endpoint %.100q: %w", uri, err)
	}
	return e, nil
}

// The kinds of address, in the low half of an endpoint's first byte.
const (
	addressIPv4 = 1
	addressIPv6 = 2
	addressName = 3
)

// An endpoint on the wire:
//
//	head     byte       scheme in the high half, kind of address in the low
//	address  [4]byte    kind 1, IPv4
//	         [16]byte   kind 2, IPv6, never IPv4 in disguise
//	         byte and so many bytes of a lower-case DNS name, kind 3
//	port     uint16     big endian, not 0
func appendEndpoint(b []byte, e Endpoint) []byte {
	head := byte(e.Scheme) << 4
	a, err := netip.ParseAddr(e.Host)
	switch {
	case err != nil:
		b = append(b, head|addressName, byte(len(e.Host)))
		b = append(b, e.Host...)
	case a.Is4():
		b = append(b, head|addressIPv4)
		b = append(b, a.AsSlice()...)
	default:
		b = append(b, head|addressIPv6)
		b = append(b, a.AsSlice()...)
	}
	return binary.BigEndian.AppendUint16(b, e.Port)
}

// parseEndpoints reads endpoints until b ends.
func parseEndpoints(b []byte, limit int) ([]Endpoint, error) {
	var list []Endpoint
	for len(b) > 0 {
		if len(list) == limit {
			return nil, fmt.Errorf("more than %d endpoints", limit)
		}
		e, n, err := parseEndpoint(b)
		if err != nil {
			return nil, fmt.Errorf("endpoint %d: %w", len(list)+1, err)
		}
		if slices.Contains(list, e) {
			return nil, fmt.Errorf("endpoint %d: %s is there twice", len(list)+1, e)
		}
		list = append(list, e)
		b = b[n:]
	}
	return list, nil
}

func parseEndpoint(b []byte) (e Endpoint, n int, err error) {
	e.Scheme = Scheme(b[0] >> 4)
	n = 1
	size := 0
	switch kind := b[0] & 15; kind {
	case addressIPv4:
		size = 4
	case addressIPv6:
		size = 16
	case addressName:
		if len(b) < 2 {
			return e, 0, fmt.Errorf("cut off before its name")
		}
		n, size = 2, int(b[1])
	default:
		return e, 0, fmt.Errorf("kind of address is %d, known are 1 to 3", kind)
	}
	if len(b) < n+size+2 {
		return e, 0, fmt.Errorf("cut off: %d bytes, %d needed", len(b), n+size+2)
	}
	if b[0]&15 == addressName {
		e.Host = string(b[n : n+size])
		if _, err := netip.ParseAddr(e.Host); err == nil {
			return e, 0, fmt.Errorf("address %s written as a name", e.Host)
		}
	} else {
		a, _ := netip.AddrFromSlice(b[n : n+size])
		e.Host = a.String()
	}
	n += size
	e.Port = binary.BigEndian.Uint16(b[n:])
	return e, n + 2, e.check()
}

// check refuses an endpoint that nobody could dial or that has a second form.
func (e Endpoint) check() error {
	if e.Scheme < 1 || e.Scheme > maxScheme {
		return fmt.Errorf("scheme %d, allowed are 1 to %d", e.Scheme, maxScheme)
	}
	if e.Port == 0 {
		return fmt.Errorf("port is 0")
	}
	a, err := netip.ParseAddr(e.Host)
	if err != nil {
		return checkName(e.Host)
	}
	switch {
	case a.Is4In6(), a.Zone() != "", a.String() != e.Host:
		return fmt.Errorf("address %.60q is not in its shortest form", e.Host)
	case a.IsUnspecified(), a.IsMulticast():
		return fmt.Errorf("address %s cannot be dialled", e.Host)
	}
	return nil
}

// checkName accepts what DNS and mDNS call a host name, in lower case. The
// last label holds a letter, so that no name looks like an IPv4 address.
func checkName(s string) error {
	if len(s) < 1 || len(s) > 253 {
		return fmt.Errorf("name has %d bytes, allowed are 1 to 253", len(s))
	}
	var last string
	for last = range strings.SplitSeq(s, ".") {
		if len(last) < 1 || len(last) > 63 || last[0] == '-' || last[len(last)-1] == '-' {
			return fmt.Errorf("name %.60q is not a host name", s)
		}
		for i := range len(last) {
			if c := last[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return fmt.Errorf("name %.60q: %q is not allowed", s, c)
			}
		}
	}
	if !strings.ContainsFunc(last, func(r rune) bool { return r >= 'a' && r <= 'z' }) {
		return fmt.Errorf("name %.60q ends in a number", s)
	}
	return nil
}

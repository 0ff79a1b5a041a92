package pool

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// maxURL bounds an address, in bytes.
const maxURL = 256

// ErrURL reports what is not the address of a relay.
var ErrURL = errors.New("not the address of a relay, such as wss://relay.example.org")

// Normalize returns the one way to write a relay's address (NIP-65): scheme and
// host in lower case, no default port, no fragment, no slash at the end. A bare
// host name means wss; it has a dot, or is localhost, as a word alone is likelier
// a slip than a machine. The scheme is ws or wss; names and passwords are refused, and
// so is what is not ASCII: write it escaped, a host in Punycode.
func Normalize(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > maxURL {
		return "", fmt.Errorf("%w: %d bytes, allowed are 1 to %d", ErrURL, len(s), maxURL)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' || r == '<' || r == '>' }) {
		return "", fmt.Errorf("%w: %q", ErrURL, s)
	}
	bare := !strings.Contains(s, "://")
	if bare {
		s = "wss://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		return "", fmt.Errorf("%w: %q", ErrURL, s)
	}
	u.Scheme = strings.ToLower(u.Scheme)
	if u.Scheme != "ws" && u.Scheme != "wss" || u.User != nil || u.Opaque != "" || u.Hostname() == "" {
		return "", fmt.Errorf("%w: %q", ErrURL, u.Redacted())
	}
	host, port := strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), u.Port()
	if !isHost(host) || strings.HasSuffix(u.Host, ":") && port == "" {
		return "", fmt.Errorf("%w: %q", ErrURL, s)
	}
	if bare && host != "localhost" && !strings.ContainsAny(host, ".:") {
		return "", fmt.Errorf("%w: %q has no dot; a machine of the local network that is called so is ws://%s", ErrURL, host, host)
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return "", fmt.Errorf("%w: port %q", ErrURL, port)
		}
		port = strconv.FormatUint(n, 10)
	}
	if u.Scheme == "ws" && port == "80" || u.Scheme == "wss" && port == "443" {
		port = ""
	}
	switch {
	case port != "":
		u.Host = net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		u.Host = "[" + host + "]"
	default:
		u.Host = host
	}
	u.Fragment, u.RawFragment = "", ""
	if p := u.EscapedPath(); p != "" {
		clean := strings.TrimSuffix(path.Clean("/"+p), "/")
		if u.Path, err = url.PathUnescape(clean); err != nil {
			return "", fmt.Errorf("%w: %q", ErrURL, s)
		}
		u.RawPath = clean
	}
	at := u.String()
	if len(at) > maxURL {
		return "", fmt.Errorf("%w: %d bytes, allowed are 1 to %d", ErrURL, len(at), maxURL)
	}
	return at, nil
}

// isHost reports whether s, in lower case, is a host's name or address.
func isHost(s string) bool {
	if strings.Contains(s, ":") {
		at, err := netip.ParseAddr(s)
		return err == nil && at.Zone() == ""
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

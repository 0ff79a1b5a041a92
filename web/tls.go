package web

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"

	"drey/web/cert"
)

// On the page's port both http and https are spoken. The first byte of a
// connection tells which: a TLS record that begins a handshake has type 22,
// and no HTTP method begins with that byte (RFC 8446, section 5.1).
const handshakeRecord = 0x16

// A sniffer is a listener whose connections find out at their first Read, in
// the goroutine that serves them, whether they are TLS. So a slow first byte
// keeps nobody else waiting, and the server's deadline for a request's headers
// bounds it and the handshake together.
type sniffer struct {
	net.Listener
	config *tls.Config
}

// Accept returns the next connection, of which nothing has been read.
func (l *sniffer) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s := &sniffed{Conn: c, config: l.config}
	s.plain.Conn = c
	return s, nil
}

// A sniffed connection is plain or TLS; deadlines and addresses are those of
// the connection below.
type sniffed struct {
	net.Conn // below
	config   *tls.Config
	plain    replayed // below, with the first byte back in its place
	known    bool     // the first byte has come; touched by Read alone
	secure   atomic.Pointer[tls.Conn]
}

// Read reads what the peer said; the first call decides what is spoken.
func (c *sniffed) Read(b []byte) (int, error) {
	if !c.known {
		var first [1]byte
		if _, err := io.ReadFull(c.Conn, first[:]); err != nil {
			return 0, err
		}
		c.known = true
		c.plain.first, c.plain.has = first[0], true
		if first[0] == handshakeRecord {
			c.secure.Store(tls.Server(&c.plain, c.config))
		}
	}
	if t := c.secure.Load(); t != nil {
		return t.Read(b)
	}
	return c.plain.Read(b)
}

// Write writes to the peer, who has spoken first.
func (c *sniffed) Write(b []byte) (int, error) {
	if t := c.secure.Load(); t != nil {
		return t.Write(b)
	}
	return c.Conn.Write(b)
}

// Close closes the connection; over TLS the peer is told first.
func (c *sniffed) Close() error {
	if t := c.secure.Load(); t != nil {
		return t.Close()
	}
	return c.Conn.Close()
}

// state returns what is known of the encryption; nil in the clear.
func (c *sniffed) state() *tls.ConnectionState {
	t := c.secure.Load()
	if t == nil {
		return nil
	}
	s := t.ConnectionState()
	if !s.HandshakeComplete {
		return nil
	}
	return &s
}

// replayed is a connection one byte of which was read ahead.
type replayed struct {
	net.Conn
	first byte
	has   bool
}

// Read returns the byte that was read ahead, then what follows.
func (c *replayed) Read(b []byte) (int, error) {
	if !c.has || len(b) == 0 {
		return c.Conn.Read(b)
	}
	b[0], c.has = c.first, false
	return 1, nil
}

// tlsConfig is what https connections begin with. HTTP/1.1 alone is offered:
// the relay's websockets need it, and one stream serves all tabs.
func (s *Server) tlsConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: s.certs.Certificate}
}

// certNames are the names and addresses under which browsers reach this node.
func (s *Server) certNames() cert.Names {
	here := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	n := cert.Names{DNS: s.hosts.names, IPs: slices.Concat(here, s.config.Addresses)}
	for _, a := range s.hosts.addresses(s.now()) {
		if !a.IsLinkLocalUnicast() { // browsers cannot name them
			n.IPs = append(n.IPs, a)
		}
	}
	return n
}

// ReloadCertificate reads the certificate's files again. After an error what
// was served before is still served.
func (s *Server) ReloadCertificate() error {
	if err := s.certs.Reload(); err != nil {
		return NewError("certificate", "the certificate for https cannot be used", err.Error(),
			"see web.tls_cert_file and web.tls_key_file in the configuration; without them the node makes its own", err)
	}
	return nil
}

// tlsStatus tells what browsers show of the certificate.
func (s *Server) tlsStatus() TLSStatus {
	f, ok := s.certs.Fingerprints()
	if !ok {
		return TLSStatus{}
	}
	return TLSStatus{Certificate: f.Certificate.String(), Key: f.Key.String()}
}

// httpsURLs are the addresses of the page with https for http.
func httpsURLs(urls []string) []string {
	all := make([]string, len(urls))
	for i, u := range urls {
		all[i] = "https" + strings.TrimPrefix(u, "http")
	}
	return all
}

// pairURLs are where a browser can be paired: on this machine in the clear,
// elsewhere over https.
func (s *Server) pairURLs(bound net.Addr) []string {
	var urls []string
	tcp, ok := bound.(*net.TCPAddr)
	if !ok {
		return nil
	}
	if at, ok := netip.AddrFromSlice(tcp.IP); ok && (at.IsUnspecified() || at.IsLoopback()) {
		if at = at.Unmap(); at.IsUnspecified() {
			at = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		urls = append(urls, "http://"+netip.AddrPortFrom(at, uint16(tcp.Port)).String()+"/")
	}
	for _, u := range httpsURLs(s.hosts.pageURLs(bound, s.now())) {
		if !slices.ContainsFunc(urls, func(have string) bool { return strings.TrimPrefix(have, "http") == strings.TrimPrefix(u, "https") }) {
			urls = append(urls, u)
		}
	}
	return urls
}

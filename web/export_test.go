package web

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"drey/mesh"
)

// As serves as if every request came from one place: from the unix socket with
// a user id, or, where remote is valid, over TCP.
func (s *Server) As(uid int, remote netip.Addr) http.Handler {
	k := conn{socket: !remote.IsValid(), uid: uid, local: netip.MustParseAddr("192.0.2.1"), remote: remote}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), connKey{}, k)))
	})
}

// Serve serves on listeners of a test's own.
func (s *Server) Serve(ctx context.Context, l ...net.Listener) error { return s.serve(ctx, l...) }

// NewConnLimit bounds the connections of a listener.
func NewConnLimit(l net.Listener, most, mostEach int) net.Listener {
	return newConnLimit(l, most, mostEach)
}

// The bounds that tests push against.
const (
	MaxBody  = maxBody
	MaxKeys  = maxKeys
	KeepKeys = keepKeys
	Slowest  = slowest
)

// Keys counts the idempotency keys that are remembered.
func (s *Server) Keys() int {
	s.once.mu.Lock()
	defer s.once.mu.Unlock()
	return len(s.once.mu.byName)
}

// Claim claims an idempotency key, finishes the claim and reports whether it
// was finished before.
func (s *Server) Claim(ctx context.Context, key string) (done bool, err error) {
	o, err := s.once.claim(ctx, "test", key, [32]byte{})
	if err != nil || o.done {
		return err == nil, err
	}
	s.once.finish(o, mesh.EventID{})
	return false, nil
}

// Sniff makes a listener on which both http and https are spoken.
func (s *Server) Sniff(l net.Listener) (net.Listener, error) {
	return &sniffer{l, s.tlsConfig()}, s.certs.Reload()
}

// IssueCode makes a pairing code.
func (s *Server) IssueCode() string {
	code, _ := s.pairings.issue(s.now())
	return code
}

// What the fuzzers of small parsers need.
var (
	CodeOf        = codeOf
	BrowserName   = browserName
	ParseSessions = parseSessions
)

// The bounds of sessions.
const (
	MaxSessions = maxSessions
	SessionIdle = sessionIdle
	SessionMost = sessionMost
	PairingFor  = pairingFor
)

// ParseKeys reads the keys that /private/people is asked about.
func ParseKeys(s string) ([]mesh.PubKey, error) { return parseKeys(s) }

// ViewPaths lists the addresses of all pages, and those to which forms go,
// with something in place of their wildcards.
func ViewPaths(s *Server) (gets, posts []string) {
	fill := strings.NewReplacer("{$}", "", "{section}", "web", "{id}", strings.Repeat("0", 64), "{topic...}", "commons", "{rest...}", "commons", "{code}", "disk-full", "{hash}", "x", "{file...}", "page.css")
	for _, r := range s.views() {
		path := fill.Replace(r.pattern)
		if r.method == "POST" {
			posts = append(posts, path)
		} else if path != "/live" {
			gets = append(gets, path)
		}
	}
	return gets, posts
}

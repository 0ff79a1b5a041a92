package web

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"drey/mesh"
)

// A Scope is how much a caller may do. Each includes the ones before it.
type Scope uint8

// The scopes.
const (
	ScopeGuest  Scope = iota // anybody on the network: reads guest topics, posts within a rate
	ScopeLocal               // a program on this machine without the token: also reads metrics
	ScopeMember              // who may open the socket: reads and publishes
	ScopeAdmin               // the owner of the node, or who shows the token on this machine
)

var scopeNames = [...]string{"guest", "local", "member", "admin"}

// String returns the scope's name.
func (s Scope) String() string { return scopeNames[s] }

// A Token proves its bearer to be the node's admin. It prints as "secret".
type Token string

// String hides the token.
func (Token) String() string { return "secret" }

// GoString hides the token.
func (Token) GoString() string { return "secret" }

// LogValue hides the token from logs.
func (Token) LogValue() slog.Value { return slog.StringValue("secret") }

// TokenName is the file name of the token in a node's home.
const TokenName = "token"

// LoadToken reads the token of a home, and makes one where there is none. It
// refuses a file that others can read.
func LoadToken(home string) (Token, error) {
	path := filepath.Join(home, TokenName)
	b := make([]byte, 32)
	rand.Read(b) // never fails since Go 1.24
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		t := hex.EncodeToString(b)
		_, err := fmt.Fprintln(f, t)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			os.Remove(path)
			return "", err
		}
		return Token(t), nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return ReadToken(home)
}

// ReadToken reads the token of a home; fs.ErrNotExist where there is none.
func ReadToken(home string) (Token, error) {
	path := filepath.Join(home, TokenName)
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", NewError(CodeForbidden, fmt.Sprintf("token %s can be read by others", path),
			fmt.Sprintf("its mode is %04o", info.Mode().Perm()), "chmod 600 "+path, nil)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	t := strings.TrimSpace(string(b))
	if len(t) < 32 {
		return "", NewError(CodeForbidden, fmt.Sprintf("token %s is too short to be safe", path),
			fmt.Sprintf("%d letters, at least 32 needed", len(t)), "delete it; the next start makes a new one", nil)
	}
	return Token(t), nil
}

// conn is what is known about a connection before its first request.
type conn struct {
	socket bool // the unix socket
	uid    int  // at the other end of the socket; -1 when unknown
	local  netip.Addr
	remote netip.Addr
	tls    func() *tls.ConnectionState // nil where TLS cannot be; its answer is nil in the clear
}

type connKey struct{}

// withConn is http.Server.ConnContext.
func withConn(ctx context.Context, c net.Conn) context.Context {
	k := conn{uid: -1}
	if u, ok := c.(*net.UnixConn); ok {
		k.socket = true
		if uid, ok := peerUID(u); ok {
			k.uid = uid
		}
		return context.WithValue(ctx, connKey{}, k)
	}
	if t, ok := c.(*sniffed); ok {
		k.tls = t.state
	}
	k.local, k.remote = addrOf(c.LocalAddr().String()), addrOf(c.RemoteAddr().String())
	return context.WithValue(ctx, connKey{}, k)
}

// A caller is whoever made a request.
type caller struct {
	scope   Scope
	peer    string     // "socket", or the address, for logs
	remote  netip.Addr // invalid on the socket
	paired  bool       // came with the cookie of a paired browser
	session string     // its id; "" without one
}

// callerOf judges a request. A token that is wrong, or that came over the
// network in the clear, is an error rather than a guest: the caller believes
// to be someone.
func (s *Server) callerOf(r *http.Request) (caller, error) {
	k, _ := r.Context().Value(connKey{}).(conn)
	if k.socket {
		c := caller{scope: ScopeMember, peer: "socket"}
		if k.uid == os.Getuid() || k.uid == 0 {
			c.scope = ScopeAdmin
		}
		return c, nil
	}
	c := caller{scope: ScopeGuest, peer: k.remote.String(), remote: k.remote}
	here := k.remote.IsLoopback()
	if here {
		c.scope = ScopeLocal
	}
	authorization := r.Header.Get("Authorization")
	if authorization == "" {
		if x := s.sessions.find(r, here, c.peer, s.now()); x != nil {
			c.scope, c.paired, c.session = ScopeAdmin, true, x.id()
		}
		return c, nil
	}
	shown := strings.TrimPrefix(authorization, "Bearer ")
	if !here && r.TLS == nil {
		return c, NewError(CodeForbidden, "the token is refused", "it came over the network unencrypted, where others can read it",
			"use it on the machine itself, and make a new one: delete the file and restart the node", nil)
	}
	if s.config.Token == "" || subtle.ConstantTimeCompare([]byte(shown), []byte(s.config.Token)) != 1 {
		return c, NewError(CodeForbidden, "the token is wrong", "", "it is in the file "+TokenName+" in the node's home", nil)
	}
	c.scope = ScopeAdmin
	return c, nil
}

// viewer says what the caller may read.
func (s *Server) viewer(c caller) mesh.Viewer {
	switch {
	case c.scope >= ScopeAdmin:
		return mesh.Viewer{Member: true, Keys: []mesh.PubKey{s.config.Author}}
	case c.scope >= ScopeMember:
		return mesh.Viewer{Member: true}
	}
	return mesh.Viewer{Topics: s.config.GuestTopics}
}

package web_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"drey/web"
)

// pipes is a network inside a test: connections without sockets, so that a
// synctest bubble knows when everybody waits. Its listener never blocks a
// bubble's clock.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 3739} }

// dial connects from an address.
func (p *pipes) dial(ctx context.Context, from string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- pipeConn{there, p.Addr(), &net.TCPAddr{IP: net.ParseIP(from), Port: 1}}:
		return here, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type pipeConn struct {
	net.Conn
	local, remote net.Addr
}

func (c pipeConn) LocalAddr() net.Addr  { return c.local }
func (c pipeConn) RemoteAddr() net.Addr { return c.remote }

// inBubble runs a server on pipes; stop ends it and waits.
func inBubble(t *testing.T, s *web.Server) (network *pipes, stop func()) {
	t.Helper()
	network = newPipes()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, network) }()
	<-s.Ready()
	return network, sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve ended with %v", err)
		}
	})
}

// from returns a client at an address.
func (p *pipes) from(address string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return p.dial(ctx, address) },
	}}
}

func request(t *testing.T, c *http.Client, method, path, body string, headers ...string) answer {
	t.Helper()
	d := &door{t, "http://192.0.2.1:3739"}
	return d.with(c, method, path, body, headers...)
}

// readAll reads what is left of a body, for its end.
func readAll(r io.Reader) string {
	b, _ := io.ReadAll(r)
	return string(b)
}

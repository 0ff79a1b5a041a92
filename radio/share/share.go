// Package share offers one radio to many programs: a virtual Meshtastic radio
// on TCP port 4403 that speaks the same serial protocol as the real one. Each
// client gets the account of the radio that it asks for (want_config), its own
// queue, and the answers to its own packets.
//
// The server keeps no airtime and owns no radio. Whoever owns the real one
// takes what clients want sent with Next, when the air has room, and hands in
// what the radio says with Learn, Heard, Own and Answer. All of these return at once;
// a client that floods, or does not read, has only its own bounded queues.
//
// A client on this machine is local. Others are from the network: they may talk,
// but change no setting, and are not shown keys, passwords, other people's
// private messages or the frames that nodes exchange.
package share

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"drey/radio/meshtastic"
)

// A Config says where the radio is offered and who may do what.
type Config struct {
	// Listen is a TCP address such as "127.0.0.1:4403". Empty: nobody is served.
	Listen string
	// Admin lets local clients change the radio's settings.
	Admin bool
	// Hidden tells the channels on which nodes exchange frames: clients from
	// the network neither see nor write PRIVATE_APP there. Nil hides none.
	Hidden func(channel uint32) bool
	Log    *slog.Logger // nil is silent
}

// A Scope is what a client may do.
type Scope uint8

// The scopes.
const (
	Network Scope = iota // from another machine: may talk
	Local                // from this machine: may also change settings, where Config.Admin allows it
)

// Bounds of the server.
const (
	maxClients    = 16 // of them, half are kept for local ones
	maxNetwork    = 8
	maxPerAddress = 4  // from one address of the network
	queueSize     = 32 // messages that wait for a client
	answersSize   = 32 // answers that wait for a client
	sendSize      = 16 // packets of a client that wait for the air, as in a radio
	maxLeft       = 32 // packets of clients that have gone
	maxPartners   = 64 // radios a client has written to in private
	retryLeast    = 2 * time.Second
	retryMost     = time.Minute
)

// A ClientID names one connection.
type ClientID uint64

// gone stands for all clients that have gone.
const gone = ^ClientID(0)

// A Request is a packet that a client wants sent. From is 0 and ID is the
// client's choice, which another may have made too; 0 where it has not chosen.
type Request struct {
	Client ClientID
	Scope  Scope
	Packet *meshtastic.Packet
}

// A Status is how the sharing fares.
type Status struct {
	Listen   string // as bound; empty while it is not
	Clients  int    // connected now
	Served   uint64 // connections so far
	Refused  uint64 // connections and orders that were not allowed
	Dropped  uint64 // messages that did not fit into a client's queue
	Problem  string // why nobody can connect
	Fix      string
	problems int
}

// A Server offers the radio. Safe for concurrent use.
type Server struct {
	cfg  Config        // immutable
	log  *slog.Logger  // immutable
	wake chan struct{} // immutable; holds one: a client wants something sent
	met  chan struct{} // immutable; closed when the radio was live for the first time

	mu struct {
		sync.Mutex
		clients []*client
		turn    int // of the client that Next looks at first
		lastID  ClientID
		book    book
		sent    []sentID  // lately, oldest first
		left    []Request // of clients that have gone: what was taken is sent, in one turn for all of them
		live    bool      // the radio is there
		free    int       // places in its queue
		status  Status
	}
}

// New returns a server; Run makes it listen.
func New(cfg Config) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Hidden == nil {
		cfg.Hidden = func(uint32) bool { return false }
	}
	s := &Server{cfg: cfg, log: cfg.Log, wake: make(chan struct{}, 1), met: make(chan struct{})}
	s.mu.book.nodes = make(map[meshtastic.NodeNum][]byte)
	return s
}

// Run listens and serves until ctx ends, as soon as there is a radio to offer.
// A port that is taken is tried again, and never ends Run.
func (s *Server) Run(ctx context.Context) error {
	if s.cfg.Listen == "" {
		<-ctx.Done()
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.met:
	}
	for pause := retryLeast; ; pause = min(2*pause, retryMost) {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", s.cfg.Listen)
		if err == nil {
			pause = retryLeast
			s.listening(l.Addr().String())
			err = s.serve(ctx, l)
		}
		if ctx.Err() != nil {
			s.listening("")
			return ctx.Err()
		}
		s.failed(err)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

func (s *Server) listening(addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.status.Listen, s.mu.status.Problem, s.mu.status.Fix = addr, "", ""
	if addr != "" {
		s.mu.status.problems = 0
		s.log.Info("radio is shared", "listen", addr)
	}
}

func (s *Server) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &s.mu.status
	st.Listen, st.Problem = "", fmt.Sprintf("the radio is not shared: %v", err)
	st.Fix = `choose another address with radio.share, or "off"; see who has the port with: ss -ltnp`
	if st.problems++; st.problems == 1 {
		s.log.Warn("radio is not shared", "listen", s.cfg.Listen, "err", err)
	}
}

// serve accepts clients at l until ctx ends or l fails. It closes l.
func (s *Server) serve(ctx context.Context, l net.Listener) error {
	var clients sync.WaitGroup
	defer clients.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	closing := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer closing()
	for {
		conn, err := l.Accept()
		if err != nil {
			_ = l.Close()
			return err
		}
		scope, from := scopeOf(conn)
		clients.Go(func() {
			if err := s.Serve(ctx, conn, scope, from); err != nil && ctx.Err() == nil {
				s.log.Debug("client of the radio left", "peer", from, "err", err)
			}
		})
	}
}

// scopeOf tells by its address what a client may do.
func scopeOf(conn net.Conn) (Scope, string) {
	at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return Network, "unknown"
	}
	addr := at.Addr().Unmap()
	if addr.IsLoopback() {
		return Local, addr.String()
	}
	return Network, addr.String()
}

var (
	errFull    = errors.New("too many clients")
	errForeign = errors.New("does not speak as a Meshtastic program does")
	errIdle    = errors.New("silent for 15 minutes")
)

// admit makes room for a client, or says why there is none.
func (s *Server) admit(c *client) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	network, same := 0, 0
	for _, o := range s.mu.clients {
		if o.scope == Network {
			network++
			if o.from == c.from {
				same++
			}
		}
	}
	if len(s.mu.clients) >= maxClients || c.scope == Network && (network >= maxNetwork || same >= maxPerAddress) {
		s.mu.status.Refused++
		return errFull
	}
	s.mu.lastID++
	c.id = s.mu.lastID
	s.mu.clients = append(s.mu.clients, c)
	s.mu.status.Served++
	s.mu.status.Clients = len(s.mu.clients)
	return nil
}

func (s *Server) dismiss(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.clients = slices.DeleteFunc(s.mu.clients, func(o *client) bool { return o == c })
	for _, p := range c.mu.send {
		if len(s.mu.left) == maxLeft {
			s.mu.status.Dropped++
			continue
		}
		s.mu.left = append(s.mu.left, Request{gone, c.scope, p})
	}
	s.mu.status.Clients = len(s.mu.clients)
}

// Status returns how the sharing fares.
func (s *Server) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.status
}

// Wake says when Next may have something. It holds at most one token.
func (s *Server) Wake() <-chan struct{} { return s.wake }

func (s *Server) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

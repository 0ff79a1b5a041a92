package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"drey/mesh"
	"drey/web/cert"

	"golang.org/x/sync/errgroup"
)

// SocketName is the file name of the unix socket in a node's home.
const SocketName = "drey.sock"

// A Config says what a server serves and to whom.
type Config struct {
	Home   string // folder of the unix socket; it must exist
	Listen string // TCP address such as ":3739"; port 0 picks a free one; "" or "none" leaves only the socket
	Name   string // what neighbours see; NAME.local is one of the page's names
	Hosts  []string
	// Addresses that others reach this node at and that are of no interface of
	// the machine's, such as Yggdrasil's: the certificate names them too.
	Addresses []netip.Addr
	// CertFile and KeyFile hold a certificate for https and its key, in PEM; both
	// empty: the node makes its own.
	CertFile, KeyFile string
	// GuestTopics are the topics that visitors read and post to.
	GuestTopics []mesh.Topic
	Token       Token       // what makes a caller on the same machine the admin; "" lets nobody
	Author      mesh.PubKey // this node's own key: its operator reads what is addressed to it
	Node        Node
	Settings    Settings     // the configuration; nil: not to be changed here
	Shelf       mesh.Shelf   // remembers idempotency keys; nil keeps them in memory only
	Invites     http.Handler // answers below /J/ and /j/; nil: not found
	Relay       http.Handler // answers a websocket upgrade at the root; nil: not built
	// Admit asks whether a visitor's key may write e here and gives a new one a
	// guest's pass; its errors begin with a class of NIP-01. nil: only who has
	// one already.
	Admit func(ctx context.Context, e *mesh.Event, from netip.Addr) error
	// Standing tells what a key is to the community now; nil: nobody is anything.
	Standing func(mesh.PubKey) mesh.Standing
	Guests   GuestLimits // zero values mean the defaults
	Log      *slog.Logger
	Clock    func() time.Time // nil means time.Now
}

// A Server is the node's HTTP API and page. Safe for concurrent use.
type Server struct {
	config                Config // immutable
	log                   *slog.Logger
	now                   func() time.Time
	handler               http.Handler
	guests                *guests
	hosts                 *hosts
	once                  *idempotency
	repeats               *repeats
	certs                 *cert.Keeper
	sessions              *sessions
	pairings              pairings
	streams, guestStreams *counter
	requests              *requestCount
	pages                 *pages
	static                *static
	news                  *news
	curtain               *curtain
	fragments             *fragments
	heard                 heardBook
	photos                chan struct{} // holds one while a photograph is read
	arriving              *counter      // photographs of visitors, from their first byte on
	ready                 chan struct{} // closed when both listeners are up
	stopping              chan struct{} // closed when Run is to end; streams watch it

	mu struct {
		sync.Mutex
		addr net.Addr // of the TCP listener; nil before ready or without one
	}
}

// New builds a server; Run starts it.
func New(c Config) (*Server, error) {
	if c.Node == nil || c.Log == nil || c.Home == "" {
		return nil, errors.New("web: Node, Log and Home are needed")
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	for _, t := range c.GuestTopics {
		if _, err := mesh.ParseTopic(string(t)); err != nil {
			return nil, fmt.Errorf("web: guest topics: %w", err)
		}
	}
	pages, err := newPages()
	if err != nil {
		return nil, err
	}
	static, err := newStatic(pages.languages)
	if err != nil {
		return nil, err
	}
	s := &Server{
		config:       c,
		pages:        pages,
		static:       static,
		news:         newNews(c.Node, c.Clock),
		curtain:      newCurtain(c.Shelf),
		fragments:    newFragments(),
		log:          c.Log,
		now:          c.Clock,
		guests:       newGuests(c.Guests),
		hosts:        newHosts(c.Name, c.Hosts),
		once:         newIdempotency(c.Shelf, c.Clock),
		streams:      &counter{most: maxStreams},
		guestStreams: &counter{most: maxGuestStreams},
		requests:     newRequestCount(),
		photos:       make(chan struct{}, 1),
		arriving:     &counter{most: mostArriving},
		ready:        make(chan struct{}),
		stopping:     make(chan struct{}),
	}
	s.repeats = newRepeats(c.Clock)
	s.sessions = &sessions{path: filepath.Join(c.Home, SessionsName), port: s.port}
	s.certs = cert.New(cert.Config{Home: c.Home, CertFile: c.CertFile, KeyFile: c.KeyFile, Names: s.certNames, Log: c.Log, Clock: c.Clock})
	s.handler = s.build()
	return s, nil
}

// Ready is closed when the server answers; see Listening.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Listening returns the bound TCP address; nil before Ready and without TCP.
func (s *Server) Listening() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.addr
}

// port is the page's port as text; "" before Ready and without TCP.
func (s *Server) port() string {
	if a, ok := s.Listening().(*net.TCPAddr); ok {
		return strconv.Itoa(a.Port)
	}
	return ""
}

// Socket returns the path of the unix socket.
func (s *Server) Socket() string { return filepath.Join(s.config.Home, SocketName) }

// drain is how long requests that are under way may take at the end: browsers
// hold connections in reserve, and each of them takes all of it.
const drain = 2 * time.Second

// Run serves until ctx ends, then lets requests under way finish and ends
// every stream. It returns a *ListenError when an address cannot be had. Run
// must be called only once.
func (s *Server) Run(ctx context.Context) error {
	socket, err := listenSocket(s.Socket())
	if err != nil {
		return err
	}
	defer socket.remove()
	listeners := []net.Listener{socket}
	if s.config.Listen != "" && s.config.Listen != "none" {
		tcp, err := listenTCP(s.config.Listen)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.mu.addr = tcp.Addr()
		s.mu.Unlock()
		if err := s.ReloadCertificate(); err != nil {
			s.log.Error("https does not work", "err", err)
		}
		listeners = append(listeners, &sniffer{newConnLimit(tcp, maxConns, maxConnsPerHome), s.tlsConfig()})
	}
	if err := s.once.load(ctx); err != nil {
		for _, l := range listeners {
			l.Close()
		}
		return fmt.Errorf("idempotency keys: %w", err)
	}
	return s.serve(ctx, listeners...)
}

// serve answers on the listeners until ctx ends; it closes them.
func (s *Server) serve(ctx context.Context, listeners ...net.Listener) error {
	server := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      2 * time.Minute, // streams and waits give themselves more
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ConnContext:       withConn,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		group.Go(func() error {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", l.Addr(), err)
			}
			return nil
		})
	}
	group.Go(func() error { return s.news.Run(groupCtx) })
	group.Go(func() error {
		<-groupCtx.Done()
		close(s.stopping)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		if err := server.Shutdown(last); err != nil {
			return server.Close()
		}
		return nil
	})
	close(s.ready)
	return group.Wait()
}

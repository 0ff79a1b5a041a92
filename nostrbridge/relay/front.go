package relay

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"drey/mesh"
)

// A Front answers websockets and the information document. Safe for concurrent
// use.
type Front struct {
	config  Config // immutable
	limits  Limits // immutable
	node    Node   // immutable
	log     *slog.Logger
	guests  mesh.Viewer   // immutable; who has not shown a member's key
	ready   chan struct{} // closed when what comes in is followed
	queries chan struct{} // one for each query of the store under way
	large   chan struct{} // one for each large message being read
	disk    disk
	passes  *passes
	recons  *recons

	position atomic.Uint64 // Seq of the newest event that went to the subscriptions
	roster   atomic.Uint64 // counts changes of the roster
	weight   atomic.Int64  // of all filters
	stats    counters

	mu struct {
		sync.RWMutex
		ctx   context.Context // of Run; nil before and after it
		conns map[*conn]struct{}
		each  map[netip.Addr]int
		idle  chan struct{} // closed when the last connection has gone after the end
	}
}

// Bounds that are not for connections to share out.
const (
	queriesMost = 8 // queries of the store at a time; more wait
	largeMost   = 32
	small       = 16 << 10 // bytes of a message that is read without asking for room
	bodyFor     = 20 * time.Second
	closeFor    = time.Second // for good-byes at the end
)

// New returns a relay; it starts nothing. Run must run for it to answer.
func New(c Config) (*Front, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	f := &Front{
		config: c, limits: c.Limits, node: c.Node, log: c.Log,
		guests:  mesh.Viewer{Topics: c.GuestTopics},
		ready:   make(chan struct{}),
		queries: make(chan struct{}, queriesMost),
		large:   make(chan struct{}, largeMost),
		passes:  newPasses(c.Limits),
		recons:  newRecons(c.Limits),
	}
	f.disk.news = make(chan struct{}, 1)
	f.mu.conns = make(map[*conn]struct{})
	f.mu.each = make(map[netip.Addr]int)
	return f, nil
}

// Run follows what comes in and the disk until ctx ends, then closes every
// connection. It must be called only once.
func (f *Front) Run(ctx context.Context) error {
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	f.mu.Lock()
	f.mu.ctx = inner
	f.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { f.follow(ctx) })
	wg.Go(func() { f.disk.run(inner, f.node) })
	wg.Go(func() { f.watchRoster(ctx) })
	<-ctx.Done()

	idle := f.sayGoodbye()
	t := time.NewTimer(closeFor)
	select {
	case <-idle:
	case <-t.C:
	}
	t.Stop()
	cancel()
	<-idle
	wg.Wait()
	return nil
}

// sayGoodbye closes all connections and returns a channel that is closed when
// they have gone.
func (f *Front) sayGoodbye() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.ctx = nil
	f.mu.idle = make(chan struct{})
	if len(f.mu.conns) == 0 {
		close(f.mu.idle)
	}
	for c := range f.mu.conns {
		c.out.close(websocket.StatusGoingAway, "the node is stopping")
	}
	return f.mu.idle
}

// watchRoster has every connection judged again when standings change.
func (f *Front) watchRoster(ctx context.Context) {
	for {
		changed := f.node.Changed()
		f.roster.Add(1)
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// ServeHTTP answers the information document (NIP-11) and websockets. It
// returns when the connection has ended.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if WantsInfo(r) {
		f.serveInfo(w)
		return
	}
	select {
	case <-f.ready:
	case <-r.Context().Done():
		return
	}
	addr := addrOf(r.RemoteAddr)
	c := &conn{front: f, addr: addr, host: r.Host, foreign: foreign(r)}
	ctx, err := f.enter(c)
	if err != nil {
		w.Header().Set("Retry-After", "60")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer f.leave(c)
	// Foreign pages may connect, as they may to any relay; see foreign.
	h := &hijacker{ResponseWriter: w}
	ws, err := websocket.Accept(h, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	c.serve(ctx, ws, h.conn)
}

var (
	errStopping = errors.New("the node is stopping")
	errFull     = errors.New("too many connections; try again later")
	errCrowded  = errors.New("too many connections from your address; close one, or try again later")
)

// enter counts a connection in.
func (f *Front) enter(c *conn) (context.Context, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.mu.ctx == nil:
		return nil, errStopping
	case len(f.mu.conns) >= f.limits.Conns:
		f.stats.full.Add(1)
		return nil, errFull
	case !c.addr.IsLoopback() && f.mu.each[c.addr] >= f.limits.ConnsEach:
		f.stats.full.Add(1)
		return nil, errCrowded
	}
	c.ctx, c.cancel = context.WithCancel(f.mu.ctx)
	c.prepare()
	f.mu.conns[c] = struct{}{}
	f.mu.each[c.addr]++
	return c.ctx, nil
}

func (f *Front) leave(c *conn) {
	c.cancel()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.mu.conns, c)
	if f.mu.each[c.addr]--; f.mu.each[c.addr] <= 0 {
		delete(f.mu.each, c.addr)
	}
	if len(f.mu.conns) == 0 && f.mu.idle != nil {
		close(f.mu.idle)
	}
}

// addrOf returns the IP address of "host:port"; IPv6 as its network of 64
// bits, within which a machine picks addresses as it likes.
func addrOf(hostport string) netip.Addr {
	p, err := netip.ParseAddrPort(hostport)
	if err != nil {
		return netip.Addr{}
	}
	a := p.Addr().Unmap().WithZone("")
	if a.Is4() || a.IsLoopback() {
		return a
	}
	net, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return net.Addr()
}

// counters are figures since the start.
type counters struct {
	full, slow, dropped, events, queries, recons atomic.Uint64
}

// Stats are sizes and counts of a relay, for metrics.
type Stats struct {
	Conns   int
	Subs    int
	Full    uint64 // connections that found no room
	Slow    uint64 // connections that were closed since they did not read
	Dropped uint64 // messages that waited for those
	Events  uint64 // EVENTs that were answered with true
	Queries uint64 // REQs and COUNTs that were answered
	Recons  uint64 // reconciliations that were begun
}

// Stats returns the figures now.
func (f *Front) Stats() Stats {
	s := Stats{
		Full: f.stats.full.Load(), Slow: f.stats.slow.Load(), Dropped: f.stats.dropped.Load(),
		Events: f.stats.events.Load(), Queries: f.stats.queries.Load(),
		Recons: f.stats.recons.Load(),
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	s.Conns = len(f.mu.conns)
	for c := range f.mu.conns {
		s.Subs += c.subscriptions()
	}
	return s
}

// WantsInfo reports whether a request asks for the information document.
func WantsInfo(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		strings.Contains(r.Header.Get("Accept"), "application/nostr+json") && r.Header.Get("Upgrade") == ""
}

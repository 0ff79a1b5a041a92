// Package badrelay is a Nostr relay for tests that behaves as badly as it is
// told: it drops connections before OK, answers slowly or not at all, refuses
// what is old, limits rates, lies about what it holds and about NIP-77, sends
// what is forged or what nobody asked for, and stays half open. Told nothing,
// it is a plain relay in memory (NIP-01, 11, 42, 77).
//
// It runs on a listener (Serve), or on a network in memory (Net), which works
// under testing/synctest.
package badrelay

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"drey/mesh"
)

// A Behaviour is how a relay behaves. The zero Behaviour is good.
type Behaviour struct {
	Drop      int                      // closes the connection in place of so many OKs
	DropKeeps bool                     // keeps the event of which it said nothing
	Mute      bool                     // says nothing to EVENT
	Delay     time.Duration            // before each answer
	LieOK     bool                     // says OK and keeps nothing
	Refuse    func(*mesh.Event) string // the text of a refusal; "" takes the event
	MaxAge    time.Duration            // of created_at; 0 means any
	Rate      float64                  // events a second that it takes; 0 means any
	Burst     int                      // of Rate; at least 1
	SignIn    bool                     // wants a key proved (NIP-42) before EVENT and REQ
	SignInNo  bool                     // and then accepts none
	Shy       bool                     // shows gift wraps to whom it knows only, and does not say so
	Closes    string                   // ends each REQ with this text
	MaxLimit  int                      // of stored events in an answer, whatever was asked for
	Forged    []*mesh.Event            // sent at the beginning of each answer, as they are
	Raw       []string                 // messages sent after connecting
	Flood     int                      // events of its own making in each answer, whatever was asked for
	Sync      Sync                     // how it does NIP-77
	NIPs      []int                    // that it says it supports, beside 1, 11, 42, and 77 with Sync
	Away      bool                     // nobody answers
	HalfOpen  bool                     // reads and says nothing more on open connections
	Info      string                   // in place of its document (NIP-11)
}

// A Sync is how a relay does NIP-77.
type Sync int

// The ways.
const (
	SyncNone    Sync = iota // it does not, and does not say so
	SyncHonest              //
	SyncLies                // it claims to hold what does not exist
	SyncHides               // it claims to hold nothing that the asker lacks
	SyncSilent              // it says that it does, and answers nothing
	SyncRubbish             // it answers what no protocol has
	SyncBig                 // "blocked: this query is too big"
)

// A Relay is one relay. Safe for concurrent use.
type Relay struct {
	URL    string
	clock  func() time.Time
	server *http.Server
	ended  chan struct{}

	mu struct {
		sync.Mutex
		b      Behaviour
		events map[mesh.EventID]*mesh.Event
		order  []mesh.EventID       // as they came
		heard  map[mesh.EventID]int // EVENT messages
		conns  map[*session]bool
		dials  int             // connections made, or refused while away
		asked  int             // REQ messages
		syncs  int             // NEG-OPEN messages
		told   strings.Builder // what reconciliations said, in hexadecimal
		tokens float64
		filled time.Time
	}
}

// Serve runs a relay on a listener until Close.
func Serve(l net.Listener, b Behaviour) *Relay {
	r := &Relay{URL: "ws://" + l.Addr().String(), clock: time.Now, ended: make(chan struct{})}
	r.mu.b = b
	r.mu.events, r.mu.heard, r.mu.conns = map[mesh.EventID]*mesh.Event{}, map[mesh.EventID]int{}, map[*session]bool{}
	r.server = &http.Server{Handler: r}
	go func() {
		defer close(r.ended)
		r.server.Serve(l) // until Close
	}()
	return r
}

// Close ends the relay and its connections.
func (r *Relay) Close() {
	r.Cut()
	r.server.Close()
	<-r.ended
}

// Set changes the relay's behaviour.
func (r *Relay) Set(change func(*Behaviour)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.mu.b)
}

func (r *Relay) behaviour() Behaviour {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.b
}

// Cut ends all connections at once, as a crash does.
func (r *Relay) Cut() {
	r.mu.Lock()
	all := slices.Collect(maps.Keys(r.mu.conns))
	r.mu.Unlock()
	for _, s := range all {
		s.cut()
	}
}

// Put has the relay hold an event, and sends it to who listens.
func (r *Relay) Put(e *mesh.Event) {
	r.keep(e)
	r.tell(e)
}

// Events returns what the relay holds, in the order it came.
func (r *Relay) Events() []*mesh.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*mesh.Event
	for _, id := range r.mu.order {
		if e := r.mu.events[id]; e != nil {
			all = append(all, e)
		}
	}
	return all
}

// Holds reports whether the relay holds an event.
func (r *Relay) Holds(id mesh.EventID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.events[id] != nil
}

// Heard returns how many EVENT messages brought an event, taken or not.
func (r *Relay) Heard(id mesh.EventID) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.heard[id]
}

// Counts are what a relay has seen.
type Counts struct{ Open, Dials, Asked, Syncs int }

// Counts returns how many connections are open, were made or refused, and how
// many REQ and NEG-OPEN messages came.
func (r *Relay) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Counts{len(r.mu.conns), r.mu.dials, r.mu.asked, r.mu.syncs}
}

// Told reports whether a reconciliation named an event to the relay.
func (r *Relay) Told(id mesh.EventID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Contains(r.mu.told.String(), id.String())
}

// keep stores an event, and drops what it supersedes.
func (r *Relay) keep(e *mesh.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.events[e.ID()] != nil || e.Kind().Ephemeral() {
		return
	}
	for id, old := range r.mu.events {
		if old.Supersedes(e) {
			return
		}
		if e.Supersedes(old) {
			delete(r.mu.events, id)
		}
	}
	r.mu.events[e.ID()] = e
	r.mu.order = append(r.mu.order, e.ID())
}

// find returns what filters choose, newest first.
func (r *Relay) find(filters []mesh.Filter, most int) []*mesh.Event {
	var all []*mesh.Event
	for _, f := range filters {
		var some []*mesh.Event
		for _, e := range r.Events() {
			if f.Matches(&mesh.Record{Event: e}) {
				some = append(some, e)
			}
		}
		slices.SortStableFunc(some, func(a, b *mesh.Event) int { return int(b.CreatedAt()) - int(a.CreatedAt()) })
		if most > 0 && (f.Limit == 0 || f.Limit > most) {
			f.Limit = most
		}
		if f.Limit > 0 && len(some) > f.Limit {
			some = some[:f.Limit]
		}
		for _, e := range some {
			if !slices.Contains(all, e) {
				all = append(all, e)
			}
		}
	}
	return all
}

// verdict decides about an event that a client offers.
func (r *Relay) verdict(e *mesh.Event) (no string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := &r.mu.b
	now := r.clock()
	if r.mu.events[e.ID()] != nil {
		return "duplicate: have it"
	}
	if e.Verify() != nil {
		return "invalid: bad signature"
	}
	if b.MaxAge > 0 && now.Sub(e.CreatedAt().Time()) > b.MaxAge {
		return "invalid: created_at is too old"
	}
	if b.Refuse != nil {
		if no := b.Refuse(e); no != "" {
			return no
		}
	}
	if b.Rate > 0 {
		most := float64(max(b.Burst, 1))
		if r.mu.filled.IsZero() {
			r.mu.tokens = most
		}
		r.mu.tokens = min(most, r.mu.tokens+b.Rate*now.Sub(r.mu.filled).Seconds())
		r.mu.filled = now
		if r.mu.tokens < 1 {
			return "rate-limited: slow down"
		}
		r.mu.tokens--
	}
	return ""
}

// ServeHTTP serves websockets, and the document of NIP-11.
func (r *Relay) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	b := r.behaviour()
	if q.Header.Get("Upgrade") == "" {
		if b.Away {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/nostr+json")
		if b.Info != "" {
			fmt.Fprint(w, b.Info)
			return
		}
		nips := append([]int{1, 11, 42}, b.NIPs...)
		if b.Sync != SyncNone {
			nips = append(nips, 77)
		}
		fmt.Fprintf(w, `{"name":"bad relay","software":"badrelay","version":"1","supported_nips":%s}`, strings.ReplaceAll(fmt.Sprint(nips), " ", ","))
		return
	}
	r.mu.Lock()
	r.mu.dials++
	r.mu.Unlock()
	if b.Away {
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	}
	r.serve(w, q)
}

// A Net is a network in memory; its names need no lookup.
type Net struct {
	mu    sync.Mutex
	hosts map[string]*listener
}

// NewNet returns a network without relays.
func NewNet() *Net { return &Net{hosts: map[string]*listener{}} }

// Relay runs a relay at ws://host until Close.
func (n *Net) Relay(host string, b Behaviour) *Relay {
	l := &listener{host: host, conns: make(chan net.Conn), closed: make(chan struct{})}
	n.mu.Lock()
	n.hosts[host] = l
	n.mu.Unlock()
	r := Serve(l, b)
	r.URL = "ws://" + host
	return r
}

// Client returns a client that reaches the network's relays, and nothing else.
func (n *Net) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: n.dial}}
}

func (n *Net) dial(ctx context.Context, _, address string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(address)
	n.mu.Lock()
	l := n.hosts[host]
	n.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("dial %s: no such host", address)
	}
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, fmt.Errorf("dial %s: connection refused", address)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A listener is where a relay of a Net listens.
type listener struct {
	host   string
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return hostAddr(l.host) }

type hostAddr string

func (hostAddr) Network() string  { return "memory" }
func (h hostAddr) String() string { return string(h) }

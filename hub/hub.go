package hub

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"drey/hub/schnorr"
	"drey/mesh"
)

const (
	// seenFor must exceed the longest any carrier may hold an ephemeral event;
	// everything else the store remembers.
	seenFor  = 2 * time.Hour
	seenMost = 1 << 15 // about 3 MB
	// tickEvery is how often the hub looks at what waits for a time.
	tickEvery = 15 * time.Second
)

// A Hub passes each new event to every carrier except the one it came from.
type Hub struct {
	store    Store            // immutable
	roster   Roster           // immutable
	signer   mesh.Signer      // immutable
	routes   []Route          // immutable
	log      *slog.Logger     // immutable
	clock    func() time.Time // immutable
	built    time.Time        // immutable
	clocks   func() Clocks    // immutable
	pass     func(mesh.PubKey, time.Time) (mesh.PubKey, int, bool)
	outside  func(*mesh.Record) bool
	blocked  func(mesh.PubKey) bool
	original func(*mesh.Event) func(*mesh.Event) bool

	outboxes []*outbox // immutable; of the routes, in their order
	topics   *topics
	refused  mesh.Tally
	watchers watchers
	flights  flights
	checker  *schnorr.Checker // immutable

	contest sync.Mutex // held while translations are compared and saved

	mu struct {
		sync.Mutex
		seen        *seen
		strangers   *room // whose author is not admitted
		early       *room // registers dated in the future
		emergencies *quota[mesh.PubKey]
		guests      *pace[mesh.PubKey]
		issuers     *pace[mesh.PubKey]
		words       *pace[mesh.PubKey] // of gateways of open communities
		mail        *pace[mesh.PubKey] // by recipient
		translated  map[uint32]int     // translations held, by the hour of their date
	}
}

// New returns a hub that knows what the store holds: it applies the roster's
// events to the roster and lists the topics. It starts nothing.
func New(c Config) (*Hub, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	h := &Hub{
		store: c.Store, roster: c.Roster, signer: c.Signer, routes: c.Routes, log: c.Log,
		clock: c.Clock, built: c.Built, clocks: c.Clocks, pass: c.Pass, outside: c.Outside, blocked: c.Blocked, original: c.Original,
		topics: newTopics(), checker: schnorr.New(),
	}
	h.mu.seen = newSeen(seenFor, seenMost)
	h.mu.strangers, h.mu.early = newRoom(), newRoom()
	h.mu.emergencies = newQuota[mesh.PubKey](emergenciesPerHour, maxAuthors)
	h.mu.guests = newPace[mesh.PubKey](maxAuthors)
	h.mu.issuers = newPace[mesh.PubKey](maxAuthors)
	h.mu.words = newPace[mesh.PubKey](maxAuthors)
	h.mu.mail = newPace[mesh.PubKey](maxAuthors)
	h.mu.translated = make(map[uint32]int)
	for _, r := range c.Routes {
		h.outboxes = append(h.outboxes, newOutbox(h, r))
	}
	if err := h.load(context.Background()); err != nil {
		return nil, err
	}
	return h, nil
}

// Run keeps every carrier running until ctx ends, and returns when all have
// stopped.
func (h *Hub) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for i, r := range h.routes {
		wg.Go(func() { keepRunning(ctx, h.log, tidy{r.Carrier, h.outboxes[i]}, h.Port(r.Carrier.Name())) })
	}
	wg.Go(func() { h.tend(ctx) })
	wg.Wait()
	return nil
}

// tend lets events try again when the roster changes or their time comes.
func (h *Hub) tend(ctx context.Context) {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	changed := h.roster.Changed()
	h.retry(ctx, true) // the roster may have changed since New
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			changed = h.roster.Changed()
			h.retry(ctx, true)
		case <-tick.C:
			h.retry(ctx, false)
			for _, o := range h.outboxes {
				o.settleNow(ctx)
			}
		}
	}
}

// Port returns the hub as the carrier called name sees it. A name without a
// route may hand events in and is owed nothing.
func (h *Hub) Port(name string) mesh.Port {
	p := &port{hub: h, carrier: name}
	for i, r := range h.routes {
		if r.Carrier.Name() != name {
			continue
		}
		p.outbox = h.outboxes[i]
		if r.Lanes {
			return &lanedPort{p}
		}
	}
	return p
}

// A port is one carrier's side of the hub.
type port struct {
	hub     *Hub
	carrier string
	outbox  *outbox // nil where nothing is owed
}

// Receive implements mesh.Port.
func (p *port) Receive(ctx context.Context, e *mesh.Event, from mesh.Origin) error {
	_, err := p.hub.receive(ctx, &arrival{event: e, carrier: p.carrier, from: from})
	return err
}

// Next implements mesh.Port.
func (p *port) Next(ctx context.Context) (*mesh.Delivery, error) {
	if p.outbox == nil || p.outbox.laned {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return p.outbox.next(ctx, nil)
}

// Topics lists the topics that exist, sorted.
func (h *Hub) Topics() []mesh.Topic { return h.topics.list() }

// TopicsChanged returns a channel that is closed when a topic is added.
func (h *Hub) TopicsChanged() <-chan struct{} { return h.topics.changes() }

// Refused counts the events that were not taken since the start, by reason.
// Copies of what is held are not counted.
func (h *Hub) Refused() map[string]uint64 { return h.refused.All() }

// Stats are sizes of a hub, for metrics.
type Stats struct {
	Outboxes       []OutboxStats // of the routes, in their order
	Waiting        int           // events whose author is not admitted
	WaitingDropped uint64        // of them, how many there was no room for
	Early          int           // registers that wait for their date
	Watchers       int
	WatchDropped   uint64 // ephemeral events that one of them had no room for
}

// OutboxStats are sizes of one carrier's outbox.
type OutboxStats struct {
	Carrier string
	Queued  int    // in memory
	Out     int    // with the carrier
	More    bool   // the store may hold more
	Dropped uint64 // ephemeral events there was no room for
}

// Stats returns the sizes now.
func (h *Hub) Stats() Stats {
	s := Stats{Watchers: h.watchers.count(), WatchDropped: h.watchers.dropped.Load()}
	for _, o := range h.outboxes {
		s.Outboxes = append(s.Outboxes, o.stats())
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s.Waiting, s.WaitingDropped = len(h.mu.strangers.order), h.mu.strangers.dropped
	s.Early = len(h.mu.early.order)
	return s
}

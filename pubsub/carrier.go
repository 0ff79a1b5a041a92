package pubsub

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"

	"drey/mesh"
)

// Name is the carrier's name.
const Name = "gossip"

// A Burier takes down that an event is gone, held or not. Unknown events need
// created for their place among the others.
type Burier interface {
	Bury(ctx context.Context, id mesh.EventID, created mesh.Unix, why mesh.Reason) error
}

// A Config says what a Carrier works with. The carrier owns none of it.
type Config struct {
	// Host waits until there is a libp2p host and returns it. Strangers who
	// connect to it must be kept from every protocol of ours.
	Host          func(context.Context) (host.Host, error)
	Community     mesh.Community
	Roster        mesh.Roster
	Archive       mesh.Archive
	Graves        Burier                 // nil: what neighbours call gone is only remembered
	Topics        func() []mesh.Topic    // every topic known here
	TopicsChanged func() <-chan struct{} // ready when that may have changed; nil: they are looked at from time to time
	Log           *slog.Logger           // nil: silent
	Clock         func() time.Time       // nil: time.Now
}

// A Carrier moves events by gossip and history sync. It is the mesh.Carrier
// "gossip".
type Carrier struct {
	host        func(context.Context) (host.Host, error) // immutable, as all up to mu
	community   mesh.Community
	names       names
	roster      mesh.Roster
	archive     mesh.Archive
	graves      Burier
	topics      func() []mesh.Topic
	changed     func() <-chan struct{}
	log         *slog.Logger
	clock       func() time.Time
	windowItems int

	aside  *aside
	cut    *cutoffs
	counts counts
	hands  chan struct{} // one place for each event being checked for sync

	mu struct {
		sync.Mutex
		run   *run      // nil between runs
		ended time.Time // of the last run
	}
}

// New makes a carrier.
func New(cfg Config) *Carrier {
	c := &Carrier{
		host: cfg.Host, community: cfg.Community, names: namesOf(cfg.Community), roster: cfg.Roster,
		archive: cfg.Archive, graves: cfg.Graves, topics: cfg.Topics, changed: cfg.TopicsChanged,
		log: cfg.Log, clock: cfg.Clock, windowItems: windowItems,
		aside: newAside(),
		hands: make(chan struct{}, max(2, runtime.GOMAXPROCS(0))),
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.clock == nil {
		c.clock = time.Now
	}
	if c.topics == nil {
		c.topics = mesh.BuiltinTopics
	}
	c.cut = newCutoffs(cfg.Roster, c.clock)
	return c
}

// Name returns "gossip".
func (c *Carrier) Name() string { return Name }

// Limits returns what this medium can bear: anything.
func (c *Carrier) Limits() mesh.Limits { return mesh.Limits{} }

// lull is how long a carrier that is run again leaves its host alone, so that
// neighbours notice the end of the old streams before new ones come.
const lull = 500 * time.Millisecond

// Run gossips and syncs until ctx ends.
func (c *Carrier) Run(ctx context.Context, port mesh.Port) error {
	h, err := c.host(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	wait := lull - time.Since(c.mu.ended)
	c.mu.Unlock()
	if wait > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
	r, err := newRun(ctx, c, h, port)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.mu.run = r
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.mu.run = nil
		c.mu.Unlock()
	}()
	return r.keep(ctx)
}

func (c *Carrier) running() *run {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.run
}

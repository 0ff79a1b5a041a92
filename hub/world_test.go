package hub

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"drey/mesh"
	"drey/store/storetest"
)

// A world is a hub with a roster, a clock and carriers that tests move.
type world struct {
	t       testing.TB
	clock   *testClock
	nowFunc func() time.Time // when set, the clock instead of clock
	clocks  Clocks
	built   time.Time
	store   *testDisk
	roster  *testRoster
	hub     *Hub
	keys    map[string]*mesh.SecretKey
	events  map[string]*mesh.Event
	names   map[mesh.EventID]string
	topics  map[string]mesh.Topic // in the envelope when an event first came
	holding map[string]bool
	out     map[string][]*mesh.Delivery
}

// newWorld is a community of founder, machines school and clinic, and people
// ana and ben. The node is school. Carriers are gossip, lora (scarce; notes in
// alerts and town/alerts only) and nostr (public; commons, alerts and mail).
func newWorld(t testing.TB) *world { return newWorldOn(t, memory) }

// A keeper makes a store that takes the time from a clock.
type keeper func(clock func() time.Time) Store

func memory(clock func() time.Time) Store { return storetest.NewMemory(clock) }

func newWorldOn(t testing.TB, keep keeper) *world {
	w := &world{
		t: t, clock: &testClock{}, clocks: Clocks{Synced: true},
		built: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
		keys:  make(map[string]*mesh.SecretKey), events: make(map[string]*mesh.Event),
		names: make(map[mesh.EventID]string), topics: make(map[string]mesh.Topic), holding: make(map[string]bool),
		out: make(map[string][]*mesh.Delivery),
	}
	w.clock.set(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	w.store = &testDisk{Store: keep(w.now)}
	w.roster = newTestRoster(w.key("founder").PubKey())
	for name, s := range map[string]mesh.Standing{
		"founder": mesh.Founder, "school": mesh.Machine, "clinic": mesh.Machine, "ana": mesh.Person, "ben": mesh.Person,
	} {
		w.roster.set(w.key(name).PubKey(), s)
	}
	w.start()
	return w
}

func (w *world) now() time.Time {
	if w.nowFunc != nil {
		return w.nowFunc()
	}
	return w.clock.now()
}

// key returns the key of a name, always the same.
func (w *world) key(name string) *mesh.SecretKey {
	if w.keys[name] == nil {
		k, err := mesh.NewSecretKey(sha256.Sum256([]byte(name)))
		if err != nil {
			w.t.Fatal(err)
		}
		w.keys[name] = k
	}
	return w.keys[name]
}

// start makes a hub on the store, as after a crash.
func (w *world) start() {
	var err error
	w.hub, err = New(Config{
		Store: w.store, Roster: w.roster, Signer: w.key("school"),
		Clock: w.now, Built: w.built, Clocks: func() Clocks { return w.clocks },
		Pass:     w.roster.passOf,
		Outside:  w.roster.outside,
		Original: original,
		Routes: []Route{
			{Carrier: idle{"gossip", mesh.Limits{}}, Fast: true},
			{Carrier: idle{"lora", mesh.Limits{Scarce: true, MaxEvent: 500}}, Targets: notes(only("alerts", "town/alerts"))},
			{Carrier: idle{"nostr", mesh.Limits{}}, Public: true, Targets: only("commons", "alerts", "mail")},
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// original is what a radio would know: a translation's text is the author's
// with a name before it.
func original(e *mesh.Event) func(*mesh.Event) bool {
	if e.Content() == "" {
		return nil
	}
	return func(t *mesh.Event) bool { return strings.HasSuffix(t.Content(), ": "+e.Content()) }
}

func only(topics ...mesh.Topic) func(*mesh.Record) []string {
	return func(r *mesh.Record) []string {
		for _, t := range topics {
			if r.Topic == t {
				return []string{""}
			}
		}
		return nil
	}
}

func notes(targets func(*mesh.Record) []string) func(*mesh.Record) []string {
	return func(r *mesh.Record) []string {
		if r.Event.Kind() != mesh.KindNote {
			return nil
		}
		return targets(r)
	}
}

// idle is a carrier that a test plays itself.
type idle struct {
	name   string
	limits mesh.Limits
}

func (c idle) Name() string                               { return c.name }
func (c idle) Limits() mesh.Limits                        { return c.limits }
func (c idle) Run(ctx context.Context, _ mesh.Port) error { <-ctx.Done(); return ctx.Err() }

// testClock is a clock that tests set.
type testClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *testClock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = t
}

func (c *testClock) add(d time.Duration) { c.set(c.now().Add(d)) }

// testDisk is a store whose disk can be full: what waits for the disk
// fails, what does not succeeds.
type testDisk struct {
	Store
	full atomic.Bool
	busy atomic.Bool
}

var errDiskFull = errors.New("no space left on device")

func (d *testDisk) Save(ctx context.Context, r *mesh.Record, owed []mesh.Owed, durable bool) error {
	if durable && d.full.Load() {
		return errDiskFull
	}
	if !durable && d.busy.Load() {
		return mesh.ErrBusy
	}
	return d.Store.Save(ctx, r, owed, durable)
}

func (d *testDisk) Attempt(ctx context.Context, k mesh.Key) (int, error) {
	if d.full.Load() {
		return 0, errDiskFull
	}
	return d.Store.Attempt(ctx, k)
}

func (d *testDisk) Settle(ctx context.Context, k mesh.Key) error {
	if d.full.Load() {
		return errDiskFull
	}
	return d.Store.Settle(ctx, k)
}

// testRoster is a roster that tests write themselves.
type testRoster struct {
	community mesh.Community

	mu struct {
		sync.Mutex
		by      map[mesh.PubKey]mesh.Standing
		passes  map[mesh.PubKey]testPass
		applied []mesh.EventID
		changed chan struct{}
	}
}

type testPass struct {
	until time.Time
	rate  int
	world bool
}

func newTestRoster(founder mesh.PubKey) *testRoster {
	r := &testRoster{community: mesh.Found(founder, "Riverside", [32]byte{1})}
	r.mu.by = make(map[mesh.PubKey]mesh.Standing)
	r.mu.passes = make(map[mesh.PubKey]testPass)
	r.mu.changed = make(chan struct{})
	return r
}

func (r *testRoster) set(k mesh.PubKey, s mesh.Standing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.by[k] = s
	close(r.mu.changed)
	r.mu.changed = make(chan struct{})
}

func (r *testRoster) pass(k mesh.PubKey, until time.Time, rate int, world bool) {
	r.mu.Lock()
	r.mu.passes[k] = testPass{until, rate, world}
	r.mu.Unlock()
	r.set(k, mesh.Stranger)
}

func (r *testRoster) passOf(k mesh.PubKey, now time.Time) (mesh.PubKey, int, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.mu.passes[k]
	return mesh.PubKey{}, p.rate, ok && now.Before(p.until)
}

func (r *testRoster) outside(rec *mesh.Record) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return rec.Flags&mesh.FlagGuest != 0 && r.mu.passes[rec.Event.Author()].world
}

func (r *testRoster) Standing(k mesh.PubKey, now time.Time) mesh.Standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.mu.by[k]
	if p, ok := r.mu.passes[k]; ok && s == mesh.Stranger && now.Before(p.until) {
		return mesh.Guest
	}
	return s
}

func (r *testRoster) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.changed
}

func (r *testRoster) Apply(e *mesh.Event) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.applied = append(r.mu.applied, e.ID())
	return false, nil
}

func (r *testRoster) Community() mesh.Community { return r.community }
func (r *testRoster) Admits(mesh.NodeKey) bool  { return true }
func (r *testRoster) Nodes() []mesh.NodeKey     { return nil }

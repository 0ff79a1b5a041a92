package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"drey/mesh"
)

// A Config is what a Pool works with. Signer, Archive, Shelf and Client may be
// nil.
type Config struct {
	// URLs are the wanted relays; those that are no addresses of relays, and
	// those beyond MaxRelays, are left out. What the operator changed later (Add,
	// Remove, Pause) is on the shelf and goes over them.
	URLs []string
	// Side are relays kept connected for another purpose, such as announcements:
	// Relay.Side tells them, and the pool never signs in there. One that is in
	// both lists is no side relay.
	Side []string
	// Signer signs in where a relay asks (NIP-42); nil never does.
	Signer mesh.Signer
	// Archive is what this node holds: for reconciliation (NIP-77), and so that
	// what is known is not checked again. nil asks by filters only.
	Archive mesh.Archive
	// Shelf keeps watermarks and the operator's changes; nil keeps them in memory.
	Shelf mesh.Shelf
	// Client makes the connections; nil makes one of the pool's own.
	Client *http.Client
	// Private lets events go to relays that are not in the list (see Publish) at
	// private addresses and without TLS, too. For closed networks and tests: such
	// addresses come from strangers.
	Private bool
	Log     *slog.Logger
	Clock   func() time.Time
}

// Bounds of a pool.
const (
	MaxRelays = 32 // wanted ones
	maxVisits = 16 // connected beside them at one time, see Publish
)

// A State is where a relay's connection stands; the package comment draws them.
type State string

// The states.
const (
	Connecting State = "connecting"
	Connected  State = "connected"
	Closing    State = "closing"
	Closed     State = "closed" // paused, or the pool does not run
	Failed     State = "failed" // tried again at NextTry
)

// A Relay is one wanted relay as it stands.
type Relay struct {
	URL     string
	State   State
	Since   time.Time     // when it came to that state; zero before the pool ran
	Error   string        // why it failed last; "" while connected
	NextTry time.Time     // of a failed one
	RTT     time.Duration // of the last ping; 0 before there was one
	Pace    time.Duration // learnt distance between events; 0 where the relay never complained
	Paused  bool          // by the operator
	Side    bool          // see Config.Side

	Sent    uint64 // events that it acknowledged
	Refused uint64 // events that it refused
	Got     uint64 // events that came in and held
	Invalid uint64 // messages and events whose form, id or signature is wrong
	Unasked uint64 // messages that nobody had asked for
	Dropped uint64 // events left out because they came too fast; they are asked for again

	Name     string // NIP-11, as the relay says it; "" before it told
	Software string
	NIPs     []int // that it says it supports
}

// A Health says how many of the wanted relays are connected.
type Health string

// The healths. Paused relays do not count as wanted.
const (
	Off      Health = "off"      // no relay is wanted
	Up       Health = "up"       // all are connected
	Degraded Health = "degraded" // some are
	Down     Health = "down"     // none is
)

// A Pool talks to several relays side by side, one connection each; a slow or
// dead one delays no other. Safe for concurrent use.
type Pool struct {
	c      Config // immutable
	client clients

	mu struct {
		sync.Mutex
		relays map[string]*relay // wanted ones and visits
		live   context.Context   // of Run; nil while it does not
		change chan struct{}
		tasks  sync.WaitGroup // the relays' lives; added to only while live
	}
}

// New returns a pool; nothing is dialled before Run.
func New(c Config) *Pool {
	if c.Shelf == nil {
		c.Shelf = &memory{values: map[string][]byte{}}
	}
	p := &Pool{c: c}
	p.client = newClients(c)
	p.mu.relays = map[string]*relay{}
	p.mu.change = make(chan struct{})
	for i, list := range [][]string{c.URLs, c.Side} {
		for _, u := range list {
			at, err := Normalize(u)
			if err != nil {
				c.Log.Warn("not a relay's address", "relay", u, "err", err)
				continue
			}
			if p.mu.relays[at] == nil && len(p.mu.relays) < MaxRelays {
				r := newRelay(p, at)
				r.mu.side = i == 1
				p.mu.relays[at] = r
			}
		}
	}
	return p
}

// Run keeps connections to all wanted relays until ctx ends. It may be called
// once at a time.
func (p *Pool) Run(ctx context.Context) error {
	if err := p.recall(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.mu.Lock()
	if p.mu.live != nil {
		p.mu.Unlock()
		return errors.New("pool: Run is called twice")
	}
	p.mu.live = ctx
	for _, r := range p.mu.relays {
		p.beginLocked(r)
	}
	p.mu.Unlock()
	p.changed()

	<-ctx.Done()
	p.mu.Lock()
	p.mu.live = nil
	p.mu.Unlock()
	p.mu.tasks.Wait()
	p.client.close()
	return nil
}

// beginLocked starts the life of a relay.
func (p *Pool) beginLocked(r *relay) {
	if p.mu.live == nil {
		return
	}
	ctx, stop := context.WithCancel(p.mu.live)
	r.stop = stop
	p.mu.tasks.Go(func() {
		defer stop()
		r.run(ctx)
	})
}

// Relays lists the wanted relays, sorted by address.
func (p *Pool) Relays() []Relay {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []Relay
	for _, r := range p.mu.relays {
		if s, wanted := r.look(); wanted {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b Relay) int { return strings.Compare(a.URL, b.URL) })
	return all
}

// Health sums up Relays.
func (p *Pool) Health() Health {
	wanted, connected := 0, 0
	for _, r := range p.Relays() {
		if !r.Paused {
			wanted++
		}
		if r.State == Connected {
			connected++
		}
	}
	switch {
	case wanted == 0:
		return Off
	case connected >= wanted:
		return Up
	case connected == 0:
		return Down
	}
	return Degraded
}

// Changed returns a channel that is closed at the next change of the list or of
// a state in it.
func (p *Pool) Changed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.change
}

func (p *Pool) changed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.mu.change)
	p.mu.change = make(chan struct{})
}

// find returns a wanted relay.
func (p *Pool) find(url string) (*relay, error) {
	at, err := Normalize(url)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.mu.relays[at]; r != nil && !r.visiting() {
		return r, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrUnknown, at)
}

// use returns a relay that stays until done is called; one that is not in the
// list is visited.
func (p *Pool) use(url string) (r *relay, done func(), err error) {
	at, err := Normalize(url)
	if err != nil {
		return nil, nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.mu.relays[at]; r != nil {
		return r, r.use(), nil
	}
	switch {
	case p.mu.live == nil:
		return nil, nil, fmt.Errorf("%w: the pool does not run", ErrDown)
	case !p.c.Private && !strings.HasPrefix(at, "wss://"):
		return nil, nil, fmt.Errorf("%w: %s is not encrypted", ErrURL, at)
	}
	if !p.mayVisitLocked() {
		return nil, nil, fmt.Errorf("%w: %d relays are visited already", ErrDown, maxVisits)
	}
	r = newRelay(p, at)
	r.mu.visit, r.mu.stranger = true, true
	done = r.use()
	p.mu.relays[at] = r
	p.beginLocked(r)
	return r, done, nil
}

// mayVisitLocked reports whether one more relay may be visited. Of those that
// nobody uses just now it ends the one that was used longest ago.
func (p *Pool) mayVisitLocked() bool {
	visits := 0
	var least *relay
	var used time.Time
	for _, r := range p.mu.relays {
		last, free, visit := r.visited()
		if visit {
			visits++
		}
		if free && (least == nil || last.Before(used)) {
			least, used = r, last
		}
	}
	if visits < maxVisits {
		return true
	}
	if least == nil {
		return false
	}
	delete(p.mu.relays, least.url)
	least.stop()
	return true
}

// forget ends a visit that nobody uses. It reports whether it was ended.
func (p *Pool) forget(r *relay) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !r.idle() {
		return false
	}
	if p.mu.relays[r.url] == r {
		delete(p.mu.relays, r.url)
	}
	return true
}

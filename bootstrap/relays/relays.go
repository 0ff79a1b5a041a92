// Package relays is a small client of public Nostr relays (NIP-01): as much as
// announcing nodes takes. It believes that a relay holds an event when the
// relay said OK and then showed it.
package relays

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"

	"drey/mesh"
)

// A Config is what a Pool works with.
type Config struct {
	URLs []string // ws:// or wss://; those beyond MaxRelays are left out
	// Client makes the connections; nil means http.DefaultClient.
	Client *http.Client
	Log    *slog.Logger
}

// MaxRelays bounds how many relays a pool talks to.
const MaxRelays = 16

const (
	talkTimeout = 15 * time.Second // for one event to one relay, connecting included
	dialTimeout = 10 * time.Second
	pulse       = 55 * time.Second // between signs of life; providers forget flows after a minute
	pauseLeast  = time.Second
	pauseMost   = 5 * time.Minute
)

// A Pool talks to several relays side by side; a slow or dead one delays no
// other. Safe for concurrent use.
type Pool struct {
	c Config // immutable

	mu struct {
		sync.Mutex
		held    map[string]mesh.EventID // by relay: the last events that it showed, by address
		garbled uint64
	}
}

// New returns a pool.
func New(c Config) *Pool {
	c.URLs = slices.Clone(c.URLs[:min(len(c.URLs), MaxRelays)])
	p := &Pool{c: c}
	p.mu.held = map[string]mesh.EventID{}
	return p
}

// Garbled returns how many messages of relays could not be read, or had not
// been asked for.
func (p *Pool) Garbled() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.garbled
}

func (p *Pool) garble() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.garbled++
}

// Announce publishes an event to every relay that is not known to hold it, and
// reads it back. It returns nil when all hold it; the errors name the others.
func (p *Pool) Announce(ctx context.Context, e *mesh.Event) error {
	faults := make([]error, len(p.c.URLs))
	var all sync.WaitGroup
	for i, at := range p.c.URLs {
		d, _ := e.Tag("d")
		key := at + " " + e.Author().String() + " " + d
		p.mu.Lock()
		holds := p.mu.held[key] == e.ID()
		p.mu.Unlock()
		if holds {
			continue
		}
		all.Go(func() {
			if err := p.publish(ctx, at, e); err != nil {
				faults[i] = fmt.Errorf("%s: %w", at, err)
				return
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.mu.held) >= 8*MaxRelays {
				clear(p.mu.held) // days have passed: those are long expired
			}
			p.mu.held[key] = e.ID()
		})
	}
	all.Wait()
	return errors.Join(faults...)
}

var errNotShown = errors.New("the relay said OK and does not show the event")

// publish brings an event to one relay and sees that it is there.
func (p *Pool) publish(ctx context.Context, at string, e *mesh.Event) error {
	ctx, cancel := context.WithTimeout(ctx, talkTimeout)
	defer cancel()
	c, err := p.dial(ctx, at)
	if err != nil {
		return err
	}
	defer c.CloseNow()
	if err := c.Write(ctx, websocket.MessageText, appendEvent(nil, e)); err != nil {
		return err
	}
	for said := false; ; {
		m, err := p.read(ctx, c)
		if err != nil {
			return err
		}
		switch {
		case !said && m.verb == "OK" && m.id == e.ID().String():
			if !m.held() {
				return fmt.Errorf("refused: %.200q", m.text)
			}
			said = true
			ask := appendReq(nil, "back", []mesh.Filter{{IDs: []mesh.EventID{e.ID()}, Limit: 1}})
			if err := c.Write(ctx, websocket.MessageText, ask); err != nil {
				return err
			}
		case said && m.verb == "EVENT" && m.sub == "back" && m.event.ID() == e.ID():
			c.Close(websocket.StatusNormalClosure, "")
			return nil
		case said && m.verb == "EOSE" && m.sub == "back":
			return errNotShown
		case said && m.verb == "CLOSED" && m.sub == "back":
			return fmt.Errorf("reading refused: %.200q", m.text)
		}
	}
}

// Records hands on what the relays hold that matches any of the filters, then
// what comes in, until ctx ends. A relay that fails is tried again after a
// pause that doubles.
func (p *Pool) Records(ctx context.Context, filters []mesh.Filter, found func(relay string, e *mesh.Event)) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, at := range p.c.URLs {
		group.Go(func() error {
			for pause := pauseLeast; ; pause = min(2*pause, pauseMost) {
				err := p.follow(ctx, at, filters, func(e *mesh.Event) { found(at, e) }, func() { pause = pauseLeast })
				if ctx.Err() != nil {
					return nil
				}
				p.c.Log.Debug("relay lost", "relay", at, "err", err, "retryIn", pause)
				wait := time.NewTimer(pause + rand.N(pause/4))
				select {
				case <-ctx.Done():
					wait.Stop()
					return nil
				case <-wait.C:
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	<-ctx.Done() // without relays there is nothing to do
	return nil
}

// follow reads one relay until the connection fails. settled is called when
// the relay has told all that it holds.
func (p *Pool) follow(ctx context.Context, at string, filters []mesh.Filter, found func(*mesh.Event), settled func()) error {
	c, err := p.dial(ctx, at)
	if err != nil {
		return err
	}
	defer c.CloseNow()
	if err := c.Write(ctx, websocket.MessageText, appendReq(nil, "peers", filters)); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	beat := make(chan struct{})
	go func() {
		defer close(beat)
		defer cancel()
		p.beat(ctx, c)
	}()
	defer func() { <-beat }()
	defer cancel()
	for {
		m, err := p.read(ctx, c)
		if err != nil {
			return err
		}
		switch {
		case m.verb == "EVENT" && m.sub == "peers" && matches(filters, m.event):
			found(m.event)
		case m.verb == "EVENT":
			p.garble()
		case m.verb == "EOSE" && m.sub == "peers":
			settled()
		case m.verb == "CLOSED" && m.sub == "peers":
			return fmt.Errorf("reading refused: %.200q", m.text)
		}
	}
}

// beat pings until the relay no longer answers or ctx ends.
func (p *Pool) beat(ctx context.Context, c *websocket.Conn) {
	tick := time.NewTicker(pulse)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		within, cancel := context.WithTimeout(ctx, dialTimeout)
		err := c.Ping(within)
		cancel()
		if err != nil {
			return
		}
	}
}

func matches(filters []mesh.Filter, e *mesh.Event) bool {
	r := &mesh.Record{Event: e}
	for _, f := range filters {
		if f.Matches(r) {
			return true
		}
	}
	return false
}

func (p *Pool) dial(ctx context.Context, at string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, _, err := websocket.Dial(ctx, at, &websocket.DialOptions{HTTPClient: p.c.Client})
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(maxMessage)
	return c, nil
}

// read returns the next message that can be read at all.
func (p *Pool) read(ctx context.Context, c *websocket.Conn) (message, error) {
	for {
		_, b, err := c.Read(ctx)
		if err != nil {
			return message{}, err
		}
		m, err := parseMessage(b)
		if err == nil {
			return m, nil
		}
		p.garble()
	}
}

package pool

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// listKey is where the shelf keeps what the operator changed about a relay.
const listKey = "relay/"

// A change is what the operator changed about a relay.
type change struct {
	Wanted bool `json:"wanted"`
	Paused bool `json:"paused,omitempty"`
	Side   bool `json:"side,omitempty"`
}

// recall applies what the shelf holds.
func (p *Pool) recall(ctx context.Context) error {
	keys, err := p.c.Shelf.Keys(ctx, listKey)
	if err != nil {
		return err
	}
	for _, k := range keys {
		b, err := p.c.Shelf.Value(ctx, k)
		if err != nil {
			return err
		}
		var c change
		at, err := Normalize(strings.TrimPrefix(k, listKey))
		if err != nil || json.Unmarshal(b, &c) != nil {
			p.c.Log.Warn("a kept relay cannot be read", "relay", k)
			continue
		}
		p.apply(at, c)
	}
	return nil
}

// apply brings the list to what a change says. It returns the relay that is to
// end, if there is one.
func (p *Pool) apply(at string, c change) (ended *relay) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.mu.relays[at]
	switch {
	case !c.Wanted && r != nil:
		delete(p.mu.relays, at)
		return r
	case !c.Wanted:
		return nil
	case r == nil:
		r = newRelay(p, at)
		r.mu.side, r.mu.paused = c.Side, c.Paused
		p.mu.relays[at] = r
		p.beginLocked(r)
	}
	r.want(c)
	return nil
}

// keep puts a change on the shelf.
func (p *Pool) keep(ctx context.Context, at string, c change) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return p.c.Shelf.Put(ctx, listKey+at, b)
}

// Add wants a relay from now on, also after a restart. One that is there
// already is no error; a paused one goes on.
func (p *Pool) Add(ctx context.Context, url string) error {
	at, err := Normalize(url)
	if err != nil {
		return err
	}
	if n := len(p.Relays()); n >= MaxRelays {
		if _, err := p.find(at); err != nil {
			return fmt.Errorf("%w: %d, at most %d are allowed", ErrMany, n+1, MaxRelays)
		}
	}
	c := change{Wanted: true}
	if err := p.keep(ctx, at, c); err != nil {
		return err
	}
	p.apply(at, c)
	p.changed()
	return nil
}

// Remove ends the connection to a relay and wants it no more, also after a
// restart. It returns ErrUnknown for one that is not in the list.
func (p *Pool) Remove(ctx context.Context, url string) error {
	r, err := p.find(url)
	if err != nil {
		return err
	}
	if err := p.keep(ctx, r.url, change{}); err != nil {
		return err
	}
	if ended := p.apply(r.url, change{}); ended != nil {
		ended.end()
	}
	p.changed()
	return nil
}

// Pause ends the connection to a relay and keeps it in the list; Resume takes
// it up again. Both hold over a restart.
func (p *Pool) Pause(ctx context.Context, url string) error { return p.setPaused(ctx, url, true) }

// Resume undoes Pause.
func (p *Pool) Resume(ctx context.Context, url string) error { return p.setPaused(ctx, url, false) }

func (p *Pool) setPaused(ctx context.Context, url string, paused bool) error {
	r, err := p.find(url)
	if err != nil {
		return err
	}
	s, _ := r.look()
	c := change{Wanted: true, Paused: paused, Side: s.Side}
	if err := p.keep(ctx, r.url, c); err != nil {
		return err
	}
	p.apply(r.url, c)
	p.changed()
	return nil
}

// Package relaystest serves a foreign Nostr relay for tests: khatru, with a
// store in memory.
package relaystest

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/fiatjaf/khatru"
	"github.com/nbd-wtf/go-nostr"
)

// A Relay is a relay that runs until its test ends.
type Relay struct {
	URL    string // ws://
	server *http.Server

	mu     sync.Mutex
	events map[string]*nostr.Event // by address
	deaf   bool
	lie    bool
	served int
}

// Serve runs a relay on a listener; nil takes a free port of this machine.
func Serve(t testing.TB, l net.Listener) *Relay {
	t.Helper()
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	r := &Relay{URL: "ws://" + l.Addr().String(), events: map[string]*nostr.Event{}}
	k := khatru.NewRelay()
	k.Log = log.New(io.Discard, "", 0)
	k.Negentropy = true
	k.StoreEvent = append(k.StoreEvent, r.store)
	k.ReplaceEvent = append(k.ReplaceEvent, r.store)
	k.QueryEvents = append(k.QueryEvents, r.query)
	k.DeleteEvent = append(k.DeleteEvent, func(context.Context, *nostr.Event) error { return nil })
	k.RejectEvent = append(k.RejectEvent, func(context.Context, *nostr.Event) (bool, string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.deaf, "rate-limited: slow down"
	})
	r.server = &http.Server{Handler: k}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := r.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("relay: %v", err)
		}
	}()
	t.Cleanup(func() {
		r.server.Close()
		<-ended
	})
	return r
}

// Refuse makes the relay refuse whatever comes.
func (r *Relay) Refuse(yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deaf = yes
}

// Lie makes the relay say OK and keep nothing.
func (r *Relay) Lie(yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lie = yes
}

// Events returns what the relay holds.
func (r *Relay) Events() []nostr.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []nostr.Event
	for _, e := range r.events {
		all = append(all, *e)
	}
	return all
}

// Stored counts the events that were taken, newer versions included.
func (r *Relay) Stored() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.served
}

func (r *Relay) store(_ context.Context, e *nostr.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lie {
		return nil
	}
	at := e.ID
	if e.Kind >= 30000 && e.Kind < 40000 {
		at = e.PubKey + " " + e.Tags.GetD()
	}
	r.events[at] = e
	r.served++
	return nil
}

func (r *Relay) query(_ context.Context, f nostr.Filter) (chan *nostr.Event, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*nostr.Event
	for _, e := range r.events {
		if f.Matches(e) && (f.Limit == 0 || len(all) < f.Limit) {
			all = append(all, e)
		}
	}
	out := make(chan *nostr.Event, len(all))
	for _, e := range all {
		out <- e
	}
	close(out)
	return out, nil
}

package relay

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip77"

	"drey/mesh"
	"drey/mesh/negentropy"
)

// A notebook is the store of go-nostr's client.
type notebook struct {
	mu     sync.Mutex
	events map[string]*nostr.Event
}

func (n *notebook) Publish(_ context.Context, e nostr.Event) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events[e.ID] = &e
	return nil
}

func (n *notebook) QueryEvents(context.Context, nostr.Filter) (chan *nostr.Event, error) {
	c := make(chan *nostr.Event)
	close(c)
	return c, nil
}

func (n *notebook) QuerySync(context.Context, nostr.Filter) (all []*nostr.Event, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.events {
		all = append(all, e)
	}
	return all, nil
}

// fill posts n notes over a few connections.
func fill(b *testing.B, w *world, n int) []*mesh.Event {
	b.Helper()
	events := make([]*mesh.Event, n)
	each(4, events, func(part int, list []*mesh.Event) {
		for i := range list {
			list[i] = at("ana", now()-mesh.Unix(20*(n*part/4+i)), fmt.Sprintf("note %d of part %d, as long as people write on average: about a hundred letters", i, part))
		}
	})
	c := w.connect(b)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range events {
			if _, m, err := c.ws.Read(context.Background()); err != nil || !strings.Contains(string(m), "true") {
				b.Errorf("answered %s, %v", m, err)
				return
			}
		}
	})
	for _, e := range events {
		c.send(`["EVENT",` + string(e.AppendJSON(nil)) + `]`)
	}
	wg.Wait()
	return events
}

// BenchmarkReconcile measures NIP-77 of 3000 notes: go-nostr's client, which
// fetches what it lacks, for the first time and again, and an own client that
// only compares.
func BenchmarkReconcile(b *testing.B) {
	const n = 3000
	w := newDiskWorld(b, generous)
	events := fill(b, w, n)
	filter := nostr.Filter{Kinds: []int{1}, Authors: []string{keyHex("ana")}}
	book := &notebook{}
	sync := func(b *testing.B) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := nip77.NegentropySync(ctx, book, w.url, filter, nip77.Down); err != nil {
			b.Fatal(err)
		}
		if len(book.events) != n {
			b.Fatalf("%d events came, want %d", len(book.events), n)
		}
	}
	b.Run("go-nostr-first", func(b *testing.B) {
		for b.Loop() {
			book.events = make(map[string]*nostr.Event)
			sync(b)
		}
	})
	b.Run("go-nostr-again", func(b *testing.B) {
		for b.Loop() {
			sync(b)
		}
	})
	c := w.connectAs(b, "ben")
	for name, set := range map[string]*negentropy.Set{"compare-first": setOf(), "compare-again": setOf(events...)} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				need, _ := c.reconcile(`{"kinds":[1],"authors":["`+keyHex("ana")+`"]}`, set)
				if got := len(need) + set.Len(); got != n {
					b.Fatalf("%d of %d", got, n)
				}
			}
		})
	}
}

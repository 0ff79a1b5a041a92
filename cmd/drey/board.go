package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"drey/mesh"
	"drey/nostrbridge/pool"
)

// newPool makes the one set of connections to public relays that all parts of
// the node share.
func (p *parts) newPool() *pool.Pool {
	return pool.New(pool.Config{
		URLs:    p.conf.Nostr.RelayURLs(),
		Side:    p.conf.AnnounceURLs(),
		Signer:  p.who.Author,
		Archive: p.store,
		Shelf:   p.store.Shelf("pool"),
		Log:     p.log.With("part", "relays"),
		Clock:   p.clock,
	})
}

// A board is the pool as the finder "nostr" sees it: some of its relays, which
// are believed to hold an announcement when they have shown it.
type board struct {
	pool *pool.Pool
	urls []string

	mu   sync.Mutex
	held map[string]mesh.EventID // by relay and address: what it showed last
}

func newBoard(p *pool.Pool, urls []string) *board {
	b := &board{pool: p, held: map[string]mesh.EventID{}}
	for _, u := range urls {
		if at, err := pool.Normalize(u); err == nil && !slices.Contains(b.urls, at) {
			b.urls = append(b.urls, at)
		}
	}
	return b
}

// boardTime bounds what announcing to one relay may take.
const boardTime = 30 * time.Second

// Announce publishes an event to every relay that is not known to hold it, and
// reads it back.
func (b *board) Announce(ctx context.Context, e *mesh.Event) error {
	faults := make([]error, len(b.urls))
	var all sync.WaitGroup
	for i, at := range b.urls {
		d, _ := e.Tag("d")
		key := at + " " + e.Author().String() + " " + d
		b.mu.Lock()
		holds := b.held[key] == e.ID()
		b.mu.Unlock()
		if holds {
			continue
		}
		all.Go(func() {
			if err := b.announce(ctx, at, e); err != nil {
				faults[i] = fmt.Errorf("%s: %w", at, err)
				return
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			if len(b.held) >= 8*pool.MaxRelays {
				clear(b.held) // days have passed: those are long expired
			}
			b.held[key] = e.ID()
		})
	}
	all.Wait()
	return errors.Join(faults...)
}

var errNotShown = errors.New("the relay said OK and does not show the event")

func (b *board) announce(ctx context.Context, at string, e *mesh.Event) error {
	ctx, cancel := context.WithTimeout(ctx, boardTime)
	defer cancel()
	if err := b.settled(ctx, at); err != nil {
		return err
	}
	if err := b.pool.Publish(ctx, at, e); err != nil {
		return err
	}
	for got, err := range b.pool.Fetch(ctx, at, mesh.Filter{IDs: []mesh.EventID{e.ID()}}) {
		if err != nil {
			return err
		}
		if got.ID() == e.ID() {
			return nil
		}
	}
	return errNotShown
}

// settled waits while a relay's first connection is being made.
func (b *board) settled(ctx context.Context, at string) error {
	for {
		change := b.pool.Changed()
		i := slices.IndexFunc(b.pool.Relays(), func(r pool.Relay) bool { return r.URL == at })
		if i < 0 {
			return fmt.Errorf("%w: the operator removed it", pool.ErrUnknown)
		}
		if r := b.pool.Relays()[i]; r.Paused || r.State == pool.Connected || r.State == pool.Failed {
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Records hands on what the relays hold and get.
func (b *board) Records(ctx context.Context, filters []mesh.Filter, found func(string, *mesh.Event)) error {
	return b.pool.Follow(ctx, pool.Feed{
		Name:  "peers",
		Whole: true, // what was found before is in the finders' diary, and may have expired
		Filters: func(relay string) []mesh.Filter {
			if !slices.Contains(b.urls, relay) {
				return nil
			}
			return filters
		},
		Found: func(_ context.Context, relay string, e *mesh.Event) error {
			found(relay, e)
			return nil
		},
	})
}

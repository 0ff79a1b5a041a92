package nostrbridge

import (
	"context"
	"iter"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"drey/mesh"
	"drey/mesh/carriertest"
	"drey/nostrbridge/pool"
	"drey/nostrbridge/pool/badrelay"
	"drey/store/storetest"
)

// quick is a pace for tests on real time.
var quick = pace{
	beat: 50 * time.Millisecond, dead: 200 * time.Millisecond, yield: 20 * time.Millisecond, act: 40 * time.Millisecond,
	alone: 10 * time.Millisecond, blip: 50 * time.Millisecond, told: time.Millisecond, sweep: 100 * time.Millisecond,
}

// Two communities that share a relay are two ends of one medium.
func TestCarrier(t *testing.T) {
	carriertest.Run(t, carriertest.Medium{
		New: func(t *testing.T) (a, b mesh.Carrier) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			r := badrelay.Serve(l, badrelay.Behaviour{})
			t.Cleanup(r.Close)
			return newEnd(t, r.URL), newEnd(t, r.URL)
		},
		Target:   func(mesh.Topic) string { return theRelay },
		Topics:   []mesh.Topic{"alerts", "commons"},
		Patience: time.Minute, // on real time, beside whatever else the machine does
		Ready: func(ctx context.Context, a, b mesh.Carrier) error {
			for _, e := range []*relayEnd{a.(*relayEnd), b.(*relayEnd)} {
				if err := e.up(ctx); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// theRelay stands for the relay's address, which every test has anew.
const theRelay = "the relay"

// A relayEnd is a bridge with a pool of its own, a new one for each run.
type relayEnd struct {
	*Bridge
	url string
	now atomic.Pointer[pool.Pool]
}

// up waits until the pool of this run is connected.
func (e *relayEnd) up(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if p := e.now.Load(); p != nil && p.Health() == pool.Up {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// The pool of the run, as the bridge sees it.
func (e *relayEnd) Relays() []pool.Relay     { return e.now.Load().Relays() }
func (e *relayEnd) Changed() <-chan struct{} { return e.now.Load().Changed() }
func (e *relayEnd) Publish(ctx context.Context, url string, ev *mesh.Event) error {
	return e.now.Load().Publish(ctx, url, ev)
}
func (e *relayEnd) Fetch(ctx context.Context, url string, f mesh.Filter) iter.Seq2[*mesh.Event, error] {
	return e.now.Load().Fetch(ctx, url, f)
}
func (e *relayEnd) Follow(ctx context.Context, f pool.Feed) error { return e.now.Load().Follow(ctx, f) }

func newEnd(t *testing.T, url string) *relayEnd {
	key := keyOf(t.Name() + url)
	shelf := storetest.NewMemory(time.Now)
	end := &relayEnd{url: url}
	roster := newBook()
	writer, err := mesh.NewSecretKey([32]byte{31: 7}) // the suite's
	if err != nil {
		t.Fatal(err)
	}
	roster.set(writer.PubKey(), mesh.Person)
	both := []mesh.Topic{"alerts", "commons"}
	end.Bridge = newBridge(Config{
		Gateway: true, Out: both, In: both, Relays: end, Node: quiet{roster}, Signer: key, Roster: roster,
		Archive: shelf, Shelf: shelf.Shelf("bridge"),
	}, quick)
	return end
}

func (e *relayEnd) Run(ctx context.Context, p mesh.Port) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	run := pool.New(pool.Config{URLs: []string{e.url}, Log: slog.New(slog.DiscardHandler), Clock: time.Now})
	e.now.Store(run)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		run.Run(ctx)
	}()
	err := e.Bridge.Run(ctx, alias{p, p.(mesh.Lanes), e.url})
	cancel()
	<-ended
	return err
}

// alias is a port on which theRelay is the relay's address.
type alias struct {
	mesh.Port
	lanes mesh.Lanes
	url   string
}

func (a alias) Lane(string) mesh.Lane                     { return a.lanes.Lane(theRelay) }
func (a alias) Targets(context.Context) ([]string, error) { return []string{a.url}, nil }

// quiet is a node without neighbours.
type quiet struct{ roster *book }

func (quiet) Say(context.Context, mesh.Topic, mesh.Draft) error { return nil }
func (quiet) Watch(ctx context.Context, _ mesh.Filter) iter.Seq2[*mesh.Record, error] {
	return func(func(*mesh.Record, error) bool) { <-ctx.Done() }
}
func (quiet) Note(mesh.EventID, string, string) {}
func (quiet) Withdraw(mesh.EventID)             {}
func (quiet) Topics() []mesh.Topic              { return mesh.BuiltinTopics() }
func (q quiet) Members() []mesh.PubKey          { return q.roster.members() }
func (quiet) Welcome(context.Context, mesh.PubKey, int, time.Duration) error {
	return nil
}

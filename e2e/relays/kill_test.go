//go:build e2e

// Package relays holds the pool of relays to relays of foreign code in
// processes of their own.
package relays

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fiatjaf/eventstore/badger"
	"github.com/fiatjaf/khatru"
	"github.com/nbd-wtf/go-nostr"

	"drey/mesh"
	"drey/nostrbridge/pool"
	"drey/nostrbridge/pool/relaystest"
)

// childEnv makes the test's own program a relay that keeps its events in this
// folder.
const childEnv = "DREY_TEST_RELAY"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := serve(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serve runs khatru over eventstore's badger, and says where it listens.
func serve(dir string) error {
	db := &badger.BadgerBackend{Path: dir, MaxLimit: 5000}
	if err := relaystest.OpenBadger(db); err != nil {
		return err
	}
	k := khatru.NewRelay()
	k.Log = log.New(io.Discard, "", 0)
	k.StoreEvent = append(k.StoreEvent, db.SaveEvent)
	k.ReplaceEvent = append(k.ReplaceEvent, db.ReplaceEvent)
	k.QueryEvents = append(k.QueryEvents, db.QueryEvents)
	k.DeleteEvent = append(k.DeleteEvent, db.DeleteEvent)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("ws://" + l.Addr().String())
	return http.Serve(l, k)
}

// spawn starts the relay and returns its address and what kills it with
// SIGKILL.
func spawn(t *testing.T, dir string) (url string, kill func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self)
	c.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	c.Stderr = &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		c.Process.Kill()
		c.Wait()
	})
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		kill()
		t.Fatalf("the relay did not start: %v\n%s", err, said.String())
	}
	return strings.TrimSpace(line), kill
}

// TestKilledRelayAcknowledgesNothingThatItLost kills a relay a hundred times
// while events are published to it, and then asks for every event that was
// acknowledged. The library's own client does the same beside the pool.
func TestKilledRelayAcknowledgesNothingThatItLost(t *testing.T) {
	const kills, workers = 100, 4
	key, err := mesh.NewSecretKey([32]byte{31: 1})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var ours, theirs ledger
	var n atomic.Int64
	next := func() *mesh.Event {
		e, err := key.Sign(mesh.Draft{CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindNote, Content: fmt.Sprint(n.Add(1))})
		if err != nil {
			t.Error(err)
		}
		return e
	}
	for range kills {
		url, kill := spawn(t, dir)
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		busy := make(chan struct{}) // the pool has had an answer
		answered := sync.OnceFunc(func() { close(busy) })
		p := begin(ctx, t, url)
		var all sync.WaitGroup
		for range workers {
			all.Go(func() {
				for ctx.Err() == nil {
					e := next()
					err := p.Publish(ctx, url, e)
					if ours.note(e, err); err == nil {
						answered()
					}
					if errors.Is(err, pool.ErrDown) {
						return
					}
				}
			})
			all.Go(func() {
				r, err := nostr.RelayConnect(ctx, url)
				if err != nil {
					return
				}
				defer r.Close()
				for ctx.Err() == nil {
					e := next()
					var w nostr.Event
					if err := w.UnmarshalJSON(e.AppendJSON(nil)); err != nil {
						t.Error(err)
						return
					}
					within, done := context.WithTimeout(ctx, 5*time.Second)
					err := r.Publish(within, w)
					done()
					theirs.note(e, err)
					if err != nil || !r.IsConnected() {
						return
					}
				}
			})
		}
		all.Go(func() {
			select {
			case <-busy:
			case <-ctx.Done():
			}
			wait := time.NewTimer(rand.N(150 * time.Millisecond))
			<-wait.C
			kill()
		})
		all.Wait()
		stop()
	}

	url, _ := spawn(t, dir)
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	p := begin(ctx, t, url)
	held := map[mesh.EventID]bool{}
	for _, l := range []*ledger{&ours, &theirs} {
		for e, err := range p.Fetch(ctx, url, mesh.Filter{IDs: l.acked}) {
			if err != nil {
				t.Fatal(err)
			}
			held[e.ID()] = true
		}
	}
	twice := map[mesh.EventID]bool{}
	for e, err := range p.Fetch(ctx, url, mesh.Filter{Kinds: []mesh.Kind{mesh.KindNote}}) {
		if err != nil {
			t.Fatal(err)
		}
		if twice[e.ID()] {
			t.Errorf("%s came twice", e.ID())
		}
		twice[e.ID()] = true
	}
	missing := func(l *ledger) (n int) {
		for _, id := range l.acked {
			if !held[id] {
				n++
			}
		}
		return n
	}
	t.Logf("%d × kill -9: the pool had %d events acknowledged (%d refused, %d without an answer), %d of them are missing; go-nostr %d, %d missing; the relay shows %d in all",
		kills, len(ours.acked), ours.refused, ours.unknown, missing(&ours), len(theirs.acked), missing(&theirs), len(twice))
	if n := missing(&ours); n != 0 {
		t.Errorf("%d acknowledged events are missing", n)
	}
	if len(ours.acked) < kills {
		t.Errorf("only %d events were acknowledged: the test tests little", len(ours.acked))
	}
}

// begin runs a pool over one relay and waits until that is connected.
func begin(ctx context.Context, t *testing.T, url string) *pool.Pool {
	t.Helper()
	p := pool.New(pool.Config{URLs: []string{url}, Log: slog.New(slog.DiscardHandler), Clock: time.Now})
	go p.Run(ctx)
	for p.Health() != pool.Up {
		change := p.Changed()
		if p.Health() == pool.Up {
			break
		}
		select {
		case <-change:
		case <-ctx.Done():
			t.Fatal("the relay is not connected")
		}
	}
	return p
}

// A ledger is what became of events.
type ledger struct {
	mu               sync.Mutex
	acked            []mesh.EventID
	refused, unknown int
}

func (l *ledger) note(e *mesh.Event, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var no *pool.Refusal
	switch {
	case err == nil:
		l.acked = append(l.acked, e.ID())
	case errors.As(err, &no):
		l.refused++
	default:
		l.unknown++
	}
}

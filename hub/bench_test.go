package hub_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"drey/hub"
	"drey/mesh"
	"drey/mesh/carriertest"
	"drey/store"
	"drey/store/storetest"
)

// BenchmarkReceive measures how fast a node takes events: check, verify, store
// and fan out to a gossip that is owed everything, with as many callers as
// gossip has validators. "ratio" is that rate divided by the rate of bare
// signature checks on all cores in the same run; the aim is 0.5 or more.
func BenchmarkReceive(b *testing.B) {
	for _, c := range []struct {
		name    string
		disk    bool
		durable int // every so many-th waits for the disk; sync does so every 128th
	}{
		{"memory", false, 128},
		{"disk", true, 128},
		{"disk,durable", true, 1},
	} {
		b.Run(c.name, func(b *testing.B) {
			events := signed(b, b.N)
			n := newNode(b, c.disk)
			// Both are measured in turns, so that whatever else the machine does
			// slows both.
			var took, bare time.Duration
			checked := 0
			b.ResetTimer()
			for chunk := range slices.Chunk(events, 500) {
				b.StartTimer()
				began := time.Now()
				n.receive(b, chunk, c.durable)
				took += time.Since(began)
				b.StopTimer()
				bare += verify(b, chunk[:(len(chunk)+1)/2])
				checked += (len(chunk) + 1) / 2
			}
			rate := float64(len(events)) / took.Seconds()
			b.ReportMetric(rate, "events/s")
			b.ReportMetric(rate*bare.Seconds()/float64(checked), "ratio")
		})
	}
}

// callers is how many events are being checked at a time; gossip's validators
// are as many.
const callers = 256

type node struct {
	hub *hub.Hub
}

func newNode(b *testing.B, disk bool) *node {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var keep hub.Store = storetest.NewMemory(time.Now)
	if disk {
		s, err := store.Open(ctx, store.Config{Path: filepath.Join(b.TempDir(), "drey.db")})
		if err != nil {
			b.Fatal(err)
		}
		keep = s
		wg.Go(func() {
			if err := s.Run(ctx); err != nil && ctx.Err() == nil {
				b.Error(err)
			}
		})
		b.Cleanup(func() {
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		})
	}
	_, wire := carriertest.NewPair("gossip", mesh.Limits{}) // the other end listens to nobody
	h, err := hub.New(hub.Config{
		Store: keep, Roster: everybody{}, Signer: secret(b, "node"),
		Routes: []hub.Route{{Carrier: wire, Fast: true}},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { cancel(); wg.Wait() })
	return &node{h}
}

func (n *node) receive(b *testing.B, events []*mesh.Event, durable int) {
	port := n.hub.Port("somewhere")
	var next atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(len(events)) {
					return
				}
				from := mesh.Origin{Topic: mesh.TopicCommons, Durable: int(i)%durable == 0}
				err := port.Receive(context.Background(), events[i], from)
				if errors.Is(err, mesh.ErrBusy) { // the disk is behind: wait for it
					from.Durable = true
					err = port.Receive(context.Background(), events[i], from)
				}
				if err != nil {
					b.Errorf("event %d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// verify returns how long all cores take to check the signatures.
func verify(b *testing.B, events []*mesh.Event) time.Duration {
	var next atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(events)); i = next.Add(1) - 1 {
				if err := events[i].Verify(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}

func secret(tb testing.TB, name string) *mesh.SecretKey {
	tb.Helper()
	k, err := mesh.NewSecretKey(sha256.Sum256([]byte(name)))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// signed makes n notes of 100 authors.
func signed(b *testing.B, n int) []*mesh.Event {
	b.Helper()
	var authors []*mesh.SecretKey
	for i := range 100 {
		authors = append(authors, secret(b, fmt.Sprint(i)))
	}
	events := make([]*mesh.Event, n)
	now := mesh.UnixOf(time.Now())
	for i := range events {
		e, err := authors[i%len(authors)].Sign(mesh.Draft{
			CreatedAt: now - mesh.Unix(i/100), Kind: mesh.KindNote,
			Tags: [][]string{{"t", "commons"}}, Content: fmt.Sprintf("%d: the water is back in the lower town", i),
		})
		if err != nil {
			b.Fatal(err)
		}
		events[i] = e
	}
	return events
}

// everybody is a roster of whoever speaks.
type everybody struct{}

func (everybody) Community() mesh.Community                     { return mesh.Community{Name: "all"} }
func (everybody) Standing(mesh.PubKey, time.Time) mesh.Standing { return mesh.Person }
func (everybody) Admits(mesh.NodeKey) bool                      { return true }
func (everybody) Nodes() []mesh.NodeKey                         { return nil }
func (everybody) Changed() <-chan struct{}                      { return nil }
func (everybody) Apply(*mesh.Event) (bool, error)               { return false, nil }

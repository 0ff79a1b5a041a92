package sim

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"

	"drey/hub"
	"drey/mesh"
	"drey/pubsub"
	"drey/pubsub/pubsubtest"
	"drey/store"
)

// members admits everybody, in the words of the hub.
type members struct{ *pubsubtest.Roster }

func (members) Apply(*mesh.Event) (bool, error) { return false, nil }

// A whole is one node with everything between the wire and the disk.
type whole struct {
	store   *store.Store
	hub     *hub.Hub
	carrier *pubsub.Carrier
	host    host.Host
}

func newWhole(b *testing.B) *whole {
	b.Helper()
	s, err := store.Open(b.Context(), store.Config{Path: filepath.Join(b.TempDir(), "drey.db")})
	if err != nil {
		b.Fatal(err)
	}
	w := &whole{store: s, host: pubsubtest.NewHost(b)}
	roster := members{pubsubtest.NewRoster(community, 2)}
	w.carrier = pubsub.New(pubsub.Config{
		Host:      func(context.Context) (host.Host, error) { return w.host, nil },
		Community: community, Roster: roster, Archive: s, Graves: s,
	})
	w.hub, err = hub.New(hub.Config{
		Store: s, Roster: roster, Signer: author,
		Routes: []hub.Route{{Carrier: w.carrier, Fast: true}},
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	storeCtx, stopStore := context.WithCancel(context.Background())
	running.Go(func() { _ = s.Run(storeCtx) })
	hubDone := make(chan struct{})
	go func() { defer close(hubDone); _ = w.hub.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		<-hubDone
		stopStore()
		running.Wait()
		_ = s.Close()
	})
	return w
}

// BenchmarkSyncStored brings 10,000 events to an empty node with its real hub
// and store on disk, both nodes on this machine, and compares with checking
// 10,000 signatures on all of its processors.
func BenchmarkSyncStored(b *testing.B) {
	const n = 10_000
	now := time.Now()
	events := make([]*mesh.Event, n)
	for i := range events {
		e, err := author.Sign(mesh.Draft{
			CreatedAt: mesh.UnixOf(now) - mesh.Unix(10*(n-i)), Kind: mesh.KindNote, Tags: [][]string{{"t", "commons"}},
			Content: fmt.Sprintf("the water at the mill is back, bring bottles and tell the others, line %d", i),
		})
		if err != nil {
			b.Fatal(err)
		}
		events[i] = e
	}
	bare := func() time.Duration {
		at := time.Now()
		var wg sync.WaitGroup
		for part := range slices.Chunk(events, n/runtime.GOMAXPROCS(0)) {
			wg.Go(func() {
				for _, e := range part {
					if err := e.Verify(); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
		return time.Since(at)
	}
	worst := 100.0
	for b.Loop() {
		b.StopTimer()
		x, y := newWhole(b), newWhole(b)
		for i, e := range events {
			r := &mesh.Record{Event: e, Topic: mesh.TopicCommons, Received: now}
			if err := y.store.Save(b.Context(), r, nil, i%256 == 255 || i == n-1); err != nil {
				b.Fatal(err)
			}
		}
		before := bare()
		b.StartTimer()
		at := time.Now()
		pubsubtest.Connect(b, x.host, y.host)
		took := awaitSync(b, x, n, at)
		b.StopTimer()
		worst = min(worst, (before+bare()).Seconds()/2/took.Seconds())
		b.StartTimer()
	}
	b.ReportMetric(worst, "of-verify-rate")
}

// awaitSync waits until a node has received n events by sync and returns how
// long the sessions took, without the pause before the first.
func awaitSync(b *testing.B, w *whole, n int, since time.Time) time.Duration {
	b.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	timeout := time.After(2 * time.Minute)
	for {
		select {
		case <-tick.C:
		case <-timeout:
			b.Fatalf("no full sync after 2 minutes: %+v", w.carrier.Status().Sync)
		}
		for _, s := range w.carrier.Status().Sync {
			if s.Received == n {
				return time.Duration(s.TookMS) * time.Millisecond
			}
			if s.Received > 0 && s.Error != "" {
				b.Fatalf("sync broke off: %+v", s)
			}
		}
	}
}

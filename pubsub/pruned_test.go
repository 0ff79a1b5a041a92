package pubsub

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/host"

	"drey/mesh"
	"drey/pubsub/pubsubtest"
	"drey/store"
)

// A keeper is a node whose archive is the real store.
type keeper struct {
	*pubsubtest.Hub
	store *store.Store
}

// Receive implements mesh.Port.
func (k keeper) Receive(ctx context.Context, e *mesh.Event, from mesh.Origin) error {
	return k.store.Save(ctx, &mesh.Record{Event: e, Topic: from.Topic, Received: time.Now()}, nil, from.Durable)
}

// pruned makes the file of a store that was given events as they were dated and
// then looked after itself at some times.
func pruned(t *testing.T, keepFor time.Duration, events []*mesh.Event, looks ...time.Time) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "drey.db")
	synctest.Test(t, func(t *testing.T) {
		var now atomic.Int64
		s, err := store.Open(t.Context(), store.Config{
			Path: path, KeepFor: keepFor, Clock: func() time.Time { return time.Unix(now.Load(), 0) },
		})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { must(t, s.Run(ctx)) })
		for i, e := range events {
			now.Store(int64(e.CreatedAt()))
			must(t, s.Save(t.Context(), &mesh.Record{Event: e, Topic: mesh.TopicCommons, Received: e.CreatedAt().Time()}, nil, i%512 == 511))
		}
		for _, at := range looks {
			now.Store(at.Unix())
			time.Sleep(time.Hour) // the store looks after itself every few minutes
			synctest.Wait()
		}
		cancel()
		running.Wait()
		must(t, s.Close())
	})
	return path
}

// newKeeper makes a node on a store that some other test has filled.
func newKeeper(t *testing.T, path string) (*node, keeper) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Path: path})
	must(t, err)
	n := newNode(t, town, 3)
	k := keeper{n.Hub, s}
	n.carrier = New(Config{
		Host:      func(context.Context) (host.Host, error) { return n.host, nil },
		Community: town, Roster: n.roster, Archive: s, Graves: s, Topics: n.Topics,
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { must(t, s.Run(ctx)) })
	running.Go(func() {
		if err := n.carrier.Run(ctx, k); !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		must(t, s.Close())
	})
	return n, k
}

// Stores that prune by different measures, and have forgotten different parts
// of what they pruned, agree after one pass: what only one of them has been
// given comes over, what one has pruned does not come back, and what is
// forgotten lies below the floor of both.
func TestSyncBetweenStoresThatPrune(t *testing.T) {
	const day = 24 * time.Hour
	const days, perDay = 20, 200 // enough for the store to fold what it has logged
	start := began.Time()
	var common []*mesh.Event
	for i := range days * perDay {
		common = append(common, signed(t, mesh.Draft{
			CreatedAt: mesh.UnixOf(start.Add(time.Duration(i) * day / perDay)), Kind: mesh.KindNote, Content: fmt.Sprint("day by day ", i),
		}))
	}
	end := start.Add(days * day)
	extra := func(who string, n int) (list []*mesh.Event) {
		for i := range n {
			list = append(list, signed(t, mesh.Draft{
				CreatedAt: mesh.UnixOf(end.Add(-time.Duration(i) * day / 10)), Kind: mesh.KindNote, Content: fmt.Sprint(who, i),
			}))
		}
		return list
	}
	at := func(d int) time.Time { return start.Add(time.Duration(d) * day) }
	// Four days: pruned at day 10 and 20, the first of that forgotten by day 20.
	short, s := newKeeper(t, pruned(t, 4*day, common, at(10), at(20)))
	// Seven days, with another past.
	long, l := newKeeper(t, pruned(t, 7*day, common, at(20)))
	all, a := newKeeper(t, pruned(t, 0, common, at(20)))

	floors := make(map[string]mesh.Unix)
	held := make(map[string]int)
	for name, k := range map[string]keeper{"short": s, "long": l, "all": a} {
		f, err := k.store.Floor(t.Context())
		must(t, err)
		st, err := k.store.Stats(t.Context())
		must(t, err)
		floors[name], held[name] = f, st.Events
	}
	if floors["short"] == 0 || floors["all"] != 0 || held["short"] >= held["long"] || held["long"] >= held["all"] {
		t.Fatalf("the stores did not prune as this test needs: floors %v, held %v", floors, held)
	}

	given := map[string][]*mesh.Event{"short": extra("short", 30), "long": extra("long", 30), "all": extra("all", 30)}
	for name, k := range map[string]keeper{"short": s, "long": l, "all": a} {
		for _, e := range given[name] {
			must(t, k.store.Save(t.Context(), &mesh.Record{Event: e, Topic: mesh.TopicCommons, Received: time.Now()}, nil, true))
		}
	}
	pairs := [][2]*node{{short, all}, {long, all}, {short, long}}
	for _, p := range pairs {
		pubsubtest.Connect(t, p[0].host, p[1].host)
	}
	for _, n := range []*node{short, long, all} {
		until(t, "the first syncs are over", func() bool { return len(n.carrier.Status().Sync) == 2 })
	}
	for _, p := range pairs {
		ask(t, p[0], p[1])
	}
	for _, p := range pairs {
		ask(t, p[1], p[0])
		zero(t, p[0], p[1])
	}
	for name, k := range map[string]keeper{"short": s, "long": l, "all": a} {
		st, err := k.store.Stats(t.Context())
		must(t, err)
		if want := held[name] + 90; st.Events != want {
			t.Errorf("%s holds %d events, want %d: its own and what the others were given", name, st.Events, want)
		}
	}
	t.Logf("floors %v, held before %v", floors, held)
}

//go:build e2e

package relay

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	upstream "github.com/dgraph-io/badger/v4"
	"github.com/fiatjaf/eventstore/badger"
	"github.com/fiatjaf/khatru"
	"github.com/nbd-wtf/go-nostr"

	"drey/mesh"
	"drey/store"
	"drey/store/storetest"
)

// The yardstick of these benchmarks is khatru with its badger store, as its
// README sets it up: it answers OK before anything is certain to be on the disk.
func khatruOn(b *testing.B, dir string) (*badger.BadgerBackend, string) {
	b.Helper()
	db := &badger.BadgerBackend{Path: dir, BadgerOptionsModifier: func(o upstream.Options) upstream.Options { return o.WithLoggingLevel(upstream.ERROR) }}
	if err := db.Init(); err != nil {
		b.Fatal(err)
	}
	k := khatru.NewRelay()
	k.Log = log.New(io.Discard, "", 0)
	k.StoreEvent = append(k.StoreEvent, db.SaveEvent)
	k.QueryEvents = append(k.QueryEvents, db.QueryEvents)
	k.DeleteEvent = append(k.DeleteEvent, db.DeleteEvent)
	k.ReplaceEvent = append(k.ReplaceEvent, db.ReplaceEvent)
	server := httptest.NewServer(k)
	b.Cleanup(func() { server.Close(); db.Close() })
	return db, "ws" + strings.TrimPrefix(server.URL, "http") + "/"
}

// dialPlain connects a client that is told nothing at first.
func dialPlain(b *testing.B, url string) *client {
	b.Helper()
	ws, _, err := websocket.Dial(b.Context(), url, nil)
	if err != nil {
		b.Fatal(err)
	}
	ws.SetReadLimit(1 << 22)
	b.Cleanup(func() { ws.CloseNow() })
	return &client{t: b, ws: ws, url: url}
}

// postAll posts a list and waits for every OK.
func (c *client) postAll(list []*mesh.Event) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for range list {
			if _, m, err := c.ws.Read(context.Background()); err != nil || !strings.Contains(string(m), "true") {
				c.t.Errorf("answered %s, %v", m, err)
				return
			}
		}
	})
	for _, e := range list {
		c.send(`["EVENT",` + string(e.AppendJSON(nil)) + `]`)
	}
	wg.Wait()
}

// BenchmarkAcceptBesideKhatru posts notes on 8 websockets to this relay, to
// khatru and to nobody but the check of signatures, turn by turn: of a hundred
// members, and of so many that few sign as often as the hub remembers.
func BenchmarkAcceptBesideKhatru(b *testing.B) {
	for _, members := range []int{100, 2000} {
		b.Run(fmt.Sprint("members=", members), func(b *testing.B) { acceptBesideKhatru(b, members) })
	}
}

func acceptBesideKhatru(b *testing.B, members int) {
	const conns, turn = 8, 2000 // long turns: the wait at the end of each is no rate
	w := newDiskWorld(b, generous)
	_, url := khatruOn(b, b.TempDir())
	events := notes(b.N, w.members(members)...)
	var ours, theirs [conns]*client
	for i := range conns {
		ours[i], theirs[i] = w.connect(b), dialPlain(b, url)
	}
	var bare, us, them, bareCPU, usCPU, themCPU time.Duration
	clock := func(took, cpu *time.Duration, do func()) {
		began, used := time.Now(), cpuTime()
		do()
		*took += time.Since(began)
		*cpu += cpuTime() - used
	}
	b.ResetTimer()
	for list := range slices.Chunk(events, turn) {
		clock(&bare, &bareCPU, func() {
			each(conns, list, func(_ int, list []*mesh.Event) {
				for _, e := range list {
					if err := e.Verify(); err != nil {
						b.Error(err)
					}
				}
			})
		})
		clock(&us, &usCPU, func() { each(conns, list, func(i int, list []*mesh.Event) { ours[i].postAll(list) }) })
		clock(&them, &themCPU, func() { each(conns, list, func(i int, list []*mesh.Event) { theirs[i].postAll(list) }) })
	}
	b.ReportMetric(float64(b.N)/us.Seconds(), "drey/s")
	b.ReportMetric(float64(b.N)/them.Seconds(), "khatru/s")
	b.ReportMetric(float64(b.N)/bare.Seconds(), "verified/s")
	b.ReportMetric(bare.Seconds()/us.Seconds(), "ratio")
	b.ReportMetric(bareCPU.Seconds()/usCPU.Seconds(), "cpu-ratio")
	b.ReportMetric(bareCPU.Seconds()/themCPU.Seconds(), "khatru-cpu-ratio")
	b.ReportMetric(0, "ns/op")
}

// million is how many events BenchmarkMillion stores.
const million = 1_000_000

// BenchmarkMillion asks both relays for the newest 20 of an author among a
// million events of 1000 authors, turn by turn, and ours for words. The events
// are not signed: nobody checks what is stored. It takes minutes to store them,
// so it wants DREY_MILLION, a folder that keeps them for the next run.
func BenchmarkMillion(b *testing.B) {
	dir := os.Getenv("DREY_MILLION")
	if dir == "" {
		b.Skip("set DREY_MILLION=DIR to store a million events there and ask for some")
	}
	db, url := khatruOn(b, filepath.Join(dir, "badger"))
	path := filepath.Join(dir, "drey.db")
	_, err := os.Stat(path)
	s, errOpen := store.Open(b.Context(), store.Config{Path: path})
	if errOpen != nil {
		b.Fatal(errOpen)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-done; s.Close() })
	if err != nil {
		storeMillion(b, s, db)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for st, err := s.Stats(b.Context()); st.Unsearched > 0; st, err = s.Stats(b.Context()) {
		if err != nil {
			b.Fatal(err)
		}
		<-tick.C // the index follows
	}
	w := newWorldOn(b, s, s.Sync, generous)
	ours, theirs := w.connectAs(b, "ana"), dialPlain(b, url)
	author := func(i int) string { return storetest.Author(i * 7 % 1000).String() }
	ask := func(c *client, filter string, want int) time.Duration {
		began := time.Now()
		c.send(`["REQ","s",` + filter + `]`)
		for n := 0; ; n++ {
			_, m, err := c.ws.Read(context.Background())
			if err != nil || strings.HasPrefix(string(m), `["CLOSED"`) {
				b.Fatalf("%s: %s %v", filter, m, err)
			}
			if strings.HasPrefix(string(m), `["EOSE"`) {
				if n != want {
					b.Fatalf("%s brought %d, want %d", filter, n, want)
				}
				return time.Since(began)
			}
		}
	}
	middle := func(c *client, filter func(i int) string, want int) float64 {
		var all []time.Duration
		for i := range 200 {
			all = append(all, ask(c, filter(i), want))
			c.send(`["CLOSE","s"]`)
		}
		slices.Sort(all)
		return float64(all[len(all)/2].Microseconds()) / 1000
	}
	byAuthor := func(i int) string { return `{"authors":["` + author(i) + `"],"limit":20}` }
	beside := func(name string, filter func(i int) string) {
		b.Run(name, func(b *testing.B) {
			var us, them float64
			for b.Loop() {
				us += middle(ours, filter, 20)
				them += middle(theirs, filter, 20)
			}
			b.ReportMetric(us/float64(b.N), "p50-ms")
			b.ReportMetric(them/float64(b.N), "khatru-p50-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
	beside("author", byAuthor)
	beside("author+kind", func(i int) string { return `{"authors":["` + author(i) + `"],"kinds":[1],"limit":20}` })
	alone := func(name string, filter func(i int) string, want int) {
		b.Run(name, func(b *testing.B) {
			var us float64
			for b.Loop() {
				us += middle(ours, filter, want)
			}
			b.ReportMetric(us/float64(b.N), "p50-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
	alone("search-rare", func(i int) string { return fmt.Sprintf(`{"search":"line %d:","limit":20}`, 100_000+4499*i) }, 1)
	alone("search-common", func(i int) string { return `{"search":"candles tonight","limit":20}` }, 20)
	alone("search-two-letters", func(i int) string { return fmt.Sprintf(`{"search":"%d","limit":20}`, 10+i%90) }, 20)
}

func storeMillion(b *testing.B, s *store.Store, db *badger.BadgerBackend) {
	began := time.Now()
	var theirs time.Duration
	for i := range million {
		r := storetest.Chat(b, i, 1000, time.Unix(1_700_000_000, 0))
		if err := s.Save(b.Context(), r, nil, i%4096 == 4095); err != nil && s.Save(b.Context(), r, nil, true) != nil {
			b.Fatal(err)
		}
		var e nostr.Event
		if err := e.UnmarshalJSON(r.Event.AppendJSON(nil)); err != nil {
			b.Fatal(err)
		}
		at := time.Now()
		if err := db.SaveEvent(b.Context(), &e); err != nil {
			b.Fatal(err)
		}
		theirs += time.Since(at)
	}
	b.Logf("stored in %v, badger's part %v", time.Since(began), theirs)
}

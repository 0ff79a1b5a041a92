package store

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"drey/mesh"
	"drey/store/storetest"
)

var morning = time.Unix(1_800_000_000, 0).UTC()

// BenchmarkSave saves chat events of 300 bytes: "durable" from 64 callers that
// each wait for the disk, "gossip" without waiting but for room. The yardstick
// is the bare check of a signature on one core.
func BenchmarkSave(b *testing.B) {
	b.Run("verify-yardstick", func(b *testing.B) {
		e := signed(b)
		for b.Loop() {
			if err := e.Verify(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	})
	b.Run("durable-64", func(b *testing.B) { benchmarkSave(b, 64, true) })
	b.Run("gossip", func(b *testing.B) { benchmarkSave(b, 1, false) })
}

func benchmarkSave(b *testing.B, callers int, durable bool) {
	s := openStore(b, Config{})
	recs := make([]*mesh.Record, b.N)
	for i := range recs {
		recs[i] = storetest.Chat(b, i, 100, morning)
	}
	b.ResetTimer()
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := c; i < len(recs); i += callers {
				err := s.Save(context.Background(), recs[i], nil, durable)
				if err == mesh.ErrBusy { // wait for room as a durable save does
					err = s.Save(context.Background(), recs[i], nil, true)
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := s.Sync(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func signed(t testing.TB) *mesh.Event {
	id, err := mesh.Seed{1}.Identity()
	if err != nil {
		t.Fatal(err)
	}
	e, err := id.Author.Sign(mesh.Draft{CreatedAt: 1, Kind: 1, Content: "hello"})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// full returns a store with n chat events in its tables.
func full(b *testing.B, n int) *Store {
	s := openStore(b, Config{})
	for i := range n {
		err := s.Save(b.Context(), storetest.Chat(b, i, 100, morning), nil, i%512 == 511)
		if err == mesh.ErrBusy { // wait for room as a durable save does
			err = s.Save(b.Context(), storetest.Chat(b, i, 100, morning), nil, true)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Sync(b.Context()); err != nil {
		b.Fatal(err)
	}
	return s
}

func BenchmarkRead(b *testing.B) {
	const n = 50_000
	s := full(b, n)
	id := storetest.Chat(b, n/3, 100, morning).Event.ID()
	b.Run("known", func(b *testing.B) {
		for b.Loop() {
			if _, ok, err := s.Known(b.Context(), id); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
	b.Run("unknown", func(b *testing.B) {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for s.q.had.Load() == nil {
			<-tick.C
		}
		for b.Loop() {
			if _, ok, err := s.Known(b.Context(), mesh.EventID{byte(b.N), 1}); ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
	for name, f := range map[string]mesh.Filter{
		"newest-50-of-all":          {Limit: 50},
		"newest-20-of-author-kind":  {Authors: []mesh.PubKey{storetest.Author(7)}, Kinds: []mesh.Kind{1}, Limit: 20},
		"latest-50-of-topic":        {Topics: []mesh.Topic{"commons"}, Order: mesh.ReceiptLatest, Limit: 50},
		"latest-20-of-author":       {Authors: []mesh.PubKey{storetest.Author(7)}, Order: mesh.ReceiptLatest, Limit: 20},
		"received-in-the-last-hour": {From: morning.Add((n - 3600) * time.Second), Order: mesh.ReceiptFirst, Limit: 100},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				got := 0
				for _, err := range s.Records(b.Context(), f, mesh.Self) {
					if err != nil {
						b.Fatal(err)
					}
					got++
				}
				if got != f.Limit {
					b.Fatalf("got %d records, want %d", got, f.Limit)
				}
			}
		})
	}
	b.Run("items-10000", func(b *testing.B) {
		since := mesh.UnixOf(morning.Add((n - 10_000) * time.Second))
		for b.Loop() {
			got := 0
			for _, err := range s.Items(b.Context(), since, 1<<32-1, mesh.Self) {
				if err != nil {
					b.Fatal(err)
				}
				got++
			}
			if got != 10_000 {
				b.Fatal(fmt.Sprint("got ", got))
			}
		}
	})
}

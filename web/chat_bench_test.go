package web_test

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"drey/mesh"
	"drey/store"
	"drey/store/storetest"
	"drey/web"
	"drey/web/webtest"
)

// A storedNode reads messages from a real store, as a node does.
type storedNode struct {
	*webtest.Node
	store *store.Store
}

func (n storedNode) Record(ctx context.Context, id mesh.EventID, v mesh.Viewer) (*mesh.Record, error) {
	return n.store.Record(ctx, id, v)
}

func (n storedNode) Records(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	return n.store.Records(ctx, f, v)
}

func (n storedNode) History(ctx context.Context, id mesh.EventID) ([]mesh.Step, error) {
	return n.store.History(ctx, id)
}

// aMonth is how many messages a busy month has.
const aMonth = 50_000

// monthOfChat is a server over a store with a month of chat in one topic among
// as much in others.
func monthOfChat(b *testing.B) http.Handler {
	s, err := store.Open(b.Context(), store.Config{Path: filepath.Join(b.TempDir(), "drey.db"), Clock: time.Now})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	began := time.Now().Add(-30 * 24 * time.Hour)
	for i := range 2 * aMonth {
		rec := storetest.Chat(b, i, 100, began.Add(time.Duration(i)*20*time.Second))
		rec.Topic = "commons"
		if i%2 == 1 {
			rec.Topic = "alerts"
		}
		if err := s.Save(ctx, rec, nil, i%1000 == 0); err != nil {
			if err := s.Save(ctx, rec, nil, true); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := s.Sync(ctx); err != nil {
		b.Fatal(err)
	}
	key := newKey(b, 3)
	w, err := web.New(web.Config{
		Home: b.TempDir(), Name: "Old School", GuestTopics: []mesh.Topic{"commons", "alerts"}, Author: key.PubKey(),
		Node: storedNode{webtest.New(key, nil), s}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	return w.As(os.Getuid(), socket) // visitors have a rate
}

// BenchmarkMonthOfChat loads the first page, the newest page of a topic and
// pages further and further back.
func BenchmarkMonthOfChat(b *testing.B) {
	h := monthOfChat(b)
	get := func(b *testing.B, path string) string {
		r := httptest.NewRequest("GET", "http://localhost"+path, nil)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatalf("%s: %d", path, w.Code)
		}
		return w.Body.String()
	}
	for _, c := range []struct{ name, path string }{
		{"home", "/"}, {"newest", "/t/commons"}, {"middle", fmt.Sprintf("/t/commons?before=%d", aMonth)}, {"first", "/t/commons?before=120"},
		{"search", "/search?q=bridge"},
	} {
		b.Run(c.name, func(b *testing.B) {
			size := 0
			for b.Loop() {
				size = len(get(b, c.path))
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
}

// BenchmarkLive posts one message to 200 phones that look at the page, each in
// one of four languages, and measures until each has its list item.
func BenchmarkLive(b *testing.B) {
	r := run(b, nil)
	const phones = 200
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	heard := make(chan time.Time, phones)
	var ready, readers sync.WaitGroup
	ready.Add(phones)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: phones}}
	for i := range phones {
		readers.Go(func() {
			req, err := http.NewRequestWithContext(ctx, "GET", "http://"+r.Listening().String()+"/live", nil)
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Accept-Language", []string{"en", "es", "uk", "ar"}[i%4])
			resp, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			defer resp.Body.Close()
			lines := bufio.NewScanner(resp.Body)
			for lines.Scan() {
				switch lines.Text() {
				case "event: count":
					ready.Done()
				case "event: message":
					heard <- time.Now()
				}
			}
		})
	}
	ready.Wait()
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		if _, err := r.client.Publish(b.Context(), web.Message{Topic: "commons", Text: "bridge closed"}); err != nil {
			b.Fatal(err)
		}
		for range phones {
			took = append(took, (<-heard).Sub(began))
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
	cancel()
	readers.Wait()
}

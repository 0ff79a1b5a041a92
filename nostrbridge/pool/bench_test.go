package pool

import (
	"context"
	"testing"
	"time"

	"drey/mesh"
	"drey/nostrbridge/pool/badrelay"
)

// BenchmarkFollow brings stored events over a socket, from the question until
// the feed has taken them, beside the bare checks of their signatures.
func BenchmarkFollow(b *testing.B) {
	const n = 1000
	events := numbered(n, time.Now(), "stored")
	r := badrelay.Serve(listen(b), badrelay.Behaviour{})
	defer r.Close()
	for _, e := range events {
		r.Put(e)
	}
	p := New(Config{URLs: []string{r.URL}, Log: discard, Clock: time.Now})
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	defer func() { stop(); <-ended }()
	var ours, bare time.Duration
	for b.Loop() {
		began := time.Now()
		for _, e := range events {
			if err := e.Verify(); err != nil {
				b.Fatal(err)
			}
		}
		bare += time.Since(began)
		began = time.Now()
		left := make(chan struct{}, n)
		within, done := context.WithCancel(ctx)
		followed := make(chan error, 1)
		go func() {
			followed <- p.Follow(within, Feed{
				Name: "bench", Whole: true,
				Filters: func(string) []mesh.Filter { return []mesh.Filter{{Kinds: []mesh.Kind{mesh.KindNote}}} },
				Found: func(context.Context, string, *mesh.Event) error {
					left <- struct{}{}
					return nil
				},
			})
		}()
		for range n {
			<-left
		}
		ours += time.Since(began)
		done()
		<-followed
	}
	b.ReportMetric(float64(n*b.N)/ours.Seconds(), "events/s")
	b.ReportMetric(float64(n*b.N)/bare.Seconds(), "checks/s")
}

// BenchmarkPublish awaits OK for one event after another.
func BenchmarkPublish(b *testing.B) {
	r := badrelay.Serve(listen(b), badrelay.Behaviour{})
	defer r.Close()
	p := New(Config{URLs: []string{r.URL}, Log: discard, Clock: time.Now})
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	defer func() { stop(); <-ended }()
	for change := p.Changed(); p.Health() != Up; change = p.Changed() {
		<-change
	}
	e := note(time.Now(), "again and again")
	for b.Loop() {
		if err := p.Publish(ctx, r.URL, e); err != nil {
			b.Fatal(err)
		}
	}
}

package web_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"drey/mesh"
	"drey/web"
)

// BenchmarkPublish posts one text at a time over the unix socket into a node
// without a disk; the yardstick is the signature that each needs.
func BenchmarkPublish(b *testing.B) {
	r := run(b, nil)
	key := newKey(b, 3)
	for b.Loop() {
		if _, err := r.client.Publish(b.Context(), web.Message{Topic: "commons", Text: "bridge closed"}); err != nil {
			b.Fatal(err)
		}
	}
	each := b.Elapsed() / time.Duration(b.N)
	began := time.Now()
	const signatures = 200
	for i := range signatures {
		if _, err := key.Sign(mesh.Draft{CreatedAt: mesh.Unix(i), Kind: 1, Content: "bridge closed"}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(each)/float64(time.Since(began)/signatures), "signatures/op")
}

// BenchmarkHistory reads 10,000 messages, as the client sees them.
func BenchmarkHistory(b *testing.B) {
	r := run(b, nil)
	const all = 10_000
	for i := range all {
		r.node.Receive(sign(b, 5, "commons", fmt.Sprint("message ", i)), "commons", "gossip", 0)
	}
	for b.Loop() {
		n := 0
		for _, err := range r.client.Messages(b.Context(), web.Following{Since: "all"}) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != all {
			b.Fatalf("%d messages, want %d", n, all)
		}
	}
	b.ReportMetric(float64(all*b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkPage renders a conversation with 50 messages.
func BenchmarkPage(b *testing.B) {
	r := run(b, nil)
	for i := range 200 {
		r.node.Receive(sign(b, byte(5+i%5), "commons", fmt.Sprint("message ", i)), "commons", "gossip", 0)
	}
	client := &http.Client{}
	defer client.CloseIdleConnections()
	size := 0
	for b.Loop() {
		resp, err := client.Get("http://" + r.Listening().String() + "/t/commons")
		if err != nil {
			b.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 {
			b.Fatal(resp.Status, err)
		}
		size = len(body)
	}
	b.ReportMetric(float64(size), "bytes")
}

// BenchmarkFanOut posts one message to 200 open streams over TCP and measures
// until each has it.
func BenchmarkFanOut(b *testing.B) {
	r := run(b, nil)
	const phones = 200
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	heard := make(chan time.Time, phones)
	var ready, readers sync.WaitGroup
	ready.Add(phones)
	for range phones {
		readers.Go(func() {
			c := web.NewTCPClient("http://"+r.Listening().String(), "")
			defer c.Close()
			for _, err := range c.Messages(ctx, web.Following{Live: true, Connected: ready.Done}) {
				if err != nil {
					return
				}
				heard <- time.Now()
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

package overlay

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"drey/mesh"
)

const sinkProtocol = "/drey/test-sink/1"

// pair links two nodes over loopback.
func pair(b testing.TB, scheme string) (a, c *Overlay) {
	one, two := testKey(b, 1), testKey(b, 2)
	roster := newTestRoster("town", publicOf(one), publicOf(two))
	a = start(b, Config{Key: one, Roster: roster, Listen: []string{scheme + "://127.0.0.1:0"}})
	c = start(b, Config{Key: two, Roster: roster, Listen: []string{scheme + "://127.0.0.1:0"}})
	join(b, a, c)
	until(b, "the nodes connect", func() bool { return len(a.Connected()) == 1 && len(c.Connected()) == 1 })
	return a, c
}

// pour sends b.N blocks of 1 MiB over one stream and waits until the other
// side has read all of them.
func pour(b *testing.B, from, to *Overlay) {
	hostOf(b, to).SetStreamHandler(sinkProtocol, func(s network.Stream) {
		io.Copy(io.Discard, s)
		s.Write([]byte{1})
		s.Close()
	})
	id, err := PeerOf(to.Key())
	if err != nil {
		b.Fatal(err)
	}
	s, err := hostOf(b, from).NewStream(b.Context(), id, sinkProtocol)
	if err != nil {
		b.Fatal(err)
	}
	block := make([]byte, 1<<20)
	b.SetBytes(int64(len(block)))
	b.ResetTimer()
	for range b.N {
		if _, err := s.Write(block); err != nil {
			b.Fatal(err)
		}
	}
	s.CloseWrite()
	if _, err := io.ReadFull(s, block[:1]); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkStream measures one libp2p stream with Noise between two nodes in
// one process: straight over a TLS link, and through Yggdrasil's router.
func BenchmarkStream(b *testing.B) {
	for _, way := range []struct{ name, scheme string }{{"neighbour", "tls"}, {"routed", "tcp"}} {
		b.Run(way.name, func(b *testing.B) {
			from, to := pair(b, way.scheme)
			pour(b, from, to)
			stats := from.current().stack.stack.Stats().TCP
			b.ReportMetric(float64(stats.Retransmits.Value())/float64(b.N), "resends/MiB")
			b.ReportMetric(float64(stats.Timeouts.Value()), "timeouts")
		})
	}
}

// BenchmarkPing measures the round trip of ICMPv6 echoes.
func BenchmarkPing(b *testing.B) {
	for _, way := range []struct{ name, scheme string }{{"neighbour", "tls"}, {"routed", "tcp"}} {
		b.Run(way.name, func(b *testing.B) {
			from, to := pair(b, way.scheme)
			n := from.current()
			var all []time.Duration
			for b.Loop() {
				rtt, err := n.pingOnce(b.Context(), to.Key(), time.Second)
				if err != nil {
					b.Fatal(err)
				}
				all = append(all, rtt)
			}
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// BenchmarkFirstConnection measures from the call to the moment when both
// libp2p hosts list each other.
func BenchmarkFirstConnection(b *testing.B) {
	one, two := testKey(b, 1), testKey(b, 2)
	roster := newTestRoster("town", publicOf(one), publicOf(two))
	run := func(key mesh.NodeKey, c Config) (*Overlay, func()) {
		o, err := New(c)
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error, 1)
		go func() { ended <- o.Run(ctx) }()
		hostOf(b, o)
		return o, func() { cancel(); <-ended }
	}
	for _, scheme := range []string{"tls", "tcp"} {
		b.Run(scheme, func(b *testing.B) {
			a, stop := run(publicOf(one), Config{Key: one, Roster: roster, Listen: []string{scheme + "://127.0.0.1:0"}})
			defer stop()
			for b.Loop() {
				c, stop := run(publicOf(two), Config{Key: two, Roster: roster, Listen: []string{}, Peers: a.Listening()})
				until(b, "the nodes connect", func() bool { return len(a.Connected()) == 1 && len(c.Connected()) == 1 })
				stop()
				until(b, "the node is gone", func() bool { return len(a.Connected()) == 0 && len(a.Links()) == 0 })
			}
		})
	}
}

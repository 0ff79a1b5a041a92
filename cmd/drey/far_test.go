package main

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"drey/mesh"
	"drey/nostrbridge/pool/badrelay"
)

// A node announces itself in clear when bootstrap.public_nostr says so, and
// never by bootstrap.public alone, which is about the local network.
func TestPublicNostr(t *testing.T) {
	for _, c := range []struct {
		name   string
		public bool
	}{{"gateway", true}, {"home", false}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			relay := badrelay.Serve(l, badrelay.Behaviour{}) // a good one
			defer relay.Close()
			n := settleNode(t, c.name, nil, func(s *setup) {
				b := &s.conf.Bootstrap
				b.Finders, b.Relays, b.Endpoints = []string{"nostr"}, []string{relay.URL}, []string{"tls://192.0.2.9:3740"}
				b.Public, b.PublicNostr = true, c.public
				if err := s.conf.Validate(); err != nil {
					t.Fatal(err)
				}
			})
			defer n.end()
			if got := n.nostrConfig().Public; got != c.public {
				t.Fatalf("announces in clear: %v, want %v", got, c.public)
			}
			ctx, stop := context.WithTimeout(t.Context(), awaitPatience)
			defer stop()
			want := 1
			if c.public {
				want = 2
			}
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for len(relay.Events()) < want {
				select {
				case <-tick.C:
				case <-ctx.Done():
					t.Fatalf("the relay holds %d announcements, want %d", len(relay.Events()), want)
				}
			}
			clear := 0
			for _, e := range relay.Events() {
				own := e.Author() == n.who.Author.PubKey()
				d, _ := e.Tag("d")
				if own != (d == "drey/peer/v1") {
					t.Errorf("d = %q, under the machine's own name: %v", d, own)
				}
				if !own {
					continue
				}
				clear++
				b, err := mesh.ParseRecordText(e.Content())
				if err != nil {
					t.Fatal(err)
				}
				r, err := mesh.ParsePeerRecord(b)
				if err != nil || r.Node != n.who.NodeKey() || len(r.Endpoints) == 0 || !strings.Contains(r.Endpoints[0].String(), net.JoinHostPort("192.0.2.9", "3740")) {
					t.Errorf("in clear stands %+v, %v", r, err)
				}
			}
			if clear != want-1 {
				t.Errorf("%d announcements in clear, want %d", clear, want-1)
			}
		})
	}
}

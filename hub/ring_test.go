package hub

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/mesh/carriertest"
	"drey/store/storetest"
)

// Four nodes stand in a ring, each joined to two by carriers that know nothing
// of the others. What one says reaches all, by both ways round, and comes to
// rest: nothing circles.
func TestRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, each = 4, 5
		w := newWorld(t)
		names := []string{"school", "clinic", "founder", "ana"}
		var routes [n][]Route
		for i := range n {
			a, b := carriertest.NewPair(fmt.Sprintf("wire %d", i), mesh.Limits{})
			routes[i] = append(routes[i], Route{Carrier: a, Fast: i%2 == 0})
			routes[(i+1)%n] = append(routes[(i+1)%n], Route{Carrier: b, Fast: i%2 == 0})
		}
		ctx, cancel := context.WithCancel(t.Context())
		var hubs [n]*Hub
		var stores [n]*storetest.Memory
		done := make(chan error, n)
		for i := range n {
			var err error
			stores[i] = storetest.NewMemory(time.Now)
			hubs[i], err = New(Config{Store: stores[i], Roster: w.roster, Signer: w.key(names[i]), Routes: routes[i]})
			if err != nil {
				t.Fatal(err)
			}
			go func() { done <- hubs[i].Run(ctx) }()
		}
		for i := range n {
			for k := range each {
				d := mesh.Draft{Kind: mesh.KindNote, Content: fmt.Sprintf("%d from %s", k, names[i])}
				if _, err := hubs[i].Publish(ctx, "town/ring", d, Options{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		synctest.Wait()
		for i := range n {
			got := 0
			for _, err := range stores[i].Records(ctx, mesh.Filter{Kinds: []mesh.Kind{mesh.KindNote}}, mesh.Self) {
				if err != nil {
					t.Fatal(err)
				}
				got++
			}
			if got != n*each {
				t.Errorf("%s has %d messages, want %d", names[i], got, n*each)
			}
			for _, o := range hubs[i].Stats().Outboxes {
				if o.Queued != 0 || o.Out != 0 {
					t.Errorf("%s still owes %s: %+v", names[i], o.Carrier, o)
				}
			}
			if topics := hubs[i].Topics(); len(topics) != len(mesh.BuiltinTopics())+1 {
				t.Errorf("%s knows the topics %v", names[i], topics)
			}
		}
		cancel()
		for range n {
			if err := <-done; err != nil {
				t.Errorf("Run = %v", err)
			}
		}
	})
}

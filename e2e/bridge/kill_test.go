//go:build e2e

package bridge

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"drey/mesh"
	"drey/nostrbridge"
	"drey/web"
)

// A relay of foreign code is killed, as often as DREY_KILLS says, while a
// gateway carries to it: whatever it acknowledged it has, and nothing is sent
// to it that it has. Each takes some six seconds.
func TestKills(t *testing.T) {
	const writers = 2
	kills := 20
	if s := os.Getenv("DREY_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("DREY_KILLS: %v", err)
		}
		kills = n
	}
	drey := require(t)
	// An address of its own, and a port that no connection is given: while the
	// relay is dead nobody else takes its place.
	pid := os.Getpid()
	relay := newForeign(t, nil, fmt.Sprintf("127.%d.%d.%d:7447", 1+pid>>16&0x3f, pid>>8&0xff, pid&0xff))
	relay.start()
	g := settle(t, drey, nil, "gateway", "--radio", "none", "--web", "127.0.0.1:0", "--underlay", "tcp://127.0.0.1:0")
	g.env = []string{"DREY_NOSTR__GATEWAY=true", "DREY_NOSTR__RELAYS=" + relay.url, "DREY_NOSTR__OUT=alerts"}
	g.up()
	c := web.NewClient(g.home)
	defer c.Close()

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var mu sync.Mutex
	var said []mesh.EventID
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				id, err := c.Publish(ctx, web.Message{Topic: "alerts", Text: fmt.Sprintf("writer %d, message %d", w, i)})
				if err != nil {
					if ctx.Err() == nil {
						t.Errorf("writing: %v", err)
					}
					return
				}
				mu.Lock()
				said = append(said, idOf(t, id))
				mu.Unlock()
				idle(ctx, 50*time.Millisecond)
			}
		})
	}
	busy, before := 0, 0 // kills between which something came
	for range kills {
		heard, _ := relay.heard()
		for since := time.Now(); time.Since(since) < patience; { // a gateway listens for others some seconds first
			if now, _ := relay.heard(); len(now) > len(heard) {
				break
			}
			idle(ctx, 5*time.Millisecond)
		}
		idle(ctx, time.Duration(rand.IntN(100))*time.Millisecond)
		relay.kill()
		if heard, _ = relay.heard(); len(heard) > before {
			before = len(heard)
			busy++
		}
		relay.start()
		// The pool calls again after a while that doubles; a hundred kills within
		// a minute would make it minutes.
		for _, paused := range []bool{true, false} {
			if err := c.PauseRelay(ctx, relay.url, paused); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop()
	writing.Wait()

	acked := map[mesh.EventID]bool{}
	deadline := time.Now().Add(5 * time.Minute)
	for len(acked) < len(said) && time.Now().Before(deadline) {
		for _, id := range said {
			if !acked[id] && acknowledged(t, c, id) {
				acked[id] = true
			}
		}
		idle(t.Context(), time.Second)
	}
	relay.kill()
	held := relay.holds()
	missing := 0
	for id := range acked {
		if !held[id.String()] {
			missing++
		}
	}
	heard, again := relay.heard()
	resent := 0
	for _, n := range heard {
		if n > 1 {
			resent++
		}
	}
	t.Logf("%d kills, %d of them amid traffic: %d messages, %d acknowledged, of them %d missing; %d sent more than once, %d of them while the relay had them", kills, busy, len(said), len(acked), missing, resent, len(again))
	if busy < kills/2 || len(acked) != len(said) || missing > 0 || len(again) > 0 {
		t.Errorf("want all acknowledged, none missing, none sent to a relay that has it")
	}
}

func idOf(t *testing.T, r *web.Receipt) mesh.EventID {
	id, err := mesh.ParseEventID(r.ID)
	if err != nil {
		t.Error(err)
	}
	return id
}

// acknowledged reports whether a message's history says that a relay has it.
func acknowledged(t *testing.T, c *web.Client, id mesh.EventID) bool {
	t.Helper()
	m, err := c.Log(t.Context(), id.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range m.Steps {
		if s.Carrier == nostrbridge.Name && strings.HasPrefix(s.State, "on 1 of 1") {
			return true
		}
	}
	return false
}

// idle waits, unless ctx ends.
func idle(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

//go:build e2e

package finders

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"drey/bootstrap"
	"drey/e2e/netns"
	"drey/e2e/npm"
	"drey/nostrbridge/pool/relaystest"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
	"drey/web"
)

// TestEachFarFinderAlone is TestEachFinderAlone for the finders that reach
// beyond the local network.
func TestEachFarFinderAlone(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-26s %-8s %9s %7s\n", "finder", "result", "time", "limit")
	for _, c := range []struct {
		finder string
		limit  time.Duration
		run    func(t *testing.T) time.Duration
	}{
		{"kademlia", 15 * time.Second, byKademlia},
		{"mainline", 15 * time.Second, byMainline},
		{"nostr", 15 * time.Second, byNostr},
		{"lora", 90 * time.Second, byLoRa},
	} {
		result, took := "not run", time.Duration(0)
		t.Run(c.finder, func(t *testing.T) {
			result = "FAILED"
			took = c.run(t)
			if result = "joined"; took > c.limit {
				result = "late"
			}
			if err := late(took, c.limit, 0); err != nil {
				t.Error(err)
			}
		})
		fmt.Fprintf(&b, "%-26s %-8s %9s %7s\n", c.finder, result, took.Round(10*time.Millisecond), c.limit)
	}
	t.Log(b.String())
}

// byKademlia has the first and the third call the second, and measures until a
// link between the two is up.
func byKademlia(t *testing.T) time.Duration {
	network := newNetwork(t)
	a, _ := network.node("ana", "--open", "town")
	b, at := network.node("ben", "--open", "town")
	c, _ := network.node("cho", "--open", "town")
	b.only("kademlia").launch()
	set := []string{"BOOTSTRAP__FINDERS=static,kademlia", "OVERLAY__PEERS=tls://" + at + ":3740"}
	a.with(set...).launch()
	c.with(set...).launch()
	return awaitLink(t, "kademlia", a, c)
}

// byMainline has two nodes meet at a third party: a node of npm's
// bittorrent-dht that is all of the table.
func byMainline(t *testing.T) time.Duration {
	network := newNetwork(t, "node", "npm")
	if err := npm.Install(t.Context(), "."); err != nil {
		t.Fatal(err)
	}
	m, at, _ := network.machine("table")
	said := serve(t, m, "listening", "node", "dht.mjs", at, "6881")
	a, _ := network.node("ana", "--open", "town")
	b, _ := network.node("ben", "--open", "town")
	set := []string{"BOOTSTRAP__FINDERS=mainline", "BOOTSTRAP__TABLES=" + at + ":6881"}
	together(a.with(set...), b.with(set...))
	took := awaitLink(t, "mainline", a, b)
	if text := said.text(); !strings.Contains(text, "signature holds") || strings.Contains(text, "does not") {
		t.Errorf("bittorrent-dht says:\n%s", text)
	}
	return took
}

// byNostr has two nodes meet at a relay of other code; another relay is dead.
func byNostr(t *testing.T) time.Duration {
	network := newNetwork(t)
	m, at, _ := network.machine("relay")
	relay := relaystest.Serve(t, listen(t, m, at+":7447"))
	a, _ := network.node("ana", "--open", "town")
	b, _ := network.node("ben", "--open", "town")
	set := []string{"BOOTSTRAP__FINDERS=nostr", "BOOTSTRAP__RELAYS=ws://" + at + ":1," + relay.URL}
	together(a.with(set...), b.with(set...))
	took := awaitLink(t, "nostr", a, b)
	// One announcement is enough for the link; the other follows. At midnight
	// each node takes another key.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		authors := map[string]bool{}
		for _, e := range relay.Events() {
			authors[e.PubKey] = true
			if ok, err := e.CheckSignature(); !ok || err != nil {
				t.Errorf("go-nostr says of an announcement's signature: %v, %v", ok, err)
			}
		}
		if len(authors) >= 2 {
			return took
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the relay holds announcements under %d keys, want 2", len(authors))
		}
	}
}

// byLoRa has two nodes hear each other's beacon on the air, then link.
func byLoRa(t *testing.T) time.Duration {
	network := newNetwork(t)
	m, at, _ := network.machine("radios")
	town, err := bootstrap.Open("town")
	if err != nil {
		t.Fatal(err)
	}
	psk := town.Secret().RadioPSK()
	channels := []meshtastic.Channel{radiotest.PublicChannel(), {Name: "town", PSK: psk[:], Role: meshtastic.RoleSecondary}}
	air := radiotest.NewAir(radiotest.Config{Seed: 3, Collisions: true})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() { cancel(); running.Wait() })
	running.Go(func() { air.Run(ctx) })
	var nodes []*node
	for i, name := range []string{"ana", "ben"} {
		door := fmt.Sprintf("%s:%d", at, 4403+i)
		l, radio := listen(t, m, door), air.NewRadio(name, radiotest.RadioConfig{Channels: channels})
		running.Go(func() { radio.ServeTCP(ctx, l) })
		n, _ := network.node(name, "--open", "town", "--radio", "tcp://"+door)
		nodes = append(nodes, n.only("lora"))
	}
	for _, n := range nodes {
		n.launch()
	}
	return awaitLink(t, "lora", nodes...)
}

// awaitLink waits until one of the nodes has a link that a finder brought, and
// none that another did, and returns how long that took since the last start.
func awaitLink(t *testing.T, finder string, nodes ...*node) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	began := nodes[len(nodes)-1].began
	var last []*web.Status
	for {
		last = nil
		for _, n := range nodes {
			c := web.NewClient(n.home)
			st, err := c.Status(ctx)
			c.Close()
			if err != nil {
				continue
			}
			last = append(last, st)
			for _, p := range st.Overlay.Peers {
				if p.Up && p.Source == finder {
					return time.Since(began)
				}
				if p.Up && p.Source != "incoming" && p.Source != "config" {
					t.Fatalf("%s has a link through %q, which is off", n.name, p.Source)
				}
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			for _, st := range last {
				t.Logf("%+v", st)
			}
			t.Fatalf("no link by %s within %v", finder, patience)
		}
	}
}

// serve runs a program on a machine until the test ends, and waits until it
// has said that it is ready.
func serve(t *testing.T, m *netns.Machine, ready, name string, args ...string) *transcript {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := m.Command(ctx, name, args...)
	said := &transcript{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); cmd.Wait() })
	late := time.NewTimer(patience)
	defer late.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(said.text(), ready) {
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatalf("%s did not start:\n%s", name, said.text())
		}
	}
	return said
}

// listen opens a TCP port on a machine for this process.
func listen(t *testing.T, m *netns.Machine, at string) net.Listener {
	t.Helper()
	// The thread belongs to the machine for a moment, its socket for good.
	type answer struct {
		l   net.Listener
		err error
	}
	got := make(chan answer)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread goes with this goroutine
		space, err := os.Open("/run/netns/" + m.Name)
		if err == nil {
			defer space.Close()
			err = unix.Setns(int(space.Fd()), unix.CLONE_NEWNET)
		}
		if err != nil {
			got <- answer{nil, err}
			return
		}
		l, err := net.Listen("tcp", at)
		got <- answer{l, err}
	}()
	a := <-got
	if a.err != nil {
		t.Fatalf("listen on %s at %s: %v", m.Name, at, a.err)
	}
	return a.l
}

package overlay

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
)

// Anybody on the cable can say beacons in others' names, as many as he likes.
// They keep a few calls busy and leave members room.
func TestForgedBeacons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no call ends while they are counted
		one, two := testKey(t, 1), testKey(t, 2)
		ctx, cancel := context.WithCancel(t.Context())
		n := &node{self: publicOf(one), links: linksOf(), gate: newGate(newTestRoster("town", publicOf(one), publicOf(two)), publicOf(one))}
		n.links.ctx, n.links.mu.wanted = ctx, map[string]*dialer{}
		l := &lan{n: n}
		flood := func(key func(i int) mesh.NodeKey) {
			for i := range 1000 {
				l.heard(beacon{key(i), uint16(1 + i)}, &net.UDPAddr{IP: net.ParseIP("fe80::1"), Zone: "lo"})
			}
		}
		flood(func(i int) mesh.NodeKey { return mesh.NodeKey{1, byte(i), byte(i >> 8)} })
		if got := len(n.links.mu.wanted); got != lanCalls {
			t.Errorf("forged beacons of strangers make %d calls, want %d", got, lanCalls)
		}
		flood(func(int) mesh.NodeKey { return publicOf(two) })
		if got := len(n.links.mu.wanted); got != 2*lanCalls {
			t.Errorf("with beacons of a member %d calls, want %d", got, 2*lanCalls)
		}
		cancel()
		n.links.running.Wait()
	})
}

// A link-local address alone leads nowhere; who adds one is told what it lacks.
func TestLinkLocalPeersNeedAnInterface(t *testing.T) {
	a := start(t, Config{Key: testKey(t, 1), Roster: newTestRoster("town")})
	if err := a.AddPeer("tls://[fe80::1]:3740"); err == nil || !strings.Contains(err.Error(), "tls://[fe80::1%25eth0]:3740") {
		t.Errorf("AddPeer says %v, want how to write it", err)
	}
	if err := a.AddPeer("tls://[fe80::1%25lo]:3740"); err != nil {
		t.Error(err)
	}
}

// Two machines that hear each other's beacons, one of which was told to call the
// other, end up with the link that is kept up.
func TestSecondLinksGo(t *testing.T) {
	one, two := testKey(t, 1), testKey(t, 2)
	roster := newTestRoster("town", publicOf(one), publicOf(two))
	a := start(t, Config{Key: one, Roster: roster})
	b := start(t, Config{Key: two, Roster: roster})
	for _, from := range []struct{ kept, once *Overlay }{{a, b}, {b, a}} {
		join(t, from.kept, from.once)
		key, err := from.once.Call(t.Context(), from.kept.Listening()[0], SourceLAN)
		if err != nil || key != from.kept.Key() {
			t.Fatalf("Call says %v, %v", key, err)
		}
		up := func() (kept, other int) {
			for _, l := range from.kept.Links() {
				switch {
				case !l.Up:
				case l.Source == SourceStatic:
					kept++
				default:
					other++
				}
			}
			return kept, other
		}
		until(t, "the link that is kept is up", func() bool { kept, _ := up(); return kept == 1 })
		for _, o := range []*Overlay{a, b} {
			o.current().links.thin(time.Now())
			o.current().links.thin(time.Now().Add(2 * doubleFor))
		}
		until(t, "one link is left", func() bool { kept, other := up(); return kept == 1 && other == 0 })
		if err := from.kept.RemovePeer(from.once.Listening()[0]); err != nil {
			t.Fatal(err)
		}
		until(t, "no link is left", func() bool { kept, other := up(); return kept+other == 0 })
	}
}

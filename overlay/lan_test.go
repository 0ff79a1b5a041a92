package overlay

import (
	"net"
	"strings"
	"testing"

	"drey/mesh"
)

// Anybody on the cable can say beacons in others' names, as many as he likes.
// They keep a few calls busy and leave members room.
func TestForgedBeacons(t *testing.T) {
	one, two := testKey(t, 1), testKey(t, 2)
	a := start(t, Config{Key: one, Roster: newTestRoster("town", publicOf(one), publicOf(two))})
	n := a.current()
	l := &lan{n: n}
	flood := func(key func(i int) mesh.NodeKey) {
		for i := range 1000 {
			l.heard(beacon{key(i), uint16(1 + i)}, &net.UDPAddr{IP: net.ParseIP("fe80::1"), Zone: "lo"})
		}
	}
	count := func() int {
		n.links.mu.RLock()
		defer n.links.mu.RUnlock()
		return len(n.links.mu.wanted)
	}
	flood(func(i int) mesh.NodeKey { return mesh.NodeKey{1, byte(i), byte(i >> 8)} })
	if got := count(); got < 1 || got > lanCalls {
		t.Errorf("forged beacons of strangers make %d calls, want at most %d", got, lanCalls)
	}
	before := count()
	flood(func(int) mesh.NodeKey { return publicOf(two) })
	if got := count(); got <= before || got > 2*lanCalls {
		t.Errorf("with beacons of a member %d calls, want more than %d and at most %d", got, before, 2*lanCalls)
	}
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

package overlay

import (
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Two nodes with nothing configured find each other on the local network.
func TestNodesFindEachOtherOnTheLAN(t *testing.T) {
	probe := lan{}
	if len(probe.interfaces()) == 0 {
		t.Skip("missing: a network interface with multicast and a link-local IPv6 address")
	}
	one, two := testKey(t, 1), testKey(t, 2)
	roster := newTestRoster("town", publicOf(one), publicOf(two))
	a := start(t, Config{Key: one, Roster: roster, LAN: true})
	b := start(t, Config{Key: two, Roster: roster, LAN: true})
	until(t, "they connect", func() bool {
		return slices.Contains(a.Connected(), b.Key()) && slices.Contains(b.Connected(), a.Key())
	})
	for _, uri := range a.Listening() {
		if !strings.HasPrefix(uri, "tls://127.0.0.1:") {
			t.Errorf("the node shows %s, which was not configured", uri)
		}
	}
	// The port that the local network calls is closed to everybody else.
	n := a.current()
	local := n.listeners[len(n.listeners)-1]
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", portOf(local)))
	if err != nil {
		return // refused: even better
	}
	defer conn.Close()
	if k, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("a caller that is not on the local network was sent %d bytes", k)
	}
}

func portOf(l listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func TestLANInterfacesAreChosenByName(t *testing.T) {
	l := lan{choose: regexp.MustCompile("^nothing-is-called-so$")}
	if got := l.interfaces(); len(got) != 0 {
		t.Errorf("%d interfaces were chosen, want none", len(got))
	}
}

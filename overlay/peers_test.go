package overlay

import (
	"context"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"drey/mesh"
)

// A memShelf is a shelf in memory.
type memShelf struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (s *memShelf) Value(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[key]
	if !ok {
		return nil, mesh.ErrNotFound
	}
	return v, nil
}

func (s *memShelf) Put(_ context.Context, key string, v []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values == nil {
		s.values = map[string][]byte{}
	}
	s.values[key] = v
	return nil
}

func (s *memShelf) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.values, key)
	return nil
}

func (s *memShelf) Keys(_ context.Context, prefix string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for k := range s.values {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// A peer that came up once is called at the next start, with nothing
// configured, until it is removed.
func TestGoodPeersAreRemembered(t *testing.T) {
	one, two := testKey(t, 1), testKey(t, 2)
	roster := newTestRoster("town", publicOf(one), publicOf(two))
	shelf := &memShelf{}
	b := start(t, Config{Key: two, Roster: roster})
	up := func(o *Overlay, source Source) func() bool {
		return func() bool {
			l := o.Links()
			return len(l) == 1 && l[0].Up && l[0].Source == source
		}
	}
	t.Run("first", func(t *testing.T) {
		a := start(t, Config{Key: one, Roster: roster, Shelf: shelf, Peers: b.Listening()})
		until(t, "the link is up", up(a, SourceStatic))
		until(t, "the peer is remembered", func() bool { k, _ := shelf.Keys(t.Context(), ""); return len(k) == 1 })
	})
	t.Run("second", func(t *testing.T) {
		a := start(t, Config{Key: one, Roster: roster, Shelf: shelf})
		until(t, "the remembered peer is linked", up(a, SourceCache))
		if err := a.RemovePeer(b.Listening()[0]); err != nil {
			t.Error(err)
		}
		until(t, "the peer is forgotten", func() bool { k, _ := shelf.Keys(t.Context(), ""); return len(k) == 0 })
	})
}

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

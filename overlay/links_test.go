package overlay

import (
	"crypto/ed25519"
	"crypto/tls"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
)

// fullLink is a link over TLS whose other end has stopped reading.
func fullLink(t *testing.T, key mesh.NodeKey) *link {
	t.Helper()
	cert, err := newCertificate(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	go tls.Server(far, newTLS(cert)).Handshake()
	conn := tls.Client(near, newTLS(cert))
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	return &link{
		key: key, conn: conn, raw: near, called: &dialer{once: true, cancel: func() {}},
		near: newNeighbour(conn, time.Now(), nil, nil),
	}
}

func linksOf(up ...*link) *links {
	l := &links{changed: make(chan struct{}, 1)}
	l.mu.news = make(chan struct{})
	l.mu.neighbours = map[mesh.NodeKey]*neighbour{}
	l.mu.up = map[*link]struct{}{}
	for _, k := range up {
		l.mu.up[k] = struct{}{}
	}
	return l
}

// Hanging up on somebody who does not read takes seconds. Meanwhile packets find
// their links.
func TestHangingUpHoldsNobodyUp(t *testing.T) {
	for name, hangUp := range map[string]func(l *links, another *link){
		"enter": func(l *links, another *link) { l.enter(another) },
		"thin": func(l *links, another *link) {
			l.mu.up[another] = struct{}{}
			l.thin(time.Now().Add(time.Hour))
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			one, two := fullLink(t, mesh.NodeKey{}), fullLink(t, mesh.NodeKey{})
			l := linksOf(one)
			l.self = mesh.NodeKey{1} // the higher key: its call is one too many
			began := time.Now()
			hangUp(l, two)
			if took := time.Since(began); took != 0 {
				t.Errorf("%s took %v", name, took)
			}
			synctest.Wait()
			if !l.mu.TryLock() {
				t.Errorf("%s holds the lock while it hangs up", name)
			} else {
				l.mu.Unlock()
			}
			l.running.Wait()
			if time.Since(began) == 0 {
				t.Errorf("%s hung up on nobody", name)
			}
			one.raw.Close()
			two.raw.Close()
		})
	}
}

// However many do not read, the end of all links takes no longer than one
// goodbye may.
func TestClosingLinksIsSwift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := linksOf(fullLink(t, mesh.NodeKey{1}), fullLink(t, mesh.NodeKey{2}), fullLink(t, mesh.NodeKey{3}))
		began := time.Now()
		l.close()
		if took := time.Since(began); took > farewellPatience {
			t.Errorf("it took %v", took)
		}
	})
}

// Of two calls to one node that stand side by side one stays, however long the
// other takes to end.
func TestThinLeavesOne(t *testing.T) {
	for range 20 { // links are in no order
		synctest.Test(t, func(t *testing.T) {
			one, two := fullLink(t, mesh.NodeKey{1}), fullLink(t, mesh.NodeKey{1})
			l := linksOf(one, two)
			for range 3 {
				l.thin(time.Now().Add(time.Hour))
			}
			l.running.Wait()
			ended := 0
			for _, k := range []*link{one, two} {
				if k.raw.SetDeadline(time.Time{}) != nil {
					ended++
				}
				k.raw.Close()
			}
			if ended != 1 {
				t.Errorf("%d of 2 links were ended", ended)
			}
		})
	}
}

package overlay

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"

	"drey/mesh"
)

// A testRoster is a roster whose members a test sets.
type testRoster struct {
	community mesh.Community

	mu struct {
		sync.Mutex
		nodes   []mesh.NodeKey
		changed chan struct{}
	}
}

func newTestRoster(name string, nodes ...mesh.NodeKey) *testRoster {
	r := &testRoster{community: mesh.Found(mesh.PubKey{1}, name, [32]byte{2})}
	r.mu.changed = make(chan struct{})
	r.set(nodes...)
	return r
}

func (r *testRoster) set(nodes ...mesh.NodeKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.nodes = slices.Clone(nodes)
	close(r.mu.changed)
	r.mu.changed = make(chan struct{})
}

func (r *testRoster) Community() mesh.Community                     { return r.community }
func (r *testRoster) Standing(mesh.PubKey, time.Time) mesh.Standing { return mesh.Stranger }
func (r *testRoster) Admits(k mesh.NodeKey) bool {
	return r.community.Open || slices.Contains(r.Nodes(), k)
}
func (r *testRoster) Nodes() []mesh.NodeKey {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.mu.nodes)
}
func (r *testRoster) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.changed
}

// testKey makes the key of a test node; the same number makes the same key.
func testKey(t testing.TB, number byte) ed25519.PrivateKey {
	t.Helper()
	id, err := mesh.Seed{number}.Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id.Node
}

func publicOf(k ed25519.PrivateKey) mesh.NodeKey { return mesh.NodeKey(k.Public().(ed25519.PublicKey)) }

func testLog(t testing.TB) *slog.Logger {
	if os.Getenv("DREY_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("test", t.Name())
}

// start runs an overlay until the test ends and waits until it is up.
func start(t testing.TB, c Config) *Overlay {
	t.Helper()
	if c.Listen == nil {
		c.Listen = []string{"tls://127.0.0.1:0"}
	}
	if c.Log == nil {
		c.Log = testLog(t).With("node", AddressOf(publicOf(c.Key)).String())
	}
	o, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	})
	hostOf(t, o)
	return o
}

func hostOf(t testing.TB, o *Overlay) host.Host {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	h, err := o.Host(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// join makes a call b's first underlay port.
func join(t testing.TB, a, b *Overlay) {
	t.Helper()
	if err := a.AddPeer(b.Listening()[0]); err != nil {
		t.Fatal(err)
	}
}

const echoProtocol = "/drey/test-echo/1"

// serveEcho makes a host send back what it is sent.
func serveEcho(h host.Host) {
	h.SetStreamHandler(echoProtocol, func(s network.Stream) {
		io.Copy(s, s)
		s.Close()
	})
}

// echoOnce sends text over a new stream and returns what comes back.
func echoOnce(ctx context.Context, h host.Host, to mesh.NodeKey, text string) (string, error) {
	info, err := InfoOf(to)
	if err != nil {
		return "", err
	}
	if err := h.Connect(ctx, info); err != nil {
		return "", err
	}
	s, err := h.NewStream(ctx, info.ID, echoProtocol)
	if err != nil {
		return "", err
	}
	defer s.Reset()
	if _, err := s.Write([]byte(text)); err != nil {
		return "", err
	}
	s.CloseWrite()
	b, err := io.ReadAll(s)
	return string(b), err
}

func TestTwoNodesTalk(t *testing.T) {
	for _, scheme := range []string{"tls", "tcp"} {
		t.Run(scheme, func(t *testing.T) {
			one, two := testKey(t, 1), testKey(t, 2)
			roster := newTestRoster("town", publicOf(one), publicOf(two))
			a := start(t, Config{Key: one, Roster: roster, Listen: []string{scheme + "://127.0.0.1:0"}})
			b := start(t, Config{Key: two, Roster: roster, Listen: []string{scheme + "://127.0.0.1:0"}})
			serveEcho(hostOf(t, b))
			began := time.Now()
			join(t, a, b)
			got, err := echoOnce(t.Context(), hostOf(t, a), b.Key(), "hello")
			if err != nil || got != "hello" {
				t.Fatalf("echo gave %q, %v; want \"hello\"", got, err)
			}
			t.Logf("link to answer: %v", time.Since(began))
			rtt, err := a.Ping(t.Context(), b.Key())
			if err != nil {
				t.Fatalf("ping: %v", err)
			}
			t.Logf("ping: %v, links %+v", rtt, a.Links())
		})
	}
}

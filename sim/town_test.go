package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/marcopolo/simnet"
	"github.com/quic-go/quic-go"
	"go.uber.org/fx"

	"drey/mesh"
	"drey/pubsub"
	"drey/pubsub/pubsubtest"
)

// bandwidth of every simulated machine's line, both ways, in bits per second.
const bandwidth = 20_000_000

var community = mesh.Community{ID: [32]byte{0x5f}, Name: "simulated town"}

// A machine is one node: a real carrier on a simulated line, over a hub in
// miniature.
type machine struct {
	*pubsubtest.Hub
	host    host.Host
	carrier *pubsub.Carrier
}

// A town is machines on one simulated network. Everything in it happens in the
// bubble of the test that made it.
type town struct {
	t        testing.TB
	net      *simnet.Simnet
	roster   *pubsubtest.Roster
	machines []*machine
	running  sync.WaitGroup

	mu struct {
		sync.Mutex
		rng *rand.Rand
	}
}

// newTown makes n machines 10 to 80 ms apart, the same distance every time.
func newTown(t testing.TB, n int) *town {
	w := &town{
		t: t, roster: pubsubtest.NewRoster(community, n),
		net: &simnet.Simnet{
			Logger: slog.New(slog.DiscardHandler),
			LatencyFunc: func(p *simnet.Packet) time.Duration {
				h := fnv.New32a()
				fmt.Fprint(h, p.From, p.To)
				return 10*time.Millisecond + time.Duration(h.Sum32()%70)*time.Millisecond
			},
		},
	}
	w.mu.rng = rand.New(rand.NewPCG(1, 2))
	for i := range n {
		h, err := w.newHost(i)
		if err != nil {
			t.Fatal(err)
		}
		m := &machine{Hub: pubsubtest.NewHub(), host: h}
		m.carrier = pubsub.New(pubsub.Config{
			Host:      func(context.Context) (host.Host, error) { return h, nil },
			Community: community, Roster: w.roster, Archive: m.Hub, Graves: m.Hub,
			Topics: m.Topics, TopicsChanged: m.TopicsChanged,
		})
		w.machines = append(w.machines, m)
	}
	w.net.Start()
	return w
}

// newHost makes a libp2p host that speaks QUIC over the simulated network.
func (w *town) newHost(i int) (host.Host, error) {
	ip := simnet.IntToPublicIPv4(i)
	source := &sourceIP{}
	line := simnet.NodeBiDiLinkSettings{
		Downlink: simnet.LinkSettings{BitsPerSecond: bandwidth},
		Uplink:   simnet.LinkSettings{BitsPerSecond: bandwidth},
	}
	return libp2p.New(
		libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/udp/8000/quic-v1", ip)),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(), // it stalls the fake clock
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.QUICReuse(
			func(l fx.Lifecycle, reset quic.StatelessResetKey, token quic.TokenGeneratorKey, opts ...quicreuse.Option) (*quicreuse.ConnManager, error) {
				cm, err := quicreuse.NewConnManager(reset, token, opts...)
				if err == nil {
					l.Append(fx.StopHook(cm.Close))
				}
				return cm, err
			},
			quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return source, nil }),
			quicreuse.OverrideListenUDP(func(_ string, a *net.UDPAddr) (net.PacketConn, error) {
				source.ip.Store(&a.IP)
				return w.net.NewEndpoint(a, line), nil
			}),
		),
	)
}

// sourceIP tells QUIC which address it sends from.
type sourceIP struct{ ip atomic.Pointer[net.IP] }

func (s *sourceIP) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) {
	return *s.ip.Load(), nil
}

// run runs machines until ctx ends.
func (w *town) run(ctx context.Context, machines ...*machine) {
	for _, m := range machines {
		w.running.Go(func() {
			if err := m.carrier.Run(ctx, m.Hub); !errors.Is(err, context.Canceled) {
				w.t.Errorf("Run = %v", err)
			}
		})
	}
}

// draw returns a number below n.
func (w *town) draw(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.rng.IntN(n)
}

// dial connects machine i to n others drawn at random and returns when that is
// done.
func (w *town) dial(ctx context.Context, i, n int) {
	var dialling sync.WaitGroup
	for range n {
		j := w.draw(len(w.machines))
		if j == i {
			continue
		}
		to := w.machines[j].host
		dialling.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			_ = w.machines[i].host.Connect(ctx, peer.AddrInfo{ID: to.ID(), Addrs: to.Addrs()})
		})
	}
	dialling.Wait()
}

// connect lets machine i dial machine j.
func (w *town) connect(ctx context.Context, i, j int) {
	to := w.machines[j].host
	if err := w.machines[i].host.Connect(ctx, peer.AddrInfo{ID: to.ID(), Addrs: to.Addrs()}); err != nil {
		w.t.Fatal(err)
	}
}

// cut takes machine i off the network.
func (w *town) cut(i int) {
	n := w.machines[i].host.Network()
	for _, p := range n.Peers() {
		_ = n.ClosePeer(p)
	}
}

// close ends everything once ctx has ended.
func (w *town) close() {
	w.running.Wait()
	for _, m := range w.machines {
		_ = m.host.Close()
	}
	w.net.Close()
}

var author = func() *mesh.SecretKey {
	k, err := mesh.NewSecretKey([32]byte{31: 9})
	if err != nil {
		panic(err)
	}
	return k
}()

// unsigned makes the nth event of a town: 300 bytes, with a signature that
// nobody checks here.
func unsigned(n int, now time.Time) *mesh.Event {
	text := make([]byte, 190)
	for i := range text {
		text[i] = 'a' + byte(i%26)
	}
	var sig mesh.Signature
	binary.BigEndian.PutUint64(sig[:], uint64(n))
	e, err := mesh.NewEvent(author.PubKey(), sig, mesh.Draft{
		CreatedAt: mesh.UnixOf(now), Kind: mesh.KindNote, Content: fmt.Sprintf("%d %s", n, text),
	})
	if err != nil {
		panic(err)
	}
	return e
}

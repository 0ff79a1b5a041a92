package overlay

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"drey/mesh"
)

// A testBook is a roster book in which an event admits the node that its
// "node" tag names, whoever signed it.
type testBook struct {
	roster *testRoster

	mu     sync.Mutex
	events []*mesh.Event
}

// admission makes an event that a testBook takes as the admission of key.
func admission(t testing.TB, key mesh.NodeKey) *mesh.Event {
	t.Helper()
	id, err := mesh.Seed{200}.Identity()
	if err != nil {
		t.Fatal(err)
	}
	e, err := id.Author.Sign(mesh.Draft{Kind: mesh.KindRoster, Tags: [][]string{{"node", key.String()}}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// bookOf makes a roster and the book that feeds it.
func bookOf(t testing.TB, name string, nodes ...mesh.NodeKey) (*testRoster, *testBook) {
	b := &testBook{roster: newTestRoster(name)}
	for _, k := range nodes {
		b.Merge(t.Context(), []*mesh.Event{admission(t, k)})
	}
	return b.roster, b
}

func (b *testBook) Digest() [32]byte {
	var sum [32]byte
	for _, id := range b.Locator() {
		for i := range sum {
			sum[i] ^= id[i]
		}
	}
	return sum
}

func (b *testBook) Locator() []mesh.EventID {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []mesh.EventID
	for _, e := range b.events {
		ids = append(ids, e.ID())
	}
	return ids
}

// Bring shows the node's admission first.
func (b *testBook) Bring(node mesh.NodeKey, locator []mesh.EventID) []*mesh.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []*mesh.Event
	for _, e := range b.events {
		if slices.Contains(locator, e.ID()) {
			continue
		}
		if text, _ := e.Tag("node"); text == node.String() {
			list = slices.Insert(list, 0, e)
		} else {
			list = append(list, e)
		}
	}
	return list
}

// Proof shows the node's admission only.
func (b *testBook) Proof(node mesh.NodeKey) []*mesh.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if text, _ := e.Tag("node"); text == node.String() {
			return []*mesh.Event{e}
		}
	}
	return nil
}

func (b *testBook) Merge(_ context.Context, events []*mesh.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	nodes := b.roster.Nodes()
	for _, e := range events {
		text, _ := e.Tag("node")
		if key, err := mesh.ParseNodeKey(text); err == nil && !slices.Contains(nodes, key) {
			nodes = append(nodes, key)
			b.events = append(b.events, e)
		}
	}
	b.roster.set(nodes...)
	return nil
}

// until waits for a condition that no event announces; it is asked often and
// fails the test after a minute.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: did not happen within a minute", what)
		}
	}
}

func TestMembersConnectByThemselves(t *testing.T) {
	one, two := testKey(t, 1), testKey(t, 2)
	roster, book := bookOf(t, "town", publicOf(one), publicOf(two))
	a := start(t, Config{Key: one, Roster: roster, Book: book})
	b := start(t, Config{Key: two, Roster: roster, Book: book})
	join(t, a, b)
	until(t, "the nodes connect", func() bool {
		return slices.Contains(a.Connected(), b.Key()) && slices.Contains(b.Connected(), a.Key())
	})
}

// The caller is on the caller's roster only: it shows its admission, the
// answerer learns from it, and both end up as members.
func TestJoinerShowsItsAdmission(t *testing.T) {
	one, two := testKey(t, 1), testKey(t, 2)
	rosterA, bookA := bookOf(t, "town", publicOf(one))
	rosterB, bookB := bookOf(t, "town", publicOf(one), publicOf(two))
	a := start(t, Config{Key: one, Roster: rosterA, Book: bookA})
	b := start(t, Config{Key: two, Roster: rosterB, Book: bookB})
	join(t, b, a)
	until(t, "the joiner is connected", func() bool { return slices.Contains(a.Connected(), b.Key()) })
	if got := rosterA.Nodes(); len(got) != 2 {
		t.Errorf("the answerer's roster has %d nodes, want 2", len(got))
	}
}

func TestStruckOffMemberIsCutAtOnce(t *testing.T) {
	one, two := testKey(t, 1), testKey(t, 2)
	rosterA, bookA := bookOf(t, "town", publicOf(one), publicOf(two))
	rosterB, _ := bookOf(t, "town", publicOf(one), publicOf(two)) // b has no proof to show again
	a := start(t, Config{Key: one, Roster: rosterA, Book: bookA})
	b := start(t, Config{Key: two, Roster: rosterB})
	serveEcho(hostOf(t, a))
	join(t, b, a)
	if got, err := echoOnce(t.Context(), hostOf(t, b), a.Key(), "hi"); err != nil || got != "hi" {
		t.Fatalf("before: echo gave %q, %v", got, err)
	}
	bookA.mu.Lock()
	bookA.events = nil
	bookA.mu.Unlock()
	rosterA.set(publicOf(one))
	until(t, "the connection is cut", func() bool { return len(a.Connected()) == 0 && len(b.Connected()) == 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if rtt, err := b.Ping(ctx, a.Key()); err == nil {
		t.Errorf("a struck off node was answered a ping after %v", rtt)
	}
}

// A rude transport reaches the far porch as any libp2p node would that knows
// nothing of the roster protocol.
type rude struct{ *porch }

func (r rude) Dial(ctx context.Context, raddr ma.Multiaddr, id peer.ID) (transport.CapableConn, error) {
	to, _ := overlayTCP(raddr)
	scope, err := r.rcmgr.OpenConnection(network.DirOutbound, true, raddr)
	if err != nil {
		return nil, err
	}
	key, err := KeyOf(id)
	if err != nil {
		return nil, err
	}
	if err := r.reach(ctx, key); err != nil {
		return nil, err
	}
	raw, err := r.stack.dial(ctx, to.Addr(), to.Port(), 0)
	if err != nil {
		return nil, err
	}
	conn, err := manet.WrapNetConn(raw)
	if err != nil {
		return nil, err
	}
	return r.upgrader.Upgrade(ctx, r, conn, network.DirOutbound, id, scope)
}

// rudeHost makes a libp2p host on an overlay's stack that ignores the roster
// protocol and identifies as key.
func rudeHost(t *testing.T, o *Overlay, key ed25519.PrivateKey) host.Host {
	t.Helper()
	n := o.current()
	private, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	h, err := libp2p.New(
		libp2p.Identity(private),
		libp2p.NoListenAddrs,
		libp2p.Transport(func(u transport.Upgrader, r network.ResourceManager) rude {
			return rude{&porch{stack: n.stack, gate: n.gate, book: noBook{}, self: n.self, log: n.log, upgrader: u, rcmgr: r, reach: n.reach,
				near: func(mesh.NodeKey) bool { return true }}}
		}),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.IPv6BlackHoleSuccessCounter(nil), libp2p.UDPBlackHoleSuccessCounter(nil),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// watchPeers counts every connection that a host's users could ever see.
func watchPeers(h host.Host) (seen func() []peer.ID) {
	var mu sync.Mutex
	var all []peer.ID
	h.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, c.RemotePeer())
	}})
	return func() []peer.ID {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// hostile is a member and a stranger on one Yggdrasil link. The stranger even
// knows the community's id, as a struck off member would.
func hostile(t *testing.T) (member, stranger *Overlay) {
	t.Helper()
	good, bad := testKey(t, 1), testKey(t, 66)
	roster, book := bookOf(t, "town", publicOf(good))
	theirs, theirBook := bookOf(t, "town", publicOf(good))
	member = start(t, Config{Key: good, Roster: roster, Book: book})
	stranger = start(t, Config{Key: bad, Roster: theirs, Book: theirBook})
	join(t, stranger, member)
	until(t, "both ends of the link are up", func() bool {
		return member.current().links.neighbour(stranger.Key()) != nil && stranger.current().links.neighbour(member.Key()) != nil
	})
	return member, stranger
}

func TestStrangerOpensNothing(t *testing.T) {
	member, stranger := hostile(t)
	seen := watchPeers(hostOf(t, member))
	serveEcho(hostOf(t, member))
	h := rudeHost(t, stranger, stranger.config.Key)
	info, err := InfoOf(member.Key())
	if err != nil {
		t.Fatal(err)
	}
	protocols := []protocol.ID{"/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0", "/meshsub/1.2.0", "/meshsub/1.1.0",
		"/floodsub/1.0.0", "/drey/sync/1", echoProtocol, "/libp2p/circuit/relay/0.2.0/hop", "/libp2p/autonat/1.0.0"}
	for _, p := range protocols {
		t.Run(strings.ReplaceAll(string(p), "/", "_"), func(t *testing.T) {
			// After a handful of attempts the key is refused without a hearing.
			refused := func() uint64 {
				return member.Refused()[refusalNames[refusedProtocol]] + member.Refused()[refusalNames[refusedRate]]
			}
			before := refused()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			h.Network().ClosePeer(info.ID)
			conn, err := dialRude(ctx, h, info)
			if err != nil {
				t.Fatalf("the porch itself cannot be reached: %v", err)
			}
			defer conn.Close()
			if s, err := conn.NewStream(ctx); err == nil && propose(ctx, s, p) == nil {
				t.Errorf("protocol %s was opened", p)
			}
			until(t, "the refusal is counted", func() bool { return refused() > before })
		})
	}
	if member.Refused()[refusalNames[refusedProtocol]] < 5 {
		t.Errorf("refused for their protocol: %d, want the first five at least", member.Refused()[refusalNames[refusedProtocol]])
	}
	if got := seen(); len(got) != 0 {
		t.Errorf("libp2p saw strangers connect: %v", got)
	}
	if got := hostOf(t, member).Network().Peers(); len(got) != 0 {
		t.Errorf("libp2p lists strangers: %v", got)
	}
}

// dialRude connects, waiting for a porch that counts attempts.
func dialRude(ctx context.Context, h host.Host, info peer.AddrInfo) (network.Conn, error) {
	h.Peerstore().AddAddrs(info.ID, info.Addrs, time.Hour)
	return h.Network().DialPeer(network.WithForceDirectDial(ctx, "test"), info.ID)
}

// propose asks for one protocol in multistream's words.
func propose(ctx context.Context, s network.Stream, p protocol.ID) error {
	if d, ok := ctx.Deadline(); ok {
		s.SetDeadline(d)
	}
	message := func(text string) []byte { return append([]byte{byte(len(text) + 1)}, text+"\n"...) }
	if _, err := s.Write(append(message("/multistream/1.0.0"), message(string(p))...)); err != nil {
		return err
	}
	read := func() (string, error) {
		var size [1]byte
		if _, err := io.ReadFull(s, size[:]); err != nil {
			return "", err
		}
		line := make([]byte, size[0])
		_, err := io.ReadFull(s, line)
		return strings.TrimSuffix(string(line), "\n"), err
	}
	for {
		line, err := read()
		switch {
		case err != nil:
			return err
		case line == "na":
			return errors.New("na")
		case line == string(p):
			return nil
		}
	}
}

func TestStrangerWithoutProofLearnsNothing(t *testing.T) {
	member, stranger := hostile(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	info, err := InfoOf(member.Key())
	if err != nil {
		t.Fatal(err)
	}
	// The stranger's own connector may have called first, and left a back-off.
	hostOf(t, stranger).Network().(*swarm.Swarm).Backoff().Clear(info.ID)
	err = hostOf(t, stranger).Connect(ctx, info)
	if err == nil || !strings.Contains(err.Error(), errRefused.Error()) {
		t.Errorf("connecting gave %v, want it to say %q", err, errRefused)
	}
	until(t, "the refusal is counted", func() bool { return member.Refused()[refusalNames[refusedProof]] > 0 })
	if got := member.Connected(); len(got) != 0 {
		t.Errorf("the member is connected to %v", got)
	}
}

func TestOtherCommunityIsNotOurs(t *testing.T) {
	good, bad := testKey(t, 1), testKey(t, 66)
	roster, book := bookOf(t, "town", publicOf(good))
	theirs, theirBook := bookOf(t, "village", publicOf(good), publicOf(bad))
	member := start(t, Config{Key: good, Roster: roster, Book: book})
	stranger := start(t, Config{Key: bad, Roster: theirs, Book: theirBook})
	join(t, stranger, member)
	until(t, "the refusal is counted", func() bool { return member.Refused()[refusalNames[refusedForeign]] > 0 })
	if got := roster.Nodes(); len(got) != 1 {
		t.Errorf("the roster has %d nodes, want 1", len(got))
	}
}

func TestStrangersPacketsAreDropped(t *testing.T) {
	member, stranger := hostile(t)
	bad := stranger.current()
	count := func(r refusal) uint64 { return member.Refused()[refusalNames[r]] }
	t.Run("other ports", func(t *testing.T) {
		before := count(refusedStranger)
		for _, port := range []uint16{22, 80, 3740, 9001} {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			bad.gate.expect(member.Key())
			if conn, err := bad.stack.dial(ctx, member.Address(), port, 0); err == nil {
				conn.Close()
				t.Errorf("port %d answered", port)
			} else if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("port %d: %v; want silence", port, err)
			}
		}
		until(t, "four packets are counted as refused", func() bool { return count(refusedStranger) >= before+4 })
	})
	t.Run("ping", func(t *testing.T) {
		before := count(refusedStranger)
		if rtt, err := bad.pingOnce(t.Context(), member.Key(), 200*time.Millisecond); err == nil {
			t.Errorf("a stranger's ping was answered after %v", rtt)
		}
		until(t, "the ping is counted as refused", func() bool { return count(refusedStranger) > before })
	})
	t.Run("another's address", func(t *testing.T) {
		before := count(refusedPacket)
		other := AddressOf(publicOf(testKey(t, 3)))
		bad.nic.send(member.Key(), appendEcho(nil, 128, other, member.Address(), 1, 1, nil))
		until(t, "the packet is refused", func() bool { return count(refusedPacket) > before })
	})
	t.Run("another's packet", func(t *testing.T) {
		before := count(refusedPacket)
		other := AddressOf(publicOf(testKey(t, 3)))
		bad.nic.send(member.Key(), appendEcho(nil, 128, stranger.Address(), other, 1, 1, nil))
		until(t, "the packet is refused", func() bool { return count(refusedPacket) > before })
	})
}

// The stranger owns its overlay address but shows another key in the Noise
// handshake, here even a member's address' neighbour.
func TestKeyMustMakeTheAddress(t *testing.T) {
	member, stranger := hostile(t)
	h := rudeHost(t, stranger, testKey(t, 7))
	info, err := InfoOf(member.Key())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if conn, err := dialRude(ctx, h, info); err == nil {
		defer conn.Close()
	}
	until(t, "the refusal is counted", func() bool { return member.Refused()[refusalNames[refusedAddress]] > 0 })

	// And when calling: an address that does not follow from the key.
	other := publicOf(testKey(t, 7))
	id, err := PeerOf(other)
	if err != nil {
		t.Fatal(err)
	}
	n := member.current()
	p := &porch{gate: n.gate, stack: n.stack, self: n.self}
	if _, err := p.Dial(ctx, dialAddr(stranger.Key()), id); err == nil || !strings.Contains(err.Error(), "does not follow") {
		t.Errorf("dialling a key at another's address gave %v", err)
	}
}

func TestFloodLeavesMembersRoom(t *testing.T) {
	good, friend := testKey(t, 1), testKey(t, 2)
	roster, book := bookOf(t, "town", publicOf(good), publicOf(friend))
	theirs, _ := bookOf(t, "town", publicOf(good))
	member := start(t, Config{Key: good, Roster: roster, Book: book})
	stranger := start(t, Config{Key: testKey(t, 66), Roster: theirs, Book: noBook{}})
	bad := stranger.current()
	join(t, stranger, member)
	until(t, "the link is up", func() bool { return bad.links.neighbour(member.Key()) != nil })
	ctx, cancel := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	for range 8 {
		flood.Go(func() {
			for ctx.Err() == nil {
				once, done := context.WithTimeout(ctx, 50*time.Millisecond)
				bad.gate.expect(member.Key())
				if conn, err := bad.stack.dial(once, member.Address(), Port, 0); err == nil {
					conn.Close()
				}
				done()
			}
		})
	}
	defer flood.Wait()
	defer cancel()
	until(t, "the flood is limited", func() bool { return member.Refused()[refusalNames[refusedRate]] > 50 })
	b := start(t, Config{Key: friend, Roster: roster, Book: book})
	join(t, b, member)
	until(t, "the member connects during the flood", func() bool { return slices.Contains(member.Connected(), b.Key()) })
}

func TestOpenCommunityAdmitsEverybody(t *testing.T) {
	rosterA, rosterB := newTestRoster("fair"), newTestRoster("fair")
	rosterA.community, rosterB.community = mesh.OpenCommunity("fair"), mesh.OpenCommunity("fair")
	a := start(t, Config{Key: testKey(t, 1), Roster: rosterA})
	b := start(t, Config{Key: testKey(t, 2), Roster: rosterB})
	serveEcho(hostOf(t, b))
	join(t, a, b)
	until(t, "they connect", func() bool { return slices.Contains(a.Connected(), b.Key()) })
	if got, err := echoOnce(t.Context(), hostOf(t, a), b.Key(), "hi"); err != nil || got != "hi" {
		t.Errorf("echo gave %q, %v", got, err)
	}
}

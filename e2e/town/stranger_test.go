//go:build e2e

package town

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multistream"

	"drey/e2e/netns"
	"drey/mesh"
	"drey/overlay"
	"drey/web"
)

// strangerEnv makes the test binary a stranger who keeps to no rules: a plain
// libp2p host on a machine with a foreign Yggdrasil daemon and a network
// device, under the daemon's key, so that its address proves its identity.
const strangerEnv = "DREY_E2E_STRANGER"

// An intrusion is what the stranger is to try.
type intrusion struct {
	Private   []byte // of the daemon
	Key       string // of the node
	Protocols []string
}

// An attempt is what came of trying one protocol.
type attempt struct {
	Protocol string
	Opened   bool
	Why      string // it was not opened
}

func stranger(text string) int {
	if err := intrude(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// intrude calls a node and tries every protocol, on a connection of its own.
func intrude(text string) error {
	var x intrusion
	if err := json.Unmarshal([]byte(text), &x); err != nil {
		return err
	}
	private, err := crypto.UnmarshalEd25519PrivateKey(x.Private)
	if err != nil {
		return err
	}
	key, err := mesh.ParseNodeKey(x.Key)
	if err != nil {
		return err
	}
	to, err := overlay.InfoOf(key)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for i, p := range x.Protocols {
		got := try(private, to, p)
		for began := time.Now(); i == 0 && !got.Opened && time.Since(began) < netns.FirstPath+firstTry; {
			got = try(private, to, p)
		}
		if err := out.Encode(got); err != nil {
			return err
		}
	}
	return nil
}

// firstTry is how long one call may take where there is a path.
const firstTry = 20 * time.Second

// try connects without libp2p's usual greetings, for which the gate would hang
// up, and asks for one protocol.
func try(private crypto.PrivKey, to peer.AddrInfo, p string) attempt {
	fail := func(err error) attempt { return attempt{p, false, err.Error()} }
	self, err := peer.IDFromPrivateKey(private)
	if err != nil {
		return fail(err)
	}
	known, err := pstoremem.NewPeerstore()
	if err != nil {
		return fail(err)
	}
	defer known.Close()
	if err := errors.Join(known.AddPrivKey(self, private), known.AddPubKey(self, private.GetPublic())); err != nil {
		return fail(err)
	}
	known.AddAddrs(to.ID, to.Addrs, time.Hour)
	limits := &network.NullResourceManager{}
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: yamux.DefaultTransport}}
	secret, err := noise.New(noise.ID, private, muxers)
	if err != nil {
		return fail(err)
	}
	up, err := upgrader.New([]sec.SecureTransport{secret}, muxers, nil, limits, nil)
	if err != nil {
		return fail(err)
	}
	plain, err := tcp.NewTCPTransport(up, limits, nil, tcp.WithConnectionTimeout(firstTry))
	if err != nil {
		return fail(err)
	}
	s, err := swarm.NewSwarm(self, known, eventbus.NewBus(), swarm.WithDialTimeout(firstTry), swarm.WithDialTimeoutLocal(firstTry), swarm.WithResourceManager(limits))
	if err != nil {
		return fail(err)
	}
	defer s.Close()
	if err := s.AddTransport(plain); err != nil {
		return fail(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), firstTry)
	defer stop()
	conn, err := s.DialPeer(ctx, to.ID)
	if err != nil {
		return fail(fmt.Errorf("connect: %w", err))
	}
	stream, err := conn.NewStream(ctx)
	if err != nil {
		return fail(err)
	}
	defer stream.Reset()
	stream.SetDeadline(time.Now().Add(firstTry))
	if err := multistream.SelectProtoOrFail(p, stream); err != nil {
		return fail(err)
	}
	return attempt{p, true, ""}
}

// tried are protocols that a stranger must not open. The gate takes six calls
// of one key at a time, so more would show its rate and not its judgement.
var tried = []string{"/meshsub/1.2.0", "/drey/sync/1", "/drey/clock/1", "/ipfs/id/1.0.0", "/ipfs/ping/1.0.0"}

// A node of another community, on the same LAN or in the same Yggdrasil
// network, is linked and nothing else: neither hears the other, and neither
// counts the other as a contact. A stranger who keeps to no rules opens nothing
// but the exchange of rosters, and finds no page behind the overlay's address.
func TestStrangersExchangeNothing(t *testing.T) {
	drey := require(t)
	for _, where := range []string{"on one LAN", "in one Yggdrasil network"} {
		t.Run(where, func(t *testing.T) {
			wire := netns.NewSwitch(t, "lan")
			machine := func(name string, i int) *netns.Machine {
				m := netns.New(t, name)
				wire.Plug(m, fmt.Sprintf("10.24.0.%d/24", i))
				return m
			}
			ours, theirs := settle(t, drey, machine("ours", 1), "ours"), settle(t, drey, machine("theirs", 2), "theirs")
			rude := machine("rude", 3)
			foreign := netns.DaemonConfig{Tun: true, LAN: true}
			if where != "on one LAN" {
				machine("daemon", 4).RunYggdrasil(netns.DaemonConfig{Listen: []string{"tls://10.24.0.4:3740"}})
				foreign = netns.DaemonConfig{Tun: true, Peers: []string{"tls://10.24.0.4:3740"}}
				for _, n := range []*node{ours, theirs} {
					n.args, n.env = []string{"--no-lan"}, []string{"DREY_OVERLAY__PEERS=tls://10.24.0.4:3740"}
				}
			}
			ours.up()
			theirs.up()
			ours.says("for ours only")
			theirs.says("for theirs only")
			for _, n := range []*node{ours, theirs} {
				n.await("linked", func(st *web.Status) bool { return linksOf(st) > 0 })
			}

			daemon := rude.RunYggdrasil(foreign)
			address := ours.status().Node.Address
			for _, a := range intruders(t, rude, daemon, ours) {
				if wanted := a.Protocol == overlay.RosterProtocol; a.Opened != wanted {
					t.Errorf("%s: opened %t, want %t; %s", a.Protocol, a.Opened, wanted, a.Why)
				}
				t.Logf("%s: opened %t %.160s", a.Protocol, a.Opened, a.Why)
			}
			for _, port := range []string{"80", "3740"} {
				if connect(t, rude, address, port) {
					t.Errorf("port %s of the overlay's address is open", port)
				}
			}

			for _, n := range []*node{ours, theirs} {
				st := n.status()
				if st.PubSub.Peers != 0 || st.Community.Members != 1 {
					t.Errorf("%s has %d contacts and %d members", n.name, st.PubSub.Peers, st.Community.Members)
				}
				n.once([]string{"for " + n.name + " only"})
				t.Logf("%s: %d links, %d contacts, refused %v", n.name, linksOf(st), st.PubSub.Peers, st.Refused)
			}
		})
	}
}

// intruders runs the stranger on a machine with a daemon, against a node.
func intruders(t *testing.T, m *netns.Machine, d *netns.Daemon, n *node) []attempt {
	t.Helper()
	out, err := n.command("id", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var id struct {
		Key string `json:"node_key"`
	}
	if err := json.Unmarshal(out, &id); err != nil {
		t.Fatalf("drey id --json printed %s: %v", out, err)
	}
	text, err := json.Marshal(intrusion{Private: d.Private, Key: id.Key, Protocols: append([]string{overlay.RosterProtocol}, tried...)})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := m.Command(t.Context(), self)
	cmd.Env = append(os.Environ(), strangerEnv+"="+string(text))
	said := &transcript{}
	cmd.Stderr = said
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("the stranger failed: %v\n%s", err, said)
	}
	var all []attempt
	for d := json.NewDecoder(bytes.NewReader(b)); d.More(); {
		var a attempt
		if err := d.Decode(&a); err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	if len(all) != len(tried)+1 {
		t.Fatalf("the stranger tried %d protocols of %d\n%s", len(all), len(tried)+1, said)
	}
	return all
}

// connect tells whether a TCP port answers within a second. The way there is
// known by then.
func connect(t *testing.T, m *netns.Machine, address, port string) bool {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	return m.Command(ctx, "bash", "-c", "exec 3<>/dev/tcp/$0/$1", address, port).Run() == nil
}

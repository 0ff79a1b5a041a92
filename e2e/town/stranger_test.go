//go:build e2e

package town

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"

	"drey/e2e/netns"
	"drey/mesh"
	"drey/overlay"
	"drey/web"
)

// strangerEnv makes the test binary a stranger: a machine that speaks the
// overlay's language and belongs to nobody.
const strangerEnv = "DREY_E2E_STRANGER"

// An intrusion is what the stranger is to try.
type intrusion struct {
	Peers     []string // underlay URIs
	LAN       bool
	Target    mesh.NodeKey
	Protocols []string
}

// An outcome is what came of it.
type outcome struct {
	Linked bool              // a link of the underlay is up
	Opened map[string]string // by protocol: what was answered, "" for nothing
}

// anyone is a roster that lets its owner call one machine.
type anyone struct{ target mesh.NodeKey }

func (anyone) Community() mesh.Community                     { return mesh.Found(mesh.PubKey{9}, "elsewhere", [32]byte{}) }
func (anyone) Standing(mesh.PubKey, time.Time) mesh.Standing { return mesh.Stranger }
func (a anyone) Admits(k mesh.NodeKey) bool                  { return k == a.target }
func (a anyone) Nodes() []mesh.NodeKey                       { return []mesh.NodeKey{a.target} }
func (anyone) Changed() <-chan struct{}                      { return nil }

func stranger(text string) int {
	if err := intrude(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// intrude calls the target and tries every protocol.
func intrude(text string) error {
	var x intrusion
	if err := json.Unmarshal([]byte(text), &x); err != nil {
		return err
	}
	who, err := mesh.NewSeed().Identity()
	if err != nil {
		return err
	}
	o, err := overlay.New(overlay.Config{Key: who.Node, Listen: []string{}, Peers: x.Peers, LAN: x.LAN, Roster: anyone{x.Target}})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	h, err := o.Host(ctx)
	if err != nil {
		return err
	}
	info, err := overlay.InfoOf(x.Target)
	if err != nil {
		return err
	}
	out := outcome{Opened: map[string]string{}}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(15 * time.Second); !out.Linked; {
		for _, l := range o.Links() {
			out.Linked = out.Linked || l.Up
		}
		select {
		case <-tick.C:
		case <-late:
			return errors.New("no link came up")
		}
	}
	for _, p := range x.Protocols {
		err := func() error {
			ctx, stop := context.WithTimeout(ctx, 8*time.Second)
			defer stop()
			if err := h.Connect(ctx, info); err != nil {
				return fmt.Errorf("no connection: %w", err)
			}
			s, err := h.NewStream(ctx, info.ID, protocol.ID(p))
			if err != nil {
				return err
			}
			defer s.Reset()
			s.SetDeadline(time.Now().Add(4 * time.Second))
			if _, err := s.Write([]byte{0}); err != nil {
				return err
			}
			b := make([]byte, 64)
			n, err := s.Read(b)
			if n > 0 {
				out.Opened[p] = fmt.Sprintf("%x", b[:n])
				return nil
			}
			return err
		}()
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", p, err)
		}
	}
	stop()
	return errors.Join(<-ended, json.NewEncoder(os.Stdout).Encode(out))
}

// A node of another community, on the same LAN or in the same Yggdrasil
// network, is linked and nothing else: neither hears the other, and neither
// counts the other as a contact. A machine that tries each protocol by hand
// opens none.
func TestStrangersExchangeNothing(t *testing.T) {
	drey := require(t)
	for _, where := range []string{"on one LAN", "in one Yggdrasil network"} {
		t.Run(where, func(t *testing.T) {
			wire := netns.NewSwitch(t, "lan")
			machines := map[string]*netns.Machine{}
			for i, name := range []string{"ours", "theirs", "daemon"} {
				machines[name] = netns.New(t, name)
				wire.Plug(machines[name], fmt.Sprintf("10.24.0.%d/24", i+1))
			}
			x := intrusion{LAN: true}
			ours, theirs := settle(t, drey, machines["ours"], "ours"), settle(t, drey, machines["theirs"], "theirs")
			if where != "on one LAN" {
				machines["daemon"].RunYggdrasil(netns.DaemonConfig{Listen: []string{"tls://10.24.0.3:3740"}})
				x = intrusion{Peers: []string{"tls://10.24.0.3:3740"}}
				for _, n := range []*node{ours, theirs} {
					n.args, n.env = []string{"--no-lan"}, []string{"DREY_OVERLAY__PEERS=tls://10.24.0.3:3740"}
				}
			}
			ours.up()
			theirs.up()
			ours.says("for ours only")
			theirs.says("for theirs only")
			for _, n := range []*node{ours, theirs} {
				n.await("linked", func(st *web.Status) bool { return linksOf(st) > 0 })
			}

			key, err := mesh.ParseNodeKey(keyOf(t, ours))
			if err != nil {
				t.Fatal(err)
			}
			x.Target = key
			x.Protocols = []string{"/meshsub/1.2.0", "/meshsub/1.1.0", "/floodsub/1.0.0", "/drey/sync/1", "/drey/clock/1", "/ipfs/ping/1.0.0", "/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/libp2p/circuit/relay/0.2.0/hop", "/libp2p/autonat/1.0.0"}
			text, err := json.Marshal(x)
			if err != nil {
				t.Fatal(err)
			}
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := machines["theirs"].Command(t.Context(), self)
			cmd.Env = append(os.Environ(), strangerEnv+"="+string(text))
			said := &transcript{}
			cmd.Stderr = said
			b, err := cmd.Output()
			if err != nil {
				t.Fatalf("the stranger failed: %v\n%s", err, said)
			}
			var got outcome
			if err := json.Unmarshal(b, &got); err != nil {
				t.Fatal(err)
			}
			if !got.Linked || len(got.Opened) != 0 {
				t.Errorf("the stranger was linked: %t, and opened %v\n%s", got.Linked, got.Opened, said)
			}
			t.Logf("the stranger tried %d protocols:\n%s", len(x.Protocols), said)

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

// keyOf reads a node's key from the machine that it is linked with: 'drey id'
// tells it.
func keyOf(t *testing.T, n *node) string {
	t.Helper()
	out, err := n.command("id", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var id struct {
		Key string `json:"node_key"`
	}
	if err := json.Unmarshal(out, &id); err != nil || id.Key == "" {
		t.Fatalf("drey id --json printed %s", out)
	}
	return id.Key
}

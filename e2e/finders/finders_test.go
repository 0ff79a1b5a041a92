//go:build e2e

package finders

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drey/configs"
	"drey/e2e/netns"
	"drey/mesh"
	"drey/web"
)

// A row is one line of the table.
type row struct {
	finder string
	limit  time.Duration
	took   time.Duration
	result string
}

// late tells whether what took so long missed its limit, on a busy machine too.
func late(took, limit, spare time.Duration) error {
	if took > slack*limit+spare {
		return fmt.Errorf("took %v, want at most %v (and %d times that on a busy machine)", took, limit, slack)
	}
	return nil
}

// TestEachFinderAlone starts two machines at once, with one finder switched on
// and every other off, and measures until both are in contact.
func TestEachFinderAlone(t *testing.T) {
	var table []row
	for _, c := range []struct {
		finder string
		limit  time.Duration
		spare  time.Duration // for what is not ours
		run    func(t *testing.T) time.Duration
	}{
		{"cache", 3 * time.Second, 0, byCache},
		{"roster", 3 * time.Second, 0, byRoster},
		{"multicast", 3 * time.Second, 0, func(t *testing.T) time.Duration { return byLAN(t, "multicast") }},
		{"mdns", 3 * time.Second, 0, func(t *testing.T) time.Duration { return byLAN(t, "mdns") }},
		{"broadcast", 3 * time.Second, 0, func(t *testing.T) time.Duration { return byLAN(t, "broadcast") }},
		{"static", 5 * time.Second, 0, byStatic},
		{"dns", 5 * time.Second, 0, byDNS},
		{"invite", 5 * time.Second, 0, byInvite},
		{"file", 5 * time.Second, 0, byFile},
		{"roster, public Yggdrasil", 15 * time.Second, netns.FirstPath, byKeyThroughYggdrasil},
	} {
		r := row{finder: c.finder, limit: c.limit, result: "not run"}
		t.Run(c.finder, func(t *testing.T) {
			r.result = "FAILED"
			r.took = c.run(t)
			if r.result = "joined"; r.took > c.limit {
				r.result = "late"
			}
			if err := late(r.took, c.limit, c.spare); err != nil {
				t.Error(err)
			}
		})
		table = append(table, r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-26s %-8s %9s %7s\n", "finder", "result", "time", "limit")
	for _, r := range table {
		fmt.Fprintf(&b, "%-26s %-8s %9s %7s\n", r.finder, r.result, r.took.Round(10*time.Millisecond), r.limit)
	}
	t.Log(b.String())
}

// together starts both and returns how long it took until both had met.
func together(a, b *node) time.Duration {
	a.launch()
	b.launch()
	return max(b.meets(1), a.meets(1))
}

// links checks which finder brought a link that is up.
func (n *node) links(finder string) {
	n.t.Helper()
	st, _ := n.await("answers", func(*web.Status) bool { return true })
	for _, p := range st.Overlay.Peers {
		if p.Up && p.Source != finder && p.Source != "incoming" {
			n.t.Errorf("%s has a link through %q, every finder but %s is off: %+v", n.name, p.Source, finder, p)
		}
	}
}

func byLAN(t *testing.T, finder string) time.Duration {
	net := newNetwork(t)
	a, _ := net.node("ana", "--open", "town")
	b, _ := net.node("ben", "--open", "town")
	took := together(a.only(finder), b.only(finder))
	source := finder
	if finder == "multicast" {
		source = "lan"
	}
	a.links(source)
	b.links(source)
	return took
}

// met makes two nodes of one community that have met before.
func met(t *testing.T) (a, b *node) {
	net := newNetwork(t)
	a, _ = net.node("ana")
	b, _ = net.node("ben")
	a.only("mdns", "roster").up()
	link := strings.TrimSpace(a.invite())
	here := *b
	here.m = a.m
	if out, err := here.command("join", "--yes", "--name", "ben", link).CombinedOutput(); err != nil {
		t.Fatalf("join: %v\n%s", err, out)
	}
	b.only("mdns", "roster").launch()
	b.meets(1)
	a.meets(1)
	// Each publishes where it is; that travels within the community.
	for _, n := range []*node{a, b} {
		c := web.NewClient(n.home)
		defer c.Close()
		n.await("knows where the other is", func(*web.Status) bool {
			known := map[mesh.PubKey]bool{}
			for r, err := range c.Messages(t.Context(), web.Following{Since: "all", Topics: []mesh.Topic{mesh.TopicRegistry}, Kinds: []mesh.Kind{mesh.KindPeerRecord}}) {
				if err == nil {
					known[r.Event.Author()] = true
				}
			}
			return len(known) == 2
		})
	}
	stopAll(a, b)
	return a, b
}

// invite makes an invite.
func (n *node) invite() string {
	n.t.Helper()
	c := web.NewClient(n.home)
	defer c.Close()
	v, err := c.Invite(n.t.Context(), web.InviteRequest{TTLMS: time.Minute.Milliseconds(), Uses: 1})
	if err != nil {
		n.t.Fatal(err)
	}
	return v.URL
}

func byCache(t *testing.T) time.Duration {
	a, b := met(t)
	took := together(a.only("cache"), b.only("cache"))
	a.links("cache")
	b.links("cache")
	return took
}

func byRoster(t *testing.T) time.Duration {
	a, b := met(t)
	took := together(a.only("roster"), b.only("roster"))
	a.links("roster")
	b.links("roster")
	return took
}

func byStatic(t *testing.T) time.Duration {
	net := newNetwork(t)
	a, addr := net.node("ana", "--open", "town")
	b, _ := net.node("ben", "--open", "town")
	return together(a.only("static"), b.with("BOOTSTRAP__FINDERS=static", "OVERLAY__PEERS=tls://"+addr+":3740"))
}

// byDNS has Debian's unbound serve the line that 'drey peers dns' prints.
func byDNS(t *testing.T) time.Duration {
	net := newNetwork(t, "unbound")
	a, _ := net.node("ana", "--open", "town")
	b, _ := net.node("ben", "--open", "town")
	server, at, _ := net.machine("ns")
	a.only("dns").up()
	line := strings.TrimSpace(a.says("peers", "dns", "_drey.town.example"))
	a.stop()
	runUnbound(t, server, at, line)
	set := []string{"BOOTSTRAP__FINDERS=dns", "BOOTSTRAP__DNS=_drey.town.example", "BOOTSTRAP__DNS_SERVERS=" + at}
	took := together(a.with(set...), b.with(set...))
	b.links("dns")
	return took
}

// runUnbound serves one line of a zone on a machine.
func runUnbound(t *testing.T, m *netns.Machine, at, line string) {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "unbound.conf")
	text := fmt.Sprintf(`server:
  directory: %q
  chroot: ""
  username: ""
  pidfile: ""
  interface: %s
  access-control: 0.0.0.0/0 allow
  do-daemonize: no
  use-syslog: no
  logfile: ""
  verbosity: 1
  module-config: "iterator"
  local-zone: "example." static
  local-data: '%s'
`, dir, at, line)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := m.Command(ctx, "unbound", "-d", "-c", conf)
	said := &transcript{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
		if t.Failed() {
			t.Logf("unbound said:\n%s", said.text())
		}
	})
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(said.text(), "start of service") {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("unbound did not start:\n%s", said.text())
		}
	}
}

// byInvite measures from 'drey up --join' to the contact: the redeeming too.
func byInvite(t *testing.T) time.Duration {
	net := newNetwork(t)
	a, _ := net.node("ana")
	b, _ := net.node("ben")
	a.only("invite").up()
	b.only("invite").launch("--join", a.invite())
	return max(b.meets(1), a.meets(1)-a.began.Sub(b.began).Abs())
}

// byFile carries a file as on a stick.
func byFile(t *testing.T) time.Duration {
	net := newNetwork(t)
	a, _ := net.node("ana", "--open", "town")
	b, _ := net.node("ben", "--open", "town")
	stick := filepath.Join(t.TempDir(), "town.drey")
	a.only("file").up()
	a.says("peers", "export", stick)
	a.stop()
	took := together(a.only("file"), b.with("BOOTSTRAP__FINDERS=file", "BOOTSTRAP__FILES="+filepath.Dir(stick)))
	b.links("file")
	return took
}

// byKeyThroughYggdrasil has two members who have never met, and know no address
// of each other, find each other by key: both call one public node of the
// Yggdrasil network, a daemon of other code.
func byKeyThroughYggdrasil(t *testing.T) time.Duration {
	net := newNetwork(t)
	public, at, _ := net.machine("public")
	public.RunYggdrasil(netns.DaemonConfig{Listen: []string{"tls://" + at + ":443"}})
	a, _ := net.node("ana")
	b, _ := net.node("ben")
	a.only("static").up()
	here := *b
	here.m = a.m
	if out, err := here.command("join", "--yes", "--name", "ben", a.invite()).CombinedOutput(); err != nil {
		t.Fatalf("join: %v\n%s", err, out)
	}
	a.stop()
	// What the invite left behind must not help: only the public node is called.
	for _, n := range []*node{a, b} {
		n.with("BOOTSTRAP__FINDERS=static", "OVERLAY__PEERS=")
		n.up()
		for _, line := range strings.Split(strings.TrimSpace(n.says("peers", "ls", "--json")), "\n") {
			var ls struct{ Peers []web.PeerStatus }
			if err := json.Unmarshal([]byte(line), &ls); err != nil {
				t.Fatal(err)
			}
			for _, p := range ls.Peers {
				n.says("peers", "rm", p.URI)
			}
		}
		n.stop()
		n.with("BOOTSTRAP__FINDERS=static,roster", "OVERLAY__PEERS=tls://"+at+":443")
	}
	return together(a, b)
}

// Nine of ten finders are dead or lead into black holes; the tenth is no slower
// than alone, but for a second.
func TestNineOfTenFindersAreDead(t *testing.T) {
	net := newNetwork(t)
	ana, _ := net.node("ana", "--open", "town")
	// Ana can be called and cannot call: the only ports for that are those at
	// which she listens. What brings the link is what the other finds.
	ana.m.Run("sh", "-c", "echo 3739 3740 > /proc/sys/net/ipv4/ip_local_port_range")
	// Ghosts are members whose records lead to where nobody answers, and whom
	// the machine has once been linked with.
	const hole = "10.33.0.250"
	ghost, ghostAt := net.node("ghost", "--open", "town")
	ghost.with("BOOTSTRAP__FINDERS=broadcast,roster", "BOOTSTRAP__ENDPOINTS=tls://"+hole+":3740")
	stick := filepath.Join(t.TempDir(), "town.drey")
	measure := func(name string, settings ...string) time.Duration {
		m, _, iface := net.machine(name)
		n := newNode(t, m, name, "--open", "town")
		ghost.up()
		ghost.says("peers", "export", stick)
		n.only("broadcast", "roster").launch()
		n.meets(1)
		n.await("remembers the ghost", func(st *web.Status) bool { return st.Finding.Known > 0 })
		stopAll(n, ghost)
		// Packets to the hole leave for a card that is not there, and so do those
		// to where the ghost was.
		for _, at := range []string{hole, ghostAt} {
			m.Run("ip", "neigh", "replace", at, "lladdr", "02:00:00:00:00:99", "dev", iface, "nud", "permanent")
		}
		ana.only("mdns").up()
		n.with(settings...).launch()
		took := n.meets(1)
		n.await("linked through mdns", func(st *web.Status) bool {
			for _, p := range st.Overlay.Peers {
				if p.Up && p.Source == "mdns" {
					return true
				}
			}
			return false
		})
		t.Logf("%s:\n%s", name, n.says("peers", "finders"))
		stopAll(n, ana)
		return took
	}
	var alone, all []time.Duration
	for i := range 3 {
		alone = append(alone, measure(fmt.Sprintf("alone%d", i), "BOOTSTRAP__FINDERS=mdns"))
		all = append(all, measure(fmt.Sprintf("all%d", i),
			"OVERLAY__PEERS=tls://"+hole+":3740,tls://"+hole+":443",
			"BOOTSTRAP__FINDERS="+strings.Join(configs.AllFinders(), ","), "BOOTSTRAP__TABLES="+hole+":6881", "BOOTSTRAP__RELAYS=ws://"+hole+":7447",
			"BOOTSTRAP__DNS=_drey.town.example", "BOOTSTRAP__DNS_SERVERS="+hole, "BOOTSTRAP__FILES="+stick))
	}
	a, b := least(alone), least(all)
	t.Logf("mdns alone: %v of %v; all on, the others dead: %v of %v", a, alone, b, all)
	if b > a+slack*time.Second {
		t.Errorf("with all on it took %v, alone %v: more than 1 s longer (and %d times that on a busy machine)", b, a, slack)
	}
}

func least(all []time.Duration) time.Duration {
	best := all[0]
	for _, d := range all {
		best = min(best, d)
	}
	return best.Round(time.Millisecond)
}

// python is Debian's own, for which python3-zeroconf is packaged.
const python = "/usr/bin/python3"

// A program of other code sees the service, and the record in it is sealed.
func TestMDNSIsSeenByOthers(t *testing.T) {
	net := newNetwork(t, python)
	a, _ := net.node("ana", "--open", "town")
	m, _, _ := net.machine("other")
	if err := exec.Command(python, "-c", "import zeroconf").Run(); err != nil {
		if os.Getenv("DREY_E2E") == "required" {
			t.Fatal("missing: python3-zeroconf")
		}
		t.Skip("missing: python3-zeroconf")
	}
	a.only("mdns").up()
	key := a.says("id", "--json")
	script := `
import sys, zeroconf
class Seen:
    def add_service(self, z, kind, name):
        i = z.get_service_info(kind, name, 5000)
        print(name, i.port, i.server, b"".join(sorted(i.properties)).decode(), ",".join(i.parsed_addresses()), flush=True)
    def update_service(self, *a): pass
    def remove_service(self, z, kind, name): print("gone", name, flush=True)
z = zeroconf.Zeroconf()
b = zeroconf.ServiceBrowser(z, "_drey._tcp.local.", Seen())
sys.stdin.read()
`
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := m.Command(ctx, python, "-c", script)
	stays, err := cmd.StdinPipe() // until the test is over
	if err != nil {
		t.Fatal(err)
	}
	defer stays.Close()
	said := &transcript{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until := func(what, text string) {
		t.Helper()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for !strings.Contains(said.text(), text) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("not seen: %s; python3-zeroconf says\n%s", what, said.text())
			}
		}
	}
	until("the service", "._drey._tcp.local. 3740 drey-")
	until("an address", "10.33.0.1")
	a.stop()
	until("its goodbye", "gone drey-")
	t.Logf("python3-zeroconf: %s", strings.TrimSpace(said.text()))
	var who struct {
		Node string `json:"node"`
	}
	json.Unmarshal([]byte(key), &who)
	if who.Node != "" && bytes.Contains([]byte(said.text()), []byte(who.Node)) {
		t.Error("the node's key shows")
	}
	cancel()
	cmd.Wait()
}

//go:build e2e

package overlay

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"drey/e2e/netns"
)

const (
	rounds   = 10
	duration = 2 * time.Second
)

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

func worst(v []float64) float64 { return slices.Min(v) }

// secondWorst is the worst but one: much of one turn of two seconds may go to a
// neighbour on the machine.
func secondWorst(v []float64) float64 { return slices.Sorted(slices.Values(v))[1] }

// iperf runs iperf3 between two machines and returns received Mbit/s.
func iperf(t *testing.T, server, client *netns.Machine, to net.IP) float64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s := server.Command(ctx, "iperf3", "-s", "-1", "-6", "--forceflush")
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Wait()
	// It says that it listens before it answers.
	var said []byte
	for buf := make([]byte, 256); !regexp.MustCompile(`listening on \d+`).Match(said); {
		n, err := out.Read(buf)
		if err != nil {
			t.Fatalf("iperf3 server: %v: %s", err, said)
		}
		said = append(said, buf[:n]...)
	}
	text := client.Run("iperf3", "-J", "-c", to.String(), "-t", strconv.Itoa(int(duration.Seconds())))
	var got struct {
		End struct {
			Received struct {
				Bits float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	go func() { // keep the pipe flowing so that the server can end
		for buf := make([]byte, 4096); ; {
			if _, err := out.Read(buf); err != nil {
				return
			}
		}
	}()
	return got.End.Received.Bits / 1e6
}

// pings returns the median round trip in microseconds.
func pings(t *testing.T, from *netns.Machine, to net.IP, count int) float64 {
	t.Helper()
	text := from.Run("ping", "-6", "-c", strconv.Itoa(count), "-i", "0.002", "-W", "5", to.String())
	var all []float64
	for _, m := range regexp.MustCompile(`time=([0-9.]+) ms`).FindAllStringSubmatch(text, -1) {
		ms, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, ms*1000)
	}
	if len(all) < count/2 {
		t.Fatalf("%d of %d pings were answered", len(all), count)
	}
	return median(all)
}

// reach waits for the first path between two daemons; see netns.FirstPath.
func reach(t *testing.T, from *netns.Machine, to net.IP) {
	t.Helper()
	from.Run("ping", "-6", "-c", "1", "-w", "200", to.String())
}

// One libp2p stream with Noise between two nodes, against iperf3 between two
// real daemons with network devices, on the same cable, turn about.
func TestFasterThanTheDaemons(t *testing.T) {
	netns.Require(t, "iperf3", "ping")
	twoCores(t)
	a, b := netns.New(t, "a"), netns.New(t, "b")
	netns.Cable(t, a, b, "10.9.0.1/24", "10.9.0.2/24")
	one := runOn(t, a, nodeConfig{Seed: 1, Members: []byte{1, 2}, Listen: []string{"tls://10.9.0.1:3740"}})
	two := runOn(t, b, nodeConfig{Seed: 2, Members: []byte{1, 2}, Listen: []string{}, Peers: one.Listening})
	if near := two.ask("echo", one).Near; !near {
		t.Fatal("the nodes are not neighbours")
	}
	first := a.RunYggdrasil(netns.DaemonConfig{Listen: []string{"tls://10.9.0.1:3999"}, Tun: true})
	second := b.RunYggdrasil(netns.DaemonConfig{Peers: []string{"tls://10.9.0.1:3999"}, Tun: true})
	_ = second
	reach(t, b, first.Address)

	var ours, theirs []float64
	for range rounds {
		theirs = append(theirs, iperf(t, a, b, first.Address))
		ours = append(ours, two.ask("pour", one, duration.String()).Mbits)
	}
	rtt, ping := math.Inf(1), math.Inf(1) // the best of three, turn about
	for range 3 {
		ping = min(ping, pings(t, b, first.Address, 1000))
		rtt = min(rtt, median(two.ask("ping", one).RTTs))
	}
	report(t, "one link", ours, theirs)
	t.Logf("round trip p50: ours %.0f µs, daemons %.0f µs", rtt, ping)
	// The aim is 1.3; docs/BENCHMARKS.md says when it is reached. What fails
	// here is being slower than they are.
	if ratio := median(ours) / median(theirs); ratio < 1 {
		t.Errorf("ratio %.2f, want at least 1", ratio)
	}
	// The aim is half, for the worst of all; a collapse is one too many.
	if worst(ours) < median(ours)/10 {
		t.Errorf("worst run %.0f Mbit/s of a median of %.0f: the connection collapsed", worst(ours), median(ours))
	}
	if secondWorst(ours) < median(ours)/3 {
		t.Errorf("two runs, of %.0f and %.0f Mbit/s, are less than a third of the median %.0f", worst(ours), secondWorst(ours), median(ours))
	}
	if rtt > ping {
		t.Errorf("round trip p50 %.0f µs, want at most the daemons' %.0f µs", rtt, ping)
	}
}

// twoCores has all programs that the test starts share two cores, as those of
// docs/BENCHMARKS.md do: with more, the daemons and iperf3 have one each.
func twoCores(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // never unlocked: the thread goes with the test
	var all, two unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	for cpu := 0; two.Count() < min(2, all.Count()); cpu++ {
		if all.IsSet(cpu) {
			two.Set(cpu)
		}
	}
	if err := unix.SchedSetaffinity(0, &two); err != nil {
		t.Fatal(err)
	}
}

func report(t *testing.T, what string, ours, theirs []float64) {
	t.Helper()
	round := func(v []float64) (s []int) {
		for _, x := range v {
			s = append(s, int(math.Round(x)))
		}
		return s
	}
	t.Logf("%s, Mbit/s: ours %v median %.0f worst %.0f; daemons %v median %.0f worst %.0f; ratio %.2f", what,
		round(ours), median(ours), worst(ours), round(theirs), median(theirs), worst(theirs), median(ours)/median(theirs))
}

// The same through one foreign transit daemon: what the middle holds is the
// foreign router's own queue.
func TestThroughAForeignTransit(t *testing.T) {
	netns.Require(t, "iperf3", "ping")
	a, x, b := netns.New(t, "a"), netns.New(t, "x"), netns.New(t, "b")
	netns.Cable(t, a, x, "10.9.1.1/24", "10.9.1.2/24")
	netns.Cable(t, x, b, "10.9.2.2/24", "10.9.2.1/24")
	x.RunYggdrasil(netns.DaemonConfig{Listen: []string{"tls://10.9.1.2:3740", "tls://10.9.2.2:3740"}})
	one := runOn(t, a, nodeConfig{Seed: 1, Members: []byte{1, 2}, Listen: []string{}, Peers: []string{"tls://10.9.1.2:3740"}})
	two := runOn(t, b, nodeConfig{Seed: 2, Members: []byte{1, 2}, Listen: []string{}, Peers: []string{"tls://10.9.2.2:3740"}})
	met := two.ask("echo", one)
	if met.Near {
		t.Fatal("the nodes are neighbours: nothing crosses the transit daemon")
	}
	t.Logf("start to first answer across the foreign daemon: %v", met.Took)
	first := a.RunYggdrasil(netns.DaemonConfig{Peers: []string{"tls://10.9.1.2:3740"}, Tun: true})
	b.RunYggdrasil(netns.DaemonConfig{Peers: []string{"tls://10.9.2.2:3740"}, Tun: true})
	reach(t, b, first.Address)
	var ours, theirs []float64
	for range rounds {
		theirs = append(theirs, iperf(t, a, b, first.Address))
		ours = append(ours, two.ask("pour", one, duration.String()).Mbits)
	}
	rtt := two.ask("ping", one).RTTs
	report(t, "through one foreign transit daemon", ours, theirs)
	t.Logf("round trip p50: ours %.0f µs, daemons %.0f µs", rtt[len(rtt)/2], pings(t, b, first.Address, 1000))
	if secondWorst(ours) < median(ours)/10 {
		t.Errorf("two runs, of %.0f and %.0f Mbit/s, of a median of %.0f: the connection collapsed", worst(ours), secondWorst(ours), median(ours))
	}
}

// From the start of a process to the first answer from a member that it found
// by multicast.
func TestFirstMessageOnOneLAN(t *testing.T) {
	netns.Require(t)
	lan := netns.NewSwitch(t, "lan")
	a, b := netns.New(t, "a"), netns.New(t, "b")
	lan.Plug(a, "10.9.3.1/24")
	lan.Plug(b, "10.9.3.2/24")
	members := []byte{1, 2, 3}
	one := runOn(t, a, nodeConfig{Seed: 1, Members: members, Listen: []string{"tls://[::]:3740"}, LAN: true})
	var took []float64
	for i := range 15 {
		two := runOn(t, b, nodeConfig{Seed: byte(2 + i%2), Members: members, Listen: []string{"tls://[::]:3740"}, LAN: true})
		two.ask("echo", one)
		took = append(took, float64(time.Since(two.Started).Milliseconds()))
		two.stop()
	}
	t.Logf("start to first answer, ms: %v, median %.0f", took, median(took))
	if m := median(took); m > 1500 {
		t.Errorf("median %.0f ms, want at most 1500", m)
	}
}

// A leaf's neighbour relies on it for nothing: two nodes that are linked only
// through a leaf do not reach each other, and the leaf reaches both.
func TestLeafCarriesNothing(t *testing.T) {
	netns.Require(t)
	a, leaf, b := netns.New(t, "a"), netns.New(t, "leaf"), netns.New(t, "b")
	netns.Cable(t, a, leaf, "10.9.4.1/24", "10.9.4.2/24")
	netns.Cable(t, leaf, b, "10.9.5.2/24", "10.9.5.1/24")
	members := []byte{1, 2, 3}
	one := runOn(t, a, nodeConfig{Seed: 1, Members: members, Listen: []string{"tls://10.9.4.1:3740"}})
	two := runOn(t, b, nodeConfig{Seed: 2, Members: members, Listen: []string{"tls://10.9.5.1:3740"}})
	middle := runOn(t, leaf, nodeConfig{Seed: 3, Members: members, Listen: []string{}, Leaf: true,
		Peers: []string{one.Listening[0], two.Listening[0]}})
	middle.ask("echo", one)
	middle.ask("echo", two)
	if a := one.try("reach", two, 6*time.Second); a.Err == "" {
		t.Error("a node reached another through a leaf")
	}
}

// try asks for something that is expected to fail within a while.
func (p *process) try(verb string, other *process, long time.Duration) answer {
	p.t.Helper()
	fmt.Fprintln(p.in, verb, other.key, long)
	var a answer
	if err := p.out.Decode(&a); err != nil {
		p.t.Fatalf("a node said nothing: %v", err)
	}
	return a
}

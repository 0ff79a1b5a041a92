//go:build e2e

package town

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"drey/e2e/netns"
	"drey/mesh"
	"drey/web"
)

// A message crosses a foreign daemon: two nodes whose only neighbour is an
// unmodified Yggdrasil talk, with the commands as people type them.
func TestChainThroughAForeignDaemon(t *testing.T) {
	drey := require(t)
	left, middle, right := netns.New(t, "left"), netns.New(t, "middle"), netns.New(t, "right")
	netns.Cable(t, left, middle, "10.20.1.1/24", "10.20.1.2/24")
	netns.Cable(t, middle, right, "10.20.2.2/24", "10.20.2.1/24")
	middle.RunYggdrasil(netns.DaemonConfig{Listen: []string{"tls://10.20.1.2:3740", "tls://10.20.2.2:3740"}})

	a := settle(t, drey, left, "ana", "--no-lan")
	a.env = []string{"DREY_OVERLAY__PEERS=tls://10.20.1.2:3740"}
	b := settle(t, drey, right, "ben", "--no-lan")
	b.env = []string{"DREY_OVERLAY__PEERS=tls://10.20.2.2:3740"}
	a.up()
	b.joins(a)
	began := time.Now()
	b.up().meets(1)
	met := time.Since(began)
	a.meets(1)
	for _, n := range []*node{a, b} {
		for _, p := range n.status().Overlay.Peers {
			if p.Up && !strings.Contains(p.URI, "10.20.") || p.Up && p.Key == "" {
				t.Errorf("%s has a link to %+v", n.name, p)
			}
		}
	}

	sub := startSub(t, b)
	a.pub("across the foreign daemon")
	sub.expect("across the foreign daemon")
	back := startSub(t, a)
	b.pub("and back")
	back.expect("and back")
	// What is on the disk survives a kill.
	b.onDisk("across the foreign daemon")
	b.cmd.Process.Kill()
	<-b.ended
	b.up()
	b.once([]string{"across the foreign daemon", "and back"})
	t.Logf("start to first contact across the daemon: %v", met.Round(time.Millisecond))
}

// Three underlay links in a line, the two in the middle belonging to strangers
// who only carry: from pub to the screen and to the disk at the far end.
func TestThreeHopsInALine(t *testing.T) {
	drey := require(t)
	line := []*netns.Machine{netns.New(t, "a"), netns.New(t, "b"), netns.New(t, "c"), netns.New(t, "d")}
	nodes := make([]*node, len(line))
	for i, m := range line {
		nodes[i] = settle(t, drey, m, fmt.Sprintf("n%d", i), "--no-lan")
		if i > 0 {
			left, right := fmt.Sprintf("10.21.%d.1", i), fmt.Sprintf("10.21.%d.2", i)
			netns.Cable(t, line[i-1], m, left+"/24", right+"/24")
			nodes[i].env = []string{"DREY_OVERLAY__PEERS=tls://" + left + ":3740"}
		}
	}
	a, d := nodes[0], nodes[3]
	for _, n := range nodes[:3] {
		n.up()
	}
	d.joins(a)
	d.up().meets(1)
	a.meets(1)
	for _, n := range nodes[1:3] {
		if st := n.status(); st.PubSub.Peers != 0 || len(st.Overlay.Peers) < 2 {
			t.Fatalf("%s should only carry: %+v", n.name, st)
		}
	}

	shown, kept, saved := crossing(t, a, d, 60)
	c := a.client()
	defer c.Close()
	var pings []time.Duration
	for range 20 {
		rtt, err := c.Ping(t.Context(), d.status().Node.Address)
		if err != nil {
			t.Fatal(err)
		}
		pings = append(pings, rtt)
	}
	p50 := median(kept)
	t.Logf("60 messages over three overlay hops, p50 (worst): answered by the sender's disk %v (%v), on the screen at the far end %v (%v), on its disk %v (%v); overlay round trip %v",
		round(median(saved)), round(slices.Max(saved)), round(median(shown)), round(slices.Max(shown)), round(p50), round(slices.Max(kept)), round(median(pings)))
	// The target is 40 ms on a machine of its own; CI shares its cores.
	if p50 > 200*time.Millisecond {
		t.Errorf("p50 to the disk at the far end is %v, want at most 200 ms", p50)
	}
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// crossing says messages at a, one after the other, and measures from before
// each until a's disk has answered for it, until b's reader has it, and until
// both disks have it.
func crossing(t *testing.T, a, b *node, many int) (shown, kept, saved []time.Duration) {
	t.Helper()
	type arrival struct {
		r  *mesh.Record
		at time.Time
	}
	arrivals := make(chan arrival, many)
	standing := make(chan struct{})
	reader := b.client()
	defer reader.Close()
	go func() {
		defer close(arrivals)
		f := web.Following{Topics: []mesh.Topic{mesh.TopicCommons}, Since: "1s", Live: true, Connected: func() { close(standing) }}
		for r, err := range reader.Messages(t.Context(), f) {
			if err != nil {
				return
			}
			arrivals <- arrival{r, time.Now()}
		}
	}()
	select {
	case <-standing:
	case x, ok := <-arrivals:
		t.Fatalf("the reader of %s ended before it began: %v %v", b.name, x, ok)
	}
	writer, log := a.client(), b.client()
	defer writer.Close()
	defer log.Close()
	for i := range many {
		text := fmt.Sprintf("hop %d", i)
		began := time.Now()
		answered := make(chan time.Time, 1)
		go func() {
			if _, err := writer.Publish(t.Context(), web.Message{Topic: mesh.TopicCommons, Text: text}); err != nil {
				t.Errorf("pub %q: %v", text, err)
			}
			answered <- time.Now()
		}()
		for {
			select {
			case x, ok := <-arrivals:
				if !ok {
					t.Fatalf("the reader of %s ended", b.name)
				}
				if x.r.Event.Content() != text {
					continue
				}
				onDisk(t, log, x.r.Event.ID())
				far := time.Now()
				near := <-answered
				saved = append(saved, near.Sub(began))
				shown = append(shown, x.at.Sub(began))
				kept = append(kept, max(near.Sub(began), far.Sub(began)))
			case <-time.After(patience):
				t.Fatalf("%q never arrived", text)
			}
			break
		}
		if len(shown) <= i {
			t.Fatalf("%q was lost", text)
		}
	}
	return shown, kept, saved
}

// onDisk returns when the node's disk has the note that says text.
func (n *node) onDisk(text string) {
	n.t.Helper()
	c := n.client()
	defer c.Close()
	for r, err := range c.Messages(n.t.Context(), web.Following{Since: "all", Kinds: []mesh.Kind{mesh.KindNote}}) {
		if err != nil {
			n.t.Fatal(err)
		}
		if r.Event.Content() == text {
			onDisk(n.t, c, r.Event.ID())
			return
		}
	}
	n.t.Fatalf("%s does not have %q", n.name, text)
}

// onDisk returns when a node's disk has an event: the history of what it holds
// is followed only from there on.
func onDisk(t testing.TB, c *web.Client, id mesh.EventID) {
	t.Helper()
	for _, err := range c.Steps(t.Context(), id) {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("%s has no history", id)
}

// A sub is a running 'drey sub'.
type sub struct {
	t     testing.TB
	lines chan string
}

// startSub runs 'drey sub commons --since 1h' until the test ends.
func startSub(t testing.TB, n *node) *sub {
	t.Helper()
	cmd := n.command("sub", "commons", "--since", "1h")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &sub{t, make(chan string, 1000)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(s.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.lines <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		<-read
		if err := cmd.Wait(); err != nil {
			if _, ok := err.(*exec.ExitError); !ok {
				t.Error(err)
			}
		}
	})
	return s
}

// expect waits for a line that ends with text.
func (s *sub) expect(text string) {
	s.t.Helper()
	late := time.After(patience)
	for {
		select {
		case line, ok := <-s.lines:
			if !ok {
				s.t.Fatalf("drey sub ended before it showed %q", text)
			}
			if strings.HasSuffix(line, "  "+text) {
				return
			}
		case <-late:
			s.t.Fatalf("drey sub never showed %q", text)
		}
	}
}

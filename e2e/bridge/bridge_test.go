//go:build e2e

package bridge

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drey/e2e/netns"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
	"drey/web"
)

// local is where an app on a node's machine reaches its relay.
const local = "ws://127.0.0.1:3739/"

// A note posted by nostr-tools to node A's relay is read by nostr-tools at node
// D's relay three hops away, comes out of a radio there as text, and stands once
// on a relay of foreign code, to which three gateways carry, while one of them
// is killed. The same in reverse.
func TestBothWays(t *testing.T) {
	drey := require(t)
	// a ── b ── c ── d: b and c are strangers who only carry. The gateways are at
	// b, and on the internet, where the relay is.
	line := []*netns.Machine{netns.New(t, "a"), netns.New(t, "b"), netns.New(t, "c"), netns.New(t, "d")}
	internet := netns.NewSwitch(t, "internet")
	www := netns.New(t, "www")
	internet.Plug(www, "10.40.0.9/24")
	relay := newForeign(t, www, "10.40.0.9:7777")
	relay.start()

	nodes := make([]*node, len(line))
	for i, m := range line {
		nodes[i] = settle(t, drey, m, fmt.Sprint("n", i), "--radio", "none")
		if i > 0 {
			netns.Cable(t, line[i-1], m, fmt.Sprintf("10.41.%d.1/24", i), fmt.Sprintf("10.41.%d.2/24", i))
			nodes[i].env = []string{fmt.Sprintf("DREY_OVERLAY__PEERS=tls://10.41.%d.1:3740", i)}
		}
	}
	a, d := nodes[0], nodes[3]
	maria, channel := ether(t, d)
	for _, n := range nodes[:3] {
		n.up()
	}
	a.admit()
	d.joins(a)
	d.up()
	var gateways []*node
	for i := range 3 {
		m := netns.New(t, fmt.Sprint("g", i))
		netns.Cable(t, line[1], m, fmt.Sprintf("10.42.%d.1/24", i), fmt.Sprintf("10.42.%d.2/24", i))
		internet.Plug(m, fmt.Sprintf("10.40.0.%d/24", i+1))
		g := settle(t, drey, m, fmt.Sprint("g", i), "--radio", "none")
		g.env = []string{
			fmt.Sprintf("DREY_OVERLAY__PEERS=tls://10.42.%d.1:3740", i),
			"DREY_NOSTR__GATEWAY=true", "DREY_NOSTR__RELAYS=" + relay.url, "DREY_NOSTR__OUT=commons", "DREY_NOSTR__IN=commons",
		}
		g.joins(a)
		g.up()
		gateways = append(gateways, g)
	}
	d.await("in contact with all", func(st *web.Status) bool { return st.PubSub.Peers == 4 && st.Radio.State == "ready" })
	leading := leader(t, gateways)

	hear := listen(t, d, "across three hops")
	began := time.Now()
	say(t, a.m, local, "across three hops")
	hear("across three hops")
	t.Logf("read three hops away after %v", time.Since(began).Round(time.Millisecond))
	shows(t, maria, ": across three hops")
	t.Logf("on the handheld (%s) after %v", channel, time.Since(began).Round(time.Millisecond))
	stands(t, www, relay, "across three hops")

	// The gateway that carries is killed; what is said then stands there within
	// a minute, once.
	leading.kill()
	killed := time.Now()
	relay.hears(say(t, a.m, local, "a gateway is gone"))
	took := time.Since(killed)
	stands(t, www, relay, "a gateway is gone")
	t.Logf("takeover: %v after the kill", took.Round(time.Second))
	if took > time.Minute {
		t.Errorf("the takeover took %v", took)
	}

	// In reverse: said in the world, read at home and on the handheld, where that
	// is configured.
	back := listen(t, d, "from far away")
	began = time.Now()
	say(t, www, relay.url, "from far away", "commons")
	back("from far away")
	t.Logf("from the world to the relay three hops away: %v", time.Since(began).Round(time.Millisecond))
	shows(t, maria, ": from far away")

	heard, _ := relay.heard()
	for id, n := range heard {
		if n != 1 {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
}

// ether gives a node a radio that takes part in commons, and what comes from
// the world, and returns a handheld that hears it.
func ether(t *testing.T, n *node) (*radiotest.Handheld, string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	air := radiotest.NewAir(radiotest.Config{Seed: 3})
	channel := radiotest.PrivateChannel("town")
	gear, handheld := air.NewRadio("gateway", radiotest.RadioConfig{Channels: []meshtastic.Channel{channel}}), air.NewHandheld("Maria", channel)
	link := filepath.Join(t.TempDir(), "radio")
	ended := make(chan struct{}, 2)
	for _, f := range []func() error{func() error { return air.Run(ctx) }, func() error { return gear.ServePTY(ctx, link) }} {
		go func() {
			f()
			ended <- struct{}{}
		}()
	}
	t.Cleanup(func() {
		cancel()
		<-ended
		<-ended
	})
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	path, err := "", os.ErrNotExist
	for i := 0; err != nil; i++ {
		if path, err = filepath.EvalSymlinks(link); err != nil && i > 2000 {
			t.Fatal(err)
		}
		<-tick.C
	}
	config := filepath.Join(t.TempDir(), "drey.toml")
	text := "[nostr]\non_air = true\n[[radio.topic]]\ntopic = \"commons\"\nchannel = 0\nform = \"text\"\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n.args = []string{"--config", config, "--radio", path}
	return handheld, channel.Name
}

// shows waits until a handheld shows a text.
func shows(t *testing.T, h *radiotest.Handheld, want string) {
	t.Helper()
	timeout := time.After(patience)
	var others []string
	for {
		select {
		case got := <-h.Heard():
			if strings.HasSuffix(got.Text, want) { // after its author
				return
			}
			others = append(others, got.Text)
		case <-timeout:
			t.Fatalf("%s does not show %q, but %q", h.Name(), want, others)
		}
	}
}

// leader waits until one of the gateways carries commons to the relay.
func leader(t *testing.T, gateways []*node) *node {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for range 600 {
		var leads, sees []*node
		for _, g := range gateways {
			m := g.metrics()
			if strings.Contains(m, "\ndrey_bridge_leads 1\n") {
				leads = append(leads, g)
			}
			if strings.Contains(m, "\ndrey_bridge_gateways 2\n") {
				sees = append(sees, g)
			}
		}
		if len(leads) == 1 && len(sees) == len(gateways) {
			return leads[0]
		}
		<-tick.C
	}
	t.Fatal("no gateway leads alone")
	return nil
}

// say posts a note with nostr-tools on a machine, and returns its id.
func say(t *testing.T, m *netns.Machine, url string, textAndTopic ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	post := app(ctx, m, append([]string{"post", url}, textAndTopic...)...)
	post.Stderr = os.Stderr
	out, err := post.Output()
	if err != nil {
		t.Fatalf("post: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// listen subscribes with nostr-tools at a node's relay, and returns a function
// that waits until the text is there.
func listen(t *testing.T, n *node, text string) func(string) {
	t.Helper()
	hear := app(t.Context(), n.m, "hear", local, text)
	hear.Stderr = os.Stderr
	out, err := hear.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := hear.Start(); err != nil {
		t.Fatal(err)
	}
	said := make(chan string)
	go func() {
		defer close(said)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			said <- lines.Text()
		}
	}()
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-said:
			if got != want {
				t.Fatalf("the subscriber said %q, want %q", got, want)
			}
		case <-time.After(patience):
			t.Fatalf("the subscriber never said %q", want)
		}
	}
	expect("listening")
	return func(string) {
		t.Helper()
		expect("heard")
		if err := hear.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// stands waits until a note stands on the foreign relay, for nostr-tools to
// read, once.
func stands(t *testing.T, m *netns.Machine, f *foreign, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for ; ; <-look.C {
		out, err := app(ctx, m, "count", f.url, text).CombinedOutput()
		if err != nil {
			t.Fatalf("count: %v\n%s", err, out)
		}
		if n := strings.TrimSpace(string(out)); n != "0" {
			if n != "1" {
				t.Errorf("%q stands there %s times", text, n)
			}
			return
		}
	}
}

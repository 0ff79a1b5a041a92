//go:build e2e

package radio

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drey/e2e/npm"
	"drey/mesh"
	"drey/radio"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
)

const answer = "yes, since noon ✓"

// TestOfficialClient has a real node speak to one radio and the client to
// another, both over TCP and then both by serial line. The client sees what
// "drey pub" sent, "drey sub" prints what the client answered, and each knows
// where the other's side is.
func TestOfficialClient(t *testing.T) {
	drey := prepare(t)
	for _, transport := range []string{"tcp", "serial"} {
		t.Run(transport, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			air := radiotest.NewAir(radiotest.Config{Seed: 3})
			run(t, cancel, func() error { return air.Run(ctx) })
			channels := []meshtastic.Channel{radiotest.PrivateChannel("town")}
			ours := air.NewRadio("drey gateway", radiotest.RadioConfig{Channels: channels})
			theirs := air.NewRadio("official client", radiotest.RadioConfig{Channels: channels, Signs: true})

			var gear string
			var args []string
			if transport == "tcp" {
				gear = "tcp://" + serveTCP(t, ctx, cancel, ours)
				host, p, _ := net.SplitHostPort(serveTCP(t, ctx, cancel, theirs))
				args = []string{"tcp", host, p}
			} else {
				dir := t.TempDir()
				for name, r := range map[string]*radiotest.Radio{"ours": ours, "theirs": theirs} {
					run(t, cancel, func() error { return r.ServePTY(ctx, filepath.Join(dir, name)) })
				}
				gear = device(t, filepath.Join(dir, "ours"))
				args = []string{"serial", device(t, filepath.Join(dir, "theirs"))}
			}
			home := node(t, drey, gear)
			said := client(t, args)
			said.expect(t, "me", func(m message) bool { return meshtastic.NodeNum(m.Num) == theirs.Num() })
			said.expect(t, "metadata", func(m message) bool { return m.Firmware == "2.8.0.1f2e3d4" })
			said.expect(t, "channel", func(m message) bool { return m.Name == "town" && m.Role == 1 })
			said.expect(t, "lora", func(m message) bool { return m.Region == 1 && m.Preset == 0 && m.Hops == 3 })
			said.expect(t, "node", func(m message) bool { return m.Name == "drey gateway" })
			said.expect(t, "configured", func(message) bool { return true })
			said.expect(t, "position sent", func(message) bool { return true })
			place(t, drey, home, theirs)

			id := pub(t, drey, home, "is the water back?")
			got := said.expect(t, "text", func(m message) bool { return m.Text == "ana: is the water back?" })
			if got.ID != radio.PacketID(id, 1, 1) {
				t.Errorf("packet id %08x, want %08x", got.ID, radio.PacketID(id, 1, 1))
			}
			answered(t, drey, home, 2)
			said.expect(t, "acknowledged", func(message) bool { return true })
		})
	}
}

// TestSharedRadio has the client use the node's own radio, which the node offers
// on TCP while it uses it itself: both exchange texts, acknowledgements and
// positions with a handheld and see each other's, and the client sets up a
// channel.
func TestSharedRadio(t *testing.T) {
	drey := prepare(t)
	ctx, cancel := context.WithCancel(t.Context())
	air := radiotest.NewAir(radiotest.Config{Seed: 3})
	run(t, cancel, func() error { return air.Run(ctx) })
	channels := []meshtastic.Channel{radiotest.PrivateChannel("town")}
	ours := air.NewRadio("drey gateway", radiotest.RadioConfig{Channels: channels})
	maria := air.NewHandheld("Maria", channels...)
	dir := t.TempDir()
	run(t, cancel, func() error { return ours.ServePTY(ctx, filepath.Join(dir, "ours")) })
	home := node(t, drey, device(t, filepath.Join(dir, "ours")))

	host, port, _ := net.SplitHostPort(shared(t, drey, home))
	said := client(t, []string{"tcp", host, port})
	said.expect(t, "me", func(m message) bool { return meshtastic.NodeNum(m.Num) == ours.Num() })
	said.expect(t, "channel", func(m message) bool { return m.Name == "town" && m.Role == 1 })
	said.expect(t, "lora", func(m message) bool { return m.Region == 1 && m.Preset == 0 && m.Hops == 3 })
	said.expect(t, "node", func(m message) bool { return m.Name == "Maria" })
	said.expect(t, "configured", func(message) bool { return true })
	said.expect(t, "position sent", func(message) bool { return true })
	place(t, drey, home, ours)

	there := meshtastic.Position{Known: true, Latitude: 49.5, Longitude: 24.25}
	maria.Tell(meshtastic.PortPosition, meshtastic.AppendPosition(nil, &there), 0)
	said.expect(t, "position", func(m message) bool {
		return meshtastic.NodeNum(m.Num) == maria.Num() && m.North == 495_000_000 && m.East == 242_500_000
	})

	pub(t, drey, home, "we have soup")
	said.expect(t, "text", func(m message) bool {
		return m.Text == "ana: we have soup" && meshtastic.NodeNum(m.From) == ours.Num()
	})
	hears(t, maria, "ana: we have soup")
	maria.Send("for how many?")
	said.expect(t, "text", func(m message) bool { return m.Text == "for how many?" })
	said.expect(t, "acknowledged", func(message) bool { return true })
	hears(t, maria, answer)
	answered(t, drey, home, 3)

	maria.Send("channel official")
	said.expect(t, "channel set", func(message) bool { return true })
	c := ours.Channels()
	if len(c) != 3 || c[2].Name != "official" || c[2].Role != meshtastic.RoleSecondary || !bytes.Equal(c[2].PSK, bytes.Repeat([]byte{7}, 32)) {
		t.Errorf("the radio's channels are %+v", c)
	}
	said.expect(t, "channel", func(m message) bool { return m.Name == "official" && m.Index == 2 })
	for _, m := range said.past {
		if m.Event == "failed" {
			t.Errorf("the client failed: %s", m.Error)
		}
	}
}

// prepare gets the client and builds the node's program.
func prepare(t *testing.T) string {
	t.Helper()
	install(t)
	drey := filepath.Join(t.TempDir(), "drey")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", drey, "drey/cmd/drey").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return drey
}

// pub says something and waits until it is on the air.
func pub(t *testing.T, drey, home, text string) mesh.EventID {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), drey, "--home", home, "pub", "alerts", text, "--wait", "air", "--timeout", "120s", "--json").CombinedOutput()
	if err != nil {
		t.Fatalf("drey pub: %v\n%s", err, out)
	}
	_, hex, _ := strings.Cut(string(out), `"id":"`)
	id, err := mesh.ParseEventID(hex[:min(len(hex), 64)])
	if err != nil {
		t.Fatalf("drey pub printed %s", out)
	}
	return id
}

// answered waits until the node holds n messages, the last of which is the
// client's answer, marked as what it is.
func answered(t *testing.T, drey, home string, n int) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), drey, "--home", home, "sub", "alerts", "--since", "1h", "--count", fmt.Sprint(n), "--timeout", "120s", "--json").Output()
	if err != nil {
		t.Fatalf("drey sub: %v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	e, err := mesh.ParseJSON([]byte(lines[len(lines)-1]))
	if err != nil || e.Content() != answer || !mesh.Labelled(e, mesh.LabelUnsignedRadio) {
		t.Errorf("drey sub printed %s", out)
	}
}

// place waits until the node knows that a radio is where the client said.
func place(t *testing.T, drey, home string, r *radiotest.Radio) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var out []byte
	for range 1200 {
		<-tick.C
		out, _ = exec.CommandContext(t.Context(), drey, "--home", home, "radio", "ls", "--json").Output()
		var list struct {
			Nodes []struct {
				Node  string
				Place *struct{ Latitude, Longitude float64 }
			}
		}
		if json.Unmarshal(out, &list) != nil {
			continue
		}
		for _, n := range list.Nodes {
			if n.Node == r.Num().String() && n.Place != nil && n.Place.Latitude == -33.4489 && n.Place.Longitude == -70.6693 {
				return
			}
		}
	}
	t.Fatalf("the node does not know where %s is: %s", r.Num(), out)
}

// shared returns where the node offers its radio.
func shared(t *testing.T, drey, home string) string {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 1200 {
		<-tick.C
		out, _ := exec.CommandContext(t.Context(), drey, "--home", home, "radio", "status", "--json").Output()
		var status struct{ Share struct{ Listen string } }
		if json.Unmarshal(out, &status) == nil && status.Share.Listen != "" {
			return status.Share.Listen
		}
	}
	t.Fatal("the radio is not shared")
	return ""
}

// hears waits until a handheld shows a text.
func hears(t *testing.T, h *radiotest.Handheld, want string) {
	t.Helper()
	timeout := time.After(2 * time.Minute)
	for {
		select {
		case got := <-h.Heard():
			if got.Text == want {
				return
			}
		case <-timeout:
			t.Fatalf("%s does not show %q", h.Name(), want)
		}
	}
}

// node runs a lone node with a radio until the test ends and returns its home
// when it answers.
func node(t *testing.T, drey, gear string) string {
	t.Helper()
	home := t.TempDir()
	config := filepath.Join(t.TempDir(), "drey.toml")
	text := "[node]\nname = \"ana\"\n[radio]\nshare = \"127.0.0.1:0\"\n[[radio.topic]]\ntopic = \"alerts\"\nchannel = 0\nform = \"text\"\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(drey, "--home", home, "up", "--config", config, "--radio", gear,
		"--web", "127.0.0.1:0", "--underlay", "tcp://127.0.0.1:0", "--no-lan")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("drey up ended with %v", err)
		}
	})
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var out []byte
	for range 1200 {
		<-tick.C
		out, _ = exec.Command(drey, "--home", home, "status", "--json").Output()
		var status struct{ Radio struct{ State string } }
		if json.Unmarshal(out, &status) == nil && status.Radio.State == radio.StateLive {
			return home
		}
	}
	t.Fatalf("the radio is not ready: %s", out)
	return ""
}

// install gets the client from npm.
func install(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("DREY_E2E") == "required" {
				t.Fatalf("%s is missing", tool)
			}
			t.Skipf("skipped: %s is missing (apt-get install nodejs npm)", tool)
		}
	}
	if err := npm.Install(t.Context(), "."); err != nil {
		t.Fatal(err)
	}
}

// run runs f until the test ends.
func run(t *testing.T, cancel context.CancelFunc, f func() error) {
	done := make(chan error, 1)
	go func() { done <- f() }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

func serveTCP(t *testing.T, ctx context.Context, cancel context.CancelFunc, r *radiotest.Radio) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	run(t, cancel, func() error { return r.ServeTCP(ctx, l) })
	return l.Addr().String()
}

// device waits for a link to a serial device and returns the device.
func device(t *testing.T, link string) string {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		if path, err := filepath.EvalSymlinks(link); err == nil {
			return path
		}
		<-tick.C
	}
	t.Fatalf("%s did not appear", link)
	return ""
}

// A message is one line of client.mjs.
type message struct {
	Event    string
	Num      uint32
	From     uint32
	ID       uint32
	Index    int
	North    int32
	East     int32
	Name     string
	Firmware string
	Role     int
	Region   int
	Preset   int
	Hops     int
	Text     string
	Error    string
}

// A sayings collects what the client says.
type sayings struct {
	lines chan message
	past  []message
}

// client runs the official client until the test ends.
func client(t *testing.T, args []string) *sayings {
	t.Helper()
	cmd := exec.Command("node", append([]string{"client.mjs"}, args...)...)
	cmd.Env = append(os.Environ(), "ANSWER="+answer, "POSITION=-33.4489,-70.6693")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &sayings{lines: make(chan message, 1000)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(s.lines)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			var m message
			text, ok := strings.CutPrefix(lines.Text(), "@")
			if ok && json.Unmarshal([]byte(text), &m) == nil {
				s.lines <- m
			}
		}
		_, _ = io.Copy(io.Discard, stdout)
	}()
	t.Cleanup(func() {
		stdin.Close()
		<-read
		_ = cmd.Wait()
	})
	return s
}

// expect waits for a message, or finds it among those that came before.
func (s *sayings) expect(t *testing.T, event string, ok func(message) bool) message {
	t.Helper()
	for _, m := range s.past {
		if m.Event == event && ok(m) {
			return m
		}
	}
	timeout := time.After(2 * time.Minute)
	for {
		select {
		case m, open := <-s.lines:
			if !open {
				t.Fatalf("the client ended before %q; it said %+v", event, s.past)
			}
			s.past = append(s.past, m)
			if m.Event == event && ok(m) {
				return m
			}
		case <-timeout:
			t.Fatalf("the client did not say %q; it said %+v", event, s.past)
		}
	}
}

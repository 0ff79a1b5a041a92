//go:build e2e

// Package radio connects Meshtastic's official client, which shares no code
// with drey, to the simulated radio: the ether is honest when the client
// cannot tell.
package radio

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drey/mesh"
	"drey/radio"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
)

const answer = "yes, since noon ✓"

// TestOfficialClient has a real node speak to one radio and the client to
// another, both over TCP and then both by serial line. The client sees what
// "drey pub" sent, and "drey sub" prints what the client answered.
func TestOfficialClient(t *testing.T) {
	install(t)
	drey := filepath.Join(t.TempDir(), "drey")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", drey, "drey/cmd/drey").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
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

			out, err := exec.CommandContext(ctx, drey, "--home", home, "pub", "alerts", "is the water back?", "--wait", "air", "--timeout", "60s", "--json").CombinedOutput()
			if err != nil {
				t.Fatalf("drey pub: %v\n%s", err, out)
			}
			_, hex, _ := strings.Cut(string(out), `"id":"`)
			id, err := mesh.ParseEventID(hex[:min(len(hex), 64)])
			if err != nil {
				t.Fatalf("drey pub printed %s", out)
			}
			got := said.expect(t, "text", func(m message) bool { return m.Text == "ana: is the water back?" })
			if got.ID != radio.PacketID(id, 1, 1) {
				t.Errorf("packet id %08x, want %08x", got.ID, radio.PacketID(id, 1, 1))
			}
			out, err = exec.CommandContext(ctx, drey, "--home", home, "sub", "alerts", "--since", "1h", "--count", "2", "--timeout", "60s", "--json").Output()
			if err != nil {
				t.Fatalf("drey sub: %v\n%s", err, out)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			e, err := mesh.ParseJSON([]byte(lines[len(lines)-1]))
			if err != nil || e.Content() != answer || !mesh.Labelled(e, mesh.LabelUnsignedRadio) {
				t.Errorf("drey sub printed %s", out)
			}
			said.expect(t, "acknowledged", func(message) bool { return true })
		})
	}
}

// node runs a lone node with a radio until the test ends and returns its home
// when it answers.
func node(t *testing.T, drey, gear string) string {
	t.Helper()
	home := t.TempDir()
	config := filepath.Join(t.TempDir(), "drey.toml")
	text := "[node]\nname = \"ana\"\n[[radio.topic]]\ntopic = \"alerts\"\nchannel = 0\nform = \"text\"\n"
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
	for range 300 {
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
	out, err := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund").CombinedOutput()
	if err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
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
	for range 1000 {
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
	ID       uint32
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
	cmd.Env = append(os.Environ(), "ANSWER="+answer)
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
	timeout := time.After(time.Minute)
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

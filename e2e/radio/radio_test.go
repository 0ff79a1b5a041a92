//go:build e2e

// Package radio connects Meshtastic's official client, which shares no code
// with drey, to the simulated radio: the ether is honest when the client
// cannot tell, and when what the carrier says to one radio the client reads on
// another.
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
	"drey/mesh/carriertest"
	"drey/radio"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
	"drey/store/storetest"
)

const answer = "yes, since noon ✓"

// TestOfficialClient has the carrier speak to a radio over TCP and the client
// to another radio, by each of its transports.
func TestOfficialClient(t *testing.T) {
	install(t)
	for _, transport := range []string{"tcp", "serial"} {
		t.Run(transport, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			air := radiotest.NewAir(radiotest.Config{Seed: 3})
			run(t, cancel, func() error { return air.Run(ctx) })
			channels := []meshtastic.Channel{radiotest.PrivateChannel("town")}
			ours := air.NewRadio("drey gateway", radiotest.RadioConfig{Channels: channels})
			theirs := air.NewRadio("official client", radiotest.RadioConfig{Channels: channels, Signs: true})

			port := carriertest.NewPort(t)
			memory := storetest.NewMemory(time.Now)
			signer := key(t)
			carrier := radio.New(radio.Config{
				Device:  "tcp://" + serveTCP(t, ctx, cancel, ours),
				Maps:    []radio.TopicMap{{Topic: "alerts", Channel: 0, Form: radio.FormText}},
				Archive: memory, Shelf: memory.Shelf("radio"), Signer: signer,
				NameOf: func(mesh.PubKey) string { return "ana" },
			})
			run(t, cancel, func() error { return carrier.Run(ctx, port) })

			args := []string{"tcp"}
			if transport == "tcp" {
				host, p, _ := net.SplitHostPort(serveTCP(t, ctx, cancel, theirs))
				args = append(args, host, p)
			} else {
				link := filepath.Join(t.TempDir(), "radio")
				run(t, cancel, func() error { return theirs.ServePTY(ctx, link) })
				args = []string{"serial", device(t, link)}
			}
			said := client(t, args)
			said.expect(t, "me", func(m message) bool { return meshtastic.NodeNum(m.Num) == theirs.Num() })
			said.expect(t, "metadata", func(m message) bool { return m.Firmware == "2.8.0.1f2e3d4" })
			said.expect(t, "channel", func(m message) bool { return m.Name == "town" && m.Role == 1 })
			said.expect(t, "lora", func(m message) bool { return m.Region == 1 && m.Preset == 0 && m.Hops == 3 })
			said.expect(t, "node", func(m message) bool { return m.Name == "drey gateway" })
			said.expect(t, "configured", func(message) bool { return true })

			e, err := signer.Sign(mesh.Draft{
				CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindNote,
				Tags: [][]string{{"t", "alerts"}}, Content: "is the water back?",
			})
			if err != nil {
				t.Fatal(err)
			}
			port.Owe(e, "alerts", "0", mesh.Chat)
			got := said.expect(t, "text", func(m message) bool { return m.Text == "ana: is the water back?" })
			if got.ID != radio.PacketID(e.ID(), 1, 1) {
				t.Errorf("packet id %08x, want %08x", got.ID, radio.PacketID(e.ID(), 1, 1))
			}
			limit, stop := context.WithTimeout(ctx, time.Minute)
			defer stop()
			if !port.Await(limit, func() bool { return len(port.Taken()) == 1 }) {
				t.Fatalf("the answer did not come; the carrier says %+v", carrier.Status())
			}
			r := port.Taken()[0]
			if r.Event.Content() != answer || r.Origin.Topic != "alerts" || r.Origin.Peer != theirs.Num().String() {
				t.Errorf("drey received %q in %q from %s", r.Event.Content(), r.Origin.Topic, r.Origin.Peer)
			}
			said.expect(t, "acknowledged", func(message) bool { return true })
			if !port.Await(limit, func() bool { return len(port.Endings()) == 1 }) || port.Endings()[0].Err != nil {
				t.Errorf("the delivery ended with %v", port.Endings())
			}
		})
	}
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

func key(t *testing.T) *mesh.SecretKey {
	t.Helper()
	identity, err := mesh.NewSeed().Identity()
	if err != nil {
		t.Fatal(err)
	}
	return identity.Author
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

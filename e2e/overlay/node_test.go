//go:build e2e

package overlay

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"

	"drey/e2e/netns"
	"drey/mesh"
	"drey/overlay"
)

// The test binary is also the node: with nodeEnv set it runs one overlay,
// takes commands on its standard input and answers each with a line of JSON.
const nodeEnv = "DREY_E2E_OVERLAY_NODE"

// A nodeConfig says what a node process is.
type nodeConfig struct {
	Seed    byte   // the node's identity
	Members []byte // seeds of all members
	Listen  []string
	Peers   []string
	LAN     bool
	Leaf    bool
}

// An answer is one line a node prints.
type answer struct {
	Listening []string      `json:",omitempty"`
	Mbits     float64       `json:",omitempty"`
	RTTs      []float64     `json:",omitempty"` // microseconds, sorted
	Took      time.Duration `json:",omitempty"`
	Near      bool          `json:",omitempty"` // a link leads straight there
	Err       string        `json:",omitempty"`
}

func TestMain(m *testing.M) {
	if text := os.Getenv(nodeEnv); text != "" {
		if err := runNode(text); err != nil {
			json.NewEncoder(os.Stdout).Encode(answer{Err: err.Error()})
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func identity(seed byte) *mesh.Identity {
	id, err := mesh.Seed{seed}.Identity()
	if err != nil {
		panic(err) // a fixed seed either always works or never
	}
	return id
}

// everyone is a roster that never changes.
type everyone struct{ nodes []mesh.NodeKey }

func (everyone) Community() mesh.Community                     { return mesh.Found(mesh.PubKey{1}, "town", [32]byte{}) }
func (everyone) Standing(mesh.PubKey, time.Time) mesh.Standing { return mesh.Stranger }
func (e everyone) Admits(k mesh.NodeKey) bool                  { return slices.Contains(e.nodes, k) }
func (e everyone) Nodes() []mesh.NodeKey                       { return slices.Clone(e.nodes) }
func (everyone) Changed() <-chan struct{}                      { return nil }

const (
	sinkProtocol = "/drey/test-sink/1"
	echoProtocol = "/drey/test-echo/1"
)

func runNode(text string) error {
	var c nodeConfig
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	var members everyone
	for _, seed := range c.Members {
		members.nodes = append(members.nodes, identity(seed).NodeKey())
	}
	config := overlay.Config{Key: identity(c.Seed).Node, Roster: members, Listen: c.Listen, Peers: c.Peers, LAN: c.LAN, NoTransit: c.Leaf}
	if os.Getenv("DREY_TEST_LOG") != "" {
		config.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	o, err := overlay.New(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	h, err := o.Host(ctx)
	if err != nil {
		return err
	}
	h.SetStreamHandler(sinkProtocol, func(s network.Stream) {
		io.Copy(io.Discard, s)
		s.Write([]byte{1})
		s.Close()
	})
	h.SetStreamHandler(echoProtocol, func(s network.Stream) {
		io.Copy(s, s)
		s.Close()
	})
	out := json.NewEncoder(os.Stdout)
	out.Encode(answer{Listening: o.Listening()})
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		a, err := command(ctx, o, h, strings.Fields(lines.Text()))
		if err != nil {
			a.Err = err.Error()
		}
		out.Encode(a)
	}
	cancel()
	return <-ended
}

func command(ctx context.Context, o *overlay.Overlay, h host.Host, words []string) (a answer, err error) {
	if len(words) < 2 {
		return a, fmt.Errorf("command %q", words)
	}
	key, err := mesh.ParseNodeKey(words[1])
	if err != nil {
		return a, err
	}
	ctx, cancel := context.WithTimeout(ctx, netns.FirstPath+time.Minute)
	defer cancel()
	defer func() {
		for _, l := range o.Links() {
			a.Near = a.Near || l.Up && l.Key == key
		}
	}()
	switch words[0] {
	case "echo": // waits until the member is connected, then for one answer
		began := time.Now()
		err = echo(ctx, o, h, key)
		a.Took = time.Since(began)
	case "pour": // for so long
		var long time.Duration
		if long, err = time.ParseDuration(words[2]); err == nil {
			a.Mbits, err = pour(ctx, h, key, long)
		}
	case "ping": // 1000 times
		for range 1000 {
			rtt, err := o.Ping(ctx, key)
			if err != nil {
				return a, err
			}
			a.RTTs = append(a.RTTs, float64(rtt.Nanoseconds())/1000)
		}
		slices.Sort(a.RTTs)
	case "reach": // one ping within so long
		var long time.Duration
		if long, err = time.ParseDuration(words[2]); err == nil {
			ctx, cancel := context.WithTimeout(ctx, long)
			defer cancel()
			a.Took, err = o.Ping(ctx, key)
		}
	default:
		err = fmt.Errorf("command %q", words)
	}
	return a, err
}

func echo(ctx context.Context, o *overlay.Overlay, h host.Host, key mesh.NodeKey) error {
	id, err := overlay.PeerOf(key)
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !slices.Contains(o.Connected(), key) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s, err := h.NewStream(ctx, id, echoProtocol)
	if err != nil {
		return err
	}
	defer s.Reset()
	if _, err := s.Write([]byte("hello")); err != nil {
		return err
	}
	s.CloseWrite()
	if got, err := io.ReadAll(s); err != nil || string(got) != "hello" {
		return fmt.Errorf("echo gave %q, %w", got, errors.Join(err))
	}
	return nil
}

// pour sends for a while over one stream and returns Mbit/s of what arrived.
func pour(ctx context.Context, h host.Host, key mesh.NodeKey, long time.Duration) (float64, error) {
	id, err := overlay.PeerOf(key)
	if err != nil {
		return 0, err
	}
	s, err := h.NewStream(ctx, id, sinkProtocol)
	if err != nil {
		return 0, err
	}
	defer s.Reset()
	block := make([]byte, 128<<10) // what iperf3 writes at a time
	sent := 0
	began := time.Now()
	for time.Since(began) < long {
		n, err := s.Write(block)
		if err != nil {
			return 0, err
		}
		sent += n
	}
	if err := s.CloseWrite(); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(s, block[:1]); err != nil {
		return 0, err
	}
	return float64(sent) * 8 / 1e6 / time.Since(began).Seconds(), nil
}

// A process is a node that runs on a machine.
type process struct {
	t         *testing.T
	Listening []string
	Started   time.Time
	key       mesh.NodeKey
	in        io.WriteCloser
	out       *json.Decoder
	cmd       *exec.Cmd
}

// runOn starts a node on a machine and waits until it is up; it ends with the
// test, or with stop.
func runOn(t *testing.T, m *netns.Machine, c nodeConfig) *process {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := m.Command(context.Background(), self)
	cmd.Env = append(os.Environ(), nodeEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, key: identity(c.Seed).NodeKey(), in: in, out: json.NewDecoder(out), cmd: cmd, Started: time.Now()}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	p.Listening = p.read().Listening
	return p
}

func (p *process) read() answer {
	p.t.Helper()
	var a answer
	if err := p.out.Decode(&a); err != nil {
		p.t.Fatalf("a node said nothing: %v", err)
	}
	if a.Err != "" {
		p.t.Fatalf("a node failed: %s", a.Err)
	}
	return a
}

// ask sends one command about another node and returns the answer.
func (p *process) ask(verb string, other *process, more ...string) answer {
	p.t.Helper()
	fmt.Fprintln(p.in, strings.Join(append([]string{verb, other.key.String()}, more...), " "))
	return p.read()
}

func (p *process) stop() {
	p.in.Close()
	p.cmd.Wait()
}

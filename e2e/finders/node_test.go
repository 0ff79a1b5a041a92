//go:build e2e

package finders

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"drey/e2e/netns"
	"drey/mesh"
	"drey/web"
)

const (
	// patience bounds how long a test waits for what should take seconds: longer
	// than any limit with its slack, so that a late one is told with its time.
	patience = 5 * time.Minute
	// slack is by how much a figure may be missed where the machine is busy
	// with other things; what was measured is logged.
	slack = 3
)

// built holds the path of the binary, built once for all tests. The build tag
// lets a test set a node's clock, and changes nothing else.
var built = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "drey")
	build := exec.Command("go", "build", "-tags", "e2e", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path, "drey/cmd/drey")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if ready := os.Getenv("DREY_E2E_BINARY"); ready != "" {
		return ready, nil
	}
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// scratch is a folder that goes when all tests are done; its path is short
// enough for sockets.
var scratch string

func TestMain(m *testing.M) {
	code := 1
	func() {
		var err error
		if scratch, err = os.MkdirTemp("", "drey"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
		defer os.RemoveAll(scratch)
		code = m.Run()
	}()
	os.Exit(code)
}

// A node is one home on one machine, and the process that runs it while it is
// up.
type node struct {
	t    testing.TB
	m    *netns.Machine
	name string
	home string
	args []string // of every start
	env  []string // beside the environment of the test

	cmd   *exec.Cmd
	ended chan struct{} // closed when cmd has ended
	err   error         // of cmd; set before ended
	said  *transcript
	began time.Time
}

// A transcript is what a process said so far.
type transcript struct {
	sync.Mutex
	bytes.Buffer
}

func (s *transcript) Write(p []byte) (int, error) {
	s.Lock()
	defer s.Unlock()
	return s.Buffer.Write(p)
}

func (s *transcript) text() string {
	s.Lock()
	defer s.Unlock()
	return s.Buffer.String()
}

// A net is machines on one switch.
type network struct {
	t    testing.TB
	sw   *netns.Switch
	next int
	bare bool // nobody gives out addresses
}

func newNetwork(t testing.TB, tools ...string) *network {
	t.Helper()
	netns.Require(t, tools...)
	if _, err := built(); err != nil {
		t.Fatal(err)
	}
	return &network{t: t, sw: netns.NewSwitch(t, "lan")}
}

// machine plugs a machine in and returns it with its address.
func (n *network) machine(name string) (m *netns.Machine, addr, iface string) {
	n.t.Helper()
	m = netns.New(n.t, name)
	n.next++
	addr = fmt.Sprintf("10.33.0.%d", n.next)
	if n.bare {
		return m, "", n.sw.Plug(m, "")
	}
	return m, addr, n.sw.Plug(m, addr+"/24")
}

// node makes a node with a fresh home on a machine of its own.
func (n *network) node(name string, args ...string) (*node, string) {
	n.t.Helper()
	m, addr, _ := n.machine(name)
	return newNode(n.t, m, name, args...), addr
}

func newNode(t testing.TB, m *netns.Machine, name string, args ...string) *node {
	t.Helper()
	dir, err := os.MkdirTemp(scratch, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &node{t: t, m: m, name: name, home: filepath.Join(dir, "h"), args: args}
}

// with sets variables of the node's configuration, such as
// "BOOTSTRAP__FINDERS=mdns", in place of those it had.
func (n *node) with(settings ...string) *node {
	n.env = nil
	for _, s := range settings {
		n.env = append(n.env, "DREY_"+s)
	}
	return n
}

// only switches every finder off but these.
func (n *node) only(finders ...string) *node {
	return n.with("BOOTSTRAP__FINDERS=" + strings.Join(finders, ","))
}

func (n *node) command(args ...string) *exec.Cmd {
	path, _ := built()
	cmd := n.m.Command(context.Background(), path, append([]string{"--home", n.home}, args...)...)
	cmd.Env = append(os.Environ(), n.env...)
	return cmd
}

// launch starts the node and waits for nothing.
func (n *node) launch(more ...string) *node {
	n.t.Helper()
	n.cmd = n.command(append(append([]string{"up", "--name", n.name, "--radio", "none"}, n.args...), more...)...)
	n.ended, n.said = make(chan struct{}), &transcript{}
	n.cmd.Stdout, n.cmd.Stderr = n.said, n.said
	n.began = time.Now()
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	cmd, ended := n.cmd, n.ended
	go func() {
		n.err = cmd.Wait()
		close(ended)
	}()
	n.t.Cleanup(func() {
		select {
		case <-ended:
		default:
			cmd.Process.Kill()
			<-ended
		}
		if n.t.Failed() {
			n.t.Logf("%s said:\n%.4000s", n.name, n.said.text())
		}
	})
	return n
}

// up starts the node and waits until its API answers.
func (n *node) up(more ...string) *node {
	n.t.Helper()
	n.launch(more...)
	n.await("answers", func(*web.Status) bool { return true })
	return n
}

// await waits until the node's status is as ok wants it, and returns when that
// was.
func (n *node) await(what string, ok func(*web.Status) bool) (*web.Status, time.Time) {
	n.t.Helper()
	c := web.NewClient(n.home)
	defer c.Close()
	ctx, stop := context.WithTimeout(n.t.Context(), patience)
	defer stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var last *web.Status
	for {
		if st, err := c.Status(ctx); err == nil {
			if last = st; ok(st) {
				return st, time.Now()
			}
		}
		select {
		case <-tick.C:
		case <-n.ended:
			n.t.Fatalf("%s ended while it was to be: %s: %v\n%s", n.name, what, n.err, n.said.text())
		case <-ctx.Done():
			n.t.Fatalf("%s never was: %s; status %+v", n.name, what, last)
		}
	}
}

// meets waits until so many machines of the community are in contact, and
// returns how long that took since the node's start.
func (n *node) meets(others int) time.Duration {
	n.t.Helper()
	_, at := n.await(fmt.Sprintf("in contact with %d", others), func(st *web.Status) bool { return st.PubSub.Peers >= others })
	return at.Sub(n.began)
}

// stop ends the node as ^C does.
func (n *node) stop() {
	n.t.Helper()
	n.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-n.ended:
	case <-time.After(patience):
		n.t.Fatalf("%s does not end", n.name)
	}
}

// says runs a subcommand and returns its standard output.
func (n *node) says(args ...string) string {
	n.t.Helper()
	cmd := n.command(args...)
	var out, fault bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &fault
	if err := cmd.Run(); err != nil {
		n.t.Fatalf("drey %s: %v\n%s", strings.Join(args, " "), err, fault.String())
	}
	return out.String()
}

// stopAll ends nodes side by side.
func stopAll(nodes ...*node) {
	var wait sync.WaitGroup
	for _, n := range nodes {
		n.cmd.Process.Signal(syscall.SIGINT)
		wait.Go(func() { <-n.ended })
	}
	wait.Wait()
}

// notes counts the notes in commons that the node holds.
func (n *node) notes() int {
	n.t.Helper()
	c := web.NewClient(n.home)
	defer c.Close()
	count := 0
	for _, err := range c.Messages(n.t.Context(), web.Following{Since: "all", Topics: []mesh.Topic{mesh.TopicCommons}, Kinds: []mesh.Kind{mesh.KindNote}}) {
		if err != nil {
			return 0
		}
		count++
	}
	return count
}

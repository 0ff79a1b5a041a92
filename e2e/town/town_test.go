//go:build e2e

package town

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"drey/e2e/netns"
	"drey/mesh"
	"drey/web"
)

// patience bounds how long a test waits for what should take seconds at most:
// the machine may be slow, and a foreign router in between want its time.
const patience = netns.FirstPath + 2*time.Minute

// built holds the path of the binary, built once for all tests, as "make build"
// does.
var built = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("DREY_E2E_BINARY"); path != "" {
		return path, nil
	}
	path := filepath.Join(scratch, "drey")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path, "drey/cmd/drey")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// scratch is a folder that goes when all tests are done; its path is short
// enough for sockets.
var scratch string

func TestMain(m *testing.M) {
	if text := os.Getenv(strangerEnv); text != "" {
		os.Exit(stranger(text))
	}
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

// require skips or fails where the suite cannot run, and returns the binary.
func require(t testing.TB, tools ...string) string {
	t.Helper()
	netns.Require(t, tools...)
	drey, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return drey
}

// A node is one home, and the process that runs it while it is up.
type node struct {
	t    testing.TB
	drey string
	m    *netns.Machine // nil: the machine of the test
	home string
	name string
	args []string // of every start
	env  []string // beside the environment of the test

	cmd   *exec.Cmd
	ended chan struct{} // closed when cmd has ended
	said  *transcript
	err   error // of cmd; set before ended
	began time.Time
}

// A transcript is what a process said so far.
type transcript struct {
	mu struct {
		sync.Mutex
		bytes.Buffer
	}
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.Buffer.Write(p)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.Buffer.String()
}

// settle makes a home of this name for a machine. It starts nothing.
func settle(t testing.TB, drey string, m *netns.Machine, name string, args ...string) *node {
	t.Helper()
	dir, err := os.MkdirTemp(scratch, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &node{t: t, drey: drey, m: m, home: filepath.Join(dir, "h"), name: name, args: args}
}

// command prepares a subcommand of drey for this home, on this machine.
func (n *node) command(args ...string) *exec.Cmd {
	args = append([]string{"--home", n.home}, args...)
	cmd := exec.Command(n.drey, args...)
	if n.m != nil {
		cmd = n.m.Command(context.Background(), n.drey, args...)
	}
	cmd.Env = append(os.Environ(), n.env...)
	return cmd
}

// launch starts the node and does not wait for anything.
func (n *node) launch() {
	n.t.Helper()
	n.run(n.command(append([]string{"up", "--name", n.name, "--radio", "none"}, n.args...)...))
}

// run starts a prepared command as the node's process.
func (n *node) run(cmd *exec.Cmd) {
	n.t.Helper()
	n.cmd, n.ended, n.said = cmd, make(chan struct{}), &transcript{}
	n.cmd.Stdout, n.cmd.Stderr = n.said, n.said
	n.began = time.Now()
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	ended := n.ended
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
			n.t.Logf("%s said:\n%s", n.name, n.said)
		}
	})
}

// up starts the node and waits until its API answers.
func (n *node) up() *node {
	n.t.Helper()
	n.launch()
	n.await("answers", func(*web.Status) bool { return true })
	return n
}

// await waits until the node's status is as ok wants it.
func (n *node) await(what string, ok func(*web.Status) bool) *web.Status {
	n.t.Helper()
	c := n.client()
	defer c.Close()
	ctx, stop := context.WithTimeout(n.t.Context(), patience)
	defer stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var last *web.Status
	for {
		st, err := c.Status(ctx)
		if err == nil {
			if last = st; ok(st) {
				return st
			}
		}
		select {
		case <-tick.C:
		case <-n.ended:
			n.t.Fatalf("%s ended while it was to be: %s: %v\n%s", n.name, what, n.err, n.said)
		case <-ctx.Done():
			n.t.Fatalf("%s never was: %s; error %v, status %+v", n.name, what, err, last)
		}
	}
}

// meets waits until so many machines of the community are in contact.
func (n *node) meets(others int) *node {
	n.t.Helper()
	n.await(fmt.Sprintf("in contact with %d", others), func(st *web.Status) bool { return st.PubSub.Peers == others })
	return n
}

// stop ends the node as ^C does; it must end well.
func (n *node) stop() {
	n.t.Helper()
	n.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-n.ended:
		if n.err != nil {
			n.t.Errorf("%s ended with %v\n%s", n.name, n.err, n.said)
		}
	case <-time.After(patience):
		n.t.Fatalf("%s does not end", n.name)
	}
}

func (n *node) client() *web.Client { return web.NewClient(n.home) }

// status returns what the node says of itself now.
func (n *node) status() *web.Status {
	n.t.Helper()
	c := n.client()
	defer c.Close()
	st, err := c.Status(n.t.Context())
	if err != nil {
		n.t.Fatalf("%s: %v", n.name, err)
	}
	return st
}

// joins makes n a member of the community of another node, which is up. It
// happens on the other's machine, as if n's had been carried there.
func (n *node) joins(other *node) {
	n.t.Helper()
	c := other.client()
	defer c.Close()
	v, err := c.Invite(n.t.Context(), web.InviteRequest{TTLMS: time.Minute.Milliseconds(), Uses: 1})
	if err != nil {
		n.t.Fatalf("%s does not invite: %v", other.name, err)
	}
	here := *n
	here.m = other.m
	if out, err := here.command("join", "--name", n.name, v.URL).CombinedOutput(); err != nil {
		n.t.Fatalf("%s does not join: %v\n%s", n.name, err, out)
	}
}

// says publishes a text in commons; it is on the node's disk then.
func (n *node) says(text string) {
	n.t.Helper()
	c := n.client()
	defer c.Close()
	if _, err := c.Publish(n.t.Context(), web.Message{Topic: mesh.TopicCommons, Text: text}); err != nil {
		n.t.Fatalf("%s cannot say %q: %v", n.name, text, err)
	}
}

// pub runs 'drey pub' as a person does.
func (n *node) pub(text string) {
	n.t.Helper()
	if out, err := n.command("pub", "commons", text).CombinedOutput(); err != nil {
		n.t.Fatalf("%s: drey pub: %v\n%s", n.name, err, out)
	}
}

// records are all notes in commons that the node holds, in order of receipt.
func (n *node) records() []*mesh.Record {
	n.t.Helper()
	c := n.client()
	defer c.Close()
	var all []*mesh.Record
	for r, err := range c.Messages(n.t.Context(), web.Following{Since: "all", Topics: []mesh.Topic{mesh.TopicCommons}, Kinds: []mesh.Kind{mesh.KindNote}}) {
		if err != nil {
			n.t.Fatalf("%s: %v", n.name, err)
		}
		all = append(all, r)
	}
	return all
}

// notes are what the records say.
func (n *node) notes() []string {
	n.t.Helper()
	var all []string
	for _, r := range n.records() {
		all = append(all, r.Event.Content())
	}
	return all
}

// hears waits until the node can read a text and returns when that was.
func (n *node) hears(text string) time.Time {
	n.t.Helper()
	return n.follow(func(r *mesh.Record) bool { return r.Event.Content() == text }, text)
}

// hearsAll waits until the node has so many notes.
func (n *node) hearsAll(many int) {
	n.t.Helper()
	seen := map[mesh.EventID]bool{}
	n.follow(func(r *mesh.Record) bool {
		seen[r.Event.ID()] = true
		return len(seen) == many
	}, fmt.Sprintf("%d notes", many))
}

// follow reads all notes, past and to come, until enough.
func (n *node) follow(enough func(*mesh.Record) bool, what string) time.Time {
	n.t.Helper()
	ctx, stop := context.WithTimeout(n.t.Context(), patience)
	defer stop()
	count := 0
	for {
		c := n.client()
		for r, err := range c.Messages(ctx, web.Following{Since: "all", Kinds: []mesh.Kind{mesh.KindNote}, Live: true}) {
			if err != nil {
				if ctx.Err() == nil && errors.Is(err, web.ErrNotRunning) {
					break
				}
				n.t.Fatalf("%s waits for %s, after %d notes: %v", n.name, what, count, err)
			}
			if count++; enough(r) {
				now := time.Now()
				c.Close()
				return now
			}
		}
		c.Close()
		select { // the node is still starting
		case <-time.After(2 * time.Millisecond):
		case <-n.ended:
			n.t.Fatalf("%s ended while it was to hear %s: %v\n%s", n.name, what, n.err, n.said)
		case <-ctx.Done():
			n.t.Fatalf("%s never heard %s", n.name, what)
		}
	}
}

// once checks that the node holds exactly these notes, each once, in any order.
func (n *node) once(want []string) {
	n.t.Helper()
	got := n.notes()
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		n.t.Errorf("%s has %d notes, want %d:\n%.2000s", n.name, len(got), len(want), strings.Join(got, "\n"))
	}
}

// fails runs a subcommand that must fail with a code, and say each of these
// on standard error.
func (n *node) fails(code int, args []string, says ...string) {
	n.t.Helper()
	cmd := n.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != code {
		n.t.Errorf("drey %s ended with %v, want exit code %d\n%s", strings.Join(args, " "), err, code, stderr.String())
	}
	for _, s := range says {
		if !strings.Contains(stderr.String(), s) {
			n.t.Errorf("drey %s does not say %q:\n%s", strings.Join(args, " "), s, stderr.String())
		}
	}
	n.t.Logf("drey %s:\n%s", args[0], stderr.String())
}

func median[T int | int64 | float64 | time.Duration](v []T) T {
	return slices.Sorted(slices.Values(v))[len(v)/2]
}

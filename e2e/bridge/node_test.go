//go:build e2e

package bridge

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"drey/e2e/netns"
	"drey/e2e/npm"
	"drey/web"
)

// patience bounds every wait for something that must happen.
const patience = 2 * time.Minute

// scratch is a folder that goes when all tests are done.
var scratch string

func TestMain(m *testing.M) {
	if config := os.Getenv(foreignEnv); config != "" {
		if err := serve(config); err != nil {
			fmt.Fprintln(os.Stderr, "relay:", err)
			os.Exit(1)
		}
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

// built is the program, built once.
var built = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "drey")
	cmd := exec.Command("go", "build", "-o", path, "drey/cmd/drey")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})

// apps is a folder with nostr-tools, as e2e/nostr locks it, and our script.
var apps = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(scratch, "apps")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	for _, name := range []string{"../nostr/package.json", "../nostr/package-lock.json", "note.mjs"} {
		b, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), b, 0o600); err != nil {
			return "", err
		}
	}
	return dir, npm.Install(context.Background(), dir)
})

// require skips or fails where the suite cannot run, and returns the binary.
func require(t *testing.T) string {
	t.Helper()
	netns.Require(t, "node", "npm")
	drey, err := built()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := apps(); err != nil {
		t.Fatal(err)
	}
	return drey
}

// app runs our script, on a machine of its own where there is one.
func app(ctx context.Context, m *netns.Machine, args ...string) *exec.Cmd {
	args = append([]string{"note.mjs"}, args...)
	cmd := exec.CommandContext(ctx, "node", args...)
	if m != nil {
		cmd = m.Command(ctx, "node", args...)
	}
	cmd.Dir, _ = apps() // require has seen that it is there
	return cmd
}

// A node is one home, and the process that runs it while it is up.
type node struct {
	t    *testing.T
	drey string
	m    *netns.Machine // nil: this one
	home string
	name string
	args []string
	env  []string

	cmd   *exec.Cmd
	ended chan struct{}
	said  bytes.Buffer // read after ended
}

// settle makes a home of this name for a machine. It starts nothing.
func settle(t *testing.T, drey string, m *netns.Machine, name string, args ...string) *node {
	t.Helper()
	dir, err := os.MkdirTemp("", "drey") // a path short enough for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &node{t: t, drey: drey, m: m, home: filepath.Join(dir, "h"), name: name, args: args}
}

func (n *node) command(m *netns.Machine, args ...string) *exec.Cmd {
	args = append([]string{"--home", n.home}, args...)
	cmd := exec.Command(n.drey, args...)
	if m != nil {
		cmd = m.Command(context.Background(), n.drey, args...)
	}
	cmd.Env = append(os.Environ(), n.env...)
	return cmd
}

// up starts the node and returns when its API answers.
func (n *node) up() {
	n.t.Helper()
	n.cmd, n.ended = n.command(n.m, append([]string{"up", "--name", n.name, "--no-lan"}, n.args...)...), make(chan struct{})
	n.said.Reset()
	n.cmd.Stdout, n.cmd.Stderr = &n.said, &n.said
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	cmd, ended := n.cmd, n.ended
	go func() {
		cmd.Wait()
		close(ended)
	}()
	n.t.Cleanup(func() {
		n.kill()
		if n.t.Failed() {
			n.t.Logf("%s said:\n%s", n.name, &n.said)
		}
	})
	n.await("answers", func(*web.Status) bool { return true })
}

// kill ends the node without a word.
func (n *node) kill() {
	n.cmd.Process.Kill()
	<-n.ended
}

// await waits until the node's status is as ok wants it.
func (n *node) await(what string, ok func(*web.Status) bool) {
	n.t.Helper()
	c := web.NewClient(n.home)
	defer c.Close()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var last *web.Status
	for {
		if st, err := c.Status(ctx); err == nil {
			if last = st; ok(st) {
				return
			}
		}
		select {
		case <-tick.C:
		case <-n.ended:
			n.t.Fatalf("%s ended while it was to be: %s", n.name, what)
		case <-ctx.Done():
			n.t.Fatalf("%s never was: %s; it is %+v", n.name, what, last)
		}
	}
}

// metrics returns what /metrics says.
func (n *node) metrics() string {
	n.t.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", filepath.Join(n.home, "drey.sock"))
		},
	}}
	r, err := client.Get("http://drey/metrics")
	if err != nil {
		n.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return string(b)
}

// joins makes n a member of the community of another node, which is up, as if
// n had been carried there.
func (n *node) joins(other *node) {
	n.t.Helper()
	c := web.NewClient(other.home)
	defer c.Close()
	v, err := c.Invite(n.t.Context(), web.InviteRequest{TTLMS: time.Minute.Milliseconds(), Uses: 1})
	if err != nil {
		n.t.Fatalf("%s does not invite: %v", other.name, err)
	}
	if out, err := n.command(other.m, "join", "--name", n.name, v.URL).CombinedOutput(); err != nil {
		n.t.Fatalf("%s does not join: %v\n%s", n.name, err, out)
	}
}

// admit makes nostr-tools' ana a member.
func (n *node) admit() {
	n.t.Helper()
	out, err := app(n.t.Context(), nil, "key").Output()
	if err != nil {
		n.t.Fatalf("key: %v", err)
	}
	c := web.NewClient(n.home)
	defer c.Close()
	if _, err := c.ChangeMembers(n.t.Context(), web.MemberChange{Op: web.OpAdmit, Who: strings.TrimSpace(string(out)), Name: "ana"}); err != nil {
		n.t.Fatalf("admit ana: %v", err)
	}
}

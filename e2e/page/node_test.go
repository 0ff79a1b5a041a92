//go:build e2e

package page

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drey/e2e/npm"
)

// drey is the binary under test, which TestMain builds.
var drey string

func TestMain(m *testing.M) { os.Exit(whole(m)) }

func whole(m *testing.M) int {
	for _, tool := range []string{"chromium", "node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("DREY_E2E") == "required" {
				fmt.Fprintln(os.Stderr, tool, "is missing")
				return 1
			}
			fmt.Fprintln(os.Stderr, "skipped:", tool, "is missing (apt-get install chromium nodejs npm)")
			return 0
		}
	}
	dir, err := os.MkdirTemp("", "drey-page-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	drey = filepath.Join(dir, "drey")
	build := []string{"go", "build", "-o", drey, "drey/cmd/drey"}
	if made := os.Getenv("DREY_BINARY"); made != "" { // while the page itself is worked on
		drey, build = made, []string{"true"}
	}
	if out, err := exec.Command(build[0], build[1:]...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v: %v\n%s\n", build, err, out)
		return 1
	}
	if err := npm.Install(context.Background(), "."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// A node is a real one, with a home of its own.
type node struct {
	t        *testing.T
	home     string
	args     []string
	cmd      *exec.Cmd
	port     string
	lan      string // the page's address for others: "http://192.168.1.10:3739"
	underlay string // where other machines connect
	here     string // for this machine: "http://127.0.0.1:3739"
}

// status is what the tests need of 'drey status --json'.
type status struct {
	Web struct {
		Listen string
		URLs   []string
	}
	Overlay struct{ Listen []string }
}

// start runs a node until the test ends. Its page is on every address, as at
// home; more are further flags of 'drey up'.
func start(t *testing.T, name string, more ...string) *node {
	t.Helper()
	n := &node{t: t, home: filepath.Join(t.TempDir(), name)}
	n.args = append([]string{"--home", n.home, "up", "--name", name, "--no-lan", "--radio", "none"}, more...)
	n.underlay = "tcp://127.0.0.1:0"
	n.up(":0")
	t.Cleanup(n.down)
	return n
}

// up starts the process and returns when its page answers.
func (n *node) up(listen string) {
	n.t.Helper()
	n.cmd = exec.Command(drey, append(n.args, "--web", listen, "--underlay", n.underlay)...)
	n.cmd.Env = append(os.Environ(), "GOMEMLIMIT=120MiB", "GOMAXPROCS=2") // as on a small machine
	said, err := n.cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	n.cmd.Stderr = n.t.Output()
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "^C stops the node") {
			break // the greeting is over: everything answers
		}
	}
	go io.Copy(io.Discard, said)
	var st status
	if err := json.Unmarshal([]byte(n.run("status", "--json")), &st); err != nil {
		n.t.Fatal(err)
	}
	_, n.port, err = net.SplitHostPort(st.Web.Listen)
	if err != nil {
		n.t.Fatal(err)
	}
	if len(st.Overlay.Listen) > 0 { // others find it there again after a restart
		at, err := url.Parse(st.Overlay.Listen[0])
		if err != nil {
			n.t.Fatal(err)
		}
		n.underlay = "tcp://" + at.Host
	}
	n.here = "http://127.0.0.1:" + n.port
	n.lan = ""
	for _, u := range st.Web.URLs {
		if at, err := url.Parse(u); err == nil {
			if a, err := netip.ParseAddr(at.Hostname()); err == nil && a.Is4() && !a.IsLoopback() {
				n.lan = strings.TrimSuffix(u, "/")
				break
			}
		}
	}
	if n.lan == "" {
		n.t.Fatal("this machine has no address but its own: ip addr add 192.0.2.77/32 dev lo")
	}
}

// down stops the process as ^C does; a second call does nothing.
func (n *node) down() {
	if n.cmd == nil {
		return
	}
	n.cmd.Process.Signal(os.Interrupt)
	if err := n.cmd.Wait(); err != nil {
		n.t.Errorf("drey up ended with %v", err)
	}
	n.cmd = nil
}

// restart stops the node and starts it again at the same port.
func (n *node) restart() {
	n.t.Helper()
	n.down()
	n.up(":" + n.port)
}

// secure is an address of the page over https.
func (n *node) secure() string { return "https" + strings.TrimPrefix(n.lan, "http") }

// run runs a subcommand against the node and returns its standard output.
func (n *node) run(args ...string) string {
	n.t.Helper()
	cmd := exec.CommandContext(n.t.Context(), drey, append([]string{"--home", n.home}, args...)...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		n.t.Fatalf("drey %s: %v\n%s", strings.Join(args, " "), err, complaint.String())
	}
	return string(out)
}

// ask is run for a node that may be away for a moment: then it says nothing.
func (n *node) ask(args ...string) string {
	out, err := exec.CommandContext(n.t.Context(), drey, append([]string{"--home", n.home}, args...)...).Output()
	if err != nil {
		return ""
	}
	return string(out)
}

// link makes a one-time link of 'drey ui' and returns the one that begins so.
func (n *node) link(begins string) string {
	n.t.Helper()
	var p struct{ URLs []string }
	if err := json.Unmarshal([]byte(n.run("ui", "--json")), &p); err != nil {
		n.t.Fatal(err)
	}
	for _, u := range p.URLs {
		if strings.HasPrefix(u, begins) {
			return u
		}
	}
	n.t.Fatalf("no link begins with %s: %v", begins, p.URLs)
	return ""
}

// said lists the texts of a topic, oldest first, as the node keeps them.
func (n *node) said(topic string) []string {
	n.t.Helper()
	var texts []string
	for line := range strings.Lines(n.run("sub", topic, "--since", "1h", "--timeout", "1s", "--json")) {
		var e struct{ Content string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			n.t.Fatalf("%v: %s", err, line)
		}
		texts = append(texts, e.Content)
	}
	return texts
}

// awaits waits until something holds that only asking tells.
func awaits(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); !ok(); <-tick.C {
		if time.Since(began) > patience {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// within fails the test when do takes longer than a newcomer should need, and
// tells how long it took.
func within(t *testing.T, task string, limit time.Duration, do func(ctx context.Context)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	began := time.Now()
	do(ctx)
	took := time.Since(began)
	t.Logf("STOPWATCH %s: %.1f s of %s", task, took.Seconds(), limit)
	if took > limit {
		t.Errorf("%s took %s, limit %s", task, took, limit)
	}
}

// listen opens a free port on the loopback until the test ends.
func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

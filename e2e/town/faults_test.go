//go:build e2e

package town

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"drey/e2e/netns"
	"drey/mesh"
	"drey/web"
)

// lone makes a home on a machine of its own.
func lone(t *testing.T, drey, name string) *node {
	t.Helper()
	return settle(t, drey, netns.New(t, name), name, "--no-lan", "--web", "127.0.0.1:3739")
}

// fallsOver starts a node that must end by itself with a code, saying each of
// these.
func (n *node) fallsOver(code int, says ...string) {
	n.t.Helper()
	n.launch()
	select {
	case <-n.ended:
	case <-time.After(patience):
		n.t.Fatalf("drey up does not end, it says\n%s", n.said)
	}
	exit, ok := errors.AsType[*exec.ExitError](n.err)
	if !ok || exit.ExitCode() != code {
		n.t.Errorf("drey up ended with %v, want exit code %d\n%s", n.err, code, n.said)
	}
	for _, s := range says {
		if !strings.Contains(n.said.String(), s) {
			n.t.Errorf("drey up does not say %q:\n%s", s, n.said)
		}
	}
	n.t.Logf("drey up, exit code %d:\n%s", code, n.said)
}

// mount puts a small file system under a home.
func (n *node) mount(size string) {
	n.t.Helper()
	if err := os.MkdirAll(n.home, 0o700); err != nil {
		n.t.Fatal(err)
	}
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size+",mode=0700", "tmpfs", n.home).CombinedOutput(); err != nil {
		if os.Getenv("DREY_E2E") == "required" {
			n.t.Fatalf("missing: the right to mount: %v %s", err, out)
		}
		n.t.Skipf("missing: the right to mount: %v %s", err, out)
	}
	n.t.Cleanup(func() {
		if out, err := exec.Command("umount", n.home).CombinedOutput(); err != nil {
			n.t.Errorf("umount: %v %s", err, out)
		}
	})
}

func (n *node) remount(options string) {
	n.t.Helper()
	if out, err := exec.Command("mount", "-o", "remount,"+options, n.home).CombinedOutput(); err != nil {
		n.t.Fatalf("remount %s: %v %s", options, err, out)
	}
}

// A disk that fills up while people write: what was answered stays, what has
// no room is refused in words, and room is all that it takes to go on.
func TestDiskFull(t *testing.T) {
	drey := require(t, "mount")
	n := lone(t, drey, "full")
	n.mount("6m")
	n.up()
	c := n.client()
	defer c.Close()
	var answered []string
	var refused error
	for i := 0; refused == nil; i++ {
		text := fmt.Sprintf("%04d %s", i, strings.Repeat("sand ", 4000))
		if _, refused = c.Publish(t.Context(), web.Message{Topic: mesh.TopicCommons, Text: text}); refused == nil {
			answered = append(answered, text)
		}
		if i > 2000 {
			t.Fatal("the disk never fills up")
		}
	}
	t.Logf("%d messages of 20 kB fit; then: %v", len(answered), refused)
	cmd := n.command("pub", "commons", strings.Repeat("more sand ", 2000))
	b, err := cmd.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 1 || !strings.Contains(string(b), "full") || !strings.Contains(string(b), "hint: free some space") {
		t.Errorf("drey pub on a full disk: %v\n%s", err, b)
	}
	t.Logf("drey pub:\n%s", b)
	st := n.status()
	if !slices.ContainsFunc(st.Problems, func(p web.Problem) bool {
		return p.Code == "disk-full" || strings.Contains(p.What+p.Why, "full")
	}) {
		t.Errorf("status names the problems %+v", st.Problems)
	}
	if b, err := n.command("doctor").CombinedOutput(); err == nil || !strings.Contains(string(b), "is full") {
		t.Errorf("drey doctor on a full disk: %v\n%s", err, b)
	}
	has := func(when string) {
		t.Helper()
		got := map[string]int{}
		for _, text := range n.notes() {
			got[text]++
		}
		for _, text := range answered {
			if got[text] != 1 {
				t.Errorf("%s: %.10q was answered and is there %d times", when, text, got[text])
			}
		}
	}
	has("on the full disk")
	// A kill on the full disk, and room again.
	n.cmd.Process.Kill()
	<-n.ended
	n.remount("size=40m")
	n.up()
	has("with room again")
	n.says("room again")
	n.hears("room again")
	n.stop()
}

// A start on a disk that is full already.
func TestStartOnAFullDisk(t *testing.T) {
	drey := require(t, "mount")
	n := lone(t, drey, "brim")
	n.mount("6m")
	n.up()
	n.says("kept")
	n.stop()
	sand := filepath.Join(n.home, "sand")
	f, err := os.Create(sand)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	f.Close()
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	n.launch()
	c := n.client()
	defer c.Close()
	up := make(chan struct{})
	go func() {
		defer close(up)
		for {
			if _, err := c.Status(t.Context()); err == nil {
				return
			}
			select {
			case <-n.ended:
				return
			default:
			}
		}
	}()
	<-up
	select {
	case <-n.ended:
		if exit, ok := errors.AsType[*exec.ExitError](n.err); !ok || exit.ExitCode() != 1 || !strings.Contains(n.said.String(), "full") && !strings.Contains(n.said.String(), "no space") || !strings.Contains(n.said.String(), "hint: ") {
			t.Errorf("drey up on a full disk ended with %v\n%s", n.err, n.said)
		}
		t.Logf("drey up:\n%s", n.said)
	default: // it may as well run, and only read
		if got := n.notes(); !slices.Equal(got, []string{"kept"}) {
			t.Errorf("on the full disk there is %q", got)
		}
		n.stop()
	}
	if err := os.Remove(sand); err != nil {
		t.Fatal(err)
	}
	n.up()
	n.says("room again")
	n.once([]string{"kept", "room again"})
	n.stop()
}

// A home on a file system that has become read-only, as worn-out cards do.
func TestReadOnlyHome(t *testing.T) {
	drey := require(t, "mount")
	n := lone(t, drey, "worn")
	n.mount("20m")
	n.up()
	n.says("before")
	n.stop()
	n.remount("ro")
	n.fallsOver(1, "drey: error: ", n.home, "read-only file system", "drey: hint: ")
	n.fails(3, []string{"pub", "commons", "lost"}, "is not running", "hint: start it")
	n.remount("rw")
	n.up()
	n.says("after")
	n.once([]string{"before", "after"})
	n.stop()
}

// A second node on a home is turned away and the first does not notice.
func TestSecondNodeOnOneHome(t *testing.T) {
	drey := require(t)
	n := lone(t, drey, "one")
	n.up()
	n.says("before")
	second := *n
	second.fallsOver(1, fmt.Sprintf("another drey (process %d) already runs in %s", n.cmd.Process.Pid, n.home), "drey: hint: stop it")
	n.says("after")
	n.once([]string{"before", "after"})
	n.stop()
	n.up()
	n.once([]string{"before", "after"})
	n.stop()
}

// A port that another program holds is named, with what to do.
func TestPortsInUse(t *testing.T) {
	drey := require(t)
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, tt := range []struct{ name, flag, value, says string }{
		{"page", "--web", busy.Addr().String(), "another program uses this port"},
		{"underlay", "--underlay", "tls://" + busy.Addr().String(), "is in use"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := settle(t, drey, nil, tt.name)
			n.args = []string{"--no-lan", "--web", "127.0.0.1:0", "--underlay", "tls://127.0.0.1:0"}
			n.up()
			n.says("before")
			n.stop()
			n.args = append(n.args, tt.flag, tt.value)
			if tt.flag == "--underlay" { // the flag adds up
				n.args = []string{"--no-lan", "--web", "127.0.0.1:0", tt.flag, tt.value}
			}
			n.fallsOver(1, "drey: error: ", busy.Addr().String(), tt.says, "drey: hint: stop ")
			n.args = []string{"--no-lan", "--web", "127.0.0.1:0", "--underlay", "tls://127.0.0.1:0"}
			n.up()
			n.says("after")
			n.once([]string{"before", "after"})
			n.stop()
		})
	}
}

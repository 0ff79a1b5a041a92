//go:build e2e

package nostr

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drey/e2e/netns"
	"drey/web"
)

// nostr-tools publishes, subscribes, deletes, shows its key and opens private
// messages at the relay of a node as people run it, in the clear and under the
// certificate that the node made.
func TestNostrToolsAtTheRelay(t *testing.T) {
	drey := build(t)
	for _, scheme := range []string{"ws", "wss"} {
		t.Run(scheme, func(t *testing.T) {
			home := t.TempDir()
			start(t, drey, home)
			admit(t, home)
			c := web.NewClient(home)
			defer c.Close()
			st, err := c.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			cmd := app(t.Context(), nil, "basics", scheme+"://"+st.Web.Listen+"/")
			cmd.Env = append(os.Environ(), "NODE_TLS_REJECT_UNAUTHORIZED=0", "NODE_NO_WARNINGS=1") // as somebody who went on
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("relay.mjs: %v\n%s", err, out)
			}
		})
	}
}

// A note posted at one node's relay is read at the relay of a node three hops
// away, with two nodes of strangers in between that only carry.
func TestAcrossThreeHops(t *testing.T) {
	drey := build(t)
	netns.Require(t)
	line := []*netns.Machine{netns.New(t, "a"), netns.New(t, "b"), netns.New(t, "c"), netns.New(t, "d")}
	homes := make([]string, len(line))
	peers := make([]string, len(line))
	for i, m := range line {
		dir, err := os.MkdirTemp("", "drey") // a path short enough for sockets
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		homes[i] = filepath.Join(dir, "h")
		if i > 0 {
			netns.Cable(t, line[i-1], m, fmt.Sprintf("10.23.%d.1/24", i), fmt.Sprintf("10.23.%d.2/24", i))
			peers[i] = fmt.Sprintf("DREY_OVERLAY__PEERS=tls://10.23.%d.1:3740", i)
		}
	}
	up := func(i int) {
		cmd := line[i].Command(context.Background(), drey, "--home", homes[i], "up", "--name", fmt.Sprint("n", i), "--no-lan", "--radio", "none")
		cmd.Env = append(os.Environ(), peers[i])
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		await(t, homes[i], func(*web.Status) bool { return true })
	}
	for i := range 3 {
		up(i)
	}
	admit(t, homes[0])
	c := web.NewClient(homes[0])
	defer c.Close()
	v, err := c.Invite(t.Context(), web.InviteRequest{TTLMS: time.Minute.Milliseconds(), Uses: 1})
	if err != nil {
		t.Fatal(err)
	}
	// The far machine joins beside the inviter, as if it had been carried there.
	if out, err := line[0].Command(t.Context(), drey, "--home", homes[3], "join", "--name", "n3", v.URL).CombinedOutput(); err != nil {
		t.Fatalf("join: %v\n%s", err, out)
	}
	up(3)
	await(t, homes[3], func(st *web.Status) bool { return st.PubSub.Peers == 1 })

	const url, text = "ws://127.0.0.1:3739/", "across three hops"
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	hear := app(ctx, line[3], "hear", url, text)
	hear.Stderr = os.Stderr
	said, err := hear.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := hear.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	if !lines.Scan() || lines.Text() != "listening" {
		t.Fatalf("the subscriber said %q", lines.Text())
	}
	began := time.Now()
	if out, err := app(ctx, line[0], "post", url, text).CombinedOutput(); err != nil {
		t.Fatalf("post: %v\n%s", err, out)
	}
	if !lines.Scan() || lines.Text() != "heard" {
		t.Fatalf("the subscriber said %q", lines.Text())
	}
	t.Logf("nostr-tools to nostr-tools across three hops, both starting up included: %v", time.Since(began).Round(time.Millisecond))
	if err := hear.Wait(); err != nil {
		t.Error(err)
	}
}

// app runs relay.mjs, on a machine of its own where there is one.
func app(ctx context.Context, m *netns.Machine, args ...string) *exec.Cmd {
	args = append([]string{"relay.mjs"}, args...)
	if m == nil {
		return exec.CommandContext(ctx, "node", args...)
	}
	return m.Command(ctx, "node", args...)
}

// admit makes ana and ben members.
func admit(t *testing.T, home string) {
	t.Helper()
	out, err := app(t.Context(), nil, "keys").Output()
	if err != nil {
		t.Fatalf("keys: %v", err)
	}
	c := web.NewClient(home)
	defer c.Close()
	for i, npub := range strings.Fields(string(out)) {
		if _, err := c.ChangeMembers(t.Context(), web.MemberChange{Op: web.OpAdmit, Who: npub, Name: []string{"ana", "ben"}[i]}); err != nil {
			t.Fatalf("admit %s: %v", npub, err)
		}
	}
}

// await waits until a node is as ok wants it.
func await(t *testing.T, home string, ok func(*web.Status) bool) {
	t.Helper()
	c := web.NewClient(home)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if st, err := c.Status(ctx); err == nil && ok(st) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the node at %s is not as it should be within two minutes", home)
		}
	}
}

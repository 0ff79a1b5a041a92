//go:build e2e

package crash

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"drey/web"
)

const (
	kills   = 200
	writers = 4
)

// TestTwoHundredKills shows that every message whose 'pub' was answered is
// there afterwards, and that none is there twice.
func TestTwoHundredKills(t *testing.T) {
	dir := t.TempDir()
	drey := filepath.Join(dir, "drey")
	build := exec.Command("go", "build", "-o", drey, "drey/cmd/drey")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	// Two nodes at once, for a start waits more than it works.
	for _, name := range []string{"one", "two"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killOften(t, drey, filepath.Join(dir, name), kills/2)
		})
	}
}

func killOften(t *testing.T, drey, home string, rounds int) {
	answered := map[string]bool{}
	for round := range rounds {
		node := start(t, drey, home)
		publish(t, node.Process, home, round, answered)
		node.Wait()
	}
	node := start(t, drey, home)
	seen := map[string]int{}
	c := web.NewClient(home)
	defer c.Close()
	for r, err := range c.Messages(t.Context(), web.Following{Since: "all"}) {
		if err != nil {
			t.Fatal(err)
		}
		seen[r.Event.Content()]++
	}
	if err := node.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := node.Wait(); err != nil {
		t.Errorf("the node ended with %v", err)
	}
	for text := range answered {
		if seen[text] != 1 {
			t.Errorf("%q was answered and is there %d times", text, seen[text])
		}
	}
	for text, n := range seen {
		if n > 1 && strings.HasPrefix(text, "round ") {
			t.Errorf("%q is there %d times", text, n)
		}
	}
	if len(answered) < rounds {
		t.Errorf("only %d messages were answered in %d rounds: the test shows little", len(answered), rounds)
	}
	t.Logf("%d rounds: %d messages answered, %d there", rounds, len(answered), len(seen))
}

// start runs the node and waits until it answers.
func start(t *testing.T, drey, home string) *exec.Cmd {
	t.Helper()
	var out bytes.Buffer
	node := exec.Command(drey, "up", "--home", home, "--web=127.0.0.1:0", "--underlay=tls://127.0.0.1:0", "--no-lan", "--radio=none")
	node.Stdout, node.Stderr = &out, &out
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Process.Kill() })
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	c := web.NewClient(home)
	defer c.Close()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		_, err := c.Status(ctx)
		if err == nil {
			return node
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			node.Process.Kill()
			node.Wait()
			t.Fatalf("the node does not come up: %v\n%s", err, out.String())
		}
	}
}

// publish writes from several clients, kills the node at a random moment after
// the first answer, and adds what was answered.
func publish(t *testing.T, node *os.Process, home string, round int, answered map[string]bool) {
	var kill sync.Once
	var mu sync.Mutex
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			c := web.NewClient(home)
			defer c.Close()
			for n := 0; ; n++ {
				text := fmt.Sprintf("round %d writer %d message %d", round, w, n)
				if _, err := c.Publish(t.Context(), web.Message{Topic: "commons", Text: text}); err != nil {
					return
				}
				kill.Do(func() { time.AfterFunc(rand.N(80*time.Millisecond), func() { node.Kill() }) })
				mu.Lock()
				answered[text] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	kill.Do(func() { node.Kill() }) // it answered nobody
}

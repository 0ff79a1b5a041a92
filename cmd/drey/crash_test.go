package main

import (
	"bytes"
	"context"
	"errors"
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

// crashes is how often the node is killed here; e2e/crash kills it 200 times.
const crashes = 8

// TestKillLosesNothingAnswered kills a node while several clients publish. Each
// message whose publisher was answered must be there afterwards, once; no
// message may be there twice.
func TestKillLosesNothingAnswered(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "home")
	answered := map[string]bool{}
	for round := range crashes {
		for text := range killWhilePublishing(t, dir, round) {
			answered[text] = true
		}
	}
	node := startNode(t, dir)
	defer node.stop(t)
	seen := map[string]int{}
	c := web.NewClient(dir)
	defer c.Close()
	for r, err := range c.Messages(t.Context(), web.Following{Since: "all"}) {
		if err != nil {
			t.Fatal(err)
		}
		seen[r.Event.Content()]++
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
	if len(answered) < crashes {
		t.Errorf("only %d messages were answered in %d rounds: the test shows little", len(answered), crashes)
	}
	t.Logf("%d kills, %d messages answered, %d there", crashes, len(answered), len(seen))
}

// killWhilePublishing runs a node, publishes from several clients, kills it at
// a random moment, and returns what was answered.
func killWhilePublishing(t *testing.T, dir string, round int) map[string]bool {
	t.Helper()
	node := startNode(t, dir)
	var kill sync.Once // a random moment after the first answer
	var mu sync.Mutex
	answered := map[string]bool{}
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			c := web.NewClient(dir)
			defer c.Close()
			for n := 0; ; n++ {
				text := fmt.Sprintf("round %d writer %d message %d", round, w, n)
				if _, err := c.Publish(t.Context(), web.Message{Topic: "commons", Text: text}); err != nil {
					return
				}
				kill.Do(func() { time.AfterFunc(rand.N(60*time.Millisecond), func() { node.cmd.Process.Kill() }) })
				mu.Lock()
				answered[text] = true
				mu.Unlock()
			}
		})
	}
	writers.Wait()
	kill.Do(func() { node.cmd.Process.Kill() }) // it answered nobody
	node.cmd.Wait()
	return answered
}

// A process is a node in a process of its own.
type process struct {
	cmd *exec.Cmd
	out bytes.Buffer
}

// startNode runs 'drey up' in a process of its own and waits until it answers.
func startNode(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{"drey", "up", "--home", dir, "--web=127.0.0.1:0", "--underlay=tls://127.0.0.1:0", "--no-lan", "--radio=none"}, args...)
	p := &process{cmd: &exec.Cmd{Path: self, Args: args}}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill() })
	ctx, stop := context.WithTimeout(t.Context(), awaitPatience)
	defer stop()
	c := web.NewClient(dir)
	defer c.Close()
	for {
		if _, err := c.Status(ctx); err == nil {
			return p
		} else if !pause(ctx, 5*time.Millisecond) {
			t.Fatalf("the node does not come up: %v\n%s", err, p.out.String())
		}
	}
}

// stop ends the node as ^C does.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the node ended with %v\n%s", err, p.out.String())
	}
}

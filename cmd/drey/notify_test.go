package main

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"drey/web"
)

// TestRunSpeaksToItsServiceManager runs the command as systemd does and reads
// what it says on the socket: ready, alive, stopping.
func TestRunSpeaksToItsServiceManager(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "200000")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"run", "--home", filepath.Join(dir, "home"), "--name", "willow", "--web=127.0.0.1:0", "--underlay=tls://127.0.0.1:0", "--no-lan", "--radio=none"},
			strings.NewReader(""), t.Output(), t.Output())
	}()
	manager.SetReadDeadline(time.Now().Add(awaitPatience))
	hears := func() string {
		b := make([]byte, 1024)
		n, err := manager.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	if got := hears(); got != "READY=1\nSTATUS=willow in willow" {
		t.Errorf("first word is %q, want READY=1", got)
	}
	if _, err := web.NewClient(filepath.Join(dir, "home")).Status(ctx); err != nil {
		t.Errorf("it said that it is ready, but %v", err)
	}
	for range 2 {
		if got := hears(); got != "WATCHDOG=1" {
			t.Errorf("got %q, want WATCHDOG=1", got)
		}
	}
	stop()
	for got := hears(); got != "STOPPING=1"; got = hears() {
		if got != "WATCHDOG=1" {
			t.Errorf("got %q on the way out", got)
		}
	}
	if c := <-code; c != exitOK {
		t.Errorf("exit code %d, want %d", c, exitOK)
	}
}

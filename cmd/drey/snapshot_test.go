package main

import (
	"context"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// scarce is a listener in a process that has no file descriptors left.
type scarce struct {
	net.Listener
	calls int
}

func (s *scarce) Accept() (net.Conn, error) {
	s.calls++
	return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
}

func TestNoSnapshotEndsANode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 59*time.Second+time.Second/2)
		defer stop()
		h, l := home(t.TempDir()), &scarce{}
		h.answerSnapshots(ctx, l, filepath.Join(string(h), "none"))
		if ctx.Err() == nil || l.calls != 61 { // one each second, and the last after the end
			t.Errorf("it ended after %d calls that could not be taken; ctx: %v", l.calls, ctx.Err())
		}
	})
}

package main

import (
	"os"
	"syscall"
	"testing"
	"time"
)

// TestLockOutlastsALook starts a node in the moment in which another command
// looks whether one runs, and is kept from going on.
func TestLockOutlastsALook(t *testing.T) {
	h := home(t.TempDir())
	looking, err := os.Create(h.path("lock"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(looking.Fd()), syscall.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(endPatience+50*time.Millisecond, func() { unlock(looking) })
	release, err := h.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.lock(); err == nil {
		t.Error("two nodes have the home")
	}
	release()
}

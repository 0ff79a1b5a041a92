//go:build unix

package store

import (
	"path/filepath"
	"syscall"
	"testing"
)

// TestLockIsGivenBackWhileAChildStarts has another descriptor of the locked file
// open, as a child has between its fork and its program.
func TestLockIsGivenBackWhileAChildStarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	f, err := lockFile(path)
	if err != nil {
		t.Fatal(err)
	}
	child, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(child)
	if err := unlockFile(f); err != nil {
		t.Fatal(err)
	}
	again, err := lockFile(path)
	if err != nil {
		t.Fatalf("the lock is not free: %v", err)
	}
	if err := unlockFile(again); err != nil {
		t.Fatal(err)
	}
}

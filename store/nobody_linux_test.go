package store

import (
	"runtime"
	"syscall"
	"testing"
)

// asNobody runs do on a thread that may not touch other people's files. Root
// passes every permission but for the file system's own user id.
func asNobody(t *testing.T, do func()) {
	t.Helper()
	if syscall.Getuid() != 0 {
		do()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0); errno != 0 {
		t.Skipf("setfsuid: %v", errno)
	}
	defer syscall.RawSyscall(syscall.SYS_SETFSUID, 0, 0, 0)
	do()
}

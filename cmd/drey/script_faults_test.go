package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"drey/web"
)

// cmdFew runs a command that may hold only so many files open, whatever it
// exits with: few 64 drey doctor.
func cmdFew(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: few FILES COMMAND [ARGUMENT...]")
	}
	ts.Exec("sh", append([]string{"-c", "ulimit -n " + args[0] + "; exec \"$@\"", "sh"}, args[1:]...)...)
}

// cmdAwaitCode waits until a node's own doctor names a problem: awaitcode HOME
// CODE.
func cmdAwaitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: awaitcode HOME CODE")
	}
	ctx, stop := context.WithTimeout(context.Background(), awaitPatience)
	defer stop()
	c := web.NewClient(ts.MkAbs(args[0]))
	defer c.Close()
	for {
		checks, err := c.Doctor(ctx)
		if slices.ContainsFunc(checks, func(c web.Check) bool { return c.Problem != nil && c.Problem.Code == args[1] }) {
			return
		}
		if !pause(ctx, 50*time.Millisecond) {
			ts.Fatalf("%s does not name %s, but %+v, %v", args[0], args[1], checks, err)
		}
	}
}

// cmdUntil runs a command again and again, whatever it exits with, until a line
// of what it says matches: until 'on air' drey log $ID. It is for what the
// command shows of a change that another process makes.
func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until REGEXP COMMAND [ARGUMENT...]")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	ctx, stop := context.WithTimeout(context.Background(), awaitPatience)
	defer stop()
	for {
		ts.Exec(args[1], args[2:]...)
		said := ts.ReadFile("stdout") + ts.ReadFile("stderr")
		if want.MatchString(said) {
			return
		}
		if !pause(ctx, 20*time.Millisecond) {
			ts.Fatalf("%q never says %s, but\n%s", args[1:], args[0], said)
		}
	}
}

// scriptCondition knows [mount]: whether this user may mount.
func scriptCondition(name string) (bool, error) {
	if name != "mount" {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	dir, err := os.MkdirTemp("", "drey")
	if err != nil {
		return false, err
	}
	defer os.Remove(dir)
	if err := syscall.Mount("tiny", dir, "tmpfs", 0, "size=4k"); err != nil {
		return false, nil
	}
	return true, syscall.Unmount(dir, syscall.MNT_DETACH)
}

// cmdTinyDisk makes a folder that is a disk of its own, of 2 MB. It needs the
// right to mount.
func cmdTinyDisk(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.Mkdir(dir, 0o700))
	if err := syscall.Mount("tiny", dir, "tmpfs", 0, "size=2m,mode=0700"); err != nil {
		ts.Fatalf("mount: %v", err)
	}
	ts.Defer(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// cmdFill writes a file until the disk is full.
func cmdFill(ts *testscript.TestScript, neg bool, args []string) {
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	for err == nil {
		_, err = f.WriteString(strings.Repeat("x", 4096))
	}
}

// cmdFrozen makes a tiny disk read-only, as worn SD cards do by themselves.
func cmdFrozen(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(syscall.Mount("tiny", ts.MkAbs(args[0]), "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
}

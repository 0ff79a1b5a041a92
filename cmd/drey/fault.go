package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"

	"drey/web"
)

// The exit codes, which scripts rely on.
const (
	exitOK       = 0
	exitError    = 1
	exitUsage    = 2
	exitNotUp    = 3 // the node is not running
	exitConfig   = 4 // the configuration has faults
	exitDenied   = 5 // not permitted
	exitNotFound = 6
	exitAirtime  = 7   // refused for want of airtime
	exitProblems = 8   // doctor found problems
	exitTimeout  = 124 // as timeout(1)
)

// A fault is an error with the exit code it ends the command with and, where
// there is one, what to do next.
type fault struct {
	code int
	err  error
	hint string
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }
func (f *fault) Hint() string  { return f.hint }

// failf makes a fault; hint may be empty.
func failf(code int, hint, format string, args ...any) error {
	return &fault{code, fmt.Errorf(format, args...), hint}
}

// usagef makes the fault of a command line that says something impossible.
func usagef(format string, args ...any) error { return failf(exitUsage, "", format, args...) }

// report tells the person at the terminal what failed and what to do next,
// and returns the exit code.
func report(w io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	code, hint := exitError, ""
	if f, ok := errors.AsType[*fault](err); ok {
		code, hint = f.code, f.hint
	} else if e, ok := errors.AsType[*web.Error](err); ok {
		code, hint = e.ExitCode(), e.Hint()
	} else {
		code, hint = classify(err)
	}
	if h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok && hint == "" {
		hint = h.Hint()
	}
	if !errors.Is(err, errSilent) {
		fmt.Fprintf(w, "drey: error: %s\n", strings.TrimRight(err.Error(), "\n"))
	}
	if hint != "" {
		fmt.Fprintf(w, "drey: hint: %s\n", hint)
	}
	return code
}

// errSilent ends a command whose output has already said everything.
var errSilent = errors.New("")

// classify gives the faults that the system reports their exit codes.
func classify(err error) (code int, hint string) {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return exitTimeout, ""
	case errors.Is(err, syscall.EROFS):
		return exitError, "the file system is read-only: use --home with a folder on another one"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return exitError, "the disk is full: make room, or lower store.max_bytes; nothing that was answered is lost"
	case errors.Is(err, fs.ErrPermission):
		return exitDenied, ""
	}
	return exitError, ""
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A home is the folder that makes a node: its identity, community, store,
// socket and, when there is one, its configuration.
type home string

func (h home) path(name string) string { return filepath.Join(string(h), name) }

func (h home) identity() string  { return h.path("identity") }
func (h home) community() string { return h.path("community.json") }
func (h home) config() string    { return h.path("drey.toml") }
func (h home) socket() string    { return h.path("drey.sock") }

// store returns the file with a community's events: one file for each, so that
// what was said in one never slips into another.
func (h home) store(tag string) string { return h.path("events-" + tag + ".db") }

// maxSocketPath is the length of a unix socket's path that every system takes.
const maxSocketPath = 103

// create makes the folder, for its owner only, when it is not there yet, and
// reports what would keep a node from living in it.
func (h home) create() error {
	if len(h.socket()) > maxSocketPath {
		return failf(exitError, "use --home with a shorter path",
			"the path %s is too long for a socket: %d letters, limit %d", h.socket(), len(h.socket()), maxSocketPath)
	}
	if err := os.MkdirAll(string(h), 0o700); err != nil {
		return homeFault(h, err)
	}
	probe, err := os.CreateTemp(string(h), ".write-")
	if err != nil {
		return homeFault(h, err)
	}
	probe.Close()
	return os.Remove(probe.Name())
}

func homeFault(h home, err error) error {
	switch {
	case errors.Is(err, syscall.EROFS):
		return failf(exitError, "the file system is read-only: use --home with a folder on another one", "home %s: %w", h, err)
	case errors.Is(err, fs.ErrPermission):
		return failf(exitDenied, fmt.Sprintf("give the folder to this user, or use --home with another one: ls -ld %s", h), "home %s: %w", h, err)
	}
	return fmt.Errorf("home %s: %w", h, err)
}

// A node has the lock for itself, and may be about to end. Commands that look
// whether one runs share it for a moment, which is long on a busy machine.
const (
	endPatience  = 200 * time.Millisecond
	lookPatience = 30 * time.Second
)

// lock keeps a second node out of this home until release is called, and even
// a kill -9 releases it.
func (h home) lock() (release func(), err error) {
	f, err := os.OpenFile(h.path("lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, homeFault(h, err)
	}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
			break
		}
		patience := lookPatience
		if h.running() {
			patience = endPatience
		}
		if time.Since(began) > patience {
			break
		}
	}
	if err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, homeFault(h, err)
		}
		b := make([]byte, 20)
		n, _ := f.Read(b)
		who := "another drey"
		if pid := strings.TrimSpace(string(b[:n])); pid != "" {
			who += " (process " + pid + ")"
		}
		return nil, failf(exitError, "stop it, use it with 'drey status', or start this one with another --home",
			"%s already runs in %s", who, h)
	}
	f.Truncate(0)
	f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return func() { unlock(f) }, nil
}

// unlock gives a lock back. To close the file is not enough: a program that this
// process is just starting has it open until it begins.
func unlock(f *os.File) {
	syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	f.Close()
}

// running reports whether a node holds the home's lock.
func (h home) running() bool {
	f, err := os.Open(h.path("lock"))
	if err != nil {
		return false
	}
	defer unlock(f)
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	return errors.Is(err, syscall.EWOULDBLOCK)
}

// writeFile writes a file so that it is there whole or not at all, and on disk
// when writeFile returns. It refuses to replace a file unless told to.
func writeFile(name string, b []byte, mode fs.FileMode, replace bool) error {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+"-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if replace {
		err = os.Rename(f.Name(), name)
	} else {
		err = os.Link(f.Name(), name) // fails where there is one already
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

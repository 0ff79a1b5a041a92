package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// A running node keeps its store's file to itself, so a backup asks the node
// for a copy over a socket of its own, which only the owner may open. The
// node answers with a file that SQLite wrote, as it was at one moment, and
// closes. The socket does not speak HTTP: a copy of everything is nobody's but
// the owner's, whatever the API lets others do.

func (h home) snapshotSocket() string { return h.path("snapshot.sock") }

// serveSnapshots answers each caller with a copy of the store, one at a time,
// until ctx ends.
func (h home) serveSnapshots(ctx context.Context, store string) error {
	os.Remove(h.snapshotSocket()) // the home's lock is ours: what is there is a dead node's
	l, err := net.Listen("unix", h.snapshotSocket())
	if err != nil {
		return homeFault(h, err)
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	if err := os.Chmod(h.snapshotSocket(), 0o600); err != nil {
		return err
	}
	h.answerSnapshots(ctx, l, store)
	return nil
}

// answerSnapshots answers who calls at l until ctx ends. A call that cannot be
// taken, as for want of file descriptors, is no reason for a node to end.
func (h home) answerSnapshots(ctx context.Context, l net.Listener, store string) {
	for {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			pause(ctx, time.Second)
			continue
		}
		stop := context.AfterFunc(ctx, func() { c.Close() })
		h.answerSnapshot(ctx, c, store)
		stop()
		c.Close()
	}
}

func (h home) answerSnapshot(ctx context.Context, c net.Conn, store string) {
	stage, err := os.MkdirTemp(string(h), ".snapshot-")
	if err != nil {
		return
	}
	defer os.RemoveAll(stage)
	copied := filepath.Join(stage, filepath.Base(store))
	if err := copyStore(ctx, store, copied); err != nil {
		return
	}
	f, err := os.Open(copied)
	if err != nil {
		return
	}
	defer f.Close()
	c.SetDeadline(time.Now().Add(10 * time.Minute))
	io.Copy(c, f)
}

// fetchSnapshot gets a copy of the store from a running node.
func (h home) fetchSnapshot(ctx context.Context, to string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", h.snapshotSocket())
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, c); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return checkStore(ctx, to)
}

// copyStore copies a SQLite file as it is at one moment. In a process that has
// the file open it sees what is not folded into the file yet, too.
func copyStore(ctx context.Context, from, to string) error {
	db, err := openSQLite(from, "_pragma=busy_timeout(10000)&vfs=unix-excl")
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", to)
	return err
}

// checkStore reports whether a copy is whole.
func checkStore(ctx context.Context, name string) error {
	db, err := openSQLite(name, "mode=ro")
	if err != nil {
		return err
	}
	defer db.Close()
	var answer string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&answer); err != nil {
		return fmt.Errorf("the copy is cut off or damaged: %w", err)
	}
	if answer != "ok" {
		return errors.New("the copy is damaged: " + answer)
	}
	return nil
}

func openSQLite(name, query string) (*sql.DB, error) {
	return sql.Open("sqlite", "file:"+(&url.URL{Path: name}).EscapedPath()+"?"+query)
}

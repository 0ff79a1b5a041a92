package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// What can be wrong with the file. Errors of this package wrap one of these
// where the cause is known.
var (
	ErrInUse    = errors.New("another node uses this home")
	ErrReadOnly = errors.New("the store cannot be written")
	ErrFull     = errors.New("the disk is full")
	ErrCorrupt  = errors.New("the store's file is damaged")
	ErrForeign  = errors.New("the file is not a store of drey")
	ErrNewer    = errors.New("the store was written by a newer drey")
	ErrClosed   = errors.New("the store is closed")
)

// An Error tells which file failed, in what, and what to do about it.
type Error struct {
	Op   string // "open", "commit", "read"
	Path string
	Err  error // wraps one of the errors above where the cause is known
}

func (e *Error) Error() string { return fmt.Sprintf("%s store %s: %v", e.Op, e.Path, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Hint says what a person can do.
func (e *Error) Hint() string {
	switch {
	case errors.Is(e.Err, ErrInUse):
		return "stop the other drey first, or give this one its own --home"
	case errors.Is(e.Err, ErrReadOnly):
		return "make the folder writable for the user that runs drey, and check that the disk is not mounted read-only"
	case errors.Is(e.Err, ErrFull):
		return "free some space or lower store.max_bytes; what was taken is kept in memory and written as soon as there is room"
	case errors.Is(e.Err, ErrCorrupt):
		return "move the file away and restart: the other nodes send again what they hold; or restore a backup"
	case errors.Is(e.Err, ErrForeign):
		return "choose another --home: this file belongs to something else and was not touched"
	case errors.Is(e.Err, ErrNewer):
		return "run the newer drey again; the file was not touched"
	}
	return "run 'drey doctor'"
}

// wrap gives err its place and, where it is known, its cause.
func wrap(op, path string, err error) error {
	var already *Error
	if err == nil || errors.As(err, &already) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if cause := causeOf(err); cause != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return &Error{Op: op, Path: path, Err: err}
}

// causeOf finds which of this package's errors stands behind err.
func causeOf(err error) error {
	for _, known := range []error{ErrInUse, ErrReadOnly, ErrFull, ErrCorrupt, ErrForeign, ErrNewer, ErrClosed} {
		if errors.Is(err, known) {
			return nil // said already
		}
	}
	var se *sqlite.Error
	if errors.As(err, &se) {
		switch se.Code() & 0xff {
		case sqlite3.SQLITE_FULL:
			return ErrFull
		case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
			return ErrReadOnly
		case sqlite3.SQLITE_CORRUPT:
			return ErrCorrupt
		case sqlite3.SQLITE_NOTADB:
			return ErrForeign
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return ErrInUse
		}
	}
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return ErrFull
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return ErrReadOnly
	}
	return nil
}

// failedSync reports whether err is a sync that failed.
func failedSync(err error) bool {
	var se *sqlite.Error
	return errors.As(err, &se) && se.Code() == sqlite3.SQLITE_IOERR_FSYNC
}

//go:build !unix

package store

import "os"

// lockFile leaves a trace only: here SQLite's own locks must do.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
}

func unlockFile(f *os.File) error { return f.Close() }

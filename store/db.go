package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

const (
	applicationID = 0x64726579 // "drey"
	schemaVersion = 2          // 2: the index of texts, made by the first start

	// pageSize trades the bytes that one small commit writes against the
	// depth of the trees; docs/BENCHMARKS.md has the figures.
	pageSize = 4096

	// readers is how many queries may run at a time. Each connection has its
	// own cache, so few keep the memory small.
	readers = 3
)

// The tables. Only the journal is written as things happen, one row for each
// commit; the others change in bulk, in the order of their keys, when a layer
// is folded into them.
const schema = `
CREATE TABLE journal (n INTEGER PRIMARY KEY, ops BLOB NOT NULL);
CREATE TABLE event (seq INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE place (created INTEGER NOT NULL, id BLOB NOT NULL, seq INTEGER NOT NULL, gone INTEGER NOT NULL, at INTEGER NOT NULL,
	PRIMARY KEY (created, id)) WITHOUT ROWID;
CREATE TABLE term (term INTEGER NOT NULL, created INTEGER NOT NULL, seq INTEGER NOT NULL,
	PRIMARY KEY (term, created, seq)) WITHOUT ROWID;
CREATE TABLE mark (seq INTEGER PRIMARY KEY, received INTEGER NOT NULL);
CREATE TABLE owed (seq INTEGER NOT NULL, carrier TEXT NOT NULL, target TEXT NOT NULL, id BLOB NOT NULL, priority INTEGER NOT NULL, attempts INTEGER NOT NULL,
	PRIMARY KEY (seq, carrier, target)) WITHOUT ROWID;
CREATE INDEX owed_turn ON owed (carrier, priority, seq, target);
CREATE TABLE history (seq INTEGER NOT NULL, n INTEGER NOT NULL, line BLOB NOT NULL, PRIMARY KEY (seq, n)) WITHOUT ROWID;
CREATE TABLE shelf (name TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (name, key)) WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
`

// dsn names the file for the driver. The VFS "unix-excl" keeps the index of
// the write-ahead log in memory instead of in a third file, which would wear
// the card too, and keeps other processes out.
func dsn(path, vfs string, pragmas ...string) string {
	q := url.Values{"_pragma": pragmas}
	if vfs == "" && runtime.GOOS != "windows" {
		vfs = "unix-excl"
	}
	if vfs != "" {
		q.Set("vfs", vfs)
	}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// openDB opens the file for one writer and several readers, creating it where
// there is none.
func openDB(ctx context.Context, path, vfs string) (w, r *sql.DB, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, nil, err
	}
	// SQLite would let everybody read it; the log beside it gets the same mode.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	created := err == nil
	if created {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return nil, nil, err
	}
	w, err = sql.Open("sqlite", dsn(path, vfs,
		"busy_timeout(200)", fmt.Sprintf("page_size(%d)", pageSize), "cache_size(-2048)",
		"synchronous(FULL)", "wal_autocheckpoint(0)", "journal_size_limit(4194304)"))
	if err != nil {
		return nil, nil, err
	}
	w.SetMaxOpenConns(1)
	w.SetMaxIdleConns(1)
	writer := w
	defer func() {
		if err != nil {
			err = errors.Join(err, writer.Close())
		}
	}()
	if err := prepareFile(ctx, w); err != nil {
		return nil, nil, err
	}
	if created {
		if err := syncDir(filepath.Dir(path)); err != nil {
			return nil, nil, err
		}
	}
	r, err = sql.Open("sqlite", dsn(path, vfs, "busy_timeout(200)", "cache_size(-512)", "query_only(1)"))
	if err != nil {
		return nil, nil, err
	}
	r.SetMaxOpenConns(readers)
	r.SetMaxIdleConns(readers)
	return w, r, nil
}

// prepareFile checks whose file it is before it writes anything, then makes
// the tables where there are none.
func prepareFile(ctx context.Context, w *sql.DB) error {
	var app, version, tables int
	if err := w.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return err
	}
	if err := w.QueryRowContext(ctx, "PRAGMA application_id").Scan(&app); err != nil {
		return err
	}
	if err := w.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch {
	case tables > 0 && app != applicationID:
		return ErrForeign
	case version > schemaVersion:
		return fmt.Errorf("%w: it has version %d, this drey knows %d", ErrNewer, version, schemaVersion)
	}
	var mode string
	if err := w.QueryRowContext(ctx, "PRAGMA journal_mode=WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("%w: the file system does not allow a write-ahead log (mode %s)", ErrReadOnly, mode)
	}
	// Taking the write lock once shows a read-only disk now, not at the first
	// message.
	tx, err := w.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if tables == 0 {
		if _, err := tx.ExecContext(ctx, schema); err != nil {
			return err
		}
	}
	if app != applicationID || version != schemaVersion {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id=%d; PRAGMA user_version=%d", applicationID, schemaVersion)); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// syncDir puts a new file's name on the disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

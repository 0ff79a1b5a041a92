package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"drey/mesh"
)

// Config says where a store rests and how much it keeps.
type Config struct {
	Path     string        // of the file; its folder is made where there is none
	MaxBytes int64         // size to keep under by pruning; 0 means no bound
	KeepFor  time.Duration // age by receipt after which events are pruned; 0 means never
	Log      *slog.Logger  // nil discards
	Clock    func() time.Time

	vfs     string // the file layer, for tests that pull the plug; "" is the system's
	foldOps int    // for tests; 0 means foldOps
}

// A Store keeps events, what is owed to carriers, delivery histories and
// shelves in one SQLite file. Run writes; until it runs, nothing reaches the
// disk and whoever waits for the disk waits. Safe for concurrent use.
type Store struct {
	path     string           // immutable
	log      *slog.Logger     // immutable
	clock    func() time.Time // immutable
	maxBytes int64            // immutable
	keepFor  time.Duration    // immutable
	foldOps  int              // immutable
	lock     *os.File         // immutable; closed by Close
	w        *sql.DB          // immutable; used by Open, Run and Close only
	r        *sql.DB          // immutable
	q        *queries         // immutable
	writer   writer           // owned by Run
	terms    termCounts
	grams    termCounts

	wake    chan struct{} // immutable; tells Run that something changed
	running atomic.Bool   // Run has the store
	damaged atomic.Uint64 // rows skipped because they could not be read
	refused atomic.Uint64 // saves answered with mesh.ErrBusy

	mu struct {
		sync.RWMutex
		active       *layer // what Save and its kin change
		frozen       *layer // on its way into the tables; nil when none is
		folded       uint64 // highest seq in the tables
		searched     uint64 // highest seq in the index of texts
		unsearchable bool   // the index is damaged
		batch        *batch // what the next commit writes
		writing      *batch // the last one handed to a commit; nil before the first
		seq          uint64 // last given
		line         uint64 // number of the last history line
		due          mesh.Unix
		floor        mesh.Unix
		held         int // events in the tables
		gone         int // tombstones in the tables
		fault        error
		closed       bool
		stopped      bool          // Run has ended
		room         chan struct{} // closed and replaced when something was written
		stats        counts
	}
}

// counts are what Stats tells of the writer.
type counts struct {
	commits, folds uint64
	lastCommit     time.Time
}

// A batch is what one commit writes: encoded operations, and those who wait.
type batch struct {
	ops     []byte
	n       int
	first   time.Time     // when the first operation came
	durable time.Time     // when the first waiter came; zero while nobody waits
	told    bool          // Run knows that there is something
	done    chan struct{} // closed after the first try to write it
	err     error         // of that try; read after done
	saved   bool          // on disk; under the store's lock
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

// jump is how far the sequence goes ahead at each start, more than the numbers
// that can be given out and not be on disk. So none that was lost with the
// power is given twice, and a reader who resumes after it misses nothing.
const jump = 2 * maxPending

// Open opens or creates the store's file and reads the journal. It starts
// nothing. Errors are *Error and wrap what package errors name.
func Open(ctx context.Context, c Config) (*Store, error) {
	s, err := open(ctx, c)
	if err != nil {
		return nil, wrap("open", c.Path, err)
	}
	return s, nil
}

func open(ctx context.Context, c Config) (s *Store, err error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.foldOps == 0 {
		c.foldOps = foldOps
	}
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, unlockFile(lock))
		}
	}()
	w, r, err := openDB(ctx, path, c.vfs)
	if err != nil {
		return nil, err
	}
	s = &Store{
		path: path, log: c.Log, clock: c.Clock, maxBytes: c.MaxBytes, keepFor: c.KeepFor, foldOps: c.foldOps,
		lock: lock, w: w, r: r, wake: make(chan struct{}, 1),
	}
	s.mu.active, s.mu.batch, s.mu.room = newLayer(), newBatch(), make(chan struct{})
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close(), w.Close())
		}
	}()
	meta, err := s.readMeta(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.folded = uint64(meta["seq"])
	if err := s.loadSearch(meta); err != nil {
		return nil, err
	}
	if s.q, err = prepareQueries(ctx, r); indexFault(err) {
		if err := s.resetSearch(); err != nil {
			return nil, err
		}
		s.q, err = prepareQueries(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	if err := s.load(ctx, meta); err != nil {
		return nil, err
	}
	return s, nil
}

// readMeta reads what the tables say of themselves.
func (s *Store) readMeta(ctx context.Context) (map[string]int64, error) {
	rows, err := s.r.QueryContext(ctx, "SELECT key, value FROM meta")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	meta := make(map[string]int64)
	for rows.Next() {
		var k string
		var v int64
		if err := rows.Scan(&k, &v); err != nil {
			return nil, err
		}
		meta[k] = v
	}
	return meta, errors.Join(rows.Err(), rows.Close())
}

// load takes up what the tables say of themselves, then the journal on top.
func (s *Store) load(ctx context.Context, meta map[string]int64) error {
	s.mu.seq = s.mu.folded
	s.mu.line, s.mu.floor = uint64(meta["line"]), mesh.Unix(meta["floor"])
	s.mu.held, s.mu.gone = int(meta["held"]), int(meta["gone"])
	s.writer.row = meta["row"]
	if err := s.replay(ctx); err != nil {
		return err
	}
	if s.mu.seq > 0 || meta["reserved"] > 0 {
		s.mu.seq = max(s.mu.seq+jump, uint64(meta["reserved"]))
	}
	if _, err := s.w.ExecContext(ctx, "INSERT OR REPLACE INTO meta (key, value) VALUES ('reserved', ?)", s.mu.seq+jump); err != nil {
		return err
	}
	return s.findDueLocked()
}

// replay reads the journal into the active layer. Nobody else has the store yet.
func (s *Store) replay(ctx context.Context) error {
	rows, err := s.r.QueryContext(ctx, "SELECT n, ops FROM journal ORDER BY n")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		var b []byte
		if err := rows.Scan(&n, &b); err != nil {
			return err
		}
		ops, err := parseBatch(b)
		if err != nil {
			return fmt.Errorf("%w: journal row %d: %w", ErrCorrupt, n, err)
		}
		for _, o := range ops {
			s.mu.active.apply(o, nil)
			s.mu.seq = max(s.mu.seq, o.seq)
			s.mu.line = max(s.mu.line, o.n)
		}
		s.mu.active.bytes += len(b)
		s.writer.row = max(s.writer.row, n)
	}
	return rows.Err()
}

// Close gives the file back. Call it after Run has returned; what Run has not
// written is lost, as after a crash.
func (s *Store) Close() error {
	s.mu.Lock()
	already := s.mu.closed
	s.mu.closed = true
	if !already {
		close(s.mu.room)
	}
	b := s.mu.batch
	s.mu.Unlock()
	if already {
		return nil
	}
	if !s.running.Load() && b.n > 0 {
		b.err = ErrClosed
		close(b.done)
	}
	return errors.Join(s.q.close(), s.r.Close(), s.w.Close(), unlockFile(s.lock))
}

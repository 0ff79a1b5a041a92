package store

import (
	"context"
	"os"
	"time"

	"drey/mesh"
)

// Stats is the state of a store at one moment.
type Stats struct {
	Events     int       // held
	Tombstones int       // ids remembered without their event
	Bytes      int64     // of the file and its log on the disk
	Used       int64     // of the file in use; what Config.MaxBytes bounds
	Pending    int       // operations that are not on the disk yet
	Busy       uint64    // changes refused since the start because pending ones were at their bound
	Damaged    uint64    // rows that could not be read since the start
	Commits    uint64    // since the start
	Folds      uint64    // since the start
	LastCommit time.Time // by the store's clock; zero before the first
	Floor      mesh.Unix // see mesh.Archive
	Unsearched uint64    // at most so many events are not in the index of texts yet; searches read them all
	Fault      error     // why the disk refuses writes now; nil while all is well
}

// Stats tells how the store is.
func (s *Store) Stats(ctx context.Context) (Stats, error) {
	if err := ctx.Err(); err != nil {
		return Stats{}, err
	}
	used, err := s.size()
	if err != nil {
		return Stats{}, err
	}
	st := Stats{Used: used, Busy: s.refused.Load(), Damaged: s.damaged.Load()}
	for _, suffix := range []string{"", "-wal"} {
		if fi, err := os.Stat(s.path + suffix); err == nil {
			st.Bytes += fi.Size()
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	st.Events, st.Tombstones = s.mu.held, s.mu.gone
	for _, l := range s.layersLocked() {
		st.Events += l.held
		st.Tombstones += l.gone
	}
	st.Pending, st.Floor, st.Fault = s.mu.batch.n, s.mu.floor, s.mu.fault
	st.Unsearched = s.mu.folded - s.mu.searched
	st.Commits, st.Folds, st.LastCommit = s.mu.stats.commits, s.mu.stats.folds, s.mu.stats.lastCommit
	return st, nil
}

package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

const (
	// lazy is how long an operation that nobody waits for stays in memory: it
	// is on disk within 5 s, the time of the commit included.
	lazy = 4 * time.Second
	// pace is the least time from the beginning of one commit to the next that somebody waits for, so
	// that a burst shares one; a lone waiter does not wait for it.
	pace = 5 * time.Millisecond
	// earlyOps and earlyBytes end the lazy wait: half a batch is enough.
	earlyOps   = 1024
	earlyBytes = 1 << 20
	// upkeep is how often expiry and retention are looked after.
	upkeep = 5 * time.Minute
	// retryLeast and retryMost bound the pause after a failed commit.
	retryLeast = time.Second
	retryMost  = 30 * time.Second
	// checkpointCommits is how many commits the write-ahead log may gather
	// before it is copied into the file. Many: the journal's last page is
	// rewritten by each of them and copied once.
	checkpointCommits = 512
)

const insertBatch = "INSERT INTO journal (n, ops) VALUES (?, ?)"

// A writer is what Run knows and nobody else touches.
type writer struct {
	insert   *sql.Stmt
	row      int64 // last row of the journal
	queue    []*batch
	learner  learner
	last     time.Time     // beginning of the last commit
	pause    time.Duration // 0 while the disk is well
	retry    time.Time
	commits  int  // since the last checkpoint
	lax      bool // a transaction ends before the disk has it, see flushing
	doubt    bool // a sync failed, see sure
	indexing bool // a long filling of the index was told
}

// Run writes what the store was given, folds, expires and prunes, until ctx
// ends. When it returns nil, everything is on disk. A store runs once.
func (s *Store) Run(ctx context.Context) error {
	if !s.running.CompareAndSwap(false, true) {
		return s.fail("run", errors.New("it runs already"))
	}
	var err error
	if s.writer.insert, err = s.w.Prepare(insertBatch); err != nil {
		s.stop()
		return s.fail("run", err)
	}
	defer s.writer.insert.Close()
	tick := time.NewTicker(upkeep)
	defer tick.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s.step()
		timer.Reset(s.sleep())
		select {
		case <-ctx.Done():
			s.stop()
			err := s.commit()
			s.checkpoint()
			return err
		case <-tick.C:
			s.keepUp()
		case <-s.wake:
		case <-timer.C:
		}
	}
}

// Sync returns when everything taken before is on disk.
func (s *Store) Sync(ctx context.Context) error {
	s.mu.Lock()
	b, fault, stopped := s.mu.batch, s.mu.fault, s.mu.stopped || s.mu.closed
	if b.n == 0 {
		b = s.mu.writing
	}
	switch {
	case fault != nil:
		s.mu.Unlock()
		return fault
	case b == nil:
		s.mu.Unlock()
		return nil
	case stopped && b == s.mu.batch:
		s.mu.Unlock()
		return &Error{"write", s.path, ErrClosed}
	}
	s.leave(b, true)
	return s.await(ctx, b)
}

// stop refuses further changes and wakes whoever waits for room.
func (s *Store) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.stopped = true
	s.roomLocked()
}

// roomLocked wakes whoever waits for room.
func (s *Store) roomLocked() {
	if !s.mu.closed {
		close(s.mu.room)
		s.mu.room = make(chan struct{})
	}
}

// step does what is due.
func (s *Store) step() {
	if s.due() {
		s.commit()
	}
	s.mu.RLock()
	frozen, behind := s.mu.frozen, s.behindLocked()
	s.mu.RUnlock()
	if len(s.writer.queue) == 0 && !time.Now().Before(s.writer.retry) {
		switch {
		case frozen != nil:
			s.foldAway(frozen)
			// Twice what it brought: so the index catches up however much comes in.
			s.index(2*len(frozen.fresh)/searchRows + 1)
		case s.writer.learner.bloom != nil:
			s.learn()
		case behind:
			s.index(1)
		}
	}
	if s.writer.commits >= checkpointCommits {
		s.checkpoint()
	}
}

// sleep tells how long Run may wait.
func (s *Store) sleep() time.Duration {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at, ok := s.dueLocked()
	if (s.mu.frozen != nil || s.behindLocked() || s.writer.learner.bloom != nil) && (!ok || s.writer.retry.Before(at)) {
		at, ok = s.writer.retry, true
	}
	if !ok {
		return time.Hour
	}
	return max(0, time.Until(at))
}

func (s *Store) due() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at, ok := s.dueLocked()
	return ok && !time.Now().Before(at)
}

// dueLocked tells when the next commit is due, if there is anything to write.
func (s *Store) dueLocked() (time.Time, bool) {
	b := s.mu.batch
	switch {
	case len(s.writer.queue) > 0:
		return s.writer.retry, true
	case s.mu.frozen == nil && s.ripeLocked():
		return time.Time{}, true // a commit freezes the layer
	case b.n == 0:
		return time.Time{}, false
	case b.n >= earlyOps, len(b.ops) >= earlyBytes:
		return time.Time{}, true
	case !b.durable.IsZero():
		if soonest := s.writer.last.Add(pace); soonest.After(b.durable) {
			return soonest, true
		}
		return b.durable, true
	}
	return b.first.Add(lazy), true
}

// commit writes all pending operations as rows of the journal, each with its
// own fsync, and answers those who wait. What could not be written is kept and
// tried again; whoever waited for it gets the error.
func (s *Store) commit() error {
	w := &s.writer
	began := time.Now()
	s.mu.Lock()
	if b := s.mu.batch; b.n > 0 {
		b.ops = sealBatch(b.ops)
		w.queue = append(w.queue, b)
		s.mu.writing = b
		s.mu.batch = newBatch()
	}
	if s.mu.frozen == nil && s.ripeLocked() {
		s.freezeLocked()
	}
	s.roomLocked()
	s.mu.Unlock()

	for len(w.queue) > 0 {
		b := w.queue[0]
		err := s.sure()
		if err == nil {
			err = s.flushing(true)
		}
		if err == nil {
			_, err = w.insert.Exec(w.row+1, b.ops)
		}
		if err != nil {
			err = s.fail("commit", err)
			s.stumble(err)
			return err
		}
		w.row++
		w.commits++
		w.queue = w.queue[1:]
		s.mu.Lock()
		b.saved = true
		s.mu.stats.commits++
		s.mu.stats.lastCommit = s.clock()
		s.mu.Unlock()
		b.ops = nil
		answer(b, nil)
	}
	w.last = began
	s.recover()
	return nil
}

// flushing chooses whether a transaction waits for the disk. A row of the journal
// does. What folds layers and fills the index does not: the journal has it still,
// and in the write-ahead log nothing later can survive without what came before.
// A core mostly rests while the disk is waited for.
func (s *Store) flushing(on bool) error {
	if s.writer.lax != on {
		return nil
	}
	mode := "FULL"
	if !on {
		mode = "NORMAL"
	}
	if _, err := s.w.Exec("PRAGMA synchronous = " + mode); err != nil {
		return err
	}
	s.writer.lax = !on
	return nil
}

// sure copies the log into the file after a sync that failed. A kernel takes what
// it could not write as written, so the next sync succeeds over a gap in the log,
// behind which nothing would survive.
func (s *Store) sure() error {
	if !s.writer.doubt {
		return nil
	}
	return s.checkpoint()
}

// answer tells those who wait for b how the first try went.
func answer(b *batch, err error) {
	select {
	case <-b.done:
	default:
		b.err = err
		close(b.done)
	}
}

// stumble notes that the disk refuses writes: newcomers are refused, all who
// wait are told, and Run tries again after a pause that doubles. The fault
// stands before anybody hears of it: whoever was told and tries again at once
// must meet it.
func (s *Store) stumble(err error) {
	w := &s.writer
	w.doubt = w.doubt || failedSync(err)
	if w.pause == 0 {
		s.log.Warn("store cannot write", "err", err)
	}
	w.pause = min(max(2*w.pause, retryLeast), retryMost)
	w.retry = time.Now().Add(w.pause)
	s.mu.Lock()
	s.mu.fault = err
	s.roomLocked()
	s.mu.Unlock()
	for _, b := range w.queue {
		answer(b, err)
	}
}

// recover ends what stumble began.
func (s *Store) recover() {
	w := &s.writer
	if w.pause == 0 {
		return
	}
	w.pause, w.retry = 0, time.Time{}
	s.mu.Lock()
	s.mu.fault = nil
	s.mu.Unlock()
	s.log.Info("store writes again")
}

// ripeLocked reports whether the active layer is large enough to be folded.
func (s *Store) ripeLocked() bool {
	l := s.mu.active
	return l.ops >= s.foldOps || l.bytes >= foldBytes
}

// freezeLocked closes the active layer for the fold. Everything in it is in
// the journal once the queue has been written.
func (s *Store) freezeLocked() {
	s.mu.active.lastBatch = s.writer.row + int64(len(s.writer.queue))
	s.mu.frozen, s.mu.active = s.mu.active, newLayer()
}

// checkpoint copies the write-ahead log into the file. What fails here is
// safe in the log, unless sure has to say, and tried again later.
func (s *Store) checkpoint() error {
	w := &s.writer
	w.commits = 0
	var busy, log, done int
	err := s.w.QueryRow("PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &log, &done)
	if err != nil {
		s.log.Warn("store's log was not copied", "err", err)
	}
	w.doubt = failedSync(err) || w.doubt && (err != nil || done < log)
	return err
}

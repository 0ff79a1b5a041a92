package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/store/storetest"
)

// TestPruneBySize fills a small store: it stays near its bound, loses the
// oldest first, and keeps roster, passes, mail and deletions.
func TestPruneBySize(t *testing.T) {
	const bound = 2 << 20
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "drey.db"), MaxBytes: bound, foldOps: 256})
	if err != nil {
		t.Fatal(err)
	}
	s.upkeepNow(t)
	var kept []*mesh.Event
	for i, kind := range []int{3739, 3740, 1059, 5} {
		e := storetest.Event(t, 1, kind, 1000, fmt.Sprint("kept ", i), []string{"e", strings.Repeat("0", 64)})
		kept = append(kept, e)
		if err := s.Save(t.Context(), storetest.Received(e, mesh.TopicRegistry, morning), nil, false); err != nil {
			t.Fatal(err)
		}
	}
	const n = 5_000
	for i := range n {
		if err := s.Save(t.Context(), storetest.Chat(t, i, 50, morning), nil, false); err != nil {
			t.Fatalf("Save %d = %v", i, err)
		}
		if i%256 == 255 {
			s.upkeepNow(t)
		}
	}
	s.upkeepNow(t)
	size, err := s.size()
	if err != nil || size > bound {
		t.Errorf("%d bytes in use, %v, want at most %d", size, err, bound)
	}
	for _, e := range kept {
		if gone, known, err := s.Known(t.Context(), e.ID()); !known || gone != 0 || err != nil {
			t.Errorf("%q is gone (%s), %v", e.Content(), gone, err)
		}
	}
	if gone, known, err := s.Known(t.Context(), storetest.Chat(t, n-1, 50, morning).Event.ID()); gone != 0 || !known || err != nil {
		t.Errorf("the newest event: gone %s, known %t, %v", gone, known, err)
	}
	if gone, known, err := s.Known(t.Context(), storetest.Chat(t, 0, 50, morning).Event.ID()); gone != mesh.ReasonPruned || !known || err != nil {
		t.Errorf("the oldest event: gone %s, known %t, %v; want pruned", gone, known, err)
	}
	held := true // what is left is the newest part, without holes
	for i := n - 1; i >= 0; i -= 7 {
		gone, known, err := s.Known(t.Context(), storetest.Chat(t, i, 50, morning).Event.ID())
		if err != nil || !known {
			t.Fatalf("event %d: known %t, %v", i, known, err)
		}
		if gone == 0 && !held {
			t.Fatalf("event %d is held, but a newer one was pruned", i)
		}
		held = held && gone == 0
	}
	st, err := s.Stats(t.Context())
	if err != nil || st.Events+st.Tombstones != n+len(kept) || st.Tombstones == 0 {
		t.Errorf("Stats = %+v, %v, want %d ids in all", st, err, n+len(kept))
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestPruneKeepsTheNewestOfHistory: sync brings history newest first, and a
// machine of 1970 is not the first to lose its words.
func TestPruneKeepsTheNewestOfHistory(t *testing.T) {
	const bound = 2 << 20
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "drey.db"), MaxBytes: bound, foldOps: 256})
	if err != nil {
		t.Fatal(err)
	}
	s.upkeepNow(t)
	clockless := storetest.Chat(t, 1, 1, time.Unix(100, 0))
	if err := s.Save(t.Context(), clockless, nil, false); err != nil {
		t.Fatal(err)
	}
	const n = 5_000
	for i := range n {
		if err := s.Save(t.Context(), storetest.Chat(t, n-1-i, 50, morning), nil, false); err != nil {
			t.Fatalf("Save %d = %v", i, err)
		}
		if i%256 == 255 {
			s.upkeepNow(t)
		}
	}
	s.upkeepNow(t)
	if size, err := s.size(); err != nil || size > bound {
		t.Errorf("%d bytes in use, %v, want at most %d", size, err, bound)
	}
	gone := func(e *mesh.Event) bool {
		reason, known, err := s.Known(t.Context(), e.ID())
		if err != nil || !known {
			t.Fatalf("Known = %t, %v", known, err)
		}
		return reason != 0
	}
	if gone(storetest.Chat(t, n-1, 50, morning).Event) {
		t.Error("the newest event was pruned")
	}
	if !gone(storetest.Chat(t, n/4, 50, morning).Event) {
		t.Error("an old event is held although the store is over its bound")
	}
	if gone(clockless.Event) {
		t.Error("the event of 1970 was pruned first")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// upkeepNow does what Run does, in the test's own time.
func (s *Store) upkeepNow(t *testing.T) {
	t.Helper()
	if s.writer.insert == nil {
		var err error
		if s.writer.insert, err = s.w.Prepare(insertBatch); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.writer.insert.Close() })
	}
	if err := s.commit(); err != nil {
		t.Fatal(err)
	}
	s.step()
	s.keepUp()
}

// TestPruneByAge: plain events go after their time, deletions and mail after
// twice that, the roster never; then the ids are forgotten and the floor rises.
func TestPruneByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := storetest.NewClock(morning)
		const day = 24 * time.Hour
		s := openStore(t, Config{KeepFor: 30 * day, Clock: clock.Now, foldOps: 2})
		save := func(kind int, text string) *mesh.Event {
			e := storetest.Event(t, 1, kind, clock.Now().Unix(), text)
			if err := s.Save(t.Context(), storetest.Received(e, mesh.TopicCommons, clock.Now()), nil, true); err != nil {
				t.Fatalf("Save(%s) = %v", text, err)
			}
			return e
		}
		chat, mail, del, roster, pass := save(1, "chat"), save(1059, "mail"), save(5, "deletion"), save(3739, "roster"), save(3740, "pass")
		passTime := func(d time.Duration) {
			clock.Add(d)
			time.Sleep(3 * upkeep) // of the fake clock: Run looks after it
		}
		state := func(e *mesh.Event) string {
			gone, known, err := s.Known(t.Context(), e.ID())
			switch {
			case err != nil:
				return err.Error()
			case !known:
				return "new"
			case gone == 0:
				return "held"
			}
			return gone.String()
		}
		check := func(want ...string) {
			t.Helper()
			for i, e := range []*mesh.Event{chat, mail, del, roster, pass} {
				if got := state(e); got != want[i] {
					t.Errorf("on %s %s is %s, want %s", clock.Now().Format(time.DateOnly), e.Content(), got, want[i])
				}
			}
		}
		check("held", "held", "held", "held", "held")
		passTime(29 * day)
		check("held", "held", "held", "held", "held")
		young := save(1, "young")
		passTime(2 * day)
		check("pruned", "held", "held", "held", "held")
		if got := state(young); got != "held" {
			t.Errorf("young is %s", got)
		}
		if f, err := s.Floor(t.Context()); f != 0 || err != nil {
			t.Errorf("Floor = %d, %v while all ids are remembered", f, err)
		}
		passTime(30 * day)
		check("pruned", "pruned", "pruned", "held", "pruned")
		passTime(61 * day)
		check("new", "new", "new", "held", "new")
		f, err := s.Floor(t.Context())
		if err != nil || f <= chat.CreatedAt() || f > mesh.UnixOf(clock.Now()) {
			t.Errorf("Floor = %d, %v, want above %d", f, err, chat.CreatedAt())
		}
	})
}

// TestSweepMany: more expire at once than one call buries.
func TestSweepMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := storetest.NewClock(morning)
		s := openStore(t, Config{Clock: clock.Now})
		const n = 3*sweepMost + 7
		for i := range n {
			e := storetest.Event(t, i, 1, 1000, fmt.Sprint(i), []string{"expiration", fmt.Sprint(morning.Unix() + 60)})
			if err := s.Save(t.Context(), storetest.Received(e, mesh.TopicCommons, morning), nil, i%500 == 0); err != nil {
				t.Fatal(err)
			}
		}
		clock.Add(time.Hour)
		if got := count(t, s); got != 0 {
			t.Errorf("%d expired events are shown", got)
		}
		time.Sleep(2 * upkeep)
		st, err := s.Stats(t.Context())
		if err != nil || st.Events != 0 || st.Tombstones != n {
			t.Errorf("Stats = %+v, %v, want %d tombstones", st, err, n)
		}
	})
}

// TestSequenceNeverRepeats: a number that was given out and lost in a crash is
// not given again.
func TestSequenceNeverRepeats(t *testing.T) {
	path := filled(t, 3)
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	lost := storetest.Chat(t, 77, 5, morning)
	if err := s.Save(t.Context(), lost, nil, false); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // without Run: as a crash
		t.Fatal(err)
	}
	s = openStore(t, Config{Path: path})
	next := storetest.Chat(t, 78, 5, morning)
	if err := s.Save(t.Context(), next, nil, true); err != nil {
		t.Fatal(err)
	}
	if next.Seq <= lost.Seq {
		t.Errorf("Seq = %d after %d was given out", next.Seq, lost.Seq)
	}
}

// TestLazy: what nobody waits for is on the disk within 5 s.
func TestLazy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, Config{})
		if err := s.Save(t.Context(), storetest.Chat(t, 1, 5, morning), nil, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if st, _ := s.Stats(t.Context()); st.Commits != 0 {
			t.Errorf("%d commits after 1 s, want none yet: company is welcome", st.Commits)
		}
		time.Sleep(4 * time.Second)
		if st, _ := s.Stats(t.Context()); st.Commits != 1 || st.Pending != 0 {
			t.Errorf("%d commits and %d pending after 5 s, want 1 and 0", st.Commits, st.Pending)
		}
	})
}

// TestGroupCommit: many who wait at once share commits, and none waits 20 ms
// for company.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, Config{})
		errs := make(chan error)
		began := time.Now()
		for i := range 200 {
			go func() { errs <- s.Save(context.Background(), storetest.Chat(t, i, 5, morning), nil, true) }()
		}
		var err error
		for range 200 {
			err = errors.Join(err, <-errs)
		}
		if err != nil {
			t.Error(err)
		}
		if waited := time.Since(began); waited > 20*time.Millisecond {
			t.Errorf("waited %v for company, want at most 20 ms", waited)
		}
		if st, _ := s.Stats(t.Context()); st.Commits > 100 {
			t.Errorf("%d commits for 200 saves at once", st.Commits)
		}
	})
}

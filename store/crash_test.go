package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/store/storetest"
)

// answered is an event whose durable Save returned nil, and the moment.
type answered struct {
	id     mesh.EventID
	moment int
}

// busyLife lets callers save durably, each waiting for its answer, while others
// save without waiting and change what was saved, and returns the answers.
func busyLife(t *testing.T, d *disk, s *Store) []answered {
	t.Helper()
	var mu sync.Mutex
	var answers []answered
	var wg sync.WaitGroup
	for c := range 4 {
		wg.Go(func() {
			for i := range 60 {
				r := storetest.Chat(t, 1000*c+i, 50, morning)
				owed := []mesh.Owed{{Key: mesh.Key{Carrier: "relay", Target: "a"}}}
				if err := s.Save(context.Background(), r, owed, true); err != nil {
					t.Errorf("Save = %v", err)
					return
				}
				mu.Lock()
				answers = append(answers, answered{r.Event.ID(), d.moment()})
				mu.Unlock()
				gossip := storetest.Chat(t, 1000*c+500+i, 50, morning)
				if err := s.Save(context.Background(), gossip, nil, false); err != nil {
					t.Errorf("Save = %v", err)
				}
				if i%3 == 0 {
					if err := s.Bury(context.Background(), gossip.Event.ID(), 0, mesh.ReasonBanned); err != nil {
						t.Errorf("Bury = %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	return answers
}

// after opens what is left of the files at a moment and returns how many
// answered events are missing.
func after(t *testing.T, d *disk, answers []answered, moment int, rnd *rand.Rand) (missing int) {
	t.Helper()
	dir := t.TempDir()
	d.cut(t, moment, rnd, dir)
	s, err := Open(t.Context(), Config{Path: filepath.Join(dir, "drey.db")})
	if err != nil {
		t.Errorf("after a power cut at %d of %d: Open = %v", moment, d.moment(), err)
		return 0
	}
	defer s.Close()
	var report string
	if err := s.r.QueryRow("PRAGMA integrity_check").Scan(&report); err != nil || report != "ok" {
		t.Errorf("after a power cut at %d: integrity check says %.200s, %v", moment, report, err)
	}
	for _, a := range answers {
		if a.moment > moment {
			continue
		}
		if gone, known, err := s.Known(t.Context(), a.id); !known || gone != 0 || err != nil {
			missing++
		}
	}
	for _, err := range s.Records(t.Context(), mesh.Filter{}, mesh.Self) {
		if err != nil {
			t.Errorf("after a power cut at %d: %v", moment, err)
			break
		}
	}
	if n := s.damaged.Load(); n > 0 {
		t.Errorf("after a power cut at %d: %d rows cannot be read", moment, n)
	}
	return missing
}

// TestPowerCut pulls the plug: of what was written since the last sync of each
// file any part may be lost, sectors torn. Whatever Save answered must be
// there, at whatever moment.
func TestPowerCut(t *testing.T) {
	d := newDisk(t, true)
	s := openStore(t, Config{vfs: d.name, foldOps: 100})
	made := d.moment() // before, there may be no store at all
	answers := busyLife(t, d, s)
	rnd := rand.New(rand.NewPCG(1, uint64(len(answers))))
	missing, cuts := 0, 60
	for range cuts {
		missing += after(t, d, answers, made+rnd.IntN(d.moment()-made+1), rnd)
	}
	if missing > 0 {
		t.Errorf("%d answered events are missing after %d power cuts", missing, cuts)
	}
	t.Logf("%d answered events, %d accesses to the disk, %d cuts, %d folds", len(answers), d.moment(), cuts, s.mu.stats.folds)
}

// TestFailedSync lets one sync after the other fail. The kernel forgets what that
// should have written, and its next sync succeeds; what is answered then must
// survive, though the log had parts of a fold and of the index.
func TestFailedSync(t *testing.T) {
	for n := range int32(6) {
		synctest.Test(t, func(t *testing.T) {
			d := newDisk(t, true)
			s := openStore(t, Config{vfs: d.name, foldOps: 50})
			if err := s.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			d.fails.Store(n + 1)
			for i := range 50 {
				if err := s.Save(t.Context(), storetest.Chat(t, i, 5, morning), nil, false); err != nil {
					t.Fatal(err)
				}
			}
			var answers []answered
			failed := false
			for i := 100; !failed || len(answers) == 0; i++ {
				r := storetest.Chat(t, i, 5, morning)
				failed = d.fails.Load() == 0
				if err := s.Save(t.Context(), r, nil, true); err == nil {
					answers = append(answers, answered{r.Event.ID(), d.moment()})
				}
				time.Sleep(retryMost)
			}
			if missing := after(t, d, answers, d.moment(), rand.New(rand.NewPCG(5, uint64(n)))); missing > 0 {
				t.Errorf("sync %d failed: %d of %d events that were answered are gone with the power", n+1, missing, len(answers))
			}
		})
	}
}

// TestPowerCutHasTeeth runs the same over a disk that only says it syncs.
func TestPowerCutHasTeeth(t *testing.T) {
	d := newDisk(t, true)
	s := openStore(t, Config{vfs: d.name, foldOps: 100})
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.lies.Store(true)
	answers := busyLife(t, d, s)
	rnd := rand.New(rand.NewPCG(2, 2))
	dir := t.TempDir()
	d.cut(t, d.moment(), rnd, dir)
	left, err := Open(t.Context(), Config{Path: filepath.Join(dir, "drey.db")})
	if err != nil {
		return // nothing left to open: noticed
	}
	defer left.Close()
	for _, a := range answers {
		if _, known, err := left.Known(t.Context(), a.id); !known || err != nil {
			return // noticed
		}
	}
	t.Errorf("all %d answered events survived a disk that never synced: the test would not notice", len(answers))
}

// runVictim saves durably and prints each id that was answered, until killed.
func runVictim(home string) error {
	s, err := Open(context.Background(), Config{Path: filepath.Join(home, "drey.db"), foldOps: 50})
	if err != nil {
		return err
	}
	go s.Run(context.Background()) // until somebody kills us
	var wg sync.WaitGroup
	var mu sync.Mutex
	for c := range 4 {
		wg.Go(func() {
			for {
				e, err := mesh.NewEvent(storetest.Author(c), mesh.Signature{}, mesh.Draft{CreatedAt: 1000, Kind: 1, Content: fmt.Sprint(c, rand.Uint64())})
				if err == nil {
					err = s.Save(context.Background(), storetest.Received(e, mesh.TopicCommons, morning), nil, true)
				}
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				mu.Lock()
				fmt.Println(e.ID())
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return nil
}

const victimHome = "DREY_STORE_VICTIM"

// TestKill kills a process that saves, again and again on the same file, and
// looks for what it said was saved.
func TestKill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Skipf("the test binary cannot find itself: %v", err)
	}
	home := t.TempDir()
	said := make(map[mesh.EventID]bool)
	rounds := 8
	for round := range rounds {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), victimHome+"="+home)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 40+30*round && lines.Scan(); n++ {
			hear(t, said, lines.Text())
		}
		cmd.Process.Kill()
		for lines.Scan() { // what it said before it died
			hear(t, said, lines.Text())
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
			t.Fatalf("the victim ended by itself: %v", err)
		}
	}
	s, err := Open(t.Context(), Config{Path: filepath.Join(home, "drey.db")})
	if err != nil {
		t.Fatalf("Open after %d kills = %v", rounds, err)
	}
	defer s.Close()
	times := make(map[mesh.EventID]int)
	for r, err := range s.Records(t.Context(), mesh.Filter{}, mesh.Self) {
		if err != nil {
			t.Fatal(err)
		}
		times[r.Event.ID()]++
	}
	for id := range said {
		if times[id] != 1 {
			t.Errorf("%s was answered and is there %d times", id, times[id])
		}
	}
	t.Logf("%d answered, %d there after %d kills", len(said), len(times), rounds)
}

// hear takes down an id that the victim printed; a line cut off by death is none.
func hear(t *testing.T, said map[mesh.EventID]bool, line string) {
	if id, err := mesh.ParseEventID(strings.TrimSpace(line)); err == nil {
		said[id] = true
	}
}

// TestCrashWhileFolding copies the file after every sync of a fold and goes on
// from each copy.
func TestCrashWhileFolding(t *testing.T) {
	d := newDisk(t, true)
	s := openStore(t, Config{vfs: d.name, foldOps: 64})
	var want []*mesh.Record
	for i := range 200 {
		r := storetest.Chat(t, i, 7, morning)
		if err := s.Save(t.Context(), r, nil, i%64 == 63); err != nil {
			t.Fatal(err)
		}
		if i%5 == 0 {
			if err := s.Note(t.Context(), r.Event.ID(), mesh.Step{At: morning, State: "heard"}); err != nil {
				t.Fatal(err)
			}
		}
		want = append(want, r)
	}
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	complete := d.moment()
	if err := s.Shelf("x").Put(t.Context(), "k", nil); err != nil { // the 200th save ended no layer; this need not either
		t.Fatal(err)
	}
	for { // until the last fold is through
		s.mu.RLock()
		frozen, room := s.mu.frozen != nil, s.mu.room
		s.mu.RUnlock()
		if !frozen {
			break
		}
		<-room
	}
	end := d.moment()
	if end-complete < 20 {
		t.Logf("only %d accesses while folding", end-complete)
	}
	rnd := rand.New(rand.NewPCG(3, 3))
	for at := complete; at <= end; at += max(1, (end-complete)/8) {
		dir := t.TempDir()
		d.cut(t, at, rnd, dir)
		left := openStore(t, Config{Path: filepath.Join(dir, "drey.db"), foldOps: 1})
		if err := (folded{left}).fold(nil); err != nil {
			t.Fatalf("fold after a cut at %d: %v", at, err)
		}
		n := 0
		for r, err := range left.Records(t.Context(), mesh.Filter{Order: mesh.ReceiptFirst}, mesh.Self) {
			if err != nil {
				t.Fatal(err)
			}
			if n >= len(want) || r.Event.ID() != want[n].Event.ID() {
				t.Fatalf("after a cut at %d record %d is %q", at, n, r.Event.Content())
			}
			steps, err := left.History(t.Context(), r.Event.ID())
			if lines := 2 + map[bool]int{true: 1}[n%5 == 0]; err != nil || len(steps) != lines {
				t.Errorf("after a cut at %d the history of record %d has %d lines, %v, want %d", at, n, len(steps), err, lines)
			}
			n++
		}
		if n != len(want) {
			t.Errorf("after a cut at %d there are %d records, want %d", at, n, len(want))
		}
	}
}

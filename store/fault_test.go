package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/store/storetest"
)

// refused checks that Open fails for a reason that it names, with a hint.
func refused(t *testing.T, path string, want error) {
	t.Helper()
	s, err := Open(t.Context(), Config{Path: path})
	if err == nil {
		s.Close()
		t.Fatalf("Open = nil, want %v", want)
	}
	var e *Error
	if !errors.Is(err, want) || !errors.As(err, &e) || e.Hint() == "" {
		t.Fatalf("Open = %v, want %v with a hint", err, want)
	}
	t.Log(err)
}

// filled makes a store with n chat events, closes it and returns its path.
func filled(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "drey.db")
	s, err := Open(t.Context(), Config{Path: path, foldOps: 50})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)
	for i := range n {
		if err := s.Save(t.Context(), storetest.Chat(t, i, 5, morning), nil, i == n-1); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func count(t *testing.T, s *Store) int {
	t.Helper()
	n := 0
	for _, err := range s.Records(t.Context(), mesh.Filter{}, mesh.Self) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestSecondInstance(t *testing.T) {
	path := filled(t, 3)
	s := openStore(t, Config{Path: path})
	refused(t, path, ErrInUse)
	if err := s.Save(t.Context(), storetest.Chat(t, 9, 5, morning), nil, true); err != nil {
		t.Errorf("Save after the other was refused = %v", err)
	}
	other := openStore(t, Config{}) // two nodes in one process have two homes
	if got := count(t, other); got != 0 {
		t.Errorf("the other home holds %d events", got)
	}
}

func TestForeignFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "drey.db")
	text := []byte(strings.Repeat("this is my diary\n", 1000))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, path, ErrForeign)
	if left, err := os.ReadFile(path); err != nil || string(left) != string(text) {
		t.Errorf("the file was changed, %v", err)
	}
}

func TestForeignDatabase(t *testing.T) {
	path := filled(t, 1)
	change(t, path, "PRAGMA application_id=1")
	refused(t, path, ErrForeign)
}

func TestNewerStore(t *testing.T) {
	path := filled(t, 1)
	change(t, path, fmt.Sprintf("PRAGMA user_version=%d", schemaVersion+1))
	refused(t, path, ErrNewer)
}

// change runs SQL on a store that is closed.
func change(t *testing.T, path, text string) {
	t.Helper()
	w, r, err := openDB(t.Context(), path, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Exec(text); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedFile overwrites every page in turn: Open or a read says so, and
// nothing panics.
func TestDamagedFile(t *testing.T) {
	path := filled(t, 300)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	noticed := 0
	pages := len(whole) / pageSize
	for page := range pages {
		b := append([]byte{}, whole...)
		for i := range pageSize / 2 {
			b[page*pageSize+i] = 0xa5
		}
		hurt := filepath.Join(t.TempDir(), "drey.db")
		if err := os.WriteFile(hurt, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), Config{Path: hurt})
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrForeign) {
				t.Errorf("page %d: Open = %v, want ErrCorrupt or ErrForeign", page, err)
			}
			noticed++
			continue
		}
		failed := false
		for _, err := range s.Records(t.Context(), mesh.Filter{}, mesh.Self) {
			if err != nil && !errors.Is(err, ErrCorrupt) {
				t.Errorf("page %d: Records = %v, want ErrCorrupt", page, err)
			}
			failed = failed || err != nil
		}
		for _, err := range s.Items(t.Context(), 0, 1<<32-1, mesh.Self) {
			failed = failed || err != nil
		}
		if failed || s.damaged.Load() > 0 {
			noticed++
		}
		if err := s.Close(); err != nil {
			t.Errorf("page %d: Close = %v", page, err)
		}
	}
	if noticed < pages/2 {
		t.Errorf("%d of %d damaged pages were noticed", noticed, pages)
	}
	t.Logf("%d of %d damaged pages were noticed; the others were free or of no part in the reads", noticed, pages)
}

func TestDamagedJournal(t *testing.T) {
	path := filled(t, 20)
	change(t, path, "UPDATE journal SET ops = zeroblob(30)")
	refused(t, path, ErrCorrupt)
}

// TestReadOnlyFolder takes this thread's rights away, so that it works as root
// too.
func TestReadOnlyFolder(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux")
	}
	path := filled(t, 3)
	dir := filepath.Dir(path)
	for name, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o755, dir: 0o555, path: 0o644, path + ".lock": 0o644} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.Chmod(dir, 0o700) })
	probe := filepath.Join(dir, "probe")
	asNobody(t, func() {
		if err := os.WriteFile(probe, nil, 0o600); !errors.Is(err, fs.ErrPermission) {
			t.Skipf("this system lets everybody write: %v", err)
		}
		refused(t, filepath.Join(dir, "other.db"), ErrReadOnly)
		refused(t, path, ErrReadOnly)
	})
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := count(t, openStore(t, Config{Path: path})); got != 3 {
		t.Errorf("%d events afterwards, want 3", got)
	}
}

// TestDiskFull: who waits is told, what was taken stays readable and is
// written once there is room.
func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t, false)
		path := filepath.Join(t.TempDir(), "drey.db")
		s := openStore(t, Config{Path: path, vfs: d.name})
		first := storetest.Chat(t, 1, 5, morning)
		if err := s.Save(t.Context(), first, nil, true); err != nil {
			t.Fatal(err)
		}
		gossip := storetest.Chat(t, 2, 5, morning)
		if err := s.Save(t.Context(), gossip, nil, false); err != nil {
			t.Fatal(err)
		}
		d.full.Store(true)
		err := s.Save(t.Context(), storetest.Chat(t, 3, 5, morning), nil, true)
		var e *Error
		if !errors.Is(err, ErrFull) || !errors.As(err, &e) || e.Hint() == "" {
			t.Fatalf("Save = %v, want ErrFull with a hint", err)
		}
		for _, durable := range []bool{true, false} {
			if err := s.Save(t.Context(), storetest.Chat(t, 4, 5, morning), nil, durable); !errors.Is(err, ErrFull) {
				t.Errorf("Save(durable %t) on a full disk = %v, want ErrFull", durable, err)
			}
		}
		if err := s.Shelf("x").Put(t.Context(), "k", nil); !errors.Is(err, ErrFull) {
			t.Errorf("Put on a full disk = %v, want ErrFull", err)
		}
		if st, err := s.Stats(t.Context()); err != nil || !errors.Is(st.Fault, ErrFull) {
			t.Errorf("Stats = %+v, %v, want the fault", st, err)
		}
		if got := count(t, s); got != 3 {
			t.Errorf("%d events can be read, want 3", got)
		}
		if _, known, err := s.Known(t.Context(), storetest.Chat(t, 4, 5, morning).Event.ID()); known || err != nil {
			t.Errorf("Known = %t, %v: what was refused must not be remembered", known, err)
		}
		d.full.Store(false)
		time.Sleep(retryMost)
		if err := s.Save(t.Context(), storetest.Chat(t, 4, 5, morning), nil, true); err != nil {
			t.Errorf("Save with room again = %v", err)
		}
		if err := s.Save(t.Context(), gossip, nil, true); !errors.Is(err, mesh.ErrDuplicate) {
			t.Errorf("Save of what came before = %v, want ErrDuplicate", err)
		}
		if got := count(t, s); got != 4 {
			t.Errorf("%d events can be read, want 4", got)
		}
	})
}

// TestFullAtEnd: Run says that not everything is on the disk.
func TestFullAtEnd(t *testing.T) {
	d := newDisk(t, false)
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "drey.db"), vfs: d.name})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Save(t.Context(), storetest.Chat(t, 1, 5, morning), nil, false); err != nil {
		t.Fatal(err)
	}
	d.full.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); !errors.Is(err, ErrFull) {
		t.Errorf("Run = %v, want ErrFull", err)
	}
	d.full.Store(false)
}

// TestBusy: without a writer, what waits is bounded.
func TestBusy(t *testing.T) {
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "drey.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	taken := 0
	for i := range 2 * maxPending {
		err := s.Save(t.Context(), storetest.Chat(t, i, 5, morning), nil, false)
		if err == nil {
			taken++
			continue
		}
		if !errors.Is(err, mesh.ErrBusy) {
			t.Fatalf("Save = %v, want ErrBusy", err)
		}
	}
	if taken != maxPending {
		t.Errorf("%d saves were taken without a writer, want %d", taken, maxPending)
	}
	if st, err := s.Stats(t.Context()); err != nil || st.Busy != maxPending || st.Pending != maxPending {
		t.Errorf("Stats = %+v, %v", st, err)
	}
	// A durable caller waits for room, and may give up.
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := s.Save(ctx, storetest.Chat(t, 1<<20, 5, morning), nil, true); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("durable Save = %v, want DeadlineExceeded", err)
	}
	stop := run(t, s)
	if err := s.Save(t.Context(), storetest.Chat(t, 1<<20, 5, morning), nil, true); err != nil {
		t.Errorf("durable Save with a writer = %v", err)
	}
	stop()
	if err := s.Save(t.Context(), storetest.Chat(t, 1<<21, 5, morning), nil, true); !errors.Is(err, ErrClosed) {
		t.Errorf("Save after Run ended = %v, want ErrClosed", err)
	}
	if got := count(t, s); got != maxPending+1 {
		t.Errorf("%d events, want %d", got, maxPending+1)
	}
}

// TestCancelledCaller: callers who give up in the middle harm nobody.
func TestCancelledCaller(t *testing.T) {
	s := openStore(t, Config{foldOps: 20})
	for i := range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.Save(ctx, storetest.Chat(t, i, 5, morning), nil, true)
			for range s.Records(ctx, mesh.Filter{Order: mesh.ReceiptFirst}, mesh.Self) {
			}
		}()
		cancel()
		<-done
	}
	if err := s.Save(t.Context(), storetest.Chat(t, 999, 5, morning), nil, true); err != nil {
		t.Errorf("Save = %v", err)
	}
	if _, _, err := s.Known(t.Context(), mesh.EventID{}); err != nil {
		t.Errorf("Known = %v", err)
	}
}

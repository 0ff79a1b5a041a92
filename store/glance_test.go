package store

import (
	"path/filepath"
	"testing"

	"drey/mesh"
	"drey/store/storetest"
)

// What a glance found is not believed when a layer went into the tables since:
// a deletion that came in between, an event that came twice.
func TestGlanceBeforeAFold(t *testing.T) {
	s := openStore(t, Config{foldOps: 1})
	f := folded{s}
	at := morning.Unix()
	e := storetest.Event(t, 1, 1, at, "to be deleted")
	twice := storetest.Event(t, 1, 1, at, "said twice")
	gone, known := s.glance(e), s.glance(twice)
	if gone.below || known.below {
		t.Fatal("the tables are not empty")
	}
	for _, e := range []*mesh.Event{storetest.Event(t, 1, 5, at+1, "", storetest.Tag("e", e.ID().String())), twice} {
		if err := f.Save(t.Context(), storetest.Received(e, "commons", morning), nil, true); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		e    *mesh.Event
		g    glance
		want error
	}{
		{e, gone, &mesh.GoneError{ID: e.ID(), Reason: mesh.ReasonDeleted}},
		{twice, known, mesh.ErrDuplicate},
	} {
		if err := s.enter(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		b, err := s.saveLocked(storetest.Received(c.e, "commons", morning), nil, c.g)
		s.leave(b, false)
		if err == nil || err.Error() != c.want.Error() {
			t.Errorf("%q was answered with %v, want %v", c.e.Content(), err, c.want)
		}
	}
}

// A fold changes the tables in many transactions. Only the journal's rows and
// the copy into the file wait for the disk.
func TestFoldsWaitOnce(t *testing.T) {
	const events = 1024
	d := newDisk(t, false)
	s := openStore(t, Config{Path: filepath.Join(t.TempDir(), "drey.db"), vfs: d.name, foldOps: events})
	f := folded{s}
	d.mu.Lock()
	d.wear.reset()
	d.mu.Unlock()
	for i := range events {
		if err := s.Save(t.Context(), storetest.Chat(t, i, 100, morning), nil, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.fold(nil); err != nil {
		t.Fatal(err)
	}
	st, err := s.Stats(t.Context())
	if err != nil || st.Folds != 1 {
		t.Fatalf("%d folds, %v; want one", st.Folds, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if most := int64(st.Commits) + 4; d.wear.syncs > most {
		t.Errorf("%d syncs for %d commits and one fold, want at most %d", d.wear.syncs, st.Commits, most)
	}
}

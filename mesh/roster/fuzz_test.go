package roster

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"drey/mesh"
)

// FuzzApply feeds a book with any event: whatever it takes it must not lose,
// a second time it must change nothing, and the founder stays.
func FuzzApply(f *testing.F) {
	w := newTown(f)
	seeds := w.book.Since(nil)
	seeds = append(seeds, w.admit(w.book, "founder", "ana"), w.promote(w.book, "founder", "ana"), w.ban(w.book, "founder", "ana"))
	d, err := w.book.DraftPass(w.key("visitor"), w.clock.Time().Add(MaxPass), 30, w.clock)
	if err != nil {
		f.Fatal(err)
	}
	p := w.sign("founder", d)
	seeds = append(seeds, p,
		w.sign("founder", w.book.DraftRevoke(p.ID(), w.now())),
		w.sign("founder", mesh.Draft{CreatedAt: w.now(), Kind: mesh.KindRoster, Tags: w.book.draft("seat", 0, "").Tags, Content: "of later"}),
		w.rotate(w.book, "founder", mesh.Secret{2})[0])
	for _, e := range seeds {
		f.Add(e.AppendBinary(nil))
	}
	if files, _ := filepath.Glob("testdata/fuzz/FuzzApply/*"); len(files) < 2 {
		f.Fatalf("%d seeds checked in, want at least 2", len(files))
	}
	all := w.book.Since(nil)
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := mesh.ParseBinary(b)
		if err != nil {
			return
		}
		book := New(w.m.Community)
		for _, known := range all {
			if _, err := book.Apply(known); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := book.Apply(e); err != nil {
			return
		}
		if changed, err := book.Apply(e); changed || err != nil {
			t.Errorf("a second time: Apply = %v, %v", changed, err)
		}
		if got := book.Standing(w.key("founder"), w.clock.Time()); got != mesh.Founder {
			t.Errorf("the founder is %v", got)
		}
		if e.Kind() == mesh.KindRoster && !book.knows(e.ID()) {
			t.Error("an event without an error is not known")
		}
	})
}

// TestWriteSeeds writes the seeds of FuzzApply when asked to.
func TestWriteSeeds(t *testing.T) {
	if os.Getenv("WRITE_SEEDS") == "" {
		t.Skip("set WRITE_SEEDS=1 to write testdata/fuzz/FuzzApply")
	}
	w := newTown(t)
	name := map[string]*mesh.Event{
		"found":   w.book.Since(nil)[0],
		"admit":   w.admit(w.book, "founder", "ana"),
		"promote": w.promote(w.book, "founder", "ana"),
		"ban":     w.ban(w.book, "founder", "ana"),
	}
	if err := os.MkdirAll("testdata/fuzz/FuzzApply", 0o755); err != nil {
		t.Fatal(err)
	}
	for n, e := range name {
		text := "go test fuzz v1\n[]byte(" + strconv.Quote(string(e.AppendBinary(nil))) + ")\n"
		if err := os.WriteFile("testdata/fuzz/FuzzApply/"+n, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"drey/mesh"
	"drey/store/storetest"
)

func TestGramsOf(t *testing.T) {
	for text, want := range map[string]string{
		"":           "",
		"...":        "",
		"a":          "a",
		"bread":      "bre rea ead ad d",
		"ok, bread!": "ok k bre rea ead ad d",
		"aaaaaa":     "aaa aa a",
		"面包店":        "面包 包店 店",
		"ok面包":       "ok面 k面包 面包 包",
		"မုန့်":      "မုန ုန့ န့် ့် ်",
	} {
		if got := strings.TrimSpace(gramsOf(text)); got != want {
			t.Errorf("gramsOf(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestMatchOf(t *testing.T) {
	for search, want := range map[string]string{
		"bread":         `"bre" "rea" "ead"`,
		"ok":            `"ok"*`,
		"x":             "",
		"x y":           "",
		"ok bread":      `"bre" "rea" "ead"`,
		"面":             `"面"*`,
		"面包":            `"面包"`,
		"wifi-password": `"wif" "ifi" "pas" "ass" "ssw" "swo" "wor" "ord"`,
		`"a" OR NEAR(b`: `"nea" "ear"`,
	} {
		if got := matchOf(mesh.ParseSearch(search).Words()); got != want {
			t.Errorf("matchOf(%q) = %s, want %s", search, got, want)
		}
	}
	if n := strings.Count(matchOf([]string{strings.Repeat("abcdefghijklmnopqrstuvwxyz", 9)}), " ") + 1; n != gramsMost {
		t.Errorf("a long word asks for %d grams, want %d", n, gramsMost)
	}
}

// indexOnly is an index of texts in memory.
func indexOnly(t testing.TB) *sql.DB {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(searchSchema); err != nil {
		t.Fatal(err)
	}
	return db
}

// FuzzMatch checks that the index finds every text that has the words, that no
// search is a mistake to it, and that what was taken out is not found.
func FuzzMatch(f *testing.F) {
	for _, text := range texts {
		for _, s := range searches {
			f.Add(text, s)
		}
	}
	f.Add("a text", `" OR 1 {x y}: ^a NEAR("b" "c", 3) AND NOT d*`)
	db := indexOnly(f)
	f.Fuzz(func(t *testing.T, text, search string) {
		q := mesh.ParseSearch(search)
		match := matchOf(q.Words())
		if match == "" {
			return
		}
		grams := gramsOf(mesh.Fold(text))
		found := func() (n int) {
			if err := db.QueryRow("SELECT count(*) FROM search WHERE search MATCH ?", match).Scan(&n); err != nil {
				t.Fatalf("MATCH %s: %v", match, err)
			}
			return n
		}
		if _, err := db.Exec("INSERT INTO search (rowid, grams) VALUES (1, ?)", grams); err != nil {
			t.Fatal(err)
		}
		if q.In(mesh.Fold(text)) && found() != 1 {
			t.Errorf("%s does not find %q, whose grams are %q", match, text, grams)
		}
		if _, err := db.Exec("INSERT INTO search (search, rowid, grams) VALUES ('delete', 1, ?)", grams); err != nil {
			t.Fatal(err)
		}
		if found() != 0 {
			t.Errorf("%s finds %q though it was taken out", match, text)
		}
	})
}

// searchFor returns what a store finds, newest first.
func searchFor(t testing.TB, s *Store, f mesh.Filter) (found []string) {
	t.Helper()
	for r, err := range s.Records(context.Background(), f, mesh.Self) {
		if err != nil {
			t.Fatalf("Records(%+v) = %v", f, err)
		}
		found = append(found, r.Event.Content())
	}
	return found
}

// inIndex counts what the index itself finds.
func inIndex(t testing.TB, s *Store, match string) (n int) {
	t.Helper()
	if err := s.r.QueryRow("SELECT count(*) FROM search WHERE search MATCH ?", match).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// caughtUp returns when the tables have everything and the index has the tables.
func caughtUp(t testing.TB, s *Store) {
	t.Helper()
	(folded{s}).fold(nil)
	for {
		s.mu.RLock()
		behind, room := s.behindLocked(), s.mu.room
		s.mu.RUnlock()
		if !behind {
			return
		}
		<-room
	}
}

// What is deleted, superseded, expired or banned leaves the index; private
// messages never enter it.
func TestIndexForgets(t *testing.T) {
	clock := storetest.NewClock(morning)
	s := openStore(t, Config{Clock: clock.Now, foldOps: 1})
	now := morning.Unix()
	save := func(e *mesh.Event) *mesh.Event {
		if err := s.Save(t.Context(), storetest.Received(e, "commons", clock.Now()), nil, true); err != nil {
			t.Fatal(err)
		}
		return e
	}
	deleted := save(storetest.Event(t, 1, 1, now, "walnut deleted"))
	save(storetest.Event(t, 1, 30023, now, "walnut superseded", storetest.Tag("d", "x")))
	save(storetest.Event(t, 1, 1, now, "walnut expired", storetest.Tag("expiration", fmt.Sprint(now+60))))
	banned := save(storetest.Event(t, 2, 1, now, "walnut banned"))
	save(storetest.Event(t, 2, 1059, now, "walnut private", storetest.Tag("p", storetest.Author(1).String())))
	save(storetest.Event(t, 2, 7, now, "walnut reaction"))
	save(storetest.Event(t, 3, 1, now, "walnut stays"))
	caughtUp(t, s)
	if n := inIndex(t, s, `"wal"`); n != 5 {
		t.Errorf("the index finds %d, want 5", n)
	}
	save(storetest.Event(t, 1, 5, now, "", storetest.Tag("e", deleted.ID().String())))
	save(storetest.Event(t, 1, 30023, now+1, "hazel", storetest.Tag("d", "x")))
	if err := s.Bury(t.Context(), banned.ID(), banned.CreatedAt(), mesh.ReasonBanned); err != nil {
		t.Fatal(err)
	}
	clock.Add(61e9)
	if got := searchFor(t, s, mesh.Filter{Search: "walnut"}); fmt.Sprint(got) != "[walnut stays]" {
		t.Errorf("found %q", got)
	}
	caughtUp(t, s)
	if n := inIndex(t, s, `"wal"`); n != 1 {
		t.Errorf("the index still finds %d, want 1", n)
	}
}

// An older store gets its index while it is used; a start that is cut off goes
// on where it was.
func TestIndexOfAnOlderStore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "drey.db")
	const events = 3 * searchRows
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)
	for i := range events {
		if err := s.Save(t.Context(), storetest.Chat(t, i, 10, morning), nil, i%512 == 511); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	s.Close()
	if s, err = Open(t.Context(), Config{Path: path, foldOps: 1}); err != nil {
		t.Fatal(err)
	}
	stop = run(t, s)
	caughtUp(t, s)
	stop()
	s.Close()
	change(t, path, "DROP TABLE search; DELETE FROM meta WHERE key LIKE 'search%'; PRAGMA user_version=1")

	if s, err = Open(t.Context(), Config{Path: path}); err != nil {
		t.Fatal(err)
	}
	find := func(want int) {
		t.Helper()
		text := storetest.Chat(t, want, 10, morning).Event.Content()
		for _, order := range []mesh.Order{mesh.NewestFirst, mesh.ReceiptLatest} {
			got := searchFor(t, s, mesh.Filter{Search: fmt.Sprintf("bridge %d:", want), Order: order})
			if !slices.Equal(got, []string{text}) {
				t.Errorf("order %d, searched to %d of %d: found %d, want %q", order, s.mu.searched, s.mu.folded, len(got), text)
			}
		}
	}
	step := func(times int) {
		for range times {
			if err := s.indexSlice(); err != nil {
				t.Fatal(err)
			}
		}
	}
	find(1234)
	step(1)
	if s.mu.searched == 0 || !s.behindLocked() {
		t.Errorf("after one step the index reaches %d of %d", s.mu.searched, s.mu.folded)
	}
	find(2007)
	s.Close() // as if cut off
	reached := s.mu.searched
	if s, err = Open(t.Context(), Config{Path: path}); err != nil {
		t.Fatal(err)
	}
	defer func() { s.Close() }()
	if s.mu.searched != reached {
		t.Errorf("after a restart the index reaches %d, want %d", s.mu.searched, reached)
	}
	defer run(t, s)()
	caughtUp(t, s)
	find(1234)
	find(2007)
}

// A damaged index is made anew, and meanwhile every search is still answered.
func TestDamagedIndex(t *testing.T) {
	for name, damage := range map[string]string{
		"its pages":  "UPDATE search_data SET block = x'ffffffffffff' WHERE id > 10",
		"its tables": "DROP TABLE search_data",
	} {
		t.Run(name, func(t *testing.T) { testDamagedIndex(t, damage) })
	}
}

func testDamagedIndex(t *testing.T, damage string) {
	path := filepath.Join(t.TempDir(), "drey.db")
	s, err := Open(t.Context(), Config{Path: path, foldOps: 1})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)
	save := func(text string) *mesh.Event {
		e := storetest.Event(t, 1, 1, 1000, text)
		if err := s.Save(t.Context(), storetest.Received(e, "commons", morning), nil, true); err != nil {
			t.Fatal(err)
		}
		return e
	}
	first := save("walnut one")
	save("walnut two")
	caughtUp(t, s)
	stop()
	s.Close()
	change(t, path, damage)

	if s, err = Open(t.Context(), Config{Path: path, foldOps: 1}); err != nil {
		t.Fatal(err)
	}
	defer func() { s.Close() }()
	if got := searchFor(t, s, mesh.Filter{Search: "walnut", Order: mesh.ReceiptFirst}); fmt.Sprint(got) != "[walnut one walnut two]" {
		t.Errorf("with a damaged index: found %q", got)
	}
	defer run(t, s)()
	save("walnut three")
	if err := s.Bury(t.Context(), first.ID(), first.CreatedAt(), mesh.ReasonPruned); err != nil {
		t.Fatal(err)
	}
	caughtUp(t, s)
	if got := searchFor(t, s, mesh.Filter{Search: "walnut", Order: mesh.ReceiptFirst}); fmt.Sprint(got) != "[walnut two walnut three]" {
		t.Errorf("after all: found %q", got)
	}
	if n := inIndex(t, s, `"wal"`); n != 2 {
		t.Errorf("the index finds %d, want 2", n)
	}
	if st, err := s.Stats(t.Context()); err != nil || st.Fault != nil {
		t.Errorf("Stats = %+v, %v", st, err)
	}
}

// Nobody is shown by a search what he may not see.
func TestSearchIsForWhoMaySee(t *testing.T) {
	s := openStore(t, Config{foldOps: 1})
	for i, topic := range []mesh.Topic{"commons", "council"} {
		r := storetest.Received(storetest.Event(t, i, 1, 1000, "walnut in "+string(topic)), topic, morning)
		if err := s.Save(t.Context(), r, nil, true); err != nil {
			t.Fatal(err)
		}
	}
	caughtUp(t, s)
	for want, v := range map[int]mesh.Viewer{2: {Member: true}, 1: {Topics: []mesh.Topic{"commons"}}, 0: {}} {
		n := 0
		for _, err := range s.Records(t.Context(), mesh.Filter{Search: "walnut"}, v) {
			if err != nil && !errors.Is(err, mesh.ErrNotFound) {
				t.Fatal(err)
			}
			n++
		}
		if n != want {
			t.Errorf("%+v finds %d, want %d", v, n, want)
		}
	}
}

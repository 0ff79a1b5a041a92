package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"drey/mesh"
	"drey/store/storetest"
)

// A twin is a store and the one in memory that has lived through the same.
type twin struct {
	t    *rapid.T
	tb   testing.TB
	dir  string
	now  *storetest.Clock
	pool []*mesh.Event // what may come in

	memory *storetest.Memory
	store  *Store
	stop   func()
}

func (w *twin) open() {
	var err error
	w.store, err = Open(context.Background(), Config{
		Path: filepath.Join(w.dir, "drey.db"), Clock: w.now.Now, foldOps: rapid.SampledFrom([]int{1, 5, 40}).Draw(w.t, "foldOps"),
	})
	if err != nil {
		w.t.Fatalf("Open = %v", err)
	}
	w.stop = run(w.tb, w.store)
}

func (w *twin) close() {
	w.stop()
	if err := w.store.Close(); err != nil {
		w.t.Errorf("Close = %v", err)
	}
}

// events draws a small world in which most things touch each other.
func (w *twin) events() {
	for i := range rapid.IntRange(4, 24).Draw(w.t, "events") {
		kind := rapid.SampledFrom([]int{0, 1, 1, 1, 5, 5, 1059, 3739, 3740, 10002, 30000, 30000, 20001}).Draw(w.t, "kind")
		author := rapid.IntRange(0, 1).Draw(w.t, "author")
		tags := [][]string{{"t", rapid.SampledFrom([]string{"x", "y"}).Draw(w.t, "t")}}
		if kind == 30000 {
			tags = append(tags, []string{"d", rapid.SampledFrom([]string{"", "a"}).Draw(w.t, "d")})
		}
		for range rapid.IntRange(0, 2).Draw(w.t, "refs") {
			if len(w.pool) > 0 {
				tags = append(tags, []string{"e", rapid.SampledFrom(w.pool).Draw(w.t, "ref").ID().String()})
			}
		}
		if kind == 5 {
			tags = append(tags, []string{"a", fmt.Sprintf("%d:%s:%s", rapid.SampledFrom([]int{0, 10002, 30000}).Draw(w.t, "akind"),
				storetest.Author(author), rapid.SampledFrom([]string{"", "a"}).Draw(w.t, "ad"))})
		}
		if kind == 1059 {
			tags = append(tags, []string{"p", storetest.Author(1).String()})
		}
		if rapid.IntRange(0, 3).Draw(w.t, "expires") == 0 {
			tags = append(tags, []string{"expiration", strconv.FormatInt(w.now.Now().Unix()+int64(rapid.IntRange(0, 30).Draw(w.t, "expiration")), 10)})
		}
		w.pool = append(w.pool, storetest.Event(w.tb, author, kind, int64(rapid.IntRange(1000, 1004).Draw(w.t, "created")), fmt.Sprint(i, rapid.SampledFrom(texts).Draw(w.t, "text")), tags...))
	}
}

// same compares two answers.
func (w *twin) same(what string, got, want any) {
	if g, m := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != m {
		w.t.Fatalf("%s\nstore  %s\nmemory %s", what, g, m)
	}
}

// verdict spells an error without what may differ.
func verdict(err error) string {
	var gone *mesh.GoneError
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &gone):
		return gone.Error()
	}
	for _, known := range []error{mesh.ErrDuplicate, mesh.ErrExpired, mesh.ErrNotFound, mesh.ErrRefused} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return err.Error()
}

func (w *twin) event() *mesh.Event { return rapid.SampledFrom(w.pool).Draw(w.t, "event") }

func (w *twin) key() mesh.Key {
	return mesh.Key{ID: w.event().ID(), Carrier: rapid.SampledFrom([]string{"radio", "relay"}).Draw(w.t, "carrier"), Target: rapid.SampledFrom([]string{"", "a"}).Draw(w.t, "target")}
}

func (w *twin) act() {
	ctx := context.Background()
	switch what := rapid.SampledFrom([]string{"save", "save", "save", "save", "bury", "attempt", "settle", "note", "put", "drop", "clock", "sync", "fold", "reopen"}).Draw(w.t, "act"); what {
	case "save":
		e := w.event()
		var owed []mesh.Owed
		for range rapid.IntRange(0, 2).Draw(w.t, "owed") {
			o := mesh.Owed{Key: w.key(), Priority: mesh.Priority(rapid.IntRange(0, 4).Draw(w.t, "priority"))}
			owed = append(owed, o)
		}
		rec := func() *mesh.Record {
			return &mesh.Record{Event: e, Topic: mesh.Topic(e.TagValues("t")[0]), Received: w.now.Now(), Carrier: "gossip"}
		}
		durable := rapid.Bool().Draw(w.t, "durable")
		w.same("Save", verdict(w.store.Save(ctx, rec(), owed, durable)), verdict(w.memory.Save(ctx, rec(), owed, durable)))
	case "bury":
		e, why := w.event(), mesh.Reason(rapid.IntRange(1, 5).Draw(w.t, "why"))
		w.same("Bury", verdict(w.store.Bury(ctx, e.ID(), e.CreatedAt(), why)), verdict(w.memory.Bury(ctx, e.ID(), e.CreatedAt(), why)))
	case "attempt":
		k := w.key()
		g, gerr := w.store.Attempt(ctx, k)
		m, merr := w.memory.Attempt(ctx, k)
		w.same("Attempt", []any{g, verdict(gerr)}, []any{m, verdict(merr)})
	case "settle":
		k := w.key()
		w.same("Settle", verdict(w.store.Settle(ctx, k)), verdict(w.memory.Settle(ctx, k)))
	case "note":
		id, s := w.event().ID(), mesh.Step{At: w.now.Now(), Carrier: "radio", State: rapid.StringN(0, 5, 20).Draw(w.t, "state")}
		w.same("Note", verdict(w.store.Note(ctx, id, s)), verdict(w.memory.Note(ctx, id, s)))
	case "put":
		name, k, v := rapid.SampledFrom([]string{"one", "two"}).Draw(w.t, "shelf"), rapid.SampledFrom([]string{"", "a", "ab"}).Draw(w.t, "k"), []byte(rapid.StringN(0, 3, 9).Draw(w.t, "v"))
		w.same("Put", verdict(w.store.Shelf(name).Put(ctx, k, v)), verdict(w.memory.Shelf(name).Put(ctx, k, v)))
	case "drop":
		k := rapid.SampledFrom([]string{"", "a", "ab"}).Draw(w.t, "k")
		w.same("Delete", verdict(w.store.Shelf("one").Delete(ctx, k)), verdict(w.memory.Shelf("one").Delete(ctx, k)))
	case "clock":
		w.now.Add(time.Duration(rapid.IntRange(1, 10).Draw(w.t, "seconds")) * time.Second)
	case "sync":
		w.same("Sync", verdict(w.store.Sync(ctx)), "ok")
	case "fold":
		w.foldAll()
	case "reopen":
		w.close()
		w.open()
	}
}

// foldAll leaves nothing in layers, by closing and folding at the next start.
func (w *twin) foldAll() {
	w.close()
	w.store, _ = Open(context.Background(), Config{Path: filepath.Join(w.dir, "drey.db"), Clock: w.now.Now, foldOps: 1})
	if w.store == nil {
		w.t.Fatal("Open failed")
	}
	w.stop = run(w.tb, w.store)
	if err := (folded{w.store}).fold(nil); err != nil {
		w.t.Fatalf("fold: %v", err)
	}
}

func (w *twin) compare() {
	ctx := context.Background()
	seqs := make(map[mesh.EventID][2]uint64) // in the store, in memory
	for _, e := range w.pool {
		g, gok, gerr := w.store.Known(ctx, e.ID())
		m, mok, merr := w.memory.Known(ctx, e.ID())
		w.same("Known", []any{g, gok, verdict(gerr)}, []any{m, mok, verdict(merr)})
		gr, gerr := w.store.Record(ctx, e.ID(), mesh.Self)
		mr, merr := w.memory.Record(ctx, e.ID(), mesh.Self)
		w.same("Record", verdict(gerr), verdict(merr))
		if mr != nil {
			seqs[e.ID()] = [2]uint64{gr.Seq, mr.Seq}
			w.same("Record", spell(gr), spell(mr))
		}
		gh, gerr := w.store.History(ctx, e.ID())
		mh, merr := w.memory.History(ctx, e.ID())
		saved := func(s mesh.Step) bool { return s.State == "saved" } // said once it is on disk
		w.same("History", []any{slices.DeleteFunc(gh, saved), verdict(gerr)}, []any{slices.DeleteFunc(mh, saved), verdict(merr)})
	}
	for _, carrier := range []string{"radio", "relay"} {
		limit := rapid.IntRange(0, 3).Draw(w.t, "limit")
		g, gerr := w.store.Owed(ctx, carrier, limit)
		m, merr := w.memory.Owed(ctx, carrier, limit)
		w.same("Owed", []any{debts(g), gerr}, []any{debts(m), merr})
	}
	for _, name := range []string{"one", "two"} {
		g, gerr := w.store.Shelf(name).Keys(ctx, "a")
		m, merr := w.memory.Shelf(name).Keys(ctx, "a")
		w.same("Keys", []any{g, gerr}, []any{m, merr})
		for _, k := range []string{"", "a", "ab"} {
			g, gerr := w.store.Shelf(name).Value(ctx, k)
			m, merr := w.memory.Shelf(name).Value(ctx, k)
			w.same("Value", []any{string(g), verdict(gerr)}, []any{string(m), verdict(merr)})
		}
	}
	viewer := rapid.SampledFrom([]mesh.Viewer{mesh.Self, mesh.Self, {Node: true}, {Member: true}, {Topics: []mesh.Topic{"x"}}, {Keys: []mesh.PubKey{storetest.Author(1)}}}).Draw(w.t, "viewer")
	w.same("Items", items(w.store, viewer), items(w.memory, viewer))
	for range 6 {
		f := w.filter()
		g, m := f, f
		if f.After > 0 { // an index into the pool: each store has its own numbers
			s, ok := seqs[w.pool[int(f.After-1)%len(w.pool)].ID()]
			if !ok {
				s = [2]uint64{}
			}
			g.After, m.After = s[0], s[1]
		}
		if f.Before > 0 {
			s := seqs[w.pool[int(f.Before-1)%len(w.pool)].ID()]
			g.Before, m.Before = s[0], s[1]
		}
		w.same(fmt.Sprintf("Records(%+v, %+v)", f, viewer), found(w.store, g, viewer), found(w.memory, m, viewer))
	}
}

// What events say and what is looked for: grams that share much, words too short
// for a gram, words that many events have in other order.
var (
	texts    = []string{"", " bread and butter", " the Breadth of it", " butter, and bread!", " ပေါင်မုန့်", " 面包店", " Ёлка", "breadbreadbread", " ok"}
	searches = []string{"bread", "BREAD butter", "read", "ad", "b", "ok", "nothing like it", "မုန့်", "面包", "包", "елка", "1", "12", `"quoted" OR NEAR(bread*`, "...", "-", "*", "eadbre"}
)

func (w *twin) filter() mesh.Filter {
	var f mesh.Filter
	maybe := func(name string) bool { return rapid.IntRange(0, 3).Draw(w.t, name) == 0 }
	if rapid.Bool().Draw(w.t, "search") {
		f.Search = rapid.SampledFrom(searches).Draw(w.t, "words")
	}
	if maybe("ids") {
		f.IDs = []mesh.EventID{w.event().ID(), w.event().ID()}
	}
	if maybe("authors") {
		f.Authors = []mesh.PubKey{storetest.Author(rapid.IntRange(0, 2).Draw(w.t, "a")), storetest.Author(1)}
	}
	if maybe("kinds") {
		f.Kinds = rapid.SliceOfN(rapid.SampledFrom([]mesh.Kind{0, 1, 5, 30000, 1059}), 0, 2).Draw(w.t, "k")
		if f.Kinds == nil {
			f.Kinds = []mesh.Kind{}
		}
	}
	if maybe("topics") {
		f.Topics = []mesh.Topic{rapid.SampledFrom([]mesh.Topic{"x", "y"}).Draw(w.t, "topic")}
	}
	if maybe("tags") {
		f.Tags = map[string][]string{"e": {w.event().ID().String()}}
	}
	if maybe("since") {
		f.Since = mesh.Unix(rapid.IntRange(999, 1005).Draw(w.t, "s"))
	}
	if maybe("until") {
		f.Until = mesh.Unix(rapid.IntRange(999, 1005).Draw(w.t, "u"))
	}
	if maybe("after") {
		f.After = uint64(rapid.IntRange(1, 20).Draw(w.t, "n"))
	}
	if maybe("before") {
		f.Before = uint64(rapid.IntRange(1, 20).Draw(w.t, "n"))
	}
	if maybe("from") {
		f.From = w.now.Now().Add(-time.Duration(rapid.IntRange(0, 20).Draw(w.t, "back")) * time.Second)
	}
	f.Limit = rapid.IntRange(0, 4).Draw(w.t, "limit")
	f.Order = mesh.Order(rapid.IntRange(0, 2).Draw(w.t, "order"))
	return f
}

func spell(r *mesh.Record) string {
	return fmt.Sprint(r.Event.ID(), r.Topic, r.Received.UnixNano(), r.Carrier, r.Flags)
}

func debts(owed []mesh.Owed) (s []string) {
	for _, o := range owed {
		s = append(s, fmt.Sprint(o.Key, o.Priority, o.Attempts))
	}
	return s
}

func items(a mesh.Archive, v mesh.Viewer) (s []string) {
	for it, err := range a.Items(context.Background(), 1000, 1003, v) {
		s = append(s, fmt.Sprint(it, err))
	}
	return s
}

func found(a mesh.Archive, f mesh.Filter, v mesh.Viewer) (s []string) {
	for r, err := range a.Records(context.Background(), f, v) {
		s = append(s, fmt.Sprint(r.Event.Content(), err))
	}
	return s
}

// TestSameAsMemory holds the store against the plain one in memory over random
// lives, restarts included.
func TestSameAsMemory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &twin{t: rt, tb: t, dir: t.TempDir(), now: storetest.NewClock(morning)}
		w.memory = storetest.NewMemory(w.now.Now)
		w.events()
		w.open()
		defer func() { w.close() }()
		for range rapid.IntRange(1, 40).Draw(rt, "acts") {
			w.act()
			if rapid.IntRange(0, 3).Draw(rt, "look") == 0 {
				w.compare()
			}
		}
		w.compare()
	})
}

package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"drey/mesh"
)

func testOutbox(b *bench) {
	ctx := b.t.Context()
	owe := func(carrier, target string, p mesh.Priority) mesh.Owed {
		return mesh.Owed{Key: mesh.Key{Carrier: carrier, Target: target}, Priority: p}
	}
	one := b.save(Received(Event(b.t, 1, 1, 1000, "one"), "commons", epoch), owe("relay", "a", mesh.Chat), owe("relay", "b", mesh.Chat), owe("radio", "", mesh.Chat))
	two := b.save(Received(Event(b.t, 1, 1, 1001, "two"), "commons", epoch), owe("relay", "a", mesh.Emergency))
	spell := func(carrier string, limit int) string {
		owed, err := b.Owed(ctx, carrier, limit)
		if err != nil {
			b.t.Fatalf("Owed = %v", err)
		}
		s := ""
		for _, o := range owed {
			name := map[uint64]string{one.Seq: "one", two.Seq: "two"}[o.Seq]
			if o.Carrier != carrier || o.ID != map[string]mesh.EventID{"one": one.Event.ID(), "two": two.Event.ID()}[name] {
				b.t.Errorf("Owed(%s) has %+v", carrier, o)
			}
			s += fmt.Sprintf("%s>%s:%s#%d ", name, o.Target, o.Priority, o.Attempts)
		}
		return s
	}
	check := func(got, want string) {
		b.t.Helper()
		if got != want {
			b.t.Errorf("Owed = %q, want %q", got, want)
		}
	}
	check(spell("relay", 0), "two>a:emergency#0 one>a:chat#0 one>b:chat#0 ")
	check(spell("relay", 2), "two>a:emergency#0 one>a:chat#0 ")
	check(spell("radio", 9), "one>:chat#0 ")
	check(spell("none", 9), "")
	to := func(target string, limit int) (ids []mesh.EventID) {
		owed, err := b.OwedTo(ctx, "relay", target, limit)
		if err != nil {
			b.t.Fatalf("OwedTo = %v", err)
		}
		for _, o := range owed {
			ids = append(ids, o.ID)
		}
		return ids
	}
	if a, first, none := to("a", 0), to("a", 1), to("c", 0); !slices.Equal(a, []mesh.EventID{two.Event.ID(), one.Event.ID()}) ||
		!slices.Equal(first, a[:1]) || none != nil || !slices.Equal(to("b", 9), a[1:]) {
		b.t.Errorf("OwedTo a, the first of a, c: %v, %v, %v", a, first, none)
	}
	k := mesh.Key{ID: one.Event.ID(), Carrier: "relay", Target: "b"}
	for want := 1; want <= 3; want++ {
		if got, err := b.Attempt(ctx, k); got != want || err != nil {
			b.t.Errorf("Attempt = %d, %v, want %d", got, err, want)
		}
	}
	check(spell("relay", 0), "two>a:emergency#0 one>a:chat#0 one>b:chat#3 ")
	for range 2 {
		if err := b.Settle(ctx, k); err != nil {
			b.t.Errorf("Settle = %v", err)
		}
	}
	check(spell("relay", 0), "two>a:emergency#0 one>a:chat#0 ")
	for _, k := range []mesh.Key{k, {ID: one.Event.ID(), Carrier: "relay", Target: "c"}, {ID: mesh.EventID{9}, Carrier: "relay", Target: "a"}} {
		if _, err := b.Attempt(ctx, k); !errors.Is(err, mesh.ErrNotFound) {
			b.t.Errorf("Attempt(%v) = %v, want ErrNotFound", k, err)
		}
	}
}

func testOutboxGone(b *bench) {
	owed := []mesh.Owed{{Key: mesh.Key{Carrier: "radio", Target: "a"}}, {Key: mesh.Key{Carrier: "radio", Target: "b"}}}
	old := b.save(Received(Event(b.t, 1, 0, 1000, "old"), "people", epoch), owed...)
	b.save(Received(Event(b.t, 1, 0, 1001, "new"), "people", epoch))
	if got, err := b.Owed(b.t.Context(), "radio", 0); len(got) != 0 || err != nil {
		b.t.Errorf("Owed = %v, %v, want none", got, err)
	}
	if _, err := b.Attempt(b.t.Context(), mesh.Key{ID: old.Event.ID(), Carrier: "radio", Target: "a"}); !errors.Is(err, mesh.ErrNotFound) {
		b.t.Errorf("Attempt = %v, want ErrNotFound", err)
	}
}

func testHistory(b *bench) {
	ctx := b.t.Context()
	r := Received(Event(b.t, 1, 1, 1000, "x"), "commons", epoch)
	if err := b.Save(ctx, r, nil, true); err != nil {
		b.t.Fatal(err)
	}
	id := r.Event.ID()
	step := mesh.Step{At: epoch.Add(time.Second), Carrier: "relay", Target: "wss://a", State: "on 1 of 3 relays"}
	if err := b.Note(ctx, id, step); err != nil {
		b.t.Fatalf("Note = %v", err)
	}
	got, err := b.History(ctx, id)
	want := []mesh.Step{{At: epoch, Carrier: "gossip", State: "received"}, {At: epoch, State: "saved"}, step}
	if err != nil || !reflect.DeepEqual(got, want) {
		b.t.Errorf("History = %v, %v\nwant %v", got, err, want)
	}
	for i := range 500 {
		if err := b.Note(ctx, id, mesh.Step{At: epoch, State: strconv.Itoa(i)}); err != nil {
			b.t.Fatal(err)
		}
	}
	got, err = b.History(ctx, id)
	if err != nil || len(got) < 16 || len(got) > 100 || got[len(got)-1].State != "499" || got[len(got)-2].State != "498" {
		b.t.Errorf("History has %d lines, %v; want the last of 500, at most 100", len(got), err)
	}
	if err := b.Bury(ctx, id, 0, mesh.ReasonBanned); err != nil {
		b.t.Fatal(err)
	}
	got, err = b.History(ctx, id)
	if err != nil || got[len(got)-1].State != "gone: banned" || got[len(got)-2].State != "499" {
		b.t.Errorf("History of the buried = %v, %v; want it to stay and end with gone: banned", got, err)
	}
	if _, err := b.History(ctx, mesh.EventID{9}); !errors.Is(err, mesh.ErrNotFound) {
		b.t.Errorf("History of the unknown = %v, want ErrNotFound", err)
	}
	if err := b.Note(ctx, mesh.EventID{9}, step); !errors.Is(err, mesh.ErrNotFound) {
		b.t.Errorf("Note on the unknown = %v, want ErrNotFound", err)
	}
}

func testShelves(b *bench) {
	ctx := b.t.Context()
	one, two := b.Shelf("one"), b.Shelf("two")
	if _, err := one.Value(ctx, "k"); !errors.Is(err, mesh.ErrNotFound) {
		b.t.Errorf("Value = %v, want ErrNotFound", err)
	}
	for _, k := range []string{"b", "a/2", "a/1", "", "a%"} {
		if err := one.Put(ctx, k, []byte("v"+k)); err != nil {
			b.t.Fatalf("Put = %v", err)
		}
	}
	if err := two.Put(ctx, "b", nil); err != nil {
		b.t.Fatal(err)
	}
	if v, err := one.Value(ctx, "b"); string(v) != "vb" || err != nil {
		b.t.Errorf("Value = %q, %v", v, err)
	}
	if v, err := two.Value(ctx, "b"); len(v) != 0 || err != nil {
		b.t.Errorf("Value of nothing = %q, %v, want it to be there and empty", v, err)
	}
	for prefix, want := range map[string][]string{"": {"", "a%", "a/1", "a/2", "b"}, "a/": {"a/1", "a/2"}, "z": nil, "%": nil} {
		if keys, err := one.Keys(ctx, prefix); !slices.Equal(keys, want) || err != nil {
			b.t.Errorf("Keys(%q) = %q, %v, want %q", prefix, keys, err, want)
		}
	}
	for range 2 {
		if err := one.Delete(ctx, "b"); err != nil {
			b.t.Errorf("Delete = %v", err)
		}
	}
	if _, err := one.Value(ctx, "b"); !errors.Is(err, mesh.ErrNotFound) {
		b.t.Errorf("Value after Delete = %v, want ErrNotFound", err)
	}
	if err := one.Put(ctx, "b", []byte("again")); err != nil {
		b.t.Fatal(err)
	}
	if v, err := one.Value(ctx, "b"); string(v) != "again" || err != nil {
		b.t.Errorf("Value = %q, %v", v, err)
	}
}

func testContext(b *bench) {
	ctx, cancel := context.WithCancel(b.t.Context())
	cancel()
	e := Event(b.t, 1, 1, 1000, "x")
	if err := b.Save(ctx, Received(e, "commons", epoch), nil, true); !errors.Is(err, context.Canceled) {
		b.t.Errorf("Save = %v, want Canceled", err)
	}
	if err := b.Shelf("s").Put(ctx, "k", nil); !errors.Is(err, context.Canceled) {
		b.t.Errorf("Put = %v, want Canceled", err)
	}
	b.save(Received(Event(b.t, 1, 1, 1001, "y"), "commons", epoch))
	for _, err := range b.Records(ctx, mesh.Filter{}, mesh.Self) {
		if !errors.Is(err, context.Canceled) {
			b.t.Errorf("Records = %v, want Canceled", err)
		}
	}
	if err := b.Save(b.t.Context(), Received(e, "commons", epoch), nil, true); err != nil {
		b.t.Errorf("Save after another's end = %v", err)
	}
}

package storetest

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"testing"
	"time"

	"drey/mesh"
)

// epoch is where the clock of the suite starts.
var epoch = time.Unix(1_800_000_000, 0).UTC()

// A bench is one store under test with its clock.
type bench struct {
	Store
	t     *testing.T
	clock *Clock
}

// Run holds a store against its contract. open returns an empty store that
// takes the time from clock and is ready for durable writes; it registers its
// own cleanup with t.
func Run(t *testing.T, open func(t *testing.T, clock func() time.Time) Store) {
	for _, test := range []struct {
		name string
		run  func(b *bench)
	}{
		{"what was saved is seen at once", testSave},
		{"a second save is a duplicate", testDuplicate},
		{"a newer version replaces", testReplace},
		{"a deletion deletes, before and after", testDelete},
		{"nobody deletes for another", testDeleteOther},
		{"the roster stays", testRoster},
		{"what expires goes", testExpiry},
		{"ephemeral events are not kept", testEphemeral},
		{"bury leaves a tombstone", testBury},
		{"every filter chooses", testFilters},
		{"orders and limits", testOrders},
		{"a reader may stop and others write", testStop},
		{"items come in order", testItems},
		{"everybody sees what they may", testVisible},
		{"outbox", testOutbox},
		{"gone events are owed no more", testOutboxGone},
		{"history is bounded", testHistory},
		{"shelves", testShelves},
		{"an ended context is answered", testContext},
	} {
		t.Run(test.name, func(t *testing.T) {
			clock := NewClock(epoch)
			test.run(&bench{open(t, clock.Now), t, clock})
		})
	}
}

func (b *bench) save(r *mesh.Record, owed ...mesh.Owed) *mesh.Record {
	b.t.Helper()
	if err := b.Save(b.t.Context(), r, owed, false); err != nil {
		b.t.Fatalf("Save(%q) = %v", r.Event.Content(), err)
	}
	return r
}

func (b *bench) refuse(r *mesh.Record, want error) {
	b.t.Helper()
	err := b.Save(b.t.Context(), r, nil, false)
	var gone, wantGone *mesh.GoneError
	switch {
	case errors.As(want, &wantGone):
		if !errors.As(err, &gone) || gone.Reason != wantGone.Reason || gone.ID != r.Event.ID() {
			b.t.Errorf("Save(%q) = %v, want %v", r.Event.Content(), err, want)
		}
	case !errors.Is(err, want):
		b.t.Errorf("Save(%q) = %v, want %v", r.Event.Content(), err, want)
	}
}

// state spells what a store says of an id: "held", "new" or the reason.
func (b *bench) state(id mesh.EventID) string {
	b.t.Helper()
	gone, known, err := b.Known(b.t.Context(), id)
	switch {
	case err != nil:
		b.t.Fatalf("Known = %v", err)
	case !known:
		return "new"
	case gone == 0:
		return "held"
	}
	return gone.String()
}

func (b *bench) want(e *mesh.Event, want string) {
	b.t.Helper()
	if got := b.state(e.ID()); got != want {
		b.t.Errorf("%q is %s, want %s", e.Content(), got, want)
	}
	r, err := b.Record(b.t.Context(), e.ID(), mesh.Self)
	var gone *mesh.GoneError
	switch {
	case want == "held":
		if err != nil || r.Event.ID() != e.ID() {
			b.t.Errorf("Record(%q) = %v, %v", e.Content(), r, err)
		}
	case want == "new":
		if !errors.Is(err, mesh.ErrNotFound) {
			b.t.Errorf("Record(%q) = %v, want ErrNotFound", e.Content(), err)
		}
	case !errors.As(err, &gone) || gone.Reason.String() != want:
		b.t.Errorf("Record(%q) = %v, want gone: %s", e.Content(), err, want)
	}
}

// texts reads the contents of what a filter finds.
func (b *bench) texts(f mesh.Filter, v mesh.Viewer) []string {
	b.t.Helper()
	var got []string
	for r, err := range b.Records(b.t.Context(), f, v) {
		if err != nil {
			b.t.Fatalf("Records(%+v) = %v", f, err)
		}
		got = append(got, r.Event.Content())
	}
	return got
}

func (b *bench) finds(f mesh.Filter, want ...string) {
	b.t.Helper()
	if got := b.texts(f, mesh.Self); !slices.Equal(got, want) {
		b.t.Errorf("Records(%+v)\n got %q\nwant %q", f, got, want)
	}
}

func gone(r mesh.Reason) error { return &mesh.GoneError{Reason: r} }

func testSave(b *bench) {
	e := Event(b.t, 1, 1, 1000, "hello", Tag("t", "alerts"))
	r := Received(e, mesh.TopicAlerts, epoch.Add(123456789))
	r.Flags = mesh.FlagEmergency | mesh.FlagOrphan
	b.want(e, "new")
	if err := b.Save(b.t.Context(), r, nil, true); err != nil {
		b.t.Fatalf("Save = %v", err)
	}
	if r.Seq == 0 {
		b.t.Error("Save left Seq at 0")
	}
	b.want(e, "held")
	got, err := b.Record(b.t.Context(), e.ID(), mesh.Self)
	if err != nil {
		b.t.Fatalf("Record = %v", err)
	}
	if got.Topic != r.Topic || got.Carrier != "gossip" || got.Flags != r.Flags || got.Seq != r.Seq || !got.Received.Equal(r.Received) {
		b.t.Errorf("Record = %+v, want %+v", got, r)
	}
	next := b.save(Received(Event(b.t, 1, 1, 999, "again"), mesh.TopicCommons, epoch))
	if next.Seq <= r.Seq {
		b.t.Errorf("second Seq = %d, not above %d", next.Seq, r.Seq)
	}
}

func testDuplicate(b *bench) {
	e := Event(b.t, 1, 1, 1000, "hello")
	b.save(Received(e, mesh.TopicCommons, epoch))
	b.refuse(Received(e, mesh.TopicCommons, epoch), mesh.ErrDuplicate)
	if err := b.Save(b.t.Context(), Received(e, mesh.TopicCommons, epoch), nil, true); !errors.Is(err, mesh.ErrDuplicate) {
		b.t.Errorf("durable Save = %v, want ErrDuplicate", err)
	}
	b.finds(mesh.Filter{}, "hello")
}

func testReplace(b *bench) {
	old := Event(b.t, 1, 0, 1000, "profile 1")
	newer := Event(b.t, 1, 0, 1001, "profile 2")
	late := Event(b.t, 1, 0, 999, "profile 0")
	b.save(Received(old, mesh.TopicPeople, epoch))
	b.save(Received(Event(b.t, 2, 0, 1000, "another's"), mesh.TopicPeople, epoch))
	b.save(Received(newer, mesh.TopicPeople, epoch))
	b.want(old, "superseded")
	b.want(newer, "held")
	b.refuse(Received(late, mesh.TopicPeople, epoch), gone(mesh.ReasonSuperseded))
	b.want(late, "superseded")
	b.refuse(Received(old, mesh.TopicPeople, epoch), gone(mesh.ReasonSuperseded))

	a1 := Event(b.t, 1, 30000, 1000, "list a 1", Tag("d", "a"))
	a2 := Event(b.t, 1, 30000, 1001, "list a 2", Tag("d", "a"))
	c1 := Event(b.t, 1, 30000, 1000, "list c", Tag("d", "c"))
	b.save(Received(a1, mesh.TopicPeople, epoch))
	b.save(Received(c1, mesh.TopicPeople, epoch))
	b.save(Received(a2, mesh.TopicPeople, epoch))
	b.want(a1, "superseded")
	b.want(c1, "held")

	// As new: the lower id stays.
	x := Event(b.t, 3, 10002, 1000, "x")
	y := Event(b.t, 3, 10002, 1000, "y")
	if !x.Supersedes(y) {
		x, y = y, x
	}
	b.save(Received(y, mesh.TopicPeople, epoch))
	b.save(Received(x, mesh.TopicPeople, epoch))
	b.want(x, "held")
	b.want(y, "superseded")
}

func testDelete(b *bench) {
	first := Event(b.t, 1, 1, 1000, "first")
	never := Event(b.t, 1, 1, 1001, "comes after its deletion")
	del := Event(b.t, 1, 5, 1002, "deletion", Tag("e", first.ID().String()), Tag("e", never.ID().String()), Tag("e", "rubbish"))
	b.save(Received(first, mesh.TopicCommons, epoch))
	b.save(Received(del, mesh.TopicCommons, epoch))
	b.want(first, "deleted")
	b.want(del, "held")
	b.refuse(Received(never, mesh.TopicCommons, epoch), gone(mesh.ReasonDeleted))
	b.want(never, "deleted")
	b.refuse(Received(first, mesh.TopicCommons, epoch), gone(mesh.ReasonDeleted))

	// By address: versions up to the deletion's time.
	v1 := Event(b.t, 1, 30000, 1000, "v1", Tag("d", "x:y"))
	v2 := Event(b.t, 1, 30000, 2000, "v2", Tag("d", "x:y"))
	v3 := Event(b.t, 1, 30000, 3000, "v3", Tag("d", "x:y"))
	where := fmt.Sprintf("30000:%s:x:y", Author(1))
	b.save(Received(v1, mesh.TopicPeople, epoch))
	b.save(Received(Event(b.t, 1, 5, 2500, "del address", Tag("a", where)), mesh.TopicCommons, epoch))
	b.want(v1, "deleted")
	b.refuse(Received(v2, mesh.TopicPeople, epoch), gone(mesh.ReasonDeleted))
	b.save(Received(v3, mesh.TopicPeople, epoch))
	b.want(v3, "held")

	// A deletion is not undone by deleting it.
	b.save(Received(Event(b.t, 1, 5, 1003, "undo", Tag("e", del.ID().String())), mesh.TopicCommons, epoch))
	b.want(del, "held")
}

func testDeleteOther(b *bench) {
	mine := Event(b.t, 1, 1, 1000, "mine")
	list := Event(b.t, 1, 30000, 1000, "my list", Tag("d", "l"))
	later := Event(b.t, 1, 1, 1001, "mine, later")
	b.save(Received(mine, mesh.TopicCommons, epoch))
	b.save(Received(list, mesh.TopicCommons, epoch))
	b.save(Received(Event(b.t, 2, 5, 2000, "not yours", Tag("e", mine.ID().String()), Tag("e", later.ID().String()),
		Tag("a", fmt.Sprintf("30000:%s:l", Author(1)))), mesh.TopicCommons, epoch))
	b.want(mine, "held")
	b.want(list, "held")
	b.save(Received(later, mesh.TopicCommons, epoch))
	b.want(later, "held")
}

func testRoster(b *bench) {
	for _, kind := range []int{int(mesh.KindRoster), int(mesh.KindPass)} {
		e := Event(b.t, 1, kind, 1000, "belongs "+strconv.Itoa(kind), Tag("expiration", strconv.FormatInt(epoch.Unix()+5, 10)))
		b.save(Received(e, mesh.TopicRegistry, epoch))
		b.save(Received(Event(b.t, 1, 5, 2000, "no "+strconv.Itoa(kind), Tag("e", e.ID().String())), mesh.TopicCommons, epoch))
		b.want(e, "held")
		b.save(Received(Event(b.t, 1, kind, 3000, "more "+strconv.Itoa(kind)), mesh.TopicRegistry, epoch))
		b.want(e, "held")
		if err := b.Bury(b.t.Context(), e.ID(), 0, mesh.ReasonBanned); !errors.Is(err, mesh.ErrRefused) {
			b.t.Errorf("Bury(kind %d) = %v, want ErrRefused", kind, err)
		}
		b.clock.Add(time.Hour)
		b.want(e, "held")
	}
}

func testExpiry(b *bench) {
	at := func(d time.Duration) []string {
		return Tag("expiration", strconv.FormatInt(epoch.Add(d).Unix(), 10))
	}
	soon := Event(b.t, 1, 1, 1000, "soon", at(10*time.Second))
	later := Event(b.t, 1, 1, 1001, "later", at(time.Hour))
	past := Event(b.t, 1, 1, 1002, "past", at(0))
	odd := Event(b.t, 1, 1, 1003, "odd", Tag("expiration", "tomorrow"))
	b.save(Received(soon, mesh.TopicCommons, epoch), mesh.Owed{Key: mesh.Key{Carrier: "radio"}})
	b.save(Received(later, mesh.TopicCommons, epoch))
	b.save(Received(odd, mesh.TopicCommons, epoch))
	b.refuse(Received(past, mesh.TopicCommons, epoch), mesh.ErrExpired)
	b.want(past, "expired")
	b.refuse(Received(past, mesh.TopicCommons, epoch), gone(mesh.ReasonExpired))
	b.want(soon, "held")
	b.clock.Add(10 * time.Second)
	b.finds(mesh.Filter{}, "odd", "later")
	b.want(soon, "expired")
	if owed, err := b.Owed(b.t.Context(), "radio", 0); err != nil || len(owed) != 0 {
		b.t.Errorf("Owed = %v, %v after expiry, want none", owed, err)
	}
	b.clock.Add(2 * time.Hour)
	b.want(later, "expired")
	b.want(odd, "held")
}

func testEphemeral(b *bench) {
	e := Event(b.t, 1, 20001, 1000, "typing")
	r := Received(e, mesh.TopicCommons, epoch)
	b.save(r, mesh.Owed{Key: mesh.Key{Carrier: "radio"}})
	if r.Seq != 0 {
		b.t.Errorf("Seq = %d, want 0: it is not kept", r.Seq)
	}
	b.want(e, "new")
	b.finds(mesh.Filter{})
}

func testBury(b *bench) {
	e := Event(b.t, 1, 1, 1000, "goes")
	never := Event(b.t, 1, 1, 1001, "never came")
	b.save(Received(e, mesh.TopicCommons, epoch))
	for _, x := range []*mesh.Event{e, never} {
		if err := b.Bury(b.t.Context(), x.ID(), x.CreatedAt(), mesh.ReasonBanned); err != nil {
			b.t.Fatalf("Bury = %v", err)
		}
		b.want(x, "banned")
		if err := b.Bury(b.t.Context(), x.ID(), x.CreatedAt(), mesh.ReasonPruned); err != nil {
			b.t.Fatalf("second Bury = %v", err)
		}
		b.want(x, "banned")
		b.refuse(Received(x, mesh.TopicCommons, epoch), gone(mesh.ReasonBanned))
	}
	if err := b.Bury(b.t.Context(), e.ID(), 0, 0); err == nil {
		b.t.Error("Bury without a reason = nil")
	}
	b.finds(mesh.Filter{})
	var items []mesh.Item
	for it := range b.Items(b.t.Context(), 0, 2000, mesh.Self) {
		items = append(items, it)
	}
	want := []mesh.Item{{CreatedAt: 1000, ID: e.ID(), Gone: mesh.ReasonBanned}, {CreatedAt: 1001, ID: never.ID(), Gone: mesh.ReasonBanned}}
	if !slices.Equal(items, want) {
		b.t.Errorf("Items = %v, want %v", items, want)
	}
}

func testFilters(b *bench) {
	root := Event(b.t, 1, 1, 1000, "root", Tag("t", "alerts"))
	saves := []*mesh.Record{
		Received(root, "alerts", epoch),
		Received(Event(b.t, 2, 1, 1001, "reply", Tag("e", root.ID().String()), Tag("p", Author(1).String())), "alerts", epoch.Add(time.Second)),
		Received(Event(b.t, 2, 7, 1002, "like", Tag("e", root.ID().String())), "commons", epoch.Add(2*time.Second)),
		Received(Event(b.t, 3, 1, 1003, "heard", Tag("proxy", "!node:1", "meshtastic"), Tag("long", "x")), "radio", epoch.Add(3*time.Second)),
	}
	for _, r := range saves {
		b.save(r)
	}
	rise := func(f mesh.Filter) mesh.Filter { f.Order = mesh.ReceiptFirst; return f }
	for _, test := range []struct {
		f    mesh.Filter
		want []string
	}{
		{mesh.Filter{}, []string{"root", "reply", "like", "heard"}},
		{mesh.Filter{IDs: []mesh.EventID{root.ID(), root.ID(), {1}}}, []string{"root"}},
		{mesh.Filter{IDs: []mesh.EventID{}}, nil},
		{mesh.Filter{Authors: []mesh.PubKey{Author(2)}}, []string{"reply", "like"}},
		{mesh.Filter{Authors: []mesh.PubKey{Author(2), Author(3), Author(9)}}, []string{"reply", "like", "heard"}},
		{mesh.Filter{Authors: []mesh.PubKey{}}, nil},
		{mesh.Filter{Kinds: []mesh.Kind{7}}, []string{"like"}},
		{mesh.Filter{Topics: []mesh.Topic{"alerts", "radio"}}, []string{"root", "reply", "heard"}},
		{mesh.Filter{Tags: map[string][]string{"e": {root.ID().String()}}}, []string{"reply", "like"}},
		{mesh.Filter{Tags: map[string][]string{"e": {root.ID().String()}, "p": {Author(1).String()}}}, []string{"reply"}},
		{mesh.Filter{Tags: map[string][]string{"t": {"alerts", "x"}}}, []string{"root"}},
		{mesh.Filter{Tags: map[string][]string{"proxy": {"!node:1"}}}, []string{"heard"}},
		{mesh.Filter{Tags: map[string][]string{"long": {"x"}}}, []string{"heard"}},
		{mesh.Filter{Tags: map[string][]string{"e": {}}}, nil},
		{mesh.Filter{Kinds: []mesh.Kind{1}, Authors: []mesh.PubKey{Author(2)}}, []string{"reply"}},
		{mesh.Filter{Search: "REPL"}, []string{"reply"}},
		{mesh.Filter{Search: "e", Kinds: []mesh.Kind{1}}, []string{"reply", "heard"}},
		{mesh.Filter{Search: "like"}, nil}, // reactions are not searched
		{mesh.Filter{Search: "heard root"}, nil},
		{mesh.Filter{Search: "…"}, nil},
		{mesh.Filter{Since: 1001, Until: 1002}, []string{"reply", "like"}},
		{mesh.Filter{Since: 1003}, []string{"heard"}},
		{mesh.Filter{After: saves[1].Seq}, []string{"like", "heard"}},
		{mesh.Filter{After: saves[3].Seq}, nil},
		{mesh.Filter{From: epoch.Add(2 * time.Second)}, []string{"like", "heard"}},
	} {
		b.finds(rise(test.f), test.want...)
		slices.Reverse(test.want)
		b.finds(test.f, test.want...) // newest first: created_at rises with receipt here
	}
}

func testOrders(b *bench) {
	var all []*mesh.Record
	for i, created := range []int64{5000, 1000, 3000, 3000, 3000, 9000} {
		all = append(all, b.save(Received(Event(b.t, 1, 1, created, fmt.Sprintf("%d@%d", i, created)), "commons", epoch)))
	}
	text := func(rs []*mesh.Record) []string {
		var s []string
		for _, r := range rs {
			s = append(s, r.Event.Content())
		}
		return s
	}
	newest := slices.Clone(all)
	slices.SortFunc(newest, func(x, y *mesh.Record) int {
		if x.Event.CreatedAt() != y.Event.CreatedAt() {
			return int(y.Event.CreatedAt()) - int(x.Event.CreatedAt())
		}
		p, q := x.Event.ID(), y.Event.ID()
		return slices.Compare(p[:], q[:])
	})
	latest := slices.Clone(all)
	slices.Reverse(latest)
	for order, want := range map[mesh.Order][]*mesh.Record{mesh.NewestFirst: newest, mesh.ReceiptFirst: all, mesh.ReceiptLatest: latest} {
		for limit := range 8 {
			w := want
			if limit > 0 && limit < len(w) {
				w = w[:limit]
			}
			b.finds(mesh.Filter{Order: order, Limit: limit}, text(w)...)
			b.finds(mesh.Filter{Order: order, Limit: limit, Authors: []mesh.PubKey{Author(1), Author(2)}}, text(w)...)
		}
	}
}

func testStop(b *bench) {
	for i := range 50 {
		b.save(Chat(b.t, i, 5, epoch))
	}
	next, stop := iter.Pull2(b.Records(b.t.Context(), mesh.Filter{Order: mesh.ReceiptFirst}, mesh.Self))
	defer stop()
	if _, _, ok := next(); !ok {
		b.t.Fatal("Records ended at once")
	}
	for i := range 50 { // a reader that waits holds nobody up
		if err := b.Save(b.t.Context(), Chat(b.t, 100+i, 5, epoch), nil, i == 49); err != nil {
			b.t.Fatalf("Save = %v", err)
		}
	}
	n := 1
	for _, err, ok := next(); ok; _, err, ok = next() {
		if err != nil {
			b.t.Fatal(err)
		}
		n++
	}
	if n < 50 || n > 100 {
		b.t.Errorf("read %d records, want 50, or up to 100 with what came meanwhile", n)
	}
}

func testItems(b *bench) {
	var want []mesh.Item
	for i := range 40 {
		r := b.save(Received(Event(b.t, i, 1, int64(1000+i%7), strconv.Itoa(i)), "commons", epoch))
		it := mesh.Item{CreatedAt: r.Event.CreatedAt(), ID: r.Event.ID()}
		if i%3 == 0 {
			if err := b.Bury(b.t.Context(), it.ID, 0, mesh.ReasonPruned); err != nil {
				b.t.Fatal(err)
			}
			it.Gone = mesh.ReasonPruned
		}
		want = append(want, it)
	}
	slices.SortFunc(want, func(x, y mesh.Item) int {
		if x.CreatedAt != y.CreatedAt {
			return int(x.CreatedAt) - int(y.CreatedAt)
		}
		return slices.Compare(x.ID[:], y.ID[:])
	})
	for _, w := range [][2]mesh.Unix{{0, 1<<32 - 1}, {1002, 1004}, {1006, 1006}, {1004, 1002}} {
		var in []mesh.Item
		for _, it := range want {
			if it.CreatedAt >= w[0] && it.CreatedAt <= w[1] {
				in = append(in, it)
			}
		}
		var got []mesh.Item
		for it, err := range b.Items(b.t.Context(), w[0], w[1], mesh.Viewer{Node: true}) {
			if err != nil {
				b.t.Fatal(err)
			}
			got = append(got, it)
		}
		if !slices.Equal(got, in) {
			b.t.Errorf("Items(%d, %d) = %d items %v, want %d", w[0], w[1], len(got), got, len(in))
		}
	}
}

func testVisible(b *bench) {
	mail := Event(b.t, 1, 1059, 1000, "mail", Tag("p", Author(7).String()))
	inside := Event(b.t, 1, 1, 1001, "inside", Tag("-"))
	open := Event(b.t, 1, 1, 1002, "open")
	dead := Event(b.t, 1, 1, 1003, "dead")
	for _, e := range []*mesh.Event{mail, inside, open, dead} {
		b.save(Received(e, "commons", epoch))
	}
	if err := b.Bury(b.t.Context(), dead.ID(), 0, mesh.ReasonBanned); err != nil {
		b.t.Fatal(err)
	}
	guest := mesh.Viewer{Topics: []mesh.Topic{"commons"}}
	owner := mesh.Viewer{Keys: []mesh.PubKey{Author(7)}}
	for _, test := range []struct {
		who   string
		v     mesh.Viewer
		texts []string
		items int // tombstones included, for those who may know
	}{
		{"self", mesh.Self, []string{"open", "inside", "mail"}, 4},
		{"node", mesh.Viewer{Node: true}, []string{"open", "inside", "mail"}, 4},
		{"member", mesh.Viewer{Member: true}, []string{"open", "inside"}, 2},
		{"guest", guest, []string{"open"}, 1},
		{"owner of the mail", owner, []string{"mail"}, 1},
		{"stranger", mesh.Viewer{}, nil, 0},
	} {
		if got := b.texts(mesh.Filter{}, test.v); !slices.Equal(got, test.texts) {
			b.t.Errorf("%s reads %q, want %q", test.who, got, test.texts)
		}
		if got := b.texts(mesh.Filter{Authors: []mesh.PubKey{Author(1)}, Limit: 1}, test.v); len(test.texts) > 0 && !slices.Equal(got, test.texts[:1]) {
			b.t.Errorf("%s reads %q with limit 1, want %q", test.who, got, test.texts[:1])
		}
		n := 0
		for range b.Items(b.t.Context(), 0, 9999, test.v) {
			n++
		}
		if n != test.items {
			b.t.Errorf("%s gets %d items, want %d", test.who, n, test.items)
		}
		_, err := b.Record(b.t.Context(), mail.ID(), test.v)
		if may := slices.Contains(test.texts, "mail"); may != (err == nil) || !may && !errors.Is(err, mesh.ErrNotFound) {
			b.t.Errorf("%s asks for the mail: %v", test.who, err)
		}
		var g *mesh.GoneError
		_, err = b.Record(b.t.Context(), dead.ID(), test.v)
		if may := test.items == 4; may != errors.As(err, &g) || !may && !errors.Is(err, mesh.ErrNotFound) {
			b.t.Errorf("%s asks for the dead: %v", test.who, err)
		}
	}
}

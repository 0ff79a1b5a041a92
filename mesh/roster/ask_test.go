package roster

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"drey/mesh"
)

func (w *town) ask(b *Book, by, name string) *mesh.Event {
	at := w.now()
	return w.sign(by, b.DraftAsk(w.record(name), w.binding(name), name, at.Time().Add(time.Hour), at))
}

func TestRequests(t *testing.T) {
	w := newTown(t)
	w.admit(w.book, "founder", "ana")
	names := func() string {
		s := ""
		for _, r := range w.book.Requests(w.clock.Time()) {
			s += r.Name + " "
		}
		return s
	}
	if _, err := w.book.Apply(w.ask(w.book, "stranger", "stranger")); !errors.Is(err, mesh.ErrUnknownAuthor) {
		t.Errorf("a stranger's request without a member gave %v, want ErrUnknownAuthor", err)
	}
	w.apply(w.book, w.ask(w.book, "ana", "ben"), w.ask(w.book, "founder", "cem"), w.ask(w.book, "founder", "ben"))
	if got := names(); got != "cem ben " {
		t.Errorf("%q ask, want cem and ben, each once", got)
	}
	r := w.book.Requests(w.clock.Time())[1]
	d, err := w.book.DraftAdmit(r.Record, r.Binding, r.Name, w.now())
	if err != nil {
		t.Fatal(err)
	}
	w.apply(w.book, w.sign("founder", d))
	if got := names(); got != "cem " {
		t.Errorf("after ben's admission %q ask, want cem", got)
	}
	w.want(w.book, "ben", mesh.Machine)
	d, err = w.book.DraftBan(Subject{Node: w.node("cem")}, "", w.now())
	if err != nil {
		t.Fatal(err)
	}
	w.apply(w.book, w.sign("founder", d))
	if got := names(); got != "" {
		t.Errorf("after cem's ban %q ask", got)
	}
	if got := len(w.book.Requests(w.clock.Time().Add(2 * time.Hour))); got != 0 {
		t.Errorf("after their end %d requests are left", got)
	}
}

// TestRequestsAreBounded lets one machine pass on one request too many.
func TestRequestsAreBounded(t *testing.T) {
	w := newTown(t)
	for i := range maxAsks + 1 {
		w.apply(w.book, w.ask(w.book, "founder", fmt.Sprint("m", i)))
	}
	list := w.book.Requests(w.clock.Time())
	if len(list) != maxAsks || list[0].Name != "m1" {
		t.Errorf("%d requests, the first of %s; want %d, and m1 as the one that ends soonest", len(list), list[0].Name, maxAsks)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	w := newTown(t)
	good := w.ask(w.book, "founder", "ben")
	for name, value := range map[string]string{
		"p": w.key("cem").String(), "name": "a\nb", "record": "AAAA", "bind": w.binding("cem").String(),
		"until": fmt.Sprint(int64(good.CreatedAt()) + int64(MaxAsk/time.Second) + 1), "c": "0011223344556677",
	} {
		d := mesh.Draft{CreatedAt: good.CreatedAt(), Kind: good.Kind()}
		for _, tag := range good.Tags() {
			if tag[0] == name {
				tag = []string{name, value}
			}
			d.Tags = append(d.Tags, tag)
		}
		if _, err := w.book.Apply(w.sign("founder", d)); !errors.Is(err, mesh.ErrInvalid) {
			t.Errorf("another %s gave %v, want ErrInvalid", name, err)
		}
	}
}

// TestBringIsEnough checks that whoever shows his locator gets what he lacks,
// and of a long common history next to nothing else.
func TestBringIsEnough(t *testing.T) {
	c := newCast(t)
	rapid.Check(t, func(t *rapid.T) {
		ops := c.history(t)
		all := make(map[mesh.EventID]*op)
		for _, o := range ops {
			all[o.id()] = o
		}
		known := func(label string) *Book {
			var some []*op
			for _, o := range ops {
				if rapid.IntRange(0, 9).Draw(t, label) > 1 {
					some = append(some, o)
				}
			}
			return c.book(t, some)
		}
		a, b := known("a"), known("b")
		meet := func(from, to *Book) {
			for _, e := range from.Bring(c.town.node("ana"), to.Locator()) {
				to.applyOp(all[e.ID()])
			}
		}
		for before := -1; before != a.Counts().Decisions+b.Counts().Decisions; { // again for what waited for its past
			before = a.Counts().Decisions + b.Counts().Decisions
			meet(a, b)
			meet(b, a)
		}
		if a.Digest() != b.Digest() {
			t.Fatalf("after an exchange one holds %d decisions, the other %d", a.Counts().Decisions, b.Counts().Decisions)
		}
	})
}

func TestBringIsLittle(t *testing.T) {
	w := newTown(t)
	for i := range 300 {
		w.apply(w.book, w.sign("founder", w.book.draft("seat", mesh.Unix(i), "")))
	}
	far := w.island()
	for i := range 3 {
		w.apply(w.book, w.sign("founder", w.book.draft("seat", mesh.Unix(i), "here")))
		w.apply(far, w.sign("founder", far.draft("seat", mesh.Unix(i), "there")))
	}
	if got := len(w.book.Bring(w.node("founder"), far.Locator())); got > 6 {
		t.Errorf("to an island of 303 decisions that lacks 3, %d were brought, want at most twice as many", got)
	}
	w.apply(w.book, w.sign("founder", w.book.draft("seat", 9, "more")))
	near := New(w.m.Community)
	w.apply(near, w.book.Since(nil)[:301]...)
	if got := len(w.book.Bring(w.node("founder"), near.Locator())); got != 4 {
		t.Errorf("to one who is 4 behind %d were brought", got)
	}
}

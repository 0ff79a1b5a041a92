package roster

import (
	"fmt"
	"testing"
	"time"

	"drey/mesh"
)

// members returns the founding and n admissions, signed by the founder.
func members(t testing.TB, n int) (mesh.Community, []*mesh.Event) {
	t.Helper()
	w := newTown(t)
	events := w.book.Since(nil)
	for i := range n {
		events = append(events, w.admit(w.book, "founder", fmt.Sprint("machine ", i)))
	}
	return w.m.Community, events
}

// BenchmarkApply1000 applies the decisions of a community of 1000 machines to
// an empty book; the time is for all. Two signatures of each are checked: the
// metric is the ratio to checking them and doing nothing else, in the same run.
func BenchmarkApply1000(b *testing.B) {
	c, events := members(b, 1000)
	var bare time.Duration
	for b.Loop() {
		b.StopTimer()
		began := time.Now()
		for _, e := range events {
			o, err := parseForm(c, e)
			if err != nil {
				b.Fatal(err)
			}
			if err := mesh.VerifyBinding(o.record, o.binding); err != nil {
				b.Fatal(err)
			}
		}
		bare += time.Since(began)
		b.StartTimer()
		book := New(c)
		for _, e := range events {
			if _, err := book.Apply(e); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(bare), "×signatures")
}

// BenchmarkStanding asks for a member of 1000.
func BenchmarkStanding(b *testing.B) {
	c, events := members(b, 1000)
	book := New(c)
	for _, e := range events {
		if _, err := book.Apply(e); err != nil {
			b.Fatal(err)
		}
	}
	who := book.Members()[500].Author
	now := time.Unix(1_800_000_000, 0)
	for b.Loop() {
		if book.Standing(who, now) != mesh.Machine {
			b.Fatal("not a machine")
		}
	}
}

// BenchmarkMergeBans lets two islands of 1000 machines meet, each of which has
// banned 50: the whole verdict is made anew for each ban that comes in.
func BenchmarkMergeBans(b *testing.B) {
	w := newTown(b)
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprint("machine ", i)
		w.admit(w.book, "founder", names[i])
	}
	w.promote(w.book, "founder", names[0])
	far := New(w.m.Community)
	w.apply(far, w.book.Since(nil)...)
	base := w.book.Heads()
	for i := range 50 {
		w.ban(w.book, "founder", names[100+i])
		w.ban(far, names[0], names[200+i])
	}
	here, there := w.book.Since(nil), far.Since(base)
	for b.Loop() {
		b.StopTimer()
		book := New(w.m.Community)
		w.apply(book, here...)
		b.StartTimer()
		w.apply(book, there...)
	}
}

package roster

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"drey/mesh"
)

// rotate announces a secret to all machines that book b knows.
func (w *town) rotate(b *Book, by string, s mesh.Secret) []*mesh.Event {
	w.t.Helper()
	drafts, err := b.DraftRotation(s, b.Nodes(), 48*time.Hour, w.now())
	if err != nil {
		w.t.Fatal(err)
	}
	var all []*mesh.Event
	for _, d := range drafts {
		all = append(all, w.sign(by, d))
	}
	w.apply(b, all...)
	return all
}

// wantSecret checks which secret is in force, and who can open it.
func (w *town) wantSecret(b *Book, s mesh.Secret, epoch uint32, opens, not []string) {
	w.t.Helper()
	list := b.Rotations()
	if len(list) == 0 || list[0].Secret != s.ID() || list[0].Epoch != epoch {
		w.t.Fatalf("in force is %v, want epoch %d", list, epoch)
	}
	for _, name := range opens {
		if got, ok := list[0].Open(w.id(name)); !ok || got != s {
			w.t.Errorf("%s cannot open epoch %d", name, epoch)
		}
	}
	for _, name := range not {
		if _, ok := list[0].Open(w.id(name)); ok {
			w.t.Errorf("%s can open epoch %d", name, epoch)
		}
	}
}

func TestRotationAfterABan(t *testing.T) {
	w := newTown(t)
	for _, name := range []string{"ana", "ben", "thief"} {
		w.admit(w.book, "founder", name)
	}
	if n := w.book.RotationDue(); n != 0 {
		t.Errorf("with nobody gone %d may know too much", n)
	}
	w.ban(w.book, "founder", "thief")
	if n := w.book.RotationDue(); n != 1 {
		t.Errorf("after a ban %d may know the secret who belong no more, want 1", n)
	}
	s := mesh.Secret{2}
	w.rotate(w.book, "founder", s)
	w.wantSecret(w.book, s, 2, []string{"founder", "ana", "ben"}, []string{"thief", "stranger"})
	if n := w.book.RotationDue(); n != 0 {
		t.Errorf("after the rotation %d may know too much", n)
	}
	w.ban(w.book, "founder", "ben")
	if n := w.book.RotationDue(); n != 1 {
		t.Errorf("after another ban %d may know the secret, want 1", n)
	}
	next := mesh.Secret{3}
	w.rotate(w.book, "founder", next)
	w.wantSecret(w.book, next, 3, []string{"founder", "ana"}, []string{"thief", "ben"})
}

// TestRotationsBesideEachOther lets two islands rotate at once: the island
// that knew of the theft wins, even if the other rotated more often.
func TestRotationsBesideEachOther(t *testing.T) {
	w := newTown(t)
	for _, name := range []string{"ana", "thief"} {
		w.admit(w.book, "founder", name)
	}
	w.promote(w.book, "founder", "ana")
	far := w.island()
	w.ban(w.book, "founder", "thief")
	good := mesh.Secret{2}
	w.rotate(w.book, "founder", good)
	w.rotate(far, "ana", mesh.Secret{3})
	w.rotate(far, "ana", mesh.Secret{4})
	w.wantSecret(far, mesh.Secret{4}, 3, []string{"thief"}, nil)
	w.merge(w.book, far)
	for _, b := range []*Book{w.book, far} {
		w.wantSecret(b, good, 2, []string{"founder", "ana"}, []string{"thief"})
		if n := b.RotationDue(); n != 0 {
			t.Errorf("%d may know the secret in force who belong no more", n)
		}
	}
	last := mesh.Secret{5}
	w.rotate(far, "ana", last)
	w.wantSecret(far, last, 4, []string{"founder", "ana"}, []string{"thief"})
}

// TestRotationReachesWhoWasLeftOut announces the secret in force again for a
// machine that another island admitted meanwhile.
func TestRotationReachesWhoWasLeftOut(t *testing.T) {
	w := newTown(t)
	w.admit(w.book, "founder", "ana")
	w.promote(w.book, "founder", "ana")
	far := w.island()
	s := mesh.Secret{2}
	w.rotate(w.book, "founder", s)
	w.admit(far, "ana", "late")
	w.merge(w.book, far)
	w.wantSecret(w.book, s, 2, []string{"ana"}, []string{"late"})
	w.admit(w.book, "founder", "welcomed")
	if got := w.book.LeftOut(&w.book.Rotations()[0]); !slices.Equal(got, []mesh.NodeKey{w.node("late")}) {
		t.Errorf("left out are %v, want the machine that the other island admitted", got)
	}
	drafts, err := w.book.DraftRotation(s, []mesh.NodeKey{w.node("late")}, 0, w.now())
	if err != nil {
		t.Fatal(err)
	}
	w.apply(w.book, w.sign("ana", drafts[0]))
	w.wantSecret(w.book, s, 2, []string{"founder", "ana", "late"}, nil)
}

func TestRotationOfOneWhoMayNot(t *testing.T) {
	w := newTown(t)
	w.admit(w.book, "founder", "ana")
	w.promote(w.book, "founder", "ana")
	stolen := w.island()
	w.ban(w.book, "founder", "ana")
	w.rotate(stolen, "ana", mesh.Secret{9})
	w.merge(w.book, stolen)
	if list := w.book.Rotations(); len(list) != 0 {
		t.Errorf("a banned admin rotated: %v", list)
	}
	s := mesh.Secret{2}
	w.rotate(w.book, "founder", s)
	if list := w.book.Rotations(); len(list) != 1 || list[0].Secret != s.ID() {
		t.Errorf("Rotations() = %v", list)
	}
}

// TestRotationScales checks that a rotation for many machines is split, that
// each part of a small one is fit for a radio, and that each machine can open
// its own.
func TestRotationScales(t *testing.T) {
	w := newTown(t)
	for _, n := range []int{1, 16, 17, 300, 7000} {
		var to []mesh.NodeKey
		for i := range n {
			to = append(to, w.node(fmt.Sprint("m", i%400)))
		}
		s := mesh.Secret{byte(n)}
		drafts, err := w.book.DraftRotation(s, to, 0, w.now())
		if err != nil {
			t.Fatal(err)
		}
		most, slots := 0, 0
		for _, d := range drafts {
			o, err := parseOp(w.m.Community, w.sign("founder", d))
			if err != nil {
				t.Fatal(err)
			}
			most, slots = max(most, o.size), slots+len(o.wrapped.slots)/slotSize
		}
		t.Logf("%d machines: %d events, the largest of %d bytes", n, len(drafts), most)
		if slots != n {
			t.Errorf("%d slots for %d machines", slots, n)
		}
		if n <= fewSlots*someParts && most > 2000 {
			t.Errorf("a part for %d machines has %d bytes, too many for a radio", n, most)
		}
	}
}

func TestRotationsThatAreRefused(t *testing.T) {
	w := newTown(t)
	good := w.rotate(w.island(), "founder", mesh.Secret{2})[0]
	change := func(name, value string) *mesh.Event {
		d := mesh.Draft{CreatedAt: good.CreatedAt(), Kind: good.Kind(), Content: good.Content()}
		if name == "content" {
			d.Content = value
		}
		for _, tag := range good.Tags() {
			if tag[0] == name {
				tag = []string{name, value}
			}
			d.Tags = append(d.Tags, tag)
		}
		return w.sign("founder", d)
	}
	for _, c := range []struct {
		name, value string
		want        error
	}{
		{"epoch", "3", mesh.ErrRefused},
		{"epoch", "1", mesh.ErrInvalid},
		{"epoch", "4294967295", mesh.ErrRefused},
		{"overlap", "721", mesh.ErrInvalid},
		{"overlap", "-1", mesh.ErrInvalid},
		{"secret", "00", mesh.ErrInvalid},
		{"content", "", mesh.ErrInvalid},
		{"content", good.Content()[1:], mesh.ErrInvalid},
		{"content", "AA" + good.Content()[2:], mesh.ErrInvalid},
	} {
		if _, err := w.island().Apply(change(c.name, c.value)); !errors.Is(err, c.want) {
			t.Errorf("%s %.20q gave %v, want %v", c.name, c.value, err, c.want)
		}
	}
	if _, err := w.island().Apply(good); err != nil {
		t.Error(err)
	}
}

// TestRotationsConverge lets islands ban and rotate as they like: when they
// have met, all agree on the secret in force, nobody who was banned can open a
// rotation that knew it, and one more rotation leaves nothing due.
func TestRotationsConverge(t *testing.T) {
	w := newTown(t)
	admins := []string{"founder", "ana", "ben"}
	others := []string{"cem", "dina", "eva"}
	for _, name := range append(admins[1:], others...) {
		w.admit(w.book, "founder", name)
	}
	for _, name := range admins[1:] {
		w.promote(w.book, "founder", name)
	}
	serial := 0
	rapid.Check(t, func(rt *rapid.T) {
		if serial++; serial > 150 { // signatures cost
			return
		}
		islands := []*Book{w.island(), w.island(), w.island()}
		for range rapid.IntRange(2, 7).Draw(rt, "steps") {
			i := rapid.IntRange(0, 2).Draw(rt, "island")
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0:
				victim := rapid.SampledFrom(append(slices.Clone(others), "ana", "ben")).Draw(rt, "victim")
				if victim != admins[i] && islands[i].Standing(w.key(admins[i]), w.clock.Time()) >= mesh.Admin {
					w.ban(islands[i], admins[i], victim)
				}
			case 1, 2:
				if islands[i].Standing(w.key(admins[i]), w.clock.Time()) >= mesh.Admin {
					w.rotate(islands[i], admins[i], mesh.Secret{byte(w.now()), byte(serial), byte(serial >> 8), 1})
				}
			case 3:
				w.mergeAny(islands[i], islands[(i+1)%3])
			}
		}
		for range 2 {
			w.mergeAny(islands[0], islands[1])
			w.mergeAny(islands[1], islands[2])
		}
		want := fmt.Sprint(summary(islands[0]))
		for i, b := range islands[1:] {
			if got := fmt.Sprint(summary(b)); got != want {
				rt.Fatalf("island %d says %s, the first %s", i+1, got, want)
			}
		}
		b := islands[0]
		s := mesh.Secret{0xff, byte(serial), byte(serial >> 8)}
		w.rotate(b, "founder", s)
		if list := b.Rotations(); list[0].Secret != s.ID() || b.RotationDue() != 0 {
			rt.Fatalf("after a rotation that saw everything %d leaks are left, in force is %s", b.RotationDue(), list[0].Secret)
		}
		for _, name := range others {
			if _, opens := b.Rotations()[0].Open(w.id(name)); opens != b.Admits(w.node(name)) {
				rt.Fatalf("%s opens the secret: %v, and belongs: %v", name, opens, b.Admits(w.node(name)))
			}
		}
	})
}

// mergeAny is merge where some decisions may be refused: they are by one who
// was never promoted as far as the other island knows.
func (w *town) mergeAny(a, b *Book) {
	x, y := a.Since(nil), b.Since(nil)
	for _, e := range x {
		b.Apply(e)
	}
	for _, e := range y {
		a.Apply(e)
	}
}

func summary(b *Book) (all []string) {
	for _, r := range b.Rotations() {
		all = append(all, fmt.Sprint(r.Epoch, r.Secret, r.Leaks))
	}
	return append(all, fmt.Sprint(b.Nodes()))
}

// TestLaterVerbsAreKept checks that a decision with a verb of a later version
// is kept, handed on and named as a head, without an effect of its own.
func TestLaterVerbsAreKept(t *testing.T) {
	w := newTown(t)
	w.admit(w.book, "founder", "ana")
	d := w.book.draft("seat", w.now(), "", []string{"p", w.key("ana").String()}, []string{"p", "twice"})
	e := w.sign("founder", d)
	w.apply(w.book, e)
	if heads := w.book.Heads(); !slices.Contains(heads, e.ID()) {
		t.Errorf("heads are %v, want %s", heads, e.ID())
	}
	w.want(w.book, "ana", mesh.Machine)
	w.ban(w.book, "founder", "ana") // has it in its past
	far := w.island()
	w.want(far, "ana", mesh.Banned)
	for _, verb := range []string{"", "Seat", "se at", "seat!", "seat-of-the-council-of-the-elders"} {
		e := w.sign("founder", w.book.draft("seat", w.now(), ""))
		tags := slices.Clone(e.Tags())
		tags[0] = []string{"op", verb}
		bad := w.sign("founder", mesh.Draft{CreatedAt: e.CreatedAt(), Kind: mesh.KindRoster, Tags: tags})
		if _, err := far.Apply(bad); !errors.Is(err, mesh.ErrInvalid) {
			t.Errorf("op %q gave %v, want ErrInvalid", verb, err)
		}
	}
	if _, err := far.Apply(w.sign("ben", far.draft("seat", w.now(), ""))); !errors.Is(err, mesh.ErrRefused) {
		t.Errorf("a stranger's seat gave %v, want ErrRefused", err)
	}
}

// TestOneSecretOfTwoEpochs: where two islands gave one secret two numbers, it
// keeps the lowest, in whatever order they are read.
func TestOneSecretOfTwoEpochs(t *testing.T) {
	w := newTown(t)
	here, there := w.island(), w.island()
	a, b := mesh.Secret{1}, mesh.Secret{2}
	low := w.rotate(here, "founder", a)                                             // epoch 2
	high := append(w.rotate(there, "founder", b), w.rotate(there, "founder", a)...) // 2, and 3
	for _, order := range [][]*mesh.Event{append(low, high...), append(high, low...)} {
		both := w.island()
		w.apply(both, order...)
		w.rotate(both, "founder", a)
		w.wantSecret(both, a, 2, []string{"founder"}, nil)
		if n := both.nextEpoch(a.ID()); n != 2 {
			t.Errorf("the secret would be announced under %d, want 2", n)
		}
	}
}

package roster

import (
	"errors"
	"slices"
	"testing"
	"time"

	"drey/mesh"
)

// A town is a community under construction: identities by name, and a book.
type town struct {
	t     testing.TB
	m     *mesh.Membership
	ids   map[string]*mesh.Identity
	book  *Book
	clock mesh.Unix
}

func newTown(t testing.TB) *town {
	t.Helper()
	w := &town{t: t, ids: make(map[string]*mesh.Identity), clock: 1_800_000_000}
	w.m = &mesh.Membership{Nonce: [32]byte{7}, Epochs: []mesh.Epoch{{Number: 1}}}
	w.m.Community = mesh.Found(w.id("founder").Author.PubKey(), "Riverside", w.m.Nonce)
	w.book = New(w.m.Community)
	e, err := Found(w.id("founder"), w.m, w.record("founder"), "school", w.clock)
	if err != nil {
		t.Fatal(err)
	}
	w.apply(w.book, e)
	return w
}

func (w *town) id(name string) *mesh.Identity {
	if w.ids[name] == nil {
		var seed mesh.Seed
		copy(seed[:], name)
		id, err := seed.Identity()
		if err != nil {
			w.t.Fatal(err)
		}
		w.ids[name] = id
	}
	return w.ids[name]
}

func (w *town) key(name string) mesh.PubKey   { return w.id(name).Author.PubKey() }
func (w *town) node(name string) mesh.NodeKey { return w.id(name).NodeKey() }

func (w *town) record(name string) *mesh.PeerRecord {
	w.t.Helper()
	r, err := w.id(name).SignPeerRecord(mesh.PeerRecord{Community: [8]byte(w.m.Community.ID[:8]), Seq: 1})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *town) binding(name string) mesh.Signature {
	w.t.Helper()
	sig, err := w.id(name).Bind([8]byte(w.m.Community.ID[:8]))
	if err != nil {
		w.t.Fatal(err)
	}
	return sig
}

func (w *town) apply(b *Book, events ...*mesh.Event) {
	w.t.Helper()
	for _, e := range events {
		if _, err := b.Apply(e); err != nil {
			w.t.Fatalf("Apply(%v) = %v", e.Tags(), err)
		}
	}
}

func (w *town) sign(name string, d mesh.Draft) *mesh.Event {
	w.t.Helper()
	e, err := w.id(name).Author.Sign(d)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func (w *town) now() mesh.Unix { w.clock++; return w.clock }

// admit lets by admit a machine, as book b sees things.
func (w *town) admit(b *Book, by, name string) *mesh.Event {
	w.t.Helper()
	d, err := b.DraftAdmit(w.record(name), w.binding(name), name, w.now())
	if err != nil {
		w.t.Fatal(err)
	}
	e := w.sign(by, d)
	w.apply(b, e)
	return e
}

func (w *town) promote(b *Book, by, name string) *mesh.Event {
	w.t.Helper()
	e := w.sign(by, b.DraftPromote(w.key(name), w.now()))
	w.apply(b, e)
	return e
}

func (w *town) ban(b *Book, by, name string) *mesh.Event {
	w.t.Helper()
	d, err := b.DraftBan(Subject{Author: w.key(name)}, "stolen", w.now())
	if err != nil {
		w.t.Fatal(err)
	}
	e := w.sign(by, d)
	w.apply(b, e)
	return e
}

// island returns a copy of the book, for those who lose sight of the others.
func (w *town) island() *Book {
	w.t.Helper()
	b := New(w.m.Community)
	w.apply(b, w.book.Since(nil)...)
	return b
}

func (w *town) want(b *Book, name string, s mesh.Standing) {
	w.t.Helper()
	if got := b.Standing(w.key(name), w.clock.Time()); got != s {
		w.t.Errorf("%s is %v, want %v", name, got, s)
	}
	if got, want := b.Admits(w.node(name)), s >= mesh.Machine; got != want {
		w.t.Errorf("Admits(%s) = %v, want %v", name, got, want)
	}
}

func TestFoundAdmitPromoteBan(t *testing.T) {
	w := newTown(t)
	w.want(w.book, "founder", mesh.Founder)
	w.want(w.book, "ana", mesh.Stranger)
	w.admit(w.book, "founder", "ana")
	w.want(w.book, "ana", mesh.Machine)
	w.promote(w.book, "founder", "ana")
	w.want(w.book, "ana", mesh.Admin)
	w.admit(w.book, "ana", "ben")
	w.want(w.book, "ben", mesh.Machine)
	w.ban(w.book, "ana", "ben")
	w.want(w.book, "ben", mesh.Banned)
	if !w.book.Banned(w.node("ben"), mesh.PubKey{}) {
		t.Error("the node of a banned author is not banned")
	}
	if _, err := w.book.DraftAdmit(w.record("ben"), w.binding("ben"), "ben", w.now()); !errors.Is(err, ErrBanned) {
		t.Errorf("DraftAdmit of a banned machine = %v, want ErrBanned", err)
	}
	d, err := w.book.DraftReadmit(Subject{Node: w.node("ben")}, w.now())
	if err != nil {
		t.Fatal(err)
	}
	w.apply(w.book, w.sign("ana", d))
	w.want(w.book, "ben", mesh.Machine)
	if got := w.book.Nodes(); len(got) != 3 || !slices.Contains(got, w.node("ben")) {
		t.Errorf("Nodes() = %v, want those of founder, ana and ben", got)
	}
}

func TestPass(t *testing.T) {
	w := newTown(t)
	until := w.clock.Time().Add(time.Hour)
	d, err := w.book.DraftPass(w.key("visitor"), until, 30, w.now())
	if err != nil {
		t.Fatal(err)
	}
	e := w.sign("founder", d)
	w.apply(w.book, e)
	if got := w.book.Standing(w.key("visitor"), until.Add(-time.Second)); got != mesh.Guest {
		t.Errorf("a second before the end the visitor is %v, want guest", got)
	}
	if got := w.book.Standing(w.key("visitor"), until); got != mesh.Stranger {
		t.Errorf("at the end the visitor is %v, want stranger", got)
	}
	w.apply(w.book, w.sign("founder", w.book.DraftRevoke(e.ID(), w.now())))
	w.want(w.book, "visitor", mesh.Stranger)
}

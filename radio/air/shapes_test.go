package air

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"drey/mesh"
)

// TestReferenceShapes carries every shape of "e", "q", "p" and "a" tag, by
// prefix and in full, with keys of every sort, and counts what shortening saves.
func TestReferenceShapes(t *testing.T) {
	root := say(t, 2, 1, noon-900, "root")
	id := root.ID().String()
	far := "wss://relay.example"
	brief := &Codec{Text: Plain{}, Directory: newVillage(root)}
	blind := &Codec{Text: Plain{}, Directory: &village{}}
	for _, c := range []struct {
		tags   [][]string
		saving int // of an author's hint, 28, and of what else is shortened
	}{
		{[][]string{{"e", id}}, 28 + 26},
		{[][]string{{"e", id, ""}}, 28 + 26},
		{[][]string{{"e", id, far, "root"}}, 28 + 26},
		{[][]string{{"e", id, "", "reply"}}, 28 + 26},
		{[][]string{{"e", id, "", "root", pub(2)}}, 28 + 26 + 32},
		{[][]string{{"e", id, "wss://nos.lol", "reply", pub(3)}}, 28 + 26 + 28},
		{[][]string{{"e", id, "", pub(2)}}, 28 + 26 + 32},
		{[][]string{{"q", id, far, pub(1)}}, 28 + 26},
		{[][]string{{"e", id, "", "root"}, {"e", id, "", "reply"}}, 28 + 26},
		{[][]string{{"p", pub(1)}, {"p", pub(3)}, {"p", pub(3)}}, 28 + 28},
		{[][]string{{"e", id}, {"p", pub(2)}, {"p", pub(2)}}, 28 + 26 + 32},
		{[][]string{{"a", "33739:" + pub(1) + ":quay"}, {"a", "1:" + pub(4) + ":"}}, 28 + 28},
	} {
		it := Item{say(t, 1, 1, noon, "", c.tags...), "alerts"}
		short := len(carry(t, brief, it))
		full, _, err := brief.Pack([]Item{it}, 0, true)
		if err != nil {
			t.Fatalf("%q: %v", c.tags, err)
		}
		if res, err := blind.Unpack(full); err != nil || len(res.Items) != 1 || !equal(res.Items[0], it) {
			t.Errorf("%q in full: %+v, %v", c.tags, res, err)
		}
		if got := len(full) - short - cutBytes; got != c.saving {
			t.Errorf("%q: shortening saves %d bytes, want %d", c.tags, got, c.saving)
		}
	}
}

// TestForgedRaw refuses a raw frame whose signature does not hold, and takes
// what is held without asking again.
func TestForgedRaw(t *testing.T) {
	it := Item{say(t, 1, 1, noon, "hello"), "quay"}
	b := appendRaw(nil, it)
	checks := 0
	c := counting(&village{}, &checks)
	if res, err := c.Unpack(b); err != nil || !equal(res.Items[0], it) || checks != 1 {
		t.Errorf("%+v, %v, %d signatures checked", res, err, checks)
	}
	forged := append([]byte(nil), b...)
	forged[len("0q")+5+40] ^= 1
	if res, err := c.Unpack(forged); !errors.Is(err, ErrForm) || !errors.Is(err, mesh.ErrInvalid) {
		t.Errorf("forged: %+v, %v", res, err)
	}
	c.Held = func(mesh.EventID) *mesh.Event { return it.Event }
	checks = 0
	if res, err := c.Unpack(b); err != nil || res.Items[0].Event != it.Event || checks != 0 {
		t.Errorf("held: %+v, %v, %d signatures checked", res, err, checks)
	}
	if _, err := c.UnpackWhole(make([]byte, MaxWhole+1)); !errors.Is(err, ErrForm) {
		t.Errorf("a whole that is too long: %v", err)
	}
}

// TestForgedPadding refuses a set whose name is right and whose padding is not.
func TestForgedPadding(t *testing.T) {
	for _, padded := range []string{"abc\x00", "abc\x03", "abc\x02", "\x01"} {
		f := append([]byte{headFragment}, make([]byte, 7)...)
		id := setID([]byte(padded))
		copy(f[1:], id[:])
		whole, err := NewAssembly(chance(1)).Add(append(f, padded...), start)
		if !errors.Is(err, ErrForm) || whole != nil {
			t.Errorf("%q: %q, %v", padded, whole, err)
		}
	}
}

// TestWindow holds what was created from its first second to before its end.
func TestWindow(t *testing.T) {
	w := Window{Until: noon, Hours: 2}
	for at, want := range map[mesh.Unix]bool{noon - 7201: false, noon - 7200: true, noon - 1: true, noon: false} {
		if got := w.Contains(at); got != want {
			t.Errorf("%d s before the end: %v, want %v", noon-at, got, want)
		}
	}
	if s := (Window{Until: 60, Hours: 255}).Since(); s != 0 {
		t.Errorf("a window from before 1970 begins at %d", s)
	}
	if Scope([]mesh.Topic{"a", "b"}) != Scope([]mesh.Topic{"b", "a"}) || Scope([]mesh.Topic{"a", "b"}) == Scope([]mesh.Topic{"ab"}) {
		t.Error("the scope is not that of the set of topics")
	}
}

// TestSetCounts says what was sent and what is owed, and why something does not
// fit.
func TestSetCounts(t *testing.T) {
	c, it, s := set(t, 1000)
	s.Begin(0.2)
	s.Begin(0.9) // once is enough
	if s.Owed() != 5+2 || s.Sent() != 0 {
		t.Errorf("%d owed, %d sent; want 7, 0", s.Owed(), s.Sent())
	}
	s.Next()
	if s.Owed() != 6 || s.Sent() != 1 {
		t.Errorf("%d owed, %d sent; want 6, 1", s.Owed(), s.Sent())
	}
	_, _, err := c.Pack([]Item{it}, 0, false)
	if err == nil || !strings.HasSuffix(err.Error(), "bytes do not fit into one frame of 231") {
		t.Errorf("a long event in one frame: %v", err)
	}
	if id, short := it.Event.ID(), ShortOf(it.Event.ID()); !bytes.Equal(id[:8], short[:]) {
		t.Errorf("short name %x of %s", short, id)
	}
	var l Loss
	l.Observe(0, 10)
	if l.Share() >= firstLoss {
		t.Errorf("loss %v after none was lost", l.Share())
	}
}

package mail

import (
	"errors"
	"strings"
	"testing"
	"time"

	"drey/mesh"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func newKey(t testing.TB, seed byte) *mesh.SecretKey {
	t.Helper()
	k, err := mesh.NewSecretKey([32]byte{31: seed})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newRumor(t testing.TB, by *mesh.SecretKey, d mesh.Draft) *mesh.Rumor {
	t.Helper()
	r, err := mesh.NewRumor(by.PubKey(), d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func note(to mesh.PubKey, text string) mesh.Draft {
	return mesh.Draft{CreatedAt: mesh.UnixOf(noon), Kind: mesh.KindPrivateNote, Tags: [][]string{{"p", to.String()}}, Content: text}
}

func TestWrapOpensForItsReaderAlone(t *testing.T) {
	ann, bob, eve := newKey(t, 1), newKey(t, 2), newKey(t, 3)
	want := newRumor(t, ann, note(bob.PubKey(), "the key is under the mat"))
	wrap, err := Wrap(ann, want, bob.PubKey(), noon)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Unwrap(bob, wrap)
	if err != nil || got.ID() != want.ID() || got.Content() != want.Content() || got.Author() != ann.PubKey() {
		t.Errorf("opened %v (%v), want %v", got, err, want)
	}
	if _, err := Unwrap(eve, wrap); !errors.Is(err, ErrNotForUs) {
		t.Errorf("another key: %v, want ErrNotForUs", err)
	}
	if wrap.Author() == ann.PubKey() || strings.Contains(string(wrap.AppendJSON(nil)), ann.PubKey().String()) {
		t.Error("the wrap names its author")
	}
	again, err := Wrap(ann, want, bob.PubKey(), noon)
	if err != nil || again.Author() == wrap.Author() || again.Content() == wrap.Content() {
		t.Errorf("two wraps of one message share a key or bytes (%v)", err)
	}
}

func TestDatesGoIntoThePastOnly(t *testing.T) {
	ann, bob := newKey(t, 1), newKey(t, 2)
	first, last := mesh.UnixOf(noon.Add(-backdated)), mesh.UnixOf(noon)
	var least, most mesh.Unix = last, first
	for range 4000 {
		at := past(noon)
		if at < first || at > last {
			t.Fatalf("dated %d, want %d to %d", at, first, last)
		}
		least, most = min(least, at), max(most, at)
	}
	// 4000 dates over 48 hours leave no tenth of them empty.
	if least > first+17280 || most < last-17280 {
		t.Errorf("dates from %d to %d do not fill %d to %d", least, most, first, last)
	}
	wrap, err := Wrap(ann, newRumor(t, ann, note(bob.PubKey(), "x")), bob.PubKey(), noon)
	if err != nil || wrap.CreatedAt() > last {
		t.Errorf("wrap dated %d (%v), it is %d", wrap.CreatedAt(), err, last)
	}
}

func TestLongestRumorFits(t *testing.T) {
	ann, bob := newKey(t, 1), newKey(t, 2)
	empty := len(newRumor(t, ann, note(bob.PubKey(), "")).AppendJSON(nil))
	wrap, err := Wrap(ann, newRumor(t, ann, note(bob.PubKey(), strings.Repeat("x", maxRumor-empty))), bob.PubKey(), noon)
	if err != nil {
		t.Fatalf("%d bytes: %v", maxRumor, err)
	}
	if _, err := Unwrap(bob, wrap); err != nil {
		t.Error(err)
	}
	if _, err := Wrap(ann, newRumor(t, ann, note(bob.PubKey(), strings.Repeat("x", maxRumor-empty+1))), bob.PubKey(), noon); !errors.Is(err, ErrTooLong) {
		t.Errorf("%d bytes: %v, want ErrTooLong", maxRumor+1, err)
	}
}

// What is wrapped here by hand, the library that is often used takes.
func TestUnwrapIsStrict(t *testing.T) {
	ann, bob, eve := newKey(t, 1), newKey(t, 2), newKey(t, 3)
	rumor := newRumor(t, ann, note(bob.PubKey(), "hello"))
	plain := string(rumor.AppendJSON(nil))
	at := mesh.UnixOf(noon)
	seal := func(by *mesh.SecretKey, d mesh.Draft, plain string) *mesh.Event {
		e, err := sealUp(by, d, plain, bob.PubKey())
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	wrapped := func(json string) *mesh.Event {
		return seal(eve, mesh.Draft{CreatedAt: at, Kind: mesh.KindGiftWrap, Tags: [][]string{{"p", bob.PubKey().String()}}}, json)
	}
	good := mesh.Draft{CreatedAt: at, Kind: mesh.KindSeal}
	whole := string(seal(ann, good, plain).AppendJSON(nil))
	unsigned, err := mesh.NewEvent(ann.PubKey(), mesh.Signature{}, seal(ann, good, plain).Draft())
	if err != nil {
		t.Fatal(err)
	}
	signed, err := ann.Sign(note(bob.PubKey(), "hello"))
	if err != nil {
		t.Fatal(err)
	}
	spoilt, err := mesh.NewEvent(eve.PubKey(), mesh.Signature{}, wrapped(whole).Draft())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Unwrap(bob, wrapped(whole)); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	for name, wrap := range map[string]*mesh.Event{
		"the seal is another's":      wrapped(string(seal(eve, good, plain).AppendJSON(nil))),
		"the seal has tags":          wrapped(string(seal(ann, mesh.Draft{CreatedAt: at, Kind: mesh.KindSeal, Tags: [][]string{{"p", bob.PubKey().String()}}}, plain).AppendJSON(nil))),
		"the seal is of kind 1":      wrapped(string(seal(ann, mesh.Draft{CreatedAt: at, Kind: mesh.KindNote}, plain).AppendJSON(nil))),
		"the seal is not signed":     wrapped(string(unsigned.AppendJSON(nil))),
		"no seal":                    wrapped(plain),
		"not JSON":                   wrapped("hello"),
		"the rumor is signed":        wrapped(string(seal(ann, good, string(signed.AppendJSON(nil))).AppendJSON(nil))),
		"the rumor has another's id": wrapped(string(seal(ann, good, strings.Replace(plain, rumor.ID().String(), signed.Author().String(), 1)).AppendJSON(nil))),
		"the rumor was changed":      wrapped(string(seal(ann, good, strings.Replace(plain, "hello", "hallo", 1)).AppendJSON(nil))),
		"the rumor has no date":      wrapped(string(seal(ann, good, strings.Replace(plain, "created_at", "created", 1)).AppendJSON(nil))),
		"the wrap is not signed":     spoilt,
		"the wrap is of kind 1":      seal(eve, mesh.Draft{CreatedAt: at, Kind: mesh.KindNote}, whole),
	} {
		if r, err := Unwrap(bob, wrap); !errors.Is(err, ErrForged) {
			t.Errorf("%s: %v (%v), want ErrForged", name, r, err)
		}
	}
}

// FuzzUnwrap seals whatever it is given, so that it reaches what lies behind
// the encryption.
func FuzzUnwrap(f *testing.F) {
	ann, bob := newKey(f, 1), newKey(f, 2)
	rumor := newRumor(f, ann, note(bob.PubKey(), "hello"))
	f.Add(rumor.AppendJSON(nil))
	f.Add([]byte(`{"pubkey":"` + ann.PubKey().String() + `","created_at":1,"kind":14,"tags":[],"content":""}`))
	f.Add([]byte(`{"sig":"00"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || len(b) > maxRumor {
			return
		}
		seal, err := sealUp(ann, mesh.Draft{Kind: mesh.KindSeal}, string(b), bob.PubKey())
		if err != nil {
			t.Fatal(err)
		}
		wrap, err := sealUp(newKey(t, 3), mesh.Draft{Kind: mesh.KindGiftWrap}, string(seal.AppendJSON(nil)), bob.PubKey())
		if err != nil {
			t.Fatal(err)
		}
		r, err := Unwrap(bob, wrap)
		if err != nil {
			return
		}
		again, err := mesh.ParseRumor(r.AppendJSON(nil))
		if err != nil || again.ID() != r.ID() || r.Author() != ann.PubKey() {
			t.Errorf("%q came out as %q (%v)", b, r.AppendJSON(nil), err)
		}
	})
}

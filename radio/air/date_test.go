package air

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"drey/mesh"
)

// at is a Codec.Near of these moments.
func at(moments ...mesh.Unix) func() []mesh.Unix {
	return func() []mesh.Unix { return moments }
}

// TestShortTime writes short times where the date is near, and finds what they
// mean: at once where the clocks agree, by many hashes where they do not, up to
// the bound and not beyond it.
func TestShortTime(t *testing.T) {
	it := Item{say(t, 1, 1, noon, "The bridge is closed", []string{"t", "alerts"}), "alerts"}
	sender := &Codec{Text: Plain{}, Directory: newVillage(), Near: at(noon + 30)}
	b := carry(t, sender, it)
	long := carry(t, &Codec{Text: Plain{}, Directory: newVillage()}, it)
	if b[0] != headNotes|1 || len(long) != len(b)+4 {
		t.Fatalf("%d bytes, head %02x; %d with a long time, want 4 more", len(b), b[0], len(long))
	}
	const half = MaxRebuilds / 2 * shortStep
	for _, c := range []struct {
		name  string
		near  func() []mesh.Unix
		tries int // 0: not found
	}{
		{"the same second", at(noon), 1},
		{"two minutes late", at(noon + 127), 1},
		{"three minutes late", at(noon + 180), 3},
		{"three minutes early", at(noon - 180), 2},
		{"the last that is tried, the clock behind", at(noon - half), MaxRebuilds},
		{"one more", at(noon - half - shortStep), 0},
		{"the last but one, the clock ahead", at(noon + half - shortStep), MaxRebuilds - 1},
		{"one more, the clock ahead", at(noon + half), 0},
		{"a clock of 1970", at(0), 0},
		{"the end of time", at(1<<32 - 1), 0},
		{"a clock of 1970, but an event was heard", at(0, noon-40), 1},
		{"a clock 20 hours ahead, an event was heard", at(noon+20*3600, noon), 2},
		{"two that are near", at(noon+40, noon+20), 1},
		{"no clock", at(), 0},
		{"nothing known", nil, 0},
	} {
		res, err := (&Codec{Text: Plain{}, Directory: newVillage(), Near: c.near}).Unpack(b)
		if err != nil {
			t.Fatal(err)
		}
		if c.tries == 0 {
			if len(res.Items) != 0 || !res.Missing[0].Resend || !res.Missing[0].Short || res.Work.Rebuilds > MaxRebuilds {
				t.Errorf("%s: %+v, want it asked for in full", c.name, res)
			}
			continue
		}
		if len(res.Items) != 1 || !equal(res.Items[0], it) || res.Work.Rebuilds != c.tries {
			t.Errorf("%s: %d events by %d hashes, want 1 by %d", c.name, len(res.Items), res.Work.Rebuilds, c.tries)
		}
	}
}

// TestShortTimeOnlyNear writes the whole time where the date is far from one of
// the moments that are known, and then everybody can read it.
func TestShortTimeOnlyNear(t *testing.T) {
	it := Item{say(t, 1, 1, noon, "The bridge is closed", []string{"t", "alerts"}), "alerts"}
	for _, c := range []struct {
		near  []mesh.Unix
		short bool
	}{
		{[]mesh.Unix{noon + shortFor}, true},
		{[]mesh.Unix{noon + shortFor + 1}, false},
		{[]mesh.Unix{noon - shortFor}, true},
		{[]mesh.Unix{noon - shortFor - 1}, false},
		{[]mesh.Unix{noon, noon + 60}, true},
		{[]mesh.Unix{noon, noon + shortFor + 1}, false},
		{nil, false},
	} {
		b := carry(t, &Codec{Text: Plain{}, Directory: newVillage(), Near: at(c.near...)}, it)
		if short := b[0] >= headNotes; short != c.short {
			t.Errorf("near %d: head %02x, want short: %v", c.near, b[0], c.short)
		}
	}
}

// TestDates lists each second once, the nearest first.
func TestDates(t *testing.T) {
	for _, near := range [][]mesh.Unix{{noon}, {noon, noon + 5}, {noon, noon + 100_000}, {noon, noon + 10_000_000}, {77, noon}, {1<<32 - 1}} {
		const last = byte(noon&0xff) + 7
		list := (&Codec{Near: at(near...)}).dates(last)
		if len(near) == 1 && near[0] != 1<<32-1 && len(list) != MaxRebuilds {
			t.Errorf("near %d: %d dates", near, len(list))
		}
		before := int64(0)
		for i, d := range list {
			if byte(d) != last || slices.Contains(list[:i], d) {
				t.Fatalf("near %d: date %d at %d", near, d, i)
			}
			far := apart(near[closest(near, int64(d))], int64(d))
			if far < before-shortStep {
				t.Errorf("near %d: date %d is %d s away, one before %d s", near, d, far, before)
			}
			before = far
		}
	}
}

// TestWrongDatePasses has a wrong date pass the 2 bytes of the id: it costs a
// search in vain, and the right one is found behind it.
func TestWrongDatePasses(t *testing.T) {
	const late = 36 * 3600 / shortStep * shortStep // of the receiver's clock
	note := func(n int, at mesh.Unix) mesh.Draft {
		return mesh.Draft{CreatedAt: at, Kind: 1, Tags: [][]string{{"t", "alerts"}}, Content: fmt.Sprint("note ", n)}
	}
	check := func(n int, date mesh.Unix) [2]byte {
		e, err := mesh.NewEvent(keys()[1].PubKey(), mesh.Signature{}, note(n, date))
		if err != nil {
			t.Fatal(err)
		}
		id := e.ID()
		return [2]byte(id[:2])
	}
	dates := (&Codec{Near: at(noon + late)}).dates(byte(noon & 0xff))
	dates = dates[:slices.Index(dates, noon)]
	n := 0
	for want := check(n, noon); !slices.ContainsFunc(dates, func(d mesh.Unix) bool { return check(n, d) == want }); want = check(n, noon) {
		n++
	}
	e, err := keys()[1].Sign(note(n, noon))
	if err != nil {
		t.Fatal(err)
	}
	b := carry(t, &Codec{Text: Plain{}, Directory: newVillage(), Near: at(noon)}, Item{e, "alerts"})
	res, err := (&Codec{Text: Plain{}, Directory: newVillage(), Near: at(noon + late)}).Unpack(b)
	if err != nil || len(res.Items) != 1 || res.Work.Checks != 2*searchChecks {
		t.Errorf("%+v, %v; want one event by two searches", res, err)
	}
}

// hostile is a frame of as many notes as fit, and as much text, of which no date
// fits.
func hostile(t testing.TB) []byte {
	t.Helper()
	b := []byte{headNotes | (MaxEvents-1)<<4 | 1, 7}
	for i := range MaxEvents {
		if i > 0 {
			b = append(b, 1)
		}
		author := keys()[i].PubKey()
		b = append(append(b, author[:4]...), 0xff, byte(i))
		b = append(b, make([]byte, 64-cutBytes)...)
	}
	return append(b, "a\nb\nc"...)
}

// TestShortTimeBound prints what a frame of notes costs at most, and sends one
// that costs it: three notes of which nothing fits.
func TestShortTimeBound(t *testing.T) {
	c := &Codec{Text: Plain{}, Directory: newVillage(), Near: at(noon)}
	res, err := c.Unpack(hostile(t))
	if err != nil || len(res.Items) != 0 || len(res.Missing) != MaxEvents {
		t.Fatalf("%+v, %v", res, err)
	}
	if res.Work.Rebuilds != MaxEvents*MaxRebuilds || res.Work.Checks > MaxChecks {
		t.Errorf("work %+v, want %d hashes", res.Work, MaxEvents*MaxRebuilds)
	}
	t.Logf("three notes of no date: %d hashes, %d searches", res.Work.Rebuilds, res.Work.Checks)
}

// TestWholeIsNotCut has notes with short times in fragments, where nobody writes
// them: a text four times as long would be hashed as often.
func TestWholeIsNotCut(t *testing.T) {
	c := &Codec{Text: swollen{}, Directory: newVillage(), Near: at(noon)}
	if res, err := c.UnpackWhole(hostile(t)); !errors.Is(err, ErrForm) {
		t.Errorf("%+v, %v; want it refused", res, err)
	}
}

// BenchmarkHostile unpacks what costs most hashes, with little text and much.
func BenchmarkHostile(b *testing.B) {
	for name, text := range map[string]Text{"short": Plain{}, "long": swollen{}} {
		c := &Codec{Text: text, Directory: newVillage(), Near: at(noon)}
		frame := hostile(b)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := c.Unpack(frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// swollen is a coder that makes three texts as long as they may be.
type swollen struct{ Plain }

func (swollen) Decode(_ []byte, limit int) ([]byte, error) {
	text := slices.Repeat([]byte("a"), limit)
	text[limit/3], text[2*limit/3] = '\n', '\n'
	return text, nil
}

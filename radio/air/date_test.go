package air

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"drey/mesh"

	"github.com/btcsuite/btcd/btcec/v2"
)

// at is a Codec.Near of these moments.
func at(moments ...mesh.Unix) func() []mesh.Unix {
	return func() []mesh.Unix { return moments }
}

// TestShortTime writes short times where the date is near, and finds what they
// mean: at once where the clocks agree, by many hashes where they do not, up to
// the bound and not beyond it.
func TestShortTime(t *testing.T) {
	const half = MaxRebuilds / 2 * shortStep
	text := ""
	for n := 0; text == "" || passes(t, keys()[1].PubKey(), text, noon); n++ { // by no other date
		text = fmt.Sprint("The bridge is closed ", n)
	}
	it := Item{say(t, 1, 1, noon, text, []string{"t", "alerts"}), "alerts"}
	sender := &Codec{Text: Plain{}, Directory: newVillage(), Near: at(noon + 30)}
	b := carry(t, sender, it)
	long := carry(t, &Codec{Text: Plain{}, Directory: newVillage()}, it)
	if b[0] != headNotes|1 || len(long) != len(b)+8 {
		t.Fatalf("%d bytes, head %02x; %d with a long time, want 8 more", len(b), b[0], len(long))
	}
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

// passes reports whether another date of a note passes the byte of the id, among
// those that end alike and are tried at most.
func passes(t testing.TB, author mesh.PubKey, text string, date mesh.Unix) bool {
	t.Helper()
	want := checkOf(t, author, text, date)
	for k := mesh.Unix(1); k <= MaxRebuilds/2; k++ {
		if checkOf(t, author, text, date-k*shortStep) == want || checkOf(t, author, text, date+k*shortStep) == want {
			return true
		}
	}
	return false
}

// checkOf returns the check of a note.
func checkOf(t testing.TB, author mesh.PubKey, text string, date mesh.Unix) byte {
	t.Helper()
	e, err := mesh.NewEvent(author, mesh.Signature{}, mesh.Draft{CreatedAt: date, Kind: mesh.KindNote, Tags: [][]string{{"t", "alerts"}}, Content: text})
	if err != nil {
		t.Fatal(err)
	}
	id := e.ID()
	return id[0]
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

// TestWrongDatePasses has wrong dates pass the byte of the id: each costs a search
// in vain, and the right one is found behind them, as long as there are searches
// left.
func TestWrongDatePasses(t *testing.T) {
	const late = 3 * shortFor / shortStep * shortStep // of the receiver's clock
	dates := (&Codec{Near: at(noon + late)}).dates(byte(noon & 0xff))
	dates = dates[:slices.Index(dates, noon)]
	for wrong := range MaxChecks/searchChecks + 1 {
		n := 0
		for ; ; n++ {
			pass := 0
			for _, d := range dates {
				if checkOf(t, keys()[1].PubKey(), fmt.Sprint("note ", n), d) == checkOf(t, keys()[1].PubKey(), fmt.Sprint("note ", n), noon) {
					pass++
				}
			}
			if pass == wrong {
				break
			}
		}
		it := Item{say(t, 1, 1, noon, fmt.Sprint("note ", n), []string{"t", "alerts"}), "alerts"}
		b := carry(t, &Codec{Text: Plain{}, Directory: newVillage(), Near: at(noon)}, it)
		res, err := (&Codec{Text: Plain{}, Directory: newVillage(), Near: at(noon + late)}).Unpack(b)
		searches := min(wrong+1, MaxChecks/searchChecks)
		if found := searches > wrong; err != nil || (len(res.Items) == 1) != found || res.Work.Checks != searches*searchChecks {
			t.Errorf("%d wrong dates pass: %+v, %v; want it found %v by %d searches", wrong, res, err, found, searches)
		}
	}
}

// hostile is a frame of as many notes as fit, of which no date fits among those
// that a codec tries: not even the byte of the id.
func hostile(t testing.TB, c *Codec) []byte {
	t.Helper()
	b := []byte{headNotes | (MaxEvents-1)<<4 | 1, 7}
	dates := c.dates(7)
	var texts []string
	for i := range MaxEvents {
		author, after := keys()[i].PubKey(), int64(0)
		if i > 0 {
			b, after = append(b, 1), -1
		}
		b = append(append(b, author[0], 0xff), make([]byte, 64-cutBytes)...)
		n := 0
		for slices.ContainsFunc(dates, func(d mesh.Unix) bool {
			return checkOf(t, author, fmt.Sprint(n), mesh.Unix(int64(d)+after)) == 0xff
		}) {
			n++
		}
		texts = append(texts, fmt.Sprint(n))
	}
	return append(b, strings.Join(texts, "\n")...)
}

// TestShortTimeBound prints what a frame of notes costs at most, and sends one
// that costs it: three notes of which nothing fits.
func TestShortTimeBound(t *testing.T) {
	c := &Codec{Text: Plain{}, Directory: newVillage(), Near: at(noon)}
	res, err := c.Unpack(hostile(t, c))
	if err != nil || len(res.Items) != 0 || len(res.Missing) != MaxEvents {
		t.Fatalf("%+v, %v", res, err)
	}
	if res.Work.Rebuilds != MaxEvents*MaxRebuilds || res.Work.Checks > MaxChecks {
		t.Errorf("work %+v, want %d hashes", res.Work, MaxEvents*MaxRebuilds)
	}
	t.Logf("three notes of no date: %d hashes, %d searches", res.Work.Rebuilds, res.Work.Checks/searchChecks)
	res, err = c.Unpack(noise())
	if err != nil || len(res.Items) != 0 || len(res.Missing) != MaxEvents || res.Work.Checks != MaxChecks || res.Work.Rebuilds > MaxEvents*MaxRebuilds {
		t.Errorf("noise: %+v, %v; want %d checks", res, err, MaxChecks)
	}
	t.Logf("noise: %d hashes, %d searches", res.Work.Rebuilds, res.Work.Checks/searchChecks)
}

// noise is a frame of notes by three whom everybody knows, with signatures that
// do not hold: of the dates that are tried some pass the byte of the id.
func noise() []byte {
	b := []byte{headNotes | (MaxEvents-1)<<4 | 1, 7}
	for i := range MaxEvents {
		if i > 0 {
			b = append(b, 1)
		}
		author := keys()[i].PubKey()
		b = append(append(b, author[0], byte(i)), btcec.Generator().SerializeCompressed()[1:]...)
		b = append(b, make([]byte, 32-cutBytes)...)
	}
	return append(b, "a\nb\nc"...)
}

// TestWholeIsNotCut has notes with short times in fragments, where nobody writes
// them: a text four times as long would be hashed as often.
func TestWholeIsNotCut(t *testing.T) {
	c := &Codec{Text: swollen{}, Directory: newVillage(), Near: at(noon)}
	if res, err := c.UnpackWhole(hostile(t, c)); !errors.Is(err, ErrForm) {
		t.Errorf("%+v, %v; want it refused", res, err)
	}
}

// BenchmarkHostile unpacks what costs most hashes, with little text and much.
func BenchmarkHostile(b *testing.B) {
	for name, text := range map[string]Text{"short": Plain{}, "long": swollen{}} {
		c := &Codec{Text: text, Directory: newVillage(), Near: at(noon)}
		frame := hostile(b, c)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := c.Unpack(frame); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("noise", func(b *testing.B) {
		c := &Codec{Text: Plain{}, Directory: newVillage(), Near: at(noon)}
		for b.Loop() {
			if _, err := c.Unpack(noise()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// swollen is a coder that makes three texts as long as they may be.
type swollen struct{ Plain }

func (swollen) Decode(_ []byte, limit int) ([]byte, error) {
	text := slices.Repeat([]byte("a"), limit)
	text[limit/3], text[2*limit/3] = '\n', '\n'
	return text, nil
}

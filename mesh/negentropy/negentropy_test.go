package negentropy

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nbd-wtf/go-nostr"
	foreign "github.com/nbd-wtf/go-nostr/nip77/negentropy"
	"github.com/nbd-wtf/go-nostr/nip77/negentropy/storage/vector"

	"drey/mesh"
)

// item returns the nth event of a made-up history, about one every four minutes.
func item(n int) mesh.Item {
	id := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
	return mesh.Item{CreatedAt: mesh.Unix(1_790_000_000 + 259*n), ID: id}
}

func setOf(items ...mesh.Item) *Set {
	s := &Set{}
	for _, it := range items {
		s.Add(it)
	}
	s.Seal()
	return s
}

// reconcile runs an asker against an answerer of ours.
func reconcile(t testing.TB, a, b *Set, frame int) (need []mesh.EventID, have []mesh.Item, size, messages int) {
	t.Helper()
	ask, m := Ask(a, frame, b.Len())
	for m != nil {
		if len(m) > frame {
			t.Fatalf("a question of %d bytes, limit %d", len(m), frame)
		}
		reply, err := Answer(b, frame, m)
		if err != nil {
			t.Fatalf("Answer(%x) = %v", m, err)
		}
		if len(reply) > frame {
			t.Fatalf("an answer of %d bytes, limit %d", len(reply), frame)
		}
		size += len(m) + len(reply)
		if messages += 2; messages > 1000 {
			t.Fatal("no end after 1000 messages")
		}
		if m, err = ask.Next(reply); err != nil {
			t.Fatalf("Next(%x) = %v", reply, err)
		}
	}
	return ask.Need, ask.Have, size, messages
}

// differ makes two sets of n items that lack only-in-a and only-in-b items.
func differ(n int, onlyA, onlyB func(int) bool) (a, b *Set, inA, inB []mesh.Item) {
	a, b = &Set{}, &Set{}
	for i := range n {
		it := item(i)
		switch {
		case onlyA(i):
			inA = append(inA, it)
			a.Add(it)
		case onlyB(i):
			inB = append(inB, it)
			b.Add(it)
		default:
			a.Add(it)
			b.Add(it)
		}
	}
	a.Seal()
	b.Seal()
	return a, b, inA, inB
}

func check(t *testing.T, need []mesh.EventID, have []mesh.Item, inA, inB []mesh.Item) {
	t.Helper()
	var want []mesh.EventID
	for _, it := range inB {
		want = append(want, it.ID)
	}
	byID := func(a, b mesh.EventID) int { return slices.Compare(a[:], b[:]) }
	got := slices.SortedFunc(slices.Values(need), byID)
	slices.SortFunc(want, byID)
	if !slices.Equal(got, want) {
		t.Errorf("needs %d events, want %d", len(got), len(want))
	}
	slices.SortFunc(have, Compare)
	slices.SortFunc(inA, Compare)
	if !slices.Equal(have, inA) {
		t.Errorf("has %d events to give, want %d", len(have), len(inA))
	}
}

func never(int) bool { return false }

func TestReconcileFindsBothDifferences(t *testing.T) {
	for _, c := range []struct {
		name         string
		n            int
		onlyA, onlyB func(int) bool
	}{
		{"both empty", 0, never, never},
		{"equal", 1000, never, never},
		{"one empty", 5000, never, func(int) bool { return true }},
		{"other empty", 5000, func(int) bool { return true }, never},
		{"nothing shared", 3000, func(i int) bool { return i%2 == 0 }, func(i int) bool { return i%2 == 1 }},
		{"newest missing", 10000, never, func(i int) bool { return i >= 9990 }},
		{"halves", 4000, func(i int) bool { return i < 1500 }, func(i int) bool { return i > 2500 }},
		{"scattered", 10000, func(i int) bool { return i%1999 == 0 }, func(i int) bool { return i%2003 == 7 }},
		{"one each", 2, func(i int) bool { return i == 0 }, func(i int) bool { return i == 1 }},
	} {
		for _, frame := range []int{MinFrame, 60 << 10} {
			t.Run(fmt.Sprintf("%s, frames of %d", c.name, frame), func(t *testing.T) {
				a, b, inA, inB := differ(c.n, c.onlyA, c.onlyB)
				need, have, size, messages := reconcile(t, a, b, frame)
				check(t, need, have, inA, inB)
				t.Logf("%d bytes in %d messages", size, messages)
			})
		}
	}
}

func TestReconcileInOneSecond(t *testing.T) {
	// Every event claims the same second: only ids tell ranges apart.
	a, b := &Set{}, &Set{}
	var inA, inB []mesh.Item
	for i := range 3000 {
		it := item(i)
		it.CreatedAt = 1_790_000_000
		if i%7 != 0 {
			a.Add(it)
		} else {
			inB = append(inB, it)
		}
		if i%11 != 0 {
			b.Add(it)
		} else if i%7 != 0 {
			inA = append(inA, it)
		}
	}
	inB = slices.DeleteFunc(inB, func(it mesh.Item) bool { return !slices.Contains(b.items, it) })
	a.Seal()
	b.Seal()
	need, have, _, _ := reconcile(t, a, b, 60<<10)
	check(t, need, have, inA, inB)
}

func TestNeedComesInTheAnswerersOrder(t *testing.T) {
	a, b, _, inB := differ(2000, never, func(i int) bool { return i%3 == 0 })
	need, _, _, _ := reconcile(t, a, b, 60<<10)
	for i, it := range inB {
		if need[i] != it.ID {
			t.Fatalf("need %d is %s, want %s", i, need[i], it.ID)
		}
	}
}

// TestForeignNegentropy lets go-nostr's implementation be each side in turn.
func TestForeignNegentropy(t *testing.T) {
	a, b, inA, inB := differ(5000, func(i int) bool { return i%501 == 1 }, func(i int) bool { return i%97 == 5 })
	t.Run("it answers", func(t *testing.T) {
		other := foreign.New(vectorOf(b), 0)
		ask, m := Ask(a, 1<<20, b.Len())
		for m != nil {
			reply, err := other.Reconcile(hex.EncodeToString(m))
			if err != nil {
				t.Fatalf("the other side says %v", err)
			}
			raw, err := hex.DecodeString(reply)
			if err != nil {
				t.Fatal(err)
			}
			if m, err = ask.Next(raw); err != nil {
				t.Fatal(err)
			}
		}
		check(t, ask.Need, ask.Have, inA, inB)
	})
	t.Run("it asks", func(t *testing.T) {
		other := foreign.New(vectorOf(a), 0)
		need, have := make(chan []mesh.EventID), make(chan []mesh.Item)
		go func() {
			var ids []mesh.EventID
			for s := range other.HaveNots {
				id, _ := mesh.ParseEventID(s)
				ids = append(ids, id)
			}
			need <- ids
		}()
		go func() {
			var items []mesh.Item
			for s := range other.Haves {
				id, _ := mesh.ParseEventID(s)
				i := slices.IndexFunc(a.items, func(it mesh.Item) bool { return it.ID == id })
				items = append(items, a.items[i])
			}
			have <- items
		}()
		for m := other.Start(); m != ""; {
			raw, err := hex.DecodeString(m)
			if err != nil {
				t.Fatal(err)
			}
			reply, err := Answer(b, 1<<20, raw)
			if err != nil {
				t.Fatal(err)
			}
			if m, err = other.Reconcile(hex.EncodeToString(reply)); err != nil {
				t.Fatal(err)
			}
		}
		check(t, <-need, <-have, inA, inB)
	})
}

func vectorOf(s *Set) *vector.Vector {
	v := vector.New()
	for _, it := range s.items {
		v.Insert(nostr.Timestamp(it.CreatedAt), it.ID.String())
	}
	v.Seal()
	return v
}

func TestHostileAnswerersAreStopped(t *testing.T) {
	set := setOf(item(1), item(2), item(3))
	for name, answers := range map[string][][]byte{
		"nothing":                 {{}},
		"another version":         {{0x62}},
		"a mode of its own":       {{version, 0, 0, 3}},
		"a cut id list":           {{version, 0, 0, modeIDs, 2, 1, 2, 3}},
		"a count beyond counting": {{version, 0, 0, modeIDs, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}},
		"a range after the end":   {{version, 0, 0, modeSkip, 0, 0, modeSkip}},
		"padded numbers":          {{version, 0x80, 0, 0, modeSkip}},
		"a long id prefix":        {{version, 5, 33}},
	} {
		t.Run(name, func(t *testing.T) {
			ask, _ := Ask(set, MinFrame, 10)
			var err error
			for _, b := range answers {
				if _, err = ask.Next(b); err != nil {
					break
				}
				ask.done = false // it would go on asking
			}
			if err == nil {
				t.Errorf("Next(%x) = nil, want an error", answers)
			}
		})
	}
}

func TestNeedIsBounded(t *testing.T) {
	a, b, _, _ := differ(100, never, func(int) bool { return true })
	ask, m := Ask(a, 60<<10, 99)
	reply, err := Answer(b, 60<<10, m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask.Next(reply); err == nil {
		t.Error("100 ids were taken where 99 are the limit")
	}
}

// FuzzAnswer checks that no question can do harm, and that what is answered
// parses.
func FuzzAnswer(f *testing.F) {
	set := setOf(item(1), item(2), item(3), item(4), item(400), item(500))
	_, first := Ask(setOf(item(2), item(9)), MinFrame, 10)
	f.Add(first)
	_, many := Ask(setOf(item(1), item(2), item(3), item(4), item(5), item(6), item(7), item(8), item(9)), MinFrame, 10)
	f.Add(many)
	f.Add([]byte{version, 0, 0, modeIDs, 0})
	f.Add([]byte{version, 5, 1, 9, modeSkip, 0, 0, modeFingerprint})
	f.Add([]byte{0x62})
	f.Fuzz(func(t *testing.T, b []byte) {
		reply, err := Answer(set, MinFrame, b)
		if err != nil {
			return
		}
		if len(reply) > MinFrame {
			t.Errorf("an answer of %d bytes, limit %d", len(reply), MinFrame)
		}
		if err := walk(set, reply, func(rang) error { return nil }); err != nil {
			t.Errorf("the answer %x to %x does not parse: %v", reply, b, err)
		}
	})
}

// FuzzNext checks that no answer can do harm or grow without bound.
func FuzzNext(f *testing.F) {
	set := setOf(item(1), item(2), item(3), item(4), item(400), item(500))
	f.Add([]byte{version, 0, 0, modeIDs, 0})
	_, m := Ask(set, MinFrame, 10)
	reply, _ := Answer(setOf(item(1), item(7), item(450)), MinFrame, m)
	f.Add(reply)
	f.Fuzz(func(t *testing.T, b []byte) {
		ask, _ := Ask(set, MinFrame, 10)
		for range 3 {
			m, err := ask.Next(b)
			if err != nil || m == nil {
				break
			}
		}
		if len(ask.Need) > 10 || len(ask.Have) > set.Len() {
			t.Errorf("%x: needs %d, has %d", b, len(ask.Need), len(ask.Have))
		}
	})
}

// FuzzReconcile checks that two sets always find exactly what they do not share.
func FuzzReconcile(f *testing.F) {
	f.Add(uint64(1), uint16(40), uint8(10), uint8(10), uint8(3))
	f.Add(uint64(2), uint16(900), uint8(1), uint8(250), uint8(0))
	f.Add(uint64(3), uint16(300), uint8(128), uint8(0), uint8(255))
	f.Fuzz(func(t *testing.T, seed uint64, n uint16, pa, pb, crowd uint8) {
		r := rand.New(rand.NewPCG(seed, 1))
		onlyA, onlyB := make([]bool, n), make([]bool, n)
		for i := range n {
			onlyA[i] = r.UintN(256) < uint(pa)
			onlyB[i] = !onlyA[i] && r.UintN(256) < uint(pb)
		}
		a, b := &Set{}, &Set{}
		var inA, inB []mesh.Item
		for i := range int(n) {
			it := item(i)
			it.CreatedAt /= mesh.Unix(1 + 100*int(crowd)) // many in one second
			switch {
			case onlyA[i]:
				a.Add(it)
				inA = append(inA, it)
			case onlyB[i]:
				b.Add(it)
				inB = append(inB, it)
			default:
				a.Add(it)
				b.Add(it)
			}
		}
		a.Seal()
		b.Seal()
		need, have, _, _ := reconcile(t, a, b, MinFrame)
		check(t, need, have, inA, inB)
	})
}

func BenchmarkTenMissingOfTenThousand(b *testing.B) {
	for _, c := range []struct {
		name  string
		onlyB func(int) bool
	}{
		{"recent", func(i int) bool { return i >= 9990 }},
		{"scattered", func(i int) bool { return i%1000 == 500 }},
	} {
		b.Run(c.name, func(b *testing.B) {
			x, y, _, _ := differ(10000, never, c.onlyB)
			var size, messages int
			for b.Loop() {
				_, _, size, messages = reconcile(b, x, y, 60<<10)
			}
			b.ReportMetric(float64(size), "wire-B")
			b.ReportMetric(float64(messages), "messages")
		})
	}
}

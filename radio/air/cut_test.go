package air

import (
	"encoding/binary"
	"testing"

	"drey/mesh"
)

// TestNumbers finds numbers at every edge of the search, and none beyond it.
func TestNumbers(t *testing.T) {
	f := theFinder()
	const first = reach / 2 // the first centre
	list := []int64{
		0, 1, 2, first, first + ends, first - ends, first + ends + 1, first + stride, first - stride, first + stride/2,
		first + giants*stride, first + giants*stride + ends, first - giants*stride, reach - 1, reach, reach + 1,
		reach + first, reach + first - 7, cutRange / 2, cutRange - 2, cutRange - 1,
	}
	for r := chance(3); len(list) < 60; {
		list = append(list, r.Int64N(cutRange))
	}
	for _, n := range list {
		if got, ok := f.number(times(n)); !ok || got != n {
			t.Errorf("%d is found as %d, %v", n, got, ok)
		}
	}
	for _, n := range []int64{cutRange, cutRange + 1, cutRange + ends, 1 << 40} {
		if got, ok := f.number(times(n)); ok {
			t.Errorf("%d is found as %d", n, got)
		}
	}
	for _, n := range []int64{1, 5, ends, stride} {
		p := times(n)
		p.Y.Negate(1).Normalize()
		if got, ok := f.number(p); ok {
			t.Errorf("%d is found as %d", -n, got)
		}
	}
}

// TestSteps finds every step of the table, and none beyond them.
func TestSteps(t *testing.T) {
	f := theFinder()
	for i, p := range multiples(times(1), ends+giants) {
		want := i + 1
		if want > ends {
			want = 0
		}
		if got := f.step(&p.x); got != want {
			t.Fatalf("step %d is found as %d", i+1, got)
		}
	}
}

// TestSignatureIsFound cuts signatures and finds them again, bit for bit; of
// another key, id or point there is none.
func TestSignatureIsFound(t *testing.T) {
	f := theFinder()
	for i := range 5 {
		e := say(t, i, 1, noon+mesh.Unix(i), "The bridge is closed", []string{"t", "alerts"})
		whole := e.Sig()
		cut := whole
		binary.BigEndian.PutUint32(cut[64-cutBytes:], uint32(i*77))
		if got, ok := f.signature(e.Author(), e.ID(), cut); !ok || got != whole {
			t.Errorf("%x is found as %x, %v", whole, got, ok)
		}
		wrong := cut
		wrong[i]++
		other := cut
		other[40]++
		id := e.ID()
		id[31]++
		for name, found := range map[string]func() (mesh.Signature, bool){
			"another point":  func() (mesh.Signature, bool) { return f.signature(e.Author(), e.ID(), wrong) },
			"another number": func() (mesh.Signature, bool) { return f.signature(e.Author(), e.ID(), other) },
			"another id":     func() (mesh.Signature, bool) { return f.signature(e.Author(), id, cut) },
			"another author": func() (mesh.Signature, bool) {
				return f.signature(keys()[(i+1)%20].PubKey(), e.ID(), cut)
			},
		} {
			if got, ok := found(); ok {
				t.Errorf("%s: found %x", name, got)
			}
		}
	}
}

// BenchmarkFind finds ends all over their range; none, the worst, where the
// signature does not hold. A check of a whole signature stands beside them.
func BenchmarkFind(b *testing.B) {
	f := theFinder()
	e := say(b, 1, 1, noon, "The bridge is closed")
	b.Run("end", func(b *testing.B) {
		r := chance(1)
		for b.Loop() {
			p := times(r.Int64N(cutRange))
			if _, ok := f.number(p); !ok {
				b.Fatal("not found")
			}
		}
	})
	b.Run("none", func(b *testing.B) {
		sig := e.Sig()
		sig[40]++
		for b.Loop() {
			if _, ok := f.signature(e.Author(), e.ID(), sig); ok {
				b.Fatal("found")
			}
		}
	})
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			if err := e.Verify(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkNewFinder(b *testing.B) {
	for b.Loop() {
		newFinder()
	}
}

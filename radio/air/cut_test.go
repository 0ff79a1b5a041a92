package air

import (
	"encoding/binary"
	"testing"

	"drey/mesh"

	"github.com/btcsuite/btcd/btcec/v2"
)

// TestNumbers finds numbers at every edge of the search, and none beyond it.
func TestNumbers(t *testing.T) {
	f := new(finder)
	f.prepare()
	r := chance(3)
	list := []int{0, 1, 2, ends - 1, ends, ends + 1, 2*ends - 1, 2 * ends, 2*ends + 1, 3 * ends, cutRange/2 - 1, cutRange / 2,
		cutRange/2 - 2*ends, cutRange/2 - ends, cutRange/2 + ends}
	for range 20 {
		list = append(list, r.IntN(cutRange/2))
	}
	for _, n := range list {
		for _, sign := range []int{1, -1} {
			var k btcec.ModNScalar
			k.SetInt(uint32(n))
			if sign < 0 {
				k.Negate()
			}
			var p btcec.JacobianPoint
			btcec.ScalarBaseMultNonConst(&k, &p)
			if got, ok := f.number(p); !ok || got != sign*n {
				t.Errorf("%d is found as %d, %v", sign*n, got, ok)
			}
		}
	}
	for _, n := range []uint32{cutRange/2 + ends + 1, cutRange, 1 << 31} {
		var p btcec.JacobianPoint
		btcec.ScalarBaseMultNonConst(new(btcec.ModNScalar).SetInt(n), &p)
		if got, ok := f.number(p); ok {
			t.Errorf("%d is found as %d", n, got)
		}
	}
}

// TestSignatureIsFound cuts signatures and finds them again, bit for bit; of
// another key, id or point there is none.
func TestSignatureIsFound(t *testing.T) {
	f := new(finder)
	for i := range 20 {
		e := say(t, i, 1, noon+mesh.Unix(i), "The bridge is closed", []string{"t", "alerts"})
		whole := e.Sig()
		cut := whole
		binary.BigEndian.PutUint16(cut[62:], uint16(i*77))
		cut[61] = byte(i)
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

func BenchmarkFindSignature(b *testing.B) {
	f := new(finder)
	e := say(b, 1, 1, noon, "The bridge is closed")
	f.once.Do(f.prepare)
	for b.Loop() {
		if _, ok := f.signature(e.Author(), e.ID(), e.Sig()); !ok {
			b.Fatal("not found")
		}
	}
}

func BenchmarkFinderPrepare(b *testing.B) {
	for b.Loop() {
		new(finder).prepare()
	}
}

package air

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"drey/mesh"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
)

// A signature (BIP-340) is a point R and a number s with sG = R + eP, where e
// follows from R, the author's key P and the event's id. Whoever knows all but
// the last bytes of s can find them: what is left of s, times G, is a point
// that can be worked out, and of few numbers one looks which it is. So the
// last cutBytes of s are not sent, and the whole signature is found again, the
// same bits, at the price of some forty signature checks. A signature that
// does not hold has no such number.
//
// The search is Shanks' (baby steps, giant steps), to both sides: the number is
// centre + stride·k ± j, with j up to ends, k up to giants to either side, and
// one centre after the other.
const (
	cutBytes = 4
	cutRange = 1 << (8 * cutBytes)
	ends     = 1 << 16
	stride   = 2*ends + 1
	giants   = 1 << 10
	reach    = (2*giants + 1) * stride // of one centre
)

// A slot of the table of baby steps is a part of the x of jG, and j; 0 where
// there is none. The table is twice as long as the steps.
const (
	stepBits  = 17
	stepMask  = 1<<stepBits - 1
	slotShift = 64 - stepBits
)

// An affine is a point that is not the infinite one; both are normalized.
type affine struct{ x, y btcec.FieldVal }

// A finder finds what was cut off signatures, by tables of 1.1 MB. It is
// immutable once it is made.
type finder struct {
	near []uint64 // by the first bits of x, or behind
	far  []affine // stride·k·G, k from 1
}

// theFinder is the same for all; it is made when it is first asked for.
var theFinder = sync.OnceValue(newFinder)

// lookup is how a point is looked up: 8 bytes of x, which is normalized.
func lookup(x *btcec.FieldVal) uint64 {
	var b [32]byte
	x.PutBytesUnchecked(b[:])
	return binary.BigEndian.Uint64(b[24:])
}

// times returns nG.
func times(n int64) (p btcec.JacobianPoint) {
	var k btcec.ModNScalar
	b := [32]byte{}
	binary.BigEndian.PutUint64(b[24:], uint64(n))
	k.SetBytes(&b)
	btcec.ScalarBaseMultNonConst(&k, &p)
	return p
}

// multiples returns the first n multiples of a point.
func multiples(p btcec.JacobianPoint, n int) []affine {
	list := make([]btcec.JacobianPoint, n)
	list[0] = p
	for i := range n - 1 {
		btcec.AddNonConst(&list[i], &p, &list[i+1])
	}
	z := make([]btcec.FieldVal, n)
	for i := range list {
		z[i] = list[i].Z
	}
	invert(z, make([]btcec.FieldVal, n))
	points := make([]affine, n)
	for i := range list {
		var square btcec.FieldVal
		square.SquareVal(&z[i])
		points[i].x.Mul2(&list[i].X, &square).Normalize()
		points[i].y.Mul2(&list[i].Y, square.Mul(&z[i])).Normalize()
	}
	return points
}

// invert inverts all at the price of one inversion (Montgomery). None may be
// zero; before is room for as many.
func invert(list, before []btcec.FieldVal) {
	var all btcec.FieldVal
	all.SetInt(1)
	for i := range list {
		before[i] = all
		all.Mul(&list[i])
	}
	all.Inverse()
	for i := len(list) - 1; i >= 0; i-- {
		own := list[i]
		list[i].Mul2(&all, &before[i])
		all.Mul(&own)
	}
}

// A walker goes around points in equal steps.
type walker struct {
	steps         []affine // the multiples of the step
	apart, before []btcec.FieldVal
}

func newWalker(steps []affine) *walker {
	return &walker{steps, make([]btcec.FieldVal, len(steps)), make([]btcec.FieldVal, len(steps))}
}

// around calls visit with the x of c + k steps, k to either side but for 0,
// until it returns false. Where c + k steps is the infinite point, it visits
// that alone, with no x.
func (w *walker) around(c *affine, visit func(k int, x *btcec.FieldVal) bool) {
	var minusX, minusY btcec.FieldVal
	minusX.NegateVal(&c.x, 1).Normalize()
	minusY.NegateVal(&c.y, 1).Normalize()
	for i := range w.steps {
		w.apart[i].Add2(&w.steps[i].x, &minusX).Normalize()
		if !w.apart[i].IsZero() {
			continue
		}
		k := i + 1
		if w.steps[i].y.Equals(&c.y) {
			k = -k
		}
		visit(k, nil)
		return
	}
	invert(w.apart, w.before)
	for i := range w.steps {
		var minusBoth btcec.FieldVal
		minusBoth.NegateVal(&w.steps[i].x, 1).Add(&minusX)
		for _, sign := range [...]int{1, -1} {
			var slope, x btcec.FieldVal
			if slope = w.steps[i].y; sign < 0 {
				slope.Negate(1)
			}
			slope.Add(&minusY).Mul(&w.apart[i])
			x.SquareVal(&slope).Add(&minusBoth).Normalize()
			if !visit(sign*(i+1), &x) {
				return
			}
		}
	}
}

func newFinder() *finder {
	f := &finder{near: make([]uint64, 2*ends), far: multiples(times(stride), giants)}
	g := times(1)
	w := newWalker(multiples(g, giants))
	for i := range w.steps {
		f.note(i+1, &w.steps[i].x)
	}
	for at := 2*giants + 1; at-giants <= ends; at += 2*giants + 1 {
		c := times(int64(at))
		c.ToAffine()
		f.note(at, &c.X)
		w.around(&affine{c.X, c.Y}, func(k int, x *btcec.FieldVal) bool {
			f.note(at+k, x)
			return true
		})
	}
	return f
}

// note writes down the x of jG, where j is no more than ends.
func (f *finder) note(j int, x *btcec.FieldVal) {
	if j > ends {
		return
	}
	k := lookup(x)
	at := k >> slotShift
	for f.near[at] != 0 {
		at = (at + 1) % uint64(len(f.near))
	}
	f.near[at] = k&^stepMask | uint64(j)
}

// step returns the j of which x seems to be, 0 where there is none.
func (f *finder) step(x *btcec.FieldVal) int {
	k := lookup(x)
	for at := k >> slotShift; f.near[at] != 0; at = (at + 1) % uint64(len(f.near)) {
		if f.near[at]&^stepMask == k&^stepMask {
			return int(f.near[at] & stepMask)
		}
	}
	return 0
}

// signature returns the whole signature by the author of the id, whose last
// cutBytes of sig do not count, and whether there is one that holds.
func (f *finder) signature(author mesh.PubKey, id mesh.EventID, sig mesh.Signature) (mesh.Signature, bool) {
	rest, ok := remainder(author, id, sig)
	if !ok {
		return sig, false
	}
	n, ok := f.number(rest)
	if !ok {
		return sig, false
	}
	for i := range cutBytes {
		sig[len(sig)-1-i] = byte(n >> (8 * i))
	}
	return sig, true
}

// remainder returns R + eP − sG for an s without its end.
func remainder(author mesh.PubKey, id mesh.EventID, sig mesh.Signature) (p btcec.JacobianPoint, ok bool) {
	key, err := schnorr.ParsePubKey(author[:])
	if err != nil {
		return p, false
	}
	var r btcec.JacobianPoint
	if overflow := r.X.SetByteSlice(sig[:32]); overflow || !btcec.DecompressY(&r.X, false, &r.Y) {
		return p, false
	}
	r.Y.Normalize()
	r.Z.SetInt(1)
	var s, e btcec.ModNScalar
	whole := [32]byte(sig[32:])
	clear(whole[32-cutBytes:])
	if s.SetBytes(&whole) != 0 {
		return p, false
	}
	s.Negate()
	tag := sha256.Sum256([]byte("BIP0340/challenge"))
	h := sha256.New()
	for _, part := range [][]byte{tag[:], tag[:], sig[:32], author[:], id[:]} {
		h.Write(part)
	}
	e.SetByteSlice(h.Sum(nil))
	var point, eP, sG, sum btcec.JacobianPoint
	key.AsJacobian(&point)
	btcec.ScalarMultNonConst(&e, &point, &eP)
	btcec.ScalarBaseMultNonConst(&s, &sG)
	btcec.AddNonConst(&r, &eP, &sum)
	btcec.AddNonConst(&sum, &sG, &p)
	return p, true
}

// number returns the n of p = nG, from 0 to cutRange − 1, if there is one.
func (f *finder) number(p btcec.JacobianPoint) (n int64, ok bool) {
	w := newWalker(f.far)
	for centre := int64(reach / 2); centre < cutRange+reach/2; centre += reach {
		less, from := times(centre), btcec.JacobianPoint{} // p less the centre
		less.Y.Negate(1).Normalize()
		btcec.AddNonConst(&p, &less, &from)
		if from.Z.IsZero() {
			return centre, centre < cutRange
		}
		from.ToAffine()
		// missed reports whether p is not k strides less than the centre and a
		// step, of which x tells, to either side.
		missed := func(k int, x *btcec.FieldVal) bool {
			j := 0
			if x != nil {
				if j = f.step(x); j == 0 {
					return true
				}
			}
			for _, j := range [...]int{j, -j} {
				n = centre - int64(k)*stride + int64(j)
				if q := times(max(n, 0)); n >= 0 && n < cutRange && p.EquivalentNonConst(&q) {
					ok = true
					return false
				}
			}
			return true
		}
		if missed(0, &from.X) {
			w.around(&affine{from.X, from.Y}, missed)
		}
		if ok {
			return n, true
		}
	}
	return 0, false
}

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
// same bits, at about the price of two signature checks. A signature that
// does not hold has no such number.
//
// The search is Shanks' (baby steps, giant steps), to both sides: the number
// less half its range is 2·ends·k ± j, with j up to ends and k up to giants to
// either side.
const (
	cutBytes = 3
	cutRange = 1 << (8 * cutBytes)
	ends     = 1 << 13
	giants   = cutRange / 2 / (2 * ends)
)

// An affine is a point that is not the infinite one; both are normalized.
type affine struct{ x, y btcec.FieldVal }

// A finder finds what was cut off signatures. The zero finder is ready; it
// makes its tables, some 300 kB, when it is first used. It is safe for
// concurrent use.
type finder struct {
	once sync.Once
	near map[uint64]int16 // j by the x of jG; −j where its y is odd
	far  []affine         // 2·ends·k·G, k from 1
}

// key is how a point is looked up: 8 bytes of x, which is normalized.
func (p *affine) key() uint64 {
	b := p.x.Bytes()
	return binary.BigEndian.Uint64(b[24:])
}

// multiples returns the first n multiples of a point.
func multiples(p btcec.JacobianPoint, n int) []affine {
	list := make([]btcec.JacobianPoint, n)
	for i := range list {
		if i == 0 {
			list[0] = p
			continue
		}
		btcec.AddNonConst(&list[i-1], &p, &list[i])
	}
	z := make([]btcec.FieldVal, n)
	for i := range list {
		z[i] = list[i].Z
	}
	invert(z)
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
// zero.
func invert(list []btcec.FieldVal) {
	before := make([]btcec.FieldVal, len(list))
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

func (f *finder) prepare() {
	f.near = make(map[uint64]int16, ends)
	var g, step btcec.JacobianPoint
	btcec.GeneratorJacobian(&g)
	for i, p := range multiples(g, ends) {
		j := int16(i + 1)
		if p.y.IsOdd() {
			j = -j
		}
		f.near[p.key()] = j
	}
	btcec.ScalarBaseMultNonConst(new(btcec.ModNScalar).SetInt(2*ends), &step)
	f.far = multiples(step, giants)
}

// signature returns the whole signature by the author of the id, whose last
// cutBytes of sig do not count, and whether there is one that holds.
func (f *finder) signature(author mesh.PubKey, id mesh.EventID, sig mesh.Signature) (mesh.Signature, bool) {
	f.once.Do(f.prepare)
	rest, ok := remainder(author, id, sig)
	if !ok {
		return sig, false
	}
	n, ok := f.number(rest)
	if n += cutRange / 2; !ok || n < 0 || n >= cutRange {
		return sig, false
	}
	for i := range cutBytes {
		sig[len(sig)-1-i] = byte(n >> (8 * i))
	}
	return sig, true
}

// remainder returns R + eP − (s + cutRange/2)G for an s without its end.
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
	var s, half, e btcec.ModNScalar
	whole := [32]byte(sig[32:])
	clear(whole[32-cutBytes:])
	if s.SetBytes(&whole) != 0 {
		return p, false
	}
	s.Add(half.SetInt(cutRange / 2)).Negate()
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

// number returns the n of p = nG, from −cutRange/2 to cutRange/2, if there is
// one.
func (f *finder) number(p btcec.JacobianPoint) (n int, ok bool) {
	if p.Z.IsZero() || p.X.IsZero() && p.Y.IsZero() {
		return 0, true
	}
	p.ToAffine()
	at := affine{p.X, p.Y}
	if j, ok := f.small(&at); ok {
		return j, true
	}
	var minusX, minusY btcec.FieldVal
	minusX.NegateVal(&at.x, 1).Normalize()
	minusY.NegateVal(&at.y, 1).Normalize()
	apart := make([]btcec.FieldVal, len(f.far)) // x of the giant less ours
	for i := range f.far {
		apart[i].Add2(&f.far[i].x, &minusX).Normalize()
		if apart[i].IsZero() {
			if f.far[i].y.Equals(&at.y) {
				return 2 * ends * (i + 1), true
			}
			return -2 * ends * (i + 1), true
		}
	}
	invert(apart)
	for i := range f.far {
		for _, sign := range [...]int{1, -1} { // p less the giant, and p and the giant
			var slope, q btcec.FieldVal
			if slope = f.far[i].y; sign > 0 {
				slope.Negate(1)
			}
			slope.Add(&minusY).Mul(&apart[i])
			q.SquareVal(&slope).Add(&minusX).Add(new(btcec.FieldVal).NegateVal(&f.far[i].x, 1)).Normalize()
			sum := affine{x: q}
			if _, ok := f.near[sum.key()]; !ok {
				continue
			}
			q.Negate(1).Add(&at.x)
			sum.y.Mul2(&slope, &q).Add(&minusY).Normalize()
			if j, ok := f.small(&sum); ok {
				return sign*2*ends*(i+1) + j, true
			}
		}
	}
	return 0, false
}

// small returns the j of p = jG, from −ends to ends.
func (f *finder) small(p *affine) (j int, ok bool) {
	n, ok := f.near[p.key()]
	if j = int(n); j < 0 {
		j = -j
	}
	if p.y.IsOdd() != (n < 0) {
		j = -j
	}
	return j, ok
}

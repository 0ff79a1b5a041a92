package schnorr

import "github.com/btcsuite/btcd/btcec/v2"

const (
	teeth   = 6
	spacing = (256 + teeth - 1) / teeth
)

// A comb multiplies one point P by numbers. Entry n is the sum of
// 2^(spacing·j)·P over the bits j of n; entry 0 is not used.
type comb [1 << teeth]affine

type affine struct{ x, y btcec.FieldVal }

func newComb(p *btcec.JacobianPoint) *comb {
	var all [1 << teeth]btcec.JacobianPoint
	all[1].Set(p)
	for n := 2; n < len(all); n++ {
		low := n & -n
		if n != low {
			btcec.AddNonConst(&all[low], &all[n^low], &all[n])
			continue
		}
		all[n].Set(&all[n/2])
		for range spacing {
			btcec.DoubleNonConst(&all[n], &all[n])
		}
	}
	t := new(comb)
	affineOf(all[1:], t[1:], true)
	return t
}

// affineOf brings points to one Z, which it returns. With divide that is 1, for
// one inversion: 1/Z of each follows from 1/(Z·Z·…). Without, it is Z·Z·…, and the
// points are affine on the curve y² = x³ + 7·z⁶: sums are the same there, and z
// times their Z brings them back.
func affineOf(all []btcec.JacobianPoint, to []affine, divide bool) (z btcec.FieldVal) {
	var before [1 << teeth]btcec.FieldVal // product of the Z of smaller entries
	z.SetInt(1)
	for n := range all {
		before[n].Set(&z)
		z.Mul(&all[n].Z)
	}
	var rest btcec.FieldVal
	rest.SetInt(1)
	if divide {
		rest.Set(z.Inverse())
		z.SetInt(1)
	}
	for n := len(all) - 1; n >= 0; n-- {
		var f, ff btcec.FieldVal // z/Z
		f.Mul2(&rest, &before[n])
		rest.Mul(&all[n].Z)
		ff.SquareVal(&f)
		to[n].x.Mul2(&all[n].X, &ff).Normalize()
		to[n].y.Mul2(&all[n].Y, ff.Mul(&f)).Normalize()
	}
	return z
}

// multiply sets kP to k times the point.
func (t *comb) multiply(k *btcec.ModNScalar, kP *btcec.JacobianPoint) {
	digits := k.Bytes() // big endian
	*kP = btcec.JacobianPoint{}
	var p btcec.JacobianPoint
	p.Z.SetInt(1)
	for column := spacing - 1; column >= 0; column-- {
		btcec.DoubleNonConst(kP, kP)
		n := 0
		for j := range teeth {
			if i := column + j*spacing; i < 256 {
				n |= int(digits[31-i/8]>>(i%8)&1) << j
			}
		}
		if n != 0 {
			p.X, p.Y = t[n].x, t[n].y
			btcec.AddNonConst(kP, &p, kP)
		}
	}
}

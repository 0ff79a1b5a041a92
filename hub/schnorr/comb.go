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
	return affineOf(&all)
}

// affineOf divides by Z, with one inversion for all: 1/Z of each follows from
// 1/(Z·Z·…).
func affineOf(all *[1 << teeth]btcec.JacobianPoint) *comb {
	var before [1 << teeth]btcec.FieldVal // product of the Z of smaller entries
	var inverse btcec.FieldVal
	inverse.SetInt(1)
	for n := 1; n < len(all); n++ {
		before[n].Set(&inverse)
		inverse.Mul(&all[n].Z)
	}
	inverse.Inverse()
	t := new(comb)
	for n := len(all) - 1; n > 0; n-- {
		var z, zz btcec.FieldVal
		z.Mul2(&inverse, &before[n])
		inverse.Mul(&all[n].Z)
		zz.SquareVal(&z)
		t[n].x.Mul2(&all[n].X, &zz).Normalize()
		t[n].y.Mul2(&all[n].Y, zz.Mul(&z)).Normalize()
	}
	return t
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

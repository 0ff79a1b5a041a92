package air

import "math/bits"

// The field GF(2³²) with the polynomial x³² + x⁷ + x³ + x² + 1; bit i of an
// element is the coefficient of xⁱ. Addition is exclusive or.

// mul returns the product of two elements.
func mul(a, b uint32) uint32 {
	var table [16]uint64 // the multiples of a by the polynomials of four bits
	x := uint64(a)
	for i := 1; i < 16; i++ {
		low := bits.TrailingZeros8(uint8(i))
		table[i] = table[i&(i-1)] ^ x<<low
	}
	var r uint64
	for shift := 28; shift >= 0; shift -= 4 {
		r = r<<4 ^ table[b>>shift&15]
	}
	return reduce(r)
}

// square returns a²: its bits with zeros between them.
func square(a uint32) uint32 {
	x := uint64(a)
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = (x | x<<4) & 0x0f0f0f0f0f0f0f0f
	x = (x | x<<2) & 0x3333333333333333
	x = (x | x<<1) & 0x5555555555555555
	return reduce(x)
}

// reduce brings a polynomial of degree 63 at most below degree 32.
func reduce(r uint64) uint32 {
	for range 2 { // the first leaves at most 7 bits above
		h := r >> 32
		r = r&0xffffffff ^ h ^ h<<2 ^ h<<3 ^ h<<7
	}
	return uint32(r)
}

// inverse returns 1/a for a other than 0: a to the power of 2³² − 2.
func inverse(a uint32) uint32 {
	r, s := uint32(1), a
	for range 31 {
		s = square(s)
		r = mul(r, s)
	}
	return r
}

// A poly is a polynomial over the field, the constant term first. Its last
// coefficient is not 0; the empty one is 0.
type poly []uint32

func (p poly) trim() poly {
	for len(p) > 0 && p[len(p)-1] == 0 {
		p = p[:len(p)-1]
	}
	return p
}

// monic divides p by its leading coefficient, in place.
func (p poly) monic() poly {
	if n := len(p); n > 0 && p[n-1] != 1 {
		f := inverse(p[n-1])
		for i := range p {
			p[i] = mul(p[i], f)
		}
	}
	return p
}

// divide divides a, in place, by a monic m: the quotient in new memory, the
// remainder in a's.
func (a poly) divide(m poly) (quotient, remainder poly) {
	d := len(m) - 1
	if len(a) <= d {
		return nil, a
	}
	quotient = make(poly, len(a)-d)
	for i := len(a) - 1; i >= d; i-- {
		f := a[i]
		quotient[i-d] = f
		if f == 0 {
			continue
		}
		for j := range m {
			a[i-d+j] ^= mul(f, m[j])
		}
	}
	return quotient, a[:d].trim()
}

// gcd returns the monic greatest common divisor of a and b; it uses their memory.
func gcd(a, b poly) poly {
	for len(b) > 0 {
		_, r := a.divide(b.monic())
		a, b = b, r
	}
	return a.monic()
}

// squareMod returns a² modulo a monic m, in new memory.
func (a poly) squareMod(m poly) poly {
	if len(a) == 0 {
		return nil
	}
	r := make(poly, 2*len(a)-1)
	for i, x := range a {
		r[2*i] = square(x)
	}
	_, r = r.divide(m)
	return r
}

// roots returns the roots of a monic p of degree ≥ 1, which must be all
// different and in the field; where they are not it reports false. It is
// Berlekamp's trace algorithm: the trace of βx parts the roots in two, and for
// any two roots some β of a basis parts them. So the work is bounded whatever
// p is: 32 squarings for each factor found, 32 traces for each root at most.
func (p poly) roots() ([]uint32, bool) {
	powers := p.powers()
	last := powers[31].squareMod(p) // x to the power of 2³², which is x in the field
	if len(p) == 2 {
		return []uint32{p[0]}, true
	}
	if len(last) != 2 || last[0] != 0 || last[1] != 1 {
		return nil, false
	}
	return p.split(powers, 0, nil), true
}

// powers returns x to the powers of 2⁰ to 2³¹ modulo p.
func (p poly) powers() []poly {
	powers := make([]poly, 32)
	_, powers[0] = poly{0, 1}.divide(p)
	for i := 1; i < 32; i++ {
		powers[i] = powers[i-1].squareMod(p)
	}
	return powers
}

// split appends p's roots; the traces of xᵇ for b below from do not part them.
func (p poly) split(powers []poly, from int, found []uint32) []uint32 {
	if len(p) == 2 {
		return append(found, p[0])
	}
	for b := from; b < 32; b++ {
		g := gcd(append(poly(nil), p...), trace(powers, 1<<b, len(p)-1))
		if len(g) < 2 || len(g) == len(p) {
			continue
		}
		rest, _ := append(poly(nil), p...).divide(g)
		found = g.split(g.powers(), b+1, found)
		return rest.split(rest.powers(), b+1, found)
	}
	return found // not reached: the roots are different
}

// trace returns the trace of βx, given the powers of x.
func trace(powers []poly, beta uint32, degree int) poly {
	t := make(poly, degree)
	for _, x := range powers {
		for i, c := range x {
			t[i] ^= mul(c, beta)
		}
		beta = square(beta)
	}
	return t.trim()
}

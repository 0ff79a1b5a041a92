package schnorr

import (
	"encoding/binary"
	"math/bits"

	"github.com/btcsuite/btcd/btcec/v2"
)

// The general way multiplies a key of which nothing else is known. λ times a
// point of this curve is (β·x, y), so a number of 256 bits is two of 128 that
// share their doublings (Gallant, Lambert, Vanstone, CRYPTO 2001). Each is
// written in odd digits from −15 to 15 with four zeros at least between them, so
// that 43 additions do where btcec makes about 86.
const (
	width  = 5                // bits of a digit
	odds   = 1 << (width - 2) // multiples in a table: 1, 3 … 15
	places = 129              // of a number of 128 bits, with what is carried
)

// A multiplier sets kP to k times a key.
type multiplier func(k *btcec.ModNScalar, kP *btcec.JacobianPoint)

// A general has what the general way needs of a key.
type general struct {
	p             btcec.JacobianPoint // the key; its Z is 1
	table, turned [odds]affine        // odd multiples of p and of λ·p, see affineOf
	z             btcec.FieldVal
}

func newGeneral(p *btcec.JacobianPoint) *general {
	g := &general{p: *p}
	var all [odds]btcec.JacobianPoint
	var twice btcec.JacobianPoint
	all[0].Set(p)
	btcec.DoubleNonConst(p, &twice)
	for n := 1; n < odds; n++ {
		btcec.AddNonConst(&all[n-1], &twice, &all[n])
	}
	g.z = affineOf(all[:], g.table[:], false)
	beta := betaVal()
	for n := range g.table {
		g.turned[n].x.Mul2(&g.table[n].x, &beta).Normalize()
		g.turned[n].y = g.table[n].y
	}
	return g
}

func (g *general) multiply(k *btcec.ModNScalar, kP *btcec.JacobianPoint) {
	a, b := split(k)
	var da, db [places]int8
	if !digits(&a, &da) || !digits(&b, &db) {
		btcec.ScalarMultNonConst(k, &g.p, kP) // no number is known that comes here
		return
	}
	*kP = btcec.JacobianPoint{}
	for i := places - 1; i >= 0; i-- {
		btcec.DoubleNonConst(kP, kP)
		addDigit(kP, &g.table, da[i])
		addDigit(kP, &g.turned, db[i])
	}
	kP.Z.Mul(&g.z).Normalize()
}

// addDigit adds d times the point of a table.
func addDigit(kP *btcec.JacobianPoint, t *[odds]affine, d int8) {
	if d == 0 {
		return
	}
	n := max(d, -d) / 2
	p := btcec.JacobianPoint{X: t[n].x, Y: t[n].y}
	p.Z.SetInt(1)
	if d < 0 {
		p.Y.Negate(1).Normalize()
	}
	btcec.AddNonConst(kP, &p, kP)
}

// split returns a and b with a + b·λ = k, each less than 2^128 or the group's
// order less such a number. The constants are those of libsecp256k1: the short
// vectors of the lattice, and what they are multiplied with to round k/n.
func split(k *btcec.ModNScalar) (a, b btcec.ModNScalar) {
	b1 := scalar(0, 0, 0xe4437ed6010e8828, 0x6f547fa90abfe4c3)
	b2 := scalar(0xffffffffffffffff, 0xfffffffffffffffe, 0x8a280ac50774346d, 0xd765cda83db1562c)
	lambda := scalar(0x5363ad4cc05c30e0, 0xa5261c028812645a, 0x122e22ea20816678, 0xdf02967c1b23bd72)
	n := k.Bytes()
	c1 := scaled(&n, [4]uint64{0xe893209a45dbb031, 0x3daa8a1471e8ca7f, 0xe86c90e49284eb15, 0x3086d221a7d46bcd})
	c2 := scaled(&n, [4]uint64{0x1571b4ae8ac47f71, 0x221208ac9df506c6, 0x6f547fa90abfe4c4, 0xe4437ed6010e8828})
	b.Add2(c1.Mul(&b1), c2.Mul(&b2))
	a.Mul2(&b, &lambda).Negate().Add(k)
	return a, b
}

// scaled returns k·g/2^384, rounded. The words of g begin with the lowest.
func scaled(k *[32]byte, g [4]uint64) *btcec.ModNScalar {
	var p [8]uint64
	for i := range g {
		n := binary.BigEndian.Uint64(k[24-8*i:])
		var high, c uint64
		for j, y := range g {
			carry := high
			var low uint64
			high, low = bits.Mul64(n, y)
			low, c = bits.Add64(low, p[i+j], 0)
			high += c
			p[i+j], c = bits.Add64(low, carry, 0)
			high += c
		}
		p[i+4] = high
	}
	low, c := bits.Add64(p[6], p[5]>>63, 0)
	s := scalar(0, 0, p[7]+c, low)
	return &s
}

// scalar makes a number of four words, the highest first.
func scalar(w ...uint64) (s btcec.ModNScalar) {
	var b [32]byte
	for i, x := range w {
		binary.BigEndian.PutUint64(b[8*i:], x)
	}
	s.SetBytes(&b)
	return s
}

func betaVal() (f btcec.FieldVal) {
	var b [32]byte
	for i, x := range [4]uint64{0x7ae96a2b657c0710, 0x6e64479eac3434e9, 0x9cf0497512f58995, 0xc1396c28719501ee} {
		binary.BigEndian.PutUint64(b[8*i:], x)
	}
	f.SetBytes(&b)
	return f
}

// digits writes n, or its negative if that is the shorter, in digits. It reports
// false where that has more than 128 bits.
func digits(n *btcec.ModNScalar, d *[places]int8) bool {
	s := *n
	minus := s.IsOverHalfOrder()
	if minus {
		s.Negate()
	}
	b := s.Bytes()
	if binary.BigEndian.Uint64(b[:])|binary.BigEndian.Uint64(b[8:]) != 0 {
		return false
	}
	high, low := binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint64(b[24:])
	carry := 0
	for i := 0; i < places; {
		word := int(low >> i) // no shift is too far in Go
		if i >= 64 {
			word = int(high >> (i - 64))
		} else {
			word |= int(high << (64 - i))
		}
		if word&1 == carry {
			i++
			continue
		}
		digit := word&(1<<width-1) + carry
		carry = digit >> (width - 1) & 1
		digit -= carry << width
		if minus {
			digit = -digit
		}
		d[i] = int8(digit)
		i += width
	}
	return true
}

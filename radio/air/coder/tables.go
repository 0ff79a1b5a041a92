package coder

import "math/bits"

// Probabilities are 16 bits: p/65536 that the next bit is 1, never 0 or 65536.
// Models are mixed in the logistic domain, where a probability is
// stretch(p) = ln(p/(1-p)) in units of 1/256, between -maxStretch and
// maxStretch. All tables come from integer arithmetic, so that every processor
// computes the same ones.
const maxStretch = 2815 // 11.0: p = 65535 would be 2839

// stepDown is e^(-1/256) in units of 2^-64, rounded down.
const stepDown = 0xff007fd55ffdde38

// tables are what all models share. They never change.
type tables struct {
	squashes  [2*maxStretch + 1]uint16 // by stretched value + maxStretch
	stretches [4096]int16              // by p>>4
	shares    [256]int32               // by n: 1/(n+1.5) in units of 2^-14
	histories
}

func newTables() *tables {
	t := &tables{histories: newHistories()}
	e := uint64(1) << 62 // e^(-i/256) in units of 2^-62
	for i := 0; i <= maxStretch; i++ {
		q, _ := bits.Div64(1<<14, 0, 1<<62+e) // 65536 / (1 + e^(-i/256))
		t.squashes[maxStretch+i] = uint16(q)
		t.squashes[maxStretch-i] = uint16(65536 - q)
		e, _ = bits.Mul64(e, stepDown)
	}
	x := 0 // the first whose squash reaches the middle of p's step of 16
	for i := range t.stretches {
		for x < 2*maxStretch && int(t.squashes[x]) < i<<4|8 {
			x++
		}
		t.stretches[i] = int16(x - maxStretch)
	}
	for n := range t.shares {
		t.shares[n] = int32((1 << 15) / (2*n + 3))
	}
	return t
}

// squash is the probability of a stretched value of any size.
func (t *tables) squash(x int32) int32 {
	return int32(t.squashes[clamp(x)+maxStretch])
}

// stretch is the stretched value of a probability.
func (t *tables) stretch(p uint16) int32 { return int32(t.stretches[p>>4]) }

func clamp(x int32) int32 { return max(-maxStretch, min(maxStretch, x)) }

// A guess is a probability and how often it was corrected: the first
// corrections go far, later ones less and less.
type guess struct{ p, n uint16 }

// learn corrects g; limit, at most 255, bounds how slow it gets.
func (t *tables) learn(g *guess, bit int, limit uint16) {
	g.p = t.nearer(g.p, bit, int(g.n))
	if g.n < limit {
		g.n++
	}
}

// nearer moves p by 1/(n+1.5) of the way to bit.
func (t *tables) nearer(p uint16, bit, n int) uint16 {
	d := (int32(bit)*65535 - int32(p)) * t.shares[n] >> 14
	return uint16(max(32, min(65535-32, int32(p)+d)))
}

// scramble turns two words into one.
func scramble(a, b uint32) uint32 {
	h := a*0x9e3779b1 ^ b*0x85ebca6b
	h ^= h >> 15
	h *= 0xc2b2ae35
	return h ^ h>>13
}

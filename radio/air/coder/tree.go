package coder

// A tree decides a symbol by yes-no questions, about as many as the symbol has
// bits of surprise in the prime: each question cuts the symbols that are left,
// in the alphabet's order, where the prime's counts are halved best.
type tree struct {
	cut  [256]uint16    // by node: the first symbol of the upper half
	next [256][2]uint16 // by node and answer: a node, or leaf + the symbol
}

const leaf = 256

func newTree(weights []uint32) *tree {
	t := new(tree)
	sums := make([]uint64, len(weights)+1)
	for i, w := range weights {
		sums[i+1] = sums[i] + uint64(w)
	}
	nodes := uint16(1)
	var grow func(from, to int) uint16
	grow = func(from, to int) uint16 {
		if to-from == 1 {
			return leaf + uint16(from)
		}
		n := nodes
		nodes++
		best, cut := ^uint64(0), from+1
		for c := from + 1; c < to; c++ {
			low, high := sums[c]-sums[from], sums[to]-sums[c]
			if d := max(low, high) - min(low, high); d < best {
				best, cut = d, c
			}
		}
		t.cut[n] = uint16(cut)
		t.next[n] = [2]uint16{grow(from, cut), grow(cut, to)}
		return n
	}
	grow(0, len(weights))
	return t
}

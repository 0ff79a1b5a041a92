package coder

import "math/bits"

// A history is what a context has seen of one decision, in a byte: how many
// zeros, how many ones, and which came last. Long counts are capped, and each
// bit takes away most of a long count of its opposite, so that a history
// follows what changes. 0 has seen nothing.
type history = uint8

// limits[m] is the largest count beside a smaller one of m.
var limits = [...]int{30, 16, 8, 5, 4}

// histories says where each history goes and how much it has seen.
type histories struct {
	next [256][2]history
	seen [256]uint8  // bits counted
	ones [256]uint16 // the first guess at the probability of a one
}

type counts struct{ n0, n1, last int }

func (c counts) allowed() bool {
	least := min(c.n0, c.n1)
	return least < len(limits) && max(c.n0, c.n1) <= limits[least]
}

// after is c when one more bit has been seen.
func (c counts) after(bit int) counts {
	same, other := c.n0, c.n1
	if bit == 1 {
		same, other = other, same
	}
	same++
	if other > 2 {
		other = bits.Len(uint(other))
	}
	for {
		next := counts{same, other, bit}
		if bit == 1 {
			next.n0, next.n1 = other, same
		}
		if next.allowed() {
			return next
		}
		if same > other {
			same--
		} else {
			other--
		}
	}
}

func newHistories() (h histories) {
	known := map[counts]history{{}: 0}
	queue := []counts{{}}
	for len(queue) > 0 { // breadth first: the numbers never depend on the map
		c := queue[0]
		queue = queue[1:]
		s := known[c]
		h.seen[s] = uint8(c.n0 + c.n1)
		h.ones[s] = uint16(65536 * (2*c.n1 + 1) / (2*(c.n0+c.n1) + 2))
		for bit := range 2 {
			to := c.after(bit)
			n, ok := known[to]
			if !ok {
				n = history(len(known))
				known[to] = n
				queue = append(queue, to)
			}
			h.next[s][bit] = n
		}
	}
	return h
}

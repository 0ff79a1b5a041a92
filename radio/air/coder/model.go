package coder

// How many models are mixed, and how.
const (
	orders = 10           // contexts whose cells are kept
	inputs = 2*orders + 3 // two of each cell, two of the match, one constant
	steps  = 33           // of a refinement
)

// tableBits are the sizes of the contexts' tables.
var tableBits = [orders]uint{15, 16, 17, 18, 18, 18, 17, 18, 17, 16}

// A cell is what one context has seen of one decision.
type cell struct {
	p     uint16
	h     history
	check uint8 // of the context: another one's cell is not believed
}

// A mixer's weights for one situation, in units of 1/65536.
type weights [inputs]int32

// learnt is everything a text may change, beside cells. It is small enough to
// be copied back after each text.
type learnt struct {
	meaning [orders][256]guess // of a history
	byNode  [256]weights
	byShape [256]weights
	byFound [54]weights
	final   [256][3]int32
	refine  [256][steps]uint16
	refine2 [1024][steps]uint16
	matches [25]guess // by length: that the expected symbol comes
	caps    flags
	ends    flags
	escapes [4096]guess
}

// An undone cell goes back to what it was.
type undone struct {
	at  uint32 // order<<24 | slot
	was cell
}

// A model predicts one language's texts, bit by bit. It is primed once; after
// each text, rollback forgets it.
type model struct {
	*tables
	*alphabet
	tree    *tree
	cells   [orders][]cell
	learnt          // of the prime and the text so far
	primed  *learnt // of the prime
	heads   []int32 // by hash of five symbols: where in text they last ended
	text    []symbol
	length  int // of the prime in text
	journal []undone
	priming bool
	rate    int64 // of the mixers

	context
	decision
}

// A decision is what predict found and update needs.
type decision struct {
	node    int
	in      weights
	slots   [orders]uint32
	checks  [orders]uint8
	fresh   [orders]bool // the context was never here
	sets    [3]*weights
	outs    [3]int32
	mixed   int32 // probability before refinement
	p       int32
	near    int // the nearer step of the refinements
	refined [2]*[steps]uint16
	right   int // the bit that the match expects, or -1
}

func newModel(t *tables, a *alphabet, tr *tree) *model {
	m := &model{tables: t, alphabet: a, tree: tr, heads: make([]int32, 1<<14), journal: make([]undone, 0, adaptive*orders)}
	for i := range m.cells {
		m.cells[i] = make([]cell, 1<<tableBits[i])
	}
	for i := range m.meaning {
		for h := range m.meaning[i] {
			m.meaning[i][h].p = m.ones[h]
		}
	}
	for _, set := range [][]weights{m.byNode[:], m.byShape[:], m.byFound[:]} {
		for i := range set {
			for k := range set[i] {
				set[i][k] = 65536 * 15 / 100
			}
		}
	}
	for i := range m.final {
		m.final[i] = [3]int32{65536 / 3, 65536 / 3, 65536 / 3}
	}
	for i := range steps {
		p := uint16(m.squash(int32(i-steps/2) * 176))
		for k := range m.refine {
			m.refine[k][i] = p
		}
		for k := range m.refine2 {
			m.refine2[k][i] = p
		}
	}
	for i := range m.matches {
		m.matches[i].p = 60000
	}
	m.caps.init()
	m.ends.init()
	for i := range m.escapes {
		m.escapes[i].p = 1 << 15
	}
	m.begin()
	return m
}

// predict returns the probability that the answer at a node of the tree is 1.
func (m *model) predict(node int) int32 {
	m.node = node
	// All slots first: their cells come from memory side by side.
	var pairs [orders][2]cell
	for i := range orders {
		x := (m.hashes[i] + uint32(node)) * 0x9e3779b1
		x ^= x >> 14
		x *= 0x2c1b3c6d
		slot := x >> (32 - tableBits[i])
		m.slots[i], m.checks[i] = slot, uint8(x)
		t := m.cells[i]
		pairs[i] = [2]cell{t[slot], t[slot^1]}
	}
	found := 0
	for i := range orders {
		c, check := pairs[i][0], m.checks[i]
		if c.h == 0 || c.check != check {
			// The neighbour, or the less known of the two to write over.
			d := pairs[i][1]
			if d.h != 0 && d.check == check || c.h != 0 && m.seen[d.h] < m.seen[c.h] {
				c = d
				m.slots[i] ^= 1
			}
		}
		m.fresh[i] = c.h == 0 || c.check != check
		if m.fresh[i] {
			m.in[2*i], m.in[2*i+1] = 0, 0
			continue
		}
		found |= 1 << i
		m.in[2*i] = m.stretch(m.meaning[i][c.h].p)
		m.in[2*i+1] = m.stretch(c.p) >> 1
	}
	m.in[2*orders], m.in[2*orders+1], m.in[2*orders+2] = 256, 0, 0
	m.right = -1
	if m.expects >= 0 {
		sign := int32(-1)
		m.right = 0
		if m.expects >= int(m.tree.cut[node]) {
			sign, m.right = 1, 1
		}
		m.in[2*orders+1] = sign * m.stretch(m.matches[m.matched].p)
		m.in[2*orders+2] = sign * int32(m.matched) * 16
	}
	return m.mix(node, found)
}

// mix weighs the inputs in three ways, weighs the three, and refines.
func (m *model) mix(node, found int) int32 {
	m.sets = [3]*weights{&m.byNode[node], &m.byShape[min(m.letters, 15)<<4|m.shapes>>4&15], &m.byFound[m.situation(found)]}
	final := &m.final[node]
	a, b, c := m.sets[0], m.sets[1], m.sets[2]
	var x, y, z int64
	for i, in := range m.in {
		if in != 0 {
			in := int64(in)
			x += in * int64(a[i])
			y += in * int64(b[i])
			z += in * int64(c[i])
		}
	}
	m.outs = [3]int32{clamp(int32(x >> 16)), clamp(int32(y >> 16)), clamp(int32(z >> 16))}
	var sum int64
	for k, o := range m.outs {
		sum += int64(o) * int64(final[k])
	}
	out := clamp(int32(sum >> 16))
	m.mixed = m.squash(out)

	at := (out + maxStretch) * ((steps - 1) * 64) / (2*maxStretch + 1)
	low, part := int(at>>6), at&63
	last2 := uint32(m.last[0]) | uint32(m.last[1])<<8
	m.refined = [2]*[steps]uint16{&m.refine[node], &m.refine2[scramble(last2, uint32(node))>>22]}
	p := 2*m.mixed + 2
	for _, r := range m.refined {
		p += (int32(r[low])*(64-part) + int32(r[low+1])*part) >> 6
	}
	m.near = low
	if part >= 32 {
		m.near++
	}
	m.p = max(24, min(65536-24, p>>2))
	return m.p
}

// situation tells how much is known here: the longest context found, whether
// the word is known, and the length of the match.
func (m *model) situation(found int) int {
	longest, word, match := 0, 0, 0
	for i := 1; i <= 5; i++ {
		if found>>i&1 == 1 {
			longest = i
		}
	}
	switch {
	case found>>7&1 == 1:
		word = 2
	case found>>6&1 == 1:
		word = 1
	}
	if m.right >= 0 {
		match = 1 + min(m.matched, 15)/8
	}
	return longest + 6*word + 18*match
}

// update teaches everything that took part in the last prediction.
func (m *model) update(bit int) {
	target := int32(bit) << 16
	a, b, c := m.sets[0], m.sets[1], m.sets[2]
	x := int64(target-m.squash(m.outs[0])) * m.rate
	y := int64(target-m.squash(m.outs[1])) * m.rate
	z := int64(target-m.squash(m.outs[2])) * m.rate
	for i, in := range m.in {
		if in != 0 {
			in := int64(in)
			a[i] += int32((in*x + 1<<19) >> 20)
			b[i] += int32((in*y + 1<<19) >> 20)
			c[i] += int32((in*z + 1<<19) >> 20)
		}
	}
	final := &m.final[m.node]
	err := int64(target-m.mixed) * 2
	for k, o := range m.outs {
		final[k] += int32((int64(o)*err + 1<<19) >> 20)
	}
	for _, r := range m.refined {
		r[m.near] = uint16(int32(r[m.near]) + (int32(bit)*65535-int32(r[m.near]))>>6)
	}
	if m.right >= 0 {
		hit := 0
		if m.right == bit {
			hit = 1
		} else {
			m.expects = -1
		}
		m.learn(&m.matches[m.matched], hit, 127)
	}
	if len(m.journal) == adaptive*orders {
		return
	}
	for i := range orders {
		c := &m.cells[i][m.slots[i]]
		if !m.priming {
			m.journal = append(m.journal, undone{uint32(i)<<24 | m.slots[i], *c})
		}
		if m.fresh[i] {
			*c = cell{uint16(m.p), 0, m.checks[i]}
		} else {
			m.learn(&m.meaning[i][c.h], bit, 127)
		}
		c.p = m.nearer(c.p, bit, int(m.seen[c.h]))
		c.h = m.next[c.h][bit]
	}
}

// adaptive is how many decisions of a text teach the cells, about 700
// characters: it bounds the journal.
const adaptive = 3200

// rollback forgets everything since the prime.
func (m *model) rollback() {
	for i := len(m.journal) - 1; i >= 0; i-- {
		u := m.journal[i]
		m.cells[u.at>>24][u.at&0xffffff] = u.was
	}
	m.journal = m.journal[:0]
	m.learnt = *m.primed
	m.text = m.text[:m.length]
	m.begin()
}

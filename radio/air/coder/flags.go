package coder

// Some decisions are asked apart from the tree, of four guesses each: is this
// letter a capital, and is the text over.
const flagInputs = 4

// flags hold what is known about one such question.
type flags struct {
	guesses [flagInputs][1024]guess
	mixers  [64][flagInputs]int32
}

func (f *flags) init() {
	for i := range f.guesses {
		for k := range f.guesses[i] {
			f.guesses[i][k].p = 1 << 15
		}
	}
	for i := range f.mixers {
		f.mixers[i] = [flagInputs]int32{26214, 26214, 26214, 26214} // 0.4
	}
}

// A question is what is known of the situation: what to mix by, and what to
// look guesses up by.
type question struct {
	set  uint32
	keys [flagInputs]uint32
}

// ask returns the probability of yes, pushed by bias in the stretched domain.
func (m *model) ask(f *flags, q *question, bias int32) int32 {
	var dot int64
	for i, k := range q.keys {
		if g := f.guesses[i][k&1023]; g.n > 0 {
			dot += int64(m.stretch(g.p)) * int64(f.mixers[q.set&63][i])
		}
	}
	return max(24, min(65536-24, m.squash(int32(dot>>16)+bias)))
}

// answer teaches what was asked without a bias.
func (m *model) answer(f *flags, q *question, bit int) {
	p := m.ask(f, q, 0)
	err := int64(int32(bit)<<16-p) * m.rate
	for i, k := range q.keys {
		g := &f.guesses[i][k&1023]
		if g.n > 0 {
			w := &f.mixers[q.set&63][i]
			*w += int32((int64(m.stretch(g.p))*err + 1<<19) >> 20)
		}
		m.learn(g, bit, 127)
	}
}

// asksCapital says whether the letter just passed could be a capital, and by
// what to guess it.
func (m *model) asksCapital() (q question, asks bool) {
	c := &m.context
	if m.upper[c.last[0]] == 0 {
		return q, false
	}
	place := uint32(6) // inside a word
	if c.letters == 1 {
		switch k := class(c.shapes >> 4 & 15); {
		case len(m.text) == c.begun+1:
			place = 0
		case k == classLine:
			place = 1
		case k == classSpace:
			place = 2
			switch m.char[c.last[2]] {
			case '.', '!', '?':
				place = 3
			case ',', ';', ':':
				place = 4
			}
		default:
			place = 5
		}
	}
	state := c.capital | place<<2
	if c.letters == 2 {
		state |= 7 << 2
	}
	q.set = state
	q.keys = [flagInputs]uint32{
		state,
		scramble(c.word, state) >> 8,
		scramble(uint32(c.last[0])|uint32(c.last[1])<<8|uint32(c.last[2])<<16, state) >> 8,
		scramble(scramble(c.prev, c.word), c.capital) >> 8,
	}
	return q, true
}

// passCapital notes whether the letter just passed is a capital.
func (m *model) passCapital(bit int) {
	if bit == 0 {
		m.capital = 0
		return
	}
	m.capital = min(m.capital+1, 3)
}

// asksEnd says by what to guess that the text is over.
func (m *model) asksEnd() question {
	c := &m.context
	k := c.shapes & 15
	o2 := uint32(c.last[0]) | uint32(c.last[1])<<8
	return question{
		set: k | min(c.words, 7)<<3,
		keys: [flagInputs]uint32{
			k | c.words<<3,
			scramble(o2, 1) >> 8,
			scramble(o2|uint32(c.last[2])<<16, uint32(c.last[3])) >> 8,
			scramble(c.word, c.prev) >> 8,
		},
	}
}

package coder

// A context is where in a text the model stands. Words are what is between
// spaces and signs; in Burmese, which writes none, they are syllables.
type context struct {
	last    [6]symbol // the latest first
	word    uint32    // hash of the word so far, or of the signs since the last one
	prev    uint32    // of the word before
	words   uint32    // begun in this text, at most 15
	letters uint32    // in this word, at most 15
	shapes  uint32    // classes of the latest symbols, four bits each
	capital uint32    // letters in capitals in a row, at most 3
	undo    [2]uint32 // word and prev without the last letter, where that began a syllable

	begun   int            // where in model.text the text begins
	hashes  [orders]uint32 // of the contexts
	matched int            // symbols that agree with an earlier place, at most 24
	match   int            // the place in model.text that follows there
	expects int            // the symbol there, -1 when nothing is expected
}

// begin stands before the first symbol of a text.
func (m *model) begin() {
	m.context = context{begun: len(m.text), expects: -1}
	m.look()
}

// step moves past a symbol and, where letters have them, its capital.
func (m *model) step(s symbol) {
	c := &m.context
	if c.matched > 0 {
		if m.text[c.match] == s {
			c.match++
			c.matched = min(c.matched+1, len(m.matches)-1)
		} else {
			c.matched = 0
		}
	}
	m.text = append(m.text, s)
	copy(c.last[1:], c.last[:])
	c.last[0] = s
	k := m.class[s]
	if k == classLine {
		c.last = [6]symbol{} // what follows a line feed is like a text of its own
	}
	c.shapes = c.shapes<<4 | uint32(k)
	switch part := m.syllable[s]; {
	case part == 1:
		c.undo = [2]uint32{c.word, c.prev}
		c.prev = c.word
		c.word, c.letters = scramble(uint32(s)+1, 77), 1
		c.words = min(c.words+1, 15)
	case part == 2 && m.syllable[c.last[1]] == 1:
		c.word, c.prev = c.undo[0], c.undo[1]
		c.word = scramble(c.word, scramble(uint32(c.last[1]), uint32(s)))
	case k == classLetter || k == classDigit && c.letters > 0:
		if c.letters == 0 {
			c.words = min(c.words+1, 15)
		}
		c.letters = min(c.letters+1, 15)
		c.word = scramble(c.word, uint32(s)+1)
	case c.letters > 0:
		c.prev, c.word, c.letters = c.word, uint32(s), 0
		if c.capital == 1 {
			c.capital = 0
		}
	default:
		c.word = scramble(c.word, uint32(s)+1)
	}
}

// look prepares the prediction of the next symbol.
func (m *model) look() {
	c := &m.context
	o2 := uint32(c.last[0]) | uint32(c.last[1])<<8
	o3 := o2 | uint32(c.last[2])<<16
	o4 := o3 | uint32(c.last[3])<<24
	c.hashes = [orders]uint32{
		scramble(o2&0xff|c.capital<<8, 2),
		scramble(o2, 3),
		scramble(o3, 4),
		scramble(o4, 5),
		scramble(o4, 6+uint32(c.last[4])),
		scramble(o4, 0x10000+uint32(c.last[4])+uint32(c.last[5])<<8),
		scramble(c.word, 7),
		scramble(c.word, c.prev+8),
		scramble(o3&0xff00ff, 11),
		scramble(c.shapes&0xffffff, 12),
	}
	m.findMatch()
}

// findMatch follows the text that came after the last five symbols when they
// were last met, in the prime.
func (m *model) findMatch() {
	const least = 4
	c := &m.context
	c.expects = -1
	n := len(m.text)
	if n-c.begun < 5 {
		return
	}
	t := m.text[n-5:]
	head := &m.heads[scramble(uint32(t[0])|uint32(t[1])<<8|uint32(t[2])<<16|uint32(t[3])<<24, uint32(t[4]))>>18]
	if c.matched == 0 {
		c.match = int(*head)
		for c.matched < len(m.matches)-1 && c.matched < c.match && m.text[c.match-1-c.matched] == m.text[n-1-c.matched] {
			c.matched++
		}
		if c.matched < least {
			c.matched = 0
		}
	}
	if m.priming {
		*head = int32(n)
	}
	if c.matched > 0 {
		c.expects = int(m.text[c.match])
	}
}

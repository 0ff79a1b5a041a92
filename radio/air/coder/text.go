package coder

import "unicode/utf8"

// endBias pushes the guess that a text is over: it is asked only where a
// stream is nearly used up.
const endBias = 768

// record passes a text through the model and returns what a stream of it must
// say, or false when the alphabet cannot write it. The model must be rolled
// back afterwards.
func (m *model) record(text []byte, to []coded) ([]coded, bool) {
	for len(text) > 0 {
		s, capital, n := m.split(text)
		if n == 0 {
			return to, false
		}
		to = m.put(s, to)
		if s == escape && !m.bytewise {
			to = m.putEscaped(text[:n], to)
		}
		text = text[n:]
		if q, asks := m.asksCapital(); asks {
			to = append(to, coded{uint16(m.ask(&m.caps, &q, 0)), uint8(capital)})
			m.answer(&m.caps, &q, capital)
			m.passCapital(capital)
		}
		m.look()
		q := m.asksEnd()
		if m.priming {
			over := 0
			if len(text) == 0 {
				over = 1
			}
			m.answer(&m.ends, &q, over)
			continue
		}
		to = append(to, coded{uint16(m.ask(&m.ends, &q, endBias)), mayEnd})
	}
	return to, true
}

// put codes a symbol.
func (m *model) put(s symbol, to []coded) []coded {
	for node := uint16(1); node < leaf; {
		bit := 0
		if uint16(s) >= m.tree.cut[node] {
			bit = 1
		}
		p := m.predict(int(node))
		to = append(to, coded{uint16(p), uint8(bit)})
		m.update(bit)
		node = m.tree.next[node][bit]
	}
	m.step(s)
	return to
}

// putEscaped codes the bytes of a character.
func (m *model) putEscaped(char []byte, to []coded) []coded {
	key := uint32(0)
	for _, b := range char {
		node := uint32(1)
		for k := 7; k >= 0; k-- {
			bit := int(b >> k & 1)
			g := m.escapedBit(key, node)
			to = append(to, coded{g.p, uint8(bit)})
			m.learn(g, bit, 60)
			node = node<<1 | uint32(bit)
		}
		key = scramble(key, uint32(b)+1)
	}
	return to
}

func (m *model) escapedBit(key, node uint32) *guess {
	return &m.escapes[scramble(key, node)>>20]
}

// symbolOf reads a symbol.
func (m *model) symbolOf(r *reader) symbol {
	node := uint16(1)
	for node < leaf {
		bit := r.read(m.predict(int(node)))
		m.update(bit)
		node = m.tree.next[node][bit]
	}
	s := symbol(node - leaf)
	m.step(s)
	return s
}

// appendEscaped reads a character's bytes; false when they are none.
func (m *model) appendEscaped(to []byte, r *reader) ([]byte, bool) {
	key, from := uint32(0), len(to)
	for !utf8.FullRune(to[from:]) {
		node := uint32(1)
		for node < 256 {
			g := m.escapedBit(key, node)
			bit := r.read(int32(g.p))
			m.learn(g, bit, 60)
			node = node<<1 | uint32(bit)
		}
		key = scramble(key, node&255+1)
		to = append(to, byte(node))
	}
	c, n := utf8.DecodeRune(to[from:])
	if c == utf8.RuneError && n == 1 {
		return to, false
	}
	_, known := m.symbols[c]
	_, capital := m.capitals[c]
	return to, !known && !capital
}

// replay reads a text of at most limit bytes. The model must be rolled back
// afterwards.
func (m *model) replay(r *reader, limit int) ([]byte, error) {
	var text []byte
	for {
		s := m.symbolOf(r)
		var ok bool
		if text, ok = m.appendChar(text, s, r); !ok || r.spent() {
			return nil, ErrCorrupt
		}
		if len(text) > limit {
			return nil, ErrTooLong
		}
		m.look()
		if !r.mayEnd() {
			continue
		}
		q := m.asksEnd()
		if r.read(m.ask(&m.ends, &q, endBias)) == 0 {
			continue
		}
		if !r.whole() {
			return nil, ErrCorrupt
		}
		return text, nil
	}
}

// appendChar appends what a symbol just read stands for, and reads the rest of
// it: the bytes of an escaped character, or whether a letter is a capital.
func (m *model) appendChar(text []byte, s symbol, r *reader) ([]byte, bool) {
	if m.bytewise && (s < firstCharacter || s > fromByte(firstCharacter-1) && s <= 'Z') || s == end {
		return text, false // nobody writes these
	}
	if !m.bytewise && s == escape {
		return m.appendEscaped(text, r)
	}
	c := m.char[s]
	if q, asks := m.asksCapital(); asks {
		bit := r.read(m.ask(&m.caps, &q, 0))
		m.answer(&m.caps, &q, bit)
		m.passCapital(bit)
		if bit == 1 {
			c = m.upper[s]
		}
	}
	if m.bytewise {
		return append(text, byte(c)), true
	}
	return utf8.AppendRune(text, c), true
}

package coder

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"unsafe"
)

// shared is a coder for all tests: its models take a while to make, and a text
// leaves no trace in them.
var shared = sync.OnceValue(New)

// nasty are texts that break coders.
var nasty = []string{
	"a", "\n", "\x00", "\x01", "A", "AB", "ab\x00\x01\x02C", "\n\n\n", " ", "ок", "မ", "لا", "ñ", "👍",
	"two\nlines", "trailing line feed\n", "\r\n", "\xff", "\xff\xfe\xfd", "caf\xc3", "\xed\xa0\x80", "\xc0\x80", "\ufeffbom", "\u2028", "DEL\x7f",
	"HTTPS://EXAMPLE.ORG/A?b=C%20d", "iPhone mAh kHz McDonald ÉCOLE école ÑANDÚ straße STRASSE ŸÿĀā",
	"Ελληνικά γράμματα", "हिन्दी में एक वाक्य", "中文测试", "日本語のテスト", "Ещё по-русски Ёж", "שלום", "ქართული", "አማርኛ", "ไทย",
	"🏳️‍🌈👨‍👩‍👧‍👦🇺🇦", "a\u0301e\u0308", "ȺȾ İı ǅ ß ẞ", "mixed عربي latin Кирилиця မြန်မာ 中文", "စက္ကူ ဗုဒ္ဓ က္က\u1039\u103a",
	`{"id":"wx-03","t":1763712345,"temp":-3.5}`, strings.Repeat("a", 700), strings.Repeat("မြန်မာ ", 90), strings.Repeat("\n", 90), strings.Repeat("aB", 300),
}

func checkComesBack(t *testing.T, c *Coder, text []byte) {
	t.Helper()
	b := c.Encode(text)
	if len(b) > len(text)+1 {
		t.Errorf("%q grew from %d to %d bytes", text, len(text), len(b))
	}
	got, err := c.Decode(b, len(text))
	if err != nil || !bytes.Equal(got, text) {
		t.Fatalf("%q came back as %q: %v", text, got, err)
	}
	if len(text) == 0 {
		return
	}
	if got, err := c.Decode(b, len(text)-1); !errors.Is(err, ErrTooLong) {
		t.Errorf("%q with a limit one byte short: %q, %v, want ErrTooLong", text, got, err)
	}
}

func TestEveryTextComesBack(t *testing.T) {
	c := shared()
	checkComesBack(t, c, nil)
	for _, s := range nasty {
		checkComesBack(t, c, []byte(s))
	}
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 60 {
		text := make([]byte, 1+n*2)
		for i := range text {
			text[i] = byte(r.Uint32())
		}
		checkComesBack(t, c, text)
	}
}

// What one language's model writes, that model reads, in the short form and in
// the long one, which Encode needs too rarely to be met by chance.
func TestEveryLanguageReadsItself(t *testing.T) {
	c := shared()
	for l := range Language(languages) {
		var coded []coded
		for _, s := range nasty {
			short := c.encodeIn(l, []byte(s))
			if short == nil {
				if l == Universal {
					t.Errorf("any: %q cannot be written", s)
				}
				continue
			}
			m := c.rooms[l].mu.model
			coded, _ = m.record([]byte(s), coded[:0])
			m.rollback()
			long, ok := pack(header{modeLong<<5 | uint32(l), 8}, coded, 0)
			if !ok {
				t.Errorf("%s: %q has no long form", l, s)
			}
			for _, b := range [][]byte{short, long} {
				if got, err := c.Decode(b, len(s)); err != nil || string(got) != s {
					t.Fatalf("%s: %q came back from %x as %q: %v", l, s, b, got, err)
				}
			}
		}
	}
}

// A text leaves no trace in the model: streams do not depend on what came
// before, whether it was whole or broken off.
func TestModelForgetsTexts(t *testing.T) {
	fresh, used := New(), shared()
	for _, s := range nasty {
		used.Encode([]byte(s))
		used.Decode([]byte{1, 2, 3, 4, 5, 6, 7}, 20)
	}
	for _, line := range heldOut(t, English)[:20] {
		if got, want := used.Encode(line), fresh.Encode(line); !bytes.Equal(got, want) {
			t.Errorf("%q: %x after other texts, %x without", line, got, want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	c := shared()
	tests := []struct {
		name string
		b    []byte
		want error
	}{
		{"a later version", []byte{modeLong<<5 | 8, 1, 2, 3}, ErrCorrupt},
		{"an unknown language", []byte{modeLong<<5 | languages, 1, 2, 3}, ErrCorrupt},
		{"an unknown raw form", []byte{modeRaw<<5 | 1, 'a'}, ErrCorrupt},
		{"a raw text over the limit", append([]byte{modeRaw << 5}, make([]byte, 201)...), ErrTooLong},
	}
	for _, test := range tests {
		if got, err := c.Decode(test.b, 200); !errors.Is(err, test.want) {
			t.Errorf("%s: %q, %v, want %v", test.name, got, err, test.want)
		}
	}
}

// checkWritten checks that a stream which was read as text is just what a
// writer makes of the text in as many bytes.
func checkWritten(t *testing.T, c *Coder, b, text []byte) {
	t.Helper()
	h, l, ok := parseHeader(b[0])
	if b[0] == modeRaw<<5 || !ok {
		return
	}
	r := &c.rooms[l]
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.mu.model
	coded, ok := m.record(text, nil)
	m.rollback()
	if !ok {
		t.Errorf("%x was read as %q, which the language cannot write", b, text)
		return
	}
	if got, ok := pack(h, coded, len(b)); !ok || !bytes.Equal(got, b) {
		t.Errorf("%x was read as %q, which is written %x", b, text, got)
	}
}

// Changed streams are refused, or are the streams of other texts.
func TestChangedStreams(t *testing.T) {
	c := shared()
	refused, others := 0, 0
	for l := English; l < Universal; l++ {
		for _, line := range heldOut(t, l)[:3] {
			whole := c.Encode(line)
			changed := [][]byte{append(bytes.Clone(whole), 0), append(bytes.Clone(whole), 255), whole[:len(whole)-1]}
			for bit := range 8 * len(whole) {
				b := bytes.Clone(whole)
				b[bit/8] ^= 128 >> (bit % 8)
				changed = append(changed, b)
			}
			for _, b := range changed {
				text, err := c.Decode(b, 300)
				if err != nil {
					refused++
					continue
				}
				others++
				if bytes.Equal(text, line) {
					t.Errorf("%x and %x are both %q", b, whole, line)
				}
				if len(b) > 0 {
					checkWritten(t, c, b, text)
				}
			}
		}
	}
	t.Logf("%d changed streams were refused, %d read as other texts", refused, others)
}

// A stream of a few bytes can mean a very long text. Its reader stops one
// character after the limit, whatever the stream is.
func TestWorkIsBoundedByTheLimit(t *testing.T) {
	c := shared()
	bomb := c.Encode(bytes.Repeat([]byte("a"), MaxText))
	if bomb[0]>>5 == modeRaw || len(bomb) > 300 {
		t.Fatalf("%d bytes are no bomb", len(bomb))
	}
	for _, limit := range []int{-1, 0, 1, 100, MaxText - 1, MaxText} {
		h, l, _ := parseHeader(bomb[0])
		m := c.rooms[l].mu.model
		got, err := m.replay(newReader(h, bomb), min(limit, MaxText))
		read := len(m.text) - m.length
		m.rollback()
		if limit >= MaxText {
			if err != nil || len(got) != MaxText {
				t.Errorf("limit %d: %d bytes, %v", limit, len(got), err)
			}
			continue
		}
		if !errors.Is(err, ErrTooLong) || read != max(limit, 0)+1 {
			t.Errorf("limit %d: %v after %d characters, want ErrTooLong after one too many", limit, err, read)
		}
	}
	text := bytes.Repeat([]byte("a"), MaxText+1)
	if b := c.Encode(text); b[0] != modeRaw<<5 {
		t.Errorf("a text of MaxText+1 bytes was compressed")
	}
	checkComesBack(t, c, text)
	for l := range Language(languages) {
		deepest := 0
		c.Preload(l)
		m := c.rooms[l].mu.model
		for s := range m.size {
			depth := 0
			for n := uint16(1); n < leaf; depth++ {
				bit := 0
				if s >= int(m.tree.cut[n]) {
					bit = 1
				}
				n = m.tree.next[n][bit]
			}
			deepest = max(deepest, depth)
		}
		t.Logf("%s: a character is at most %d decisions, or %d with the bytes of one outside the alphabet; a text at most %d characters", l, deepest, deepest+32, MaxText)
		if deepest > 24 {
			t.Errorf("%s: a symbol is %d decisions deep, want at most 24", l, deepest)
		}
	}
}

// footprint is what a room keeps between texts, in bytes.
func (r *room) footprint() int {
	m := r.mu.model
	n := int(unsafe.Sizeof(*m)) + int(unsafe.Sizeof(*m.primed)) + int(unsafe.Sizeof(*m.tree)) + int(unsafe.Sizeof(*m.alphabet))
	for _, t := range m.cells {
		n += cap(t) * int(unsafe.Sizeof(cell{}))
	}
	n += cap(m.heads)*4 + cap(m.text) + cap(m.journal)*int(unsafe.Sizeof(undone{})) + cap(r.mu.coded)*int(unsafe.Sizeof(coded{}))
	return n + 64*(len(m.symbols)+len(m.capitals)) // maps, generously
}

func TestModelsFitEightMegabytes(t *testing.T) {
	c := shared()
	r := rand.New(rand.NewPCG(3, 4))
	worst := make([]byte, MaxText)
	for i := range worst {
		worst[i] = "~^|\\{}<>`$_q#"[r.IntN(13)]
	}
	for l := range Language(languages) {
		text := worst
		if l != English { // one of them is slow enough
			text = text[:2000]
		}
		c.encodeIn(l, text)
		n := c.rooms[l].footprint()
		t.Logf("%s: %.2f MB after %d bytes of rare signs", l, float64(n)/1e6, len(text))
		if n > 8e6 {
			t.Errorf("%s keeps %d bytes, want at most 8 MB", l, n)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	c := shared()
	lines := heldOut(t, Spanish)[:6]
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for _, line := range lines {
				if got, err := c.Decode(c.Encode(line), len(line)); err != nil || !bytes.Equal(got, line) {
					t.Errorf("%q came back as %q: %v", line, got, err)
				}
			}
		})
	}
	group.Wait()
}

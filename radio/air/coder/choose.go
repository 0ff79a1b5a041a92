package coder

import (
	"math/bits"
	"unicode/utf8"
)

// languages says which models a text should be tried in, and above which
// percentage of its size a result is so poor that it may be another language.
func (c *Coder) languages(text []byte) (likely []Language, poor int) {
	const (
		latin = iota
		cyrillic
		arabic
		burmese
		others
		scripts
	)
	if !utf8.Valid(text) {
		return nil, 0
	}
	var letters [scripts]int
	for _, r := range string(text) {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= 0xc0 && r < 0x250:
			letters[latin]++
		case r < 0xc0, r >= 0x2000 && r < 0x2c00, r >= 0xfe00 && r < 0xfe10, r >= 0x1f000:
			// Signs and pictures belong to nobody.
		case r >= 0x400 && r < 0x500:
			letters[cyrillic]++
		case r >= 0x600 && r < 0x700:
			letters[arabic]++
		case r >= 0x1000 && r < 0x10a0:
			letters[burmese]++
		default:
			letters[others]++
		}
	}
	most := latin
	for s, n := range letters {
		if n > letters[most] {
			most = s
		}
	}
	switch most {
	case cyrillic:
		return []Language{Ukrainian}, 40
	case arabic:
		return []Language{Arabic}, 40
	case burmese:
		return []Language{Burmese}, 35
	case others:
		return nil, 0
	}
	return c.tastes().of(text), 48
}

// tastes tell English from Spanish: how often three bytes in a row, by hash,
// are met in their primes, as the length of the number in bits. They only save
// time: a stream does not depend on them.
type tastes [2][1 << 15]uint8

func newTastes() *tastes {
	t := new(tastes)
	for l := range t {
		var met [1 << 15]uint
		trigrams(primeOf(Language(l)), func(h uint32) { met[h]++ })
		for h, n := range met {
			t[l][h] = uint8(bits.Len(n))
		}
	}
	return t
}

// of says which of the two a text may be in.
func (t *tastes) of(text []byte) []Language {
	lead, enough := 0, 3*4 // of English, in quarters
	trigrams(text, func(h uint32) {
		lead += 4 * (int(t[English][h]) - int(t[Spanish][h]))
		enough++
	})
	switch {
	case lead > enough:
		return []Language{English}
	case -lead > enough:
		return []Language{Spanish}
	}
	return []Language{English, Spanish}
}

// trigrams calls each with the hash of every three bytes in a row, in small
// letters.
func trigrams(text []byte, each func(hash uint32)) {
	var last uint32
	for _, b := range text {
		if b >= 'A' && b <= 'Z' {
			b |= 0x20
		}
		last = last<<8&0xffffff | uint32(b)
		each(scramble(last, 3) >> 17)
	}
}

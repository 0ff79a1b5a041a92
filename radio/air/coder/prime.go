package coder

import (
	"bytes"
	"embed"
	"strings"
)

//go:embed primes/*.txt any.txt
var primes embed.FS

// primeOf returns a language's prime.
func primeOf(l Language) []byte {
	name := "primes/" + l.String() + ".txt"
	if l == Universal {
		name = "any.txt"
	}
	b, err := primes.ReadFile(name)
	if err != nil {
		panic(err) // it is part of the program
	}
	return b
}

// pairUp is how often a text of a prime is joined to the next one, so that a
// model learns what stands around line feeds.
const pairUp = 8

// texts cuts a prime into texts: its lines, but those that look like a list's
// belong to the line before; then every eighth text from the first on takes in
// the one after it.
func texts(prime []byte) [][]byte {
	var whole [][]byte
	for line := range bytes.SplitSeq(bytes.TrimSpace(prime), []byte("\n")) {
		if n := len(whole) - 1; n >= 0 && isItem(line) {
			whole[n] = join(whole[n], line)
		} else {
			whole = append(whole, line)
		}
	}
	var out [][]byte
	for i := 0; i < len(whole); i++ {
		text := whole[i]
		if i%pairUp == 0 && i+1 < len(whole) {
			i++
			text = join(text, whole[i])
		}
		out = append(out, text)
	}
	return out
}

func join(a, b []byte) []byte {
	return append(append(bytes.Clone(a), '\n'), b...)
}

// isItem says whether a line begins as those of lists do: with "-" or "*", or
// with a number and "." or ")", in the primes' digits and full stops.
func isItem(line []byte) bool {
	for i, r := range string(line) {
		switch {
		case r >= '0' && r <= '9', r >= '٠' && r <= '٩', r >= '၀' && r <= '၉':
		case i == 0:
			return r == '-' || r == '*'
		default:
			return r == '.' || r == ')' || r == '။'
		}
	}
	return false
}

// How fast the mixers learn: fast from the prime, a little faster still from
// the text at hand, which is short.
const (
	primingRate = 10
	textRate    = 12
)

// primed makes a language's model from its prime.
func primed(t *tables, l Language, prime []byte) *model {
	a := alphabetOf(l)
	texts := texts(prime)
	m := newModel(t, a, newTree(a.weigh(texts)))
	m.priming, m.rate = true, primingRate
	for range 4 {
		for c := range strings.SplitSeq(escaped, " ") {
			m.putEscaped([]byte(c), nil)
		}
	}
	var coded []coded
	for _, text := range texts {
		coded, _ = m.record(text, coded[:0])
		m.begin()
	}
	m.priming, m.rate = false, textRate
	m.length = len(m.text)
	learnt := m.learnt
	m.primed = &learnt
	return m
}

// weigh counts the symbols in texts: 1, and 2 for each time one is met.
func (a *alphabet) weigh(texts [][]byte) []uint32 {
	weights := make([]uint32, a.size)
	for i := range weights {
		weights[i] = 1
	}
	for _, text := range texts {
		for len(text) > 0 {
			s, _, n := a.split(text)
			if n == 0 {
				panic("coder: a prime is not valid UTF-8")
			}
			weights[s] += 2
			text = text[n:]
		}
	}
	return weights
}

// escaped are characters outside most alphabets that are met often. Models
// learn to write them from this list, four times over.
const escaped = "😀 😁 😅 😆 😉 😋 😎 😔 😘 😩 😱 😴 😷 😤 😡 🙄 🤔 🤗 🤣 🤝 🤞 🥰 🥳 🙈 👌 👎 👏 👀 💔 💙 💛 💕 💯 🎂 🌹 🌧 🍲 🍞 🏠 🐶 🐱 🚗 🚑 🚨 📷 📞 🔋 🕯 ⛈ ☀ ☕ ⚡ ⚽ ✨ ❌ ❗ ✔ ➡ ★ ← ↑ → ≈ ≤ µ ½ ® © § в и а о я ا ل م က α π 中 の й"

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
		panic(err)
	}
	return b
}

// texts splits a prime into messages.
func texts(prime []byte) [][]byte {
	var out [][]byte
	for line := range bytes.SplitSeq(bytes.TrimSpace(prime), []byte("\n")) {
		if len(line) > 0 {
			out = append(out, line)
		}
	}
	return out
}

// primed makes a language's model from its prime.
func primed(t *tables, l Language, prime []byte) *model {
	a := alphabetOf(l)
	texts := texts(prime)
	counts := make([]uint32, a.size)
	for i := range counts {
		counts[i] = 1
	}
	probe := &model{alphabet: a}
	for _, text := range texts {
		for len(text) > 0 {
			s, _, n := probe.split(text)
			if n == 0 {
				panic("coder: a prime is not valid UTF-8")
			}
			counts[s] += 8
			text = text[n:]
		}
	}
	m := newModel(t, a, newTree(counts))
	var to []coded
	for range 4 {
		for c := range strings.SplitSeq(escaped, " ") {
			m.putEscaped([]byte(c), nil)
		}
	}
	for _, text := range texts {
		to, _ = m.record(text, to[:0])
		m.begin()
	}
	m.length = len(m.text)
	m.priming = false
	m.rate = 3
	saved := m.learnt
	m.primed = &saved
	return m
}

// escaped are characters outside the alphabets that are met most.
const escaped = "😀 😁 😅 😆 😉 😋 😎 😔 😘 😩 😱 😴 😷 😤 😡 🙄 🤔 🤗 🤣 🤝 🤞 🥰 🥳 🙈 👌 👎 👏 👀 💔 💙 💛 💕 💯 🎂 🌹 🌧 🍲 🍞 🏠 🐶 🐱 🚗 🚑 🚨 📷 📞 🔋 🕯 ⛈ ☀ ☕ ⚡ ⚽ ✨ ❌ ❗ ✔ ➡ ★ ← ↑ → ≈ ≤ µ ½ ® © § в и а о я ا ل م က α π 中 の й"

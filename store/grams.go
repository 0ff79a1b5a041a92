package store

import (
	"strings"
	"unicode"

	"drey/mesh"
)

// What the index of texts keeps are grams: of every place in a word the next
// three letters, or two where letters stand for syllables or words, fewer at
// the word's end. So each part of a word, of whatever script, is found as
// several grams that must all be there; the text itself is asked afterwards.
const (
	gramLetters   = 3
	gramSyllables = 2
	// gramsMost bounds the grams that one search asks the index for. More say
	// nothing new.
	gramsMost = 24
)

func gramSize(r rune) int {
	if r >= 0x1100 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) {
		return gramSyllables
	}
	return gramLetters
}

// gramsOf returns the grams of a folded text, each once, with a space between
// two: what the index is given. It is empty for a text without words.
func gramsOf(text string) string {
	seen := make(map[string]struct{}, len(text))
	var b strings.Builder
	b.Grow(4 * len(text))
	var starts [gramLetters]int // where the last letters of this word begin
	n := 0                      // letters of this word so far
	put := func(from, to int) {
		g := text[from:to]
		if _, ok := seen[g]; ok {
			return
		}
		seen[g] = struct{}{}
		b.WriteString(g)
		b.WriteByte(' ')
	}
	// A gram ends where its last letter does, or with the word.
	var sizes [gramLetters]int
	first := 0 // the oldest place of which the gram has not ended
	end := func(at int, last bool) {
		for first < n && (last || n-first >= sizes[first%gramLetters]) {
			put(starts[first%gramLetters], at)
			first++
		}
	}
	for i, r := range text {
		if !mesh.Wordly(r) {
			end(i, true)
			n, first = 0, 0
			continue
		}
		end(i, false)
		starts[n%gramLetters], sizes[n%gramLetters] = i, gramSize(r)
		n++
	}
	end(len(text), false)
	end(len(text), true)
	return b.String()
}

// matchOf returns what to ask the index for so that no text with all words is
// missed; "" when the words are too short to say anything.
func matchOf(words []string) string {
	whole, begin := gramsFor(words)
	return matchGrams(whole, begin)
}

// matchGrams spells a question to the index. Grams hold no quotes, so that no
// search can be more than words.
func matchGrams(whole, begin []string) string {
	var b strings.Builder
	for _, g := range whole {
		b.WriteString(` "` + g + `"`)
	}
	if len(whole) == 0 { // beginnings are dear: they lead to many grams
		for _, g := range begin[:min(len(begin), 2)] {
			b.WriteString(` "` + g + `"*`)
		}
	}
	return strings.TrimPrefix(b.String(), " ")
}

// gramsFor returns the grams that a text with all words has, at most gramsMost
// of them, and beginnings of grams where a word is shorter.
func gramsFor(words []string) (whole, begin []string) {
	for _, w := range words {
		for _, run := range strings.FieldsFunc(w, func(r rune) bool { return !mesh.Wordly(r) }) {
			letters := []rune(run)
			covered := 0
			for i, r := range letters {
				switch size := gramSize(r); {
				case i+size <= len(letters):
					whole = append(whole, string(letters[i:i+size]))
					covered = i + size
				case covered < len(letters):
					covered = len(letters)
					// One letter of an alphabet leads to nearly everything.
					if rest := letters[i:]; len(rest) > 1 || rest[0] >= 0x0e00 {
						begin = append(begin, string(rest))
					}
				}
			}
		}
	}
	if n := len(whole); n > gramsMost {
		for i := range gramsMost {
			whole[i] = whole[i*n/gramsMost]
		}
		whole = whole[:gramsMost]
	}
	return whole, begin
}

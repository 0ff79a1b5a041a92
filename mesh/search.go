package mesh

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxSearch is the longest search that finds anything, in bytes.
const MaxSearch = 256

// Searched reports whether events of a kind have a text that people wrote for
// all to read. Searches look at no other.
func (k Kind) Searched() bool {
	switch k {
	case KindProfile, KindNote, KindTopic,
		9, 11, 1111, // NIP-C7, NIP-7D, NIP-22: chat, threads, comments
		40, 41, 42, // NIP-28: channels
		30023, 30402, 31922, 31923: // NIP-23, NIP-99, NIP-52: articles, offers, dates
		return true
	}
	return false
}

// SearchText returns what a search looks at in e, folded: the content, then
// each title, subject and summary, a line each; "" when its kind is not
// searched.
func SearchText(e *Event) string {
	if !e.kind.Searched() {
		return ""
	}
	text := e.content
	for _, t := range e.tags {
		if len(t) > 1 && (t[0] == "title" || t[0] == "subject" || t[0] == "summary") {
			text += "\n" + t[1]
		}
	}
	return Fold(text)
}

// A Search is a search made ready to be asked often (NIP-50): words, each of
// which must be part of the text. Part, not beginning: many scripts put no
// space between words, or other words before them. The zero Search asks for
// nothing and finds everything; one without a word, such as "…", finds nothing.
type Search struct {
	words []string // folded, each once
	never bool
}

// ParseSearch reads what somebody typed: words between spaces, of whose ends
// punctuation is cut. Capitals, accents of Latin, Greek and Cyrillic letters and
// the vowel signs of Arabic and Hebrew make no difference.
func ParseSearch(s string) Search {
	if s == "" {
		return Search{}
	}
	if len(s) > MaxSearch || !utf8.ValidString(s) {
		return Search{never: true}
	}
	var q Search
	for _, w := range strings.Fields(Fold(s)) {
		w = strings.TrimFunc(w, func(r rune) bool { return !wordly(r) })
		if w != "" && !slices.Contains(q.words, w) {
			q.words = append(q.words, w)
		}
	}
	q.never = q.words == nil
	return q
}

// Words returns the folded words, each once; none for the zero Search, and for
// one that finds nothing. The caller must not change them.
func (q Search) Words() []string { return q.words }

// Empty reports whether q finds nothing at all.
func (q Search) Empty() bool { return q.never }

// All reports whether q asks for nothing, and so finds everything.
func (q Search) All() bool { return !q.never && q.words == nil }

// In reports whether a text that SearchText or Fold returned has every word.
func (q Search) In(text string) bool {
	if q.All() {
		return true
	}
	if q.never || text == "" {
		return false
	}
	for _, w := range q.words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// wordly reports whether a rune belongs to words: letters, their marks, digits,
// and symbols beyond ASCII, such as pictures.
func wordly(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	}
	return unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.So, unicode.Sk, unicode.Co)
}

// Wordly reports whether a rune of a folded text belongs to words. What lies
// between them, spaces and punctuation, parts what an index keeps.
func Wordly(r rune) bool { return wordly(r) }

package web

import (
	"net/url"
	"strings"
	"unicode"
)

// A textPart is a piece of a message: an address to follow, or words.
type textPart struct {
	Text string
	Link bool
}

// mostLinks bounds the addresses that are found in one message.
const mostLinks = 50

// partsOf finds the addresses in a text. The parts make up the whole text.
func partsOf(s string) []textPart {
	var parts []textPart
	words := func(s string) {
		if s != "" {
			parts = append(parts, textPart{Text: s})
		}
	}
	for range mostLinks {
		at := firstLink(s)
		if at < 0 {
			break
		}
		n := linkLength(s[at:])
		words(s[:at])
		parts = append(parts, textPart{s[at : at+n], true})
		s = s[at+n:]
	}
	words(s)
	return parts
}

// firstLink returns where the first address begins, -1 where there is none.
func firstLink(s string) int {
	for from := 0; ; {
		i := strings.Index(s[from:], "http")
		if i < 0 {
			return -1
		}
		if at := from + i; linkLength(s[at:]) > 0 {
			return at
		}
		from += i + len("http")
	}
}

// linkLength returns how long the address is that s begins with, 0 where it
// begins with none. Punctuation at the end belongs to the sentence.
func linkLength(s string) int {
	if !strings.HasPrefix(s, "http://") && !strings.HasPrefix(s, "https://") {
		return 0
	}
	end := strings.IndexFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("<>\"", r)
	})
	if end < 0 {
		end = len(s)
	}
	link := strings.TrimRightFunc(s[:end], func(r rune) bool { return strings.ContainsRune(".,;:!?)]}'…»”’،؛؟", r) })
	u, err := url.Parse(link)
	if err != nil || u.Host == "" || u.User != nil {
		return 0
	}
	return len(link)
}

package radio

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"drey/mesh"
)

// Limits of a text on the air.
const (
	maxText  = 200 // bytes; official clients allow themselves no more
	maxParts = 3   // packets for one text: at LongFast each costs about two seconds
	maxName  = 24  // bytes of the name before a text
	// maxAttempt is how many attempts of a colleague are recognised.
	maxAttempt = 16
)

// PacketID names one part of an event's text on the air: the first four bytes,
// big endian, of SHA-256(event id ‖ part ‖ attempt), part being one byte and
// attempt two, big endian, both from 1. Zero, which asks a radio to choose,
// becomes 1. Every gateway that knows the event can recognise it by this.
func PacketID(id mesh.EventID, part, attempt int) uint32 {
	b := append(make([]byte, 0, 35), id[:]...)
	b = append(b, byte(part))
	b = binary.BigEndian.AppendUint16(b, uint16(attempt))
	sum := sha256.Sum256(b)
	return max(binary.BigEndian.Uint32(sum[:]), 1)
}

// render writes a text as handhelds show it, "ana: water is back", in as many
// packets as it takes but at most maxParts: then the end is cut off and "…"
// says so. It returns nil when there is nothing to say.
func render(name, text string) []string {
	text = clean(text)
	if text == "" {
		return nil
	}
	name = cleanName(name)
	if whole := name + ": " + text; len(whole) <= maxText {
		return []string{whole}
	}
	for n := 2; n <= maxParts; n++ {
		if parts, rest := split(name, text, n); rest == "" {
			return parts
		}
	}
	parts, rest := split(name, text, maxParts)
	last := len(parts) - 1
	head := len(header(name, maxParts, maxParts))
	body := parts[last][head:] + rest
	parts[last] = parts[last][:head] + cut(body, maxText-head-len("…")) + "…"
	return parts
}

func header(name string, part, of int) string {
	return fmt.Sprintf("%s (%d/%d): ", name, part, of)
}

// split fills n packets and returns what is left. It breaks lines at spaces
// where there is one near the end.
func split(name, text string, n int) (parts []string, rest string) {
	for i := 1; i <= n; i++ {
		head := header(name, i, n)
		piece := cut(text, maxText-len(head))
		if len(piece) < len(text) {
			if space := strings.LastIndexAny(piece, " \n"); space > len(piece)*2/3 {
				piece = piece[:space]
			}
		}
		parts = append(parts, head+piece)
		text = strings.TrimLeft(text[len(piece):], " \n")
		if text == "" {
			if i < n {
				return nil, "fewer packets would do" // never: render tries fewer first
			}
			return parts, ""
		}
	}
	return parts, text
}

// cut returns as much of s as fits in n bytes without breaking what is seen as
// one character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const lookBack = 64 // a character longer than this is an attack
	for i := n; i > 0 && i > n-lookBack; i-- {
		if utf8.RuneStart(s[i]) && boundary(s, i) {
			return s[:i]
		}
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// boundary reports whether s may be cut before the character at i: not before
// a mark that belongs to the one ahead of it, not inside a joined emoji, a
// flag or a line end. It is the part of Unicode's rules (UAX 29) that shows.
func boundary(s string, i int) bool {
	next, _ := utf8.DecodeRuneInString(s[i:])
	last, _ := utf8.DecodeLastRuneInString(s[:i])
	const joiner = 0x200d
	switch {
	case unicode.In(next, unicode.Mn, unicode.Me, unicode.Mc), next == joiner, last == joiner:
		return false
	case next >= 0x1f3fb && next <= 0x1f3ff: // skin tones
		return false
	case next >= 0xe0020 && next <= 0xe007f: // tags of flags
		return false
	case flagLetter(next) && flagLetter(last):
		run := 0
		for before := s[:i]; before != ""; run++ {
			r, size := utf8.DecodeLastRuneInString(before)
			if !flagLetter(r) {
				break
			}
			before = before[:len(before)-size]
		}
		return run%2 == 0
	}
	return true
}

func flagLetter(r rune) bool { return r >= 0x1f1e6 && r <= 0x1f1ff }

// clean drops what a small screen cannot show: controls, and spaces at the
// ends. Line ends stay.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// cleanName makes a name that cannot be taken for the text behind it.
func cleanName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == ':' || unicode.IsControl(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	s = strings.TrimSpace(cut(strings.Join(strings.Fields(s), " "), maxName))
	if s == "" {
		return "?"
	}
	return s
}

// shortNPub is the name of an author who has none.
func shortNPub(k mesh.PubKey) string {
	const letters = 12 // "npub1" and seven more
	return k.NPub()[:letters]
}

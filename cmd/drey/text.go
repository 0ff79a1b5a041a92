package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// plain makes a text safe for a terminal: controls, which could move the
// cursor or recolour the screen, and letters that turn the direction of what
// follows become visible escapes; line breaks stay when breaks is set.
func plain(s string, breaks bool) string {
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' && breaks:
			b.WriteString("\n")
		case !hidden(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString("    ")
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// hidden reports what must not reach a terminal as it is. Joiners stay: emoji
// and several scripts need them.
func hidden(r rune) bool {
	switch r {
	case '\u200c', '\u200d':
		return false
	case utf8.RuneError:
		return false
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
}

// fit fills s to n letters, as columns want; what is longer stays whole.
func fit(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s)))
}

// wrapped breaks a text into lines of at most width letters, between words.
func wrapped(s string, width int) string {
	var b strings.Builder
	at := 0
	for _, word := range strings.Fields(s) {
		n := utf8.RuneCountInString(word)
		switch {
		case at == 0:
		case at+1+n > width:
			b.WriteString("\n")
			at = 0
		default:
			b.WriteString(" ")
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}

// when shows the time of receipt as people read it: the clock alone today, the
// date before.
func when(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.Year() == now.Year() && t.YearDay() == now.YearDay() {
		return t.Format("15:04")
	}
	if now.Sub(t) < 300*24*time.Hour && t.Before(now) {
		return t.Format("Jan _2 15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// oddity tells how far an author's clock is from the time of receipt, when it
// is too far for a message that took its time: ahead by over two minutes, or
// before the year this program was made in.
func oddity(created, received time.Time) string {
	switch ahead := created.Sub(received); {
	case created.Before(earliest.AddDate(-1, 0, 0)):
		return "(dated " + created.UTC().Format("2006-01-02") + ")"
	case ahead > 48*time.Hour:
		return "(dated " + created.UTC().Format("2006-01-02") + ")"
	case ahead > 2*time.Minute:
		return fmt.Sprintf("(its clock is %s ahead)", short(ahead))
	}
	return ""
}

// short shows a length of time with one unit.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// size shows a number of bytes with one unit.
func size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1_000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// count writes a number with its noun: "1 peer", "3 peers".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// bareURI leaves out a URI's parameters: its key, its password.
func bareURI(uri string) string {
	bare, _, _ := strings.Cut(uri, "?")
	return bare
}

// bareURIs does that to each.
func bareURIs(uris []string) []string {
	var all []string
	for _, uri := range uris {
		all = append(all, bareURI(uri))
	}
	return all
}

// Package draw makes the pictures of the page as SVG: QR codes, the day of a
// radio, the map of a node's links. Everything is a pure function of its input,
// so that the same state gives the same bytes. Words come in translated; colours
// and strokes come from the page's style sheet by class, as the page allows no
// style of its own in a picture.
package draw

import (
	"fmt"
	"html"
	"html/template"
	"strconv"
	"strings"
	"unicode"
)

// A pen writes SVG.
type pen struct{ b strings.Builder }

// open begins a picture of a size in its own units, with a name and a
// description for those who do not see it.
func (p *pen) open(class, id string, width, height int, title, desc string) {
	p.f(`<svg class="%s" viewBox="0 0 %d %d" role="img" aria-labelledby="%s-t %s-d" direction="ltr" xmlns="http://www.w3.org/2000/svg">`, class, width, height, id, id)
	p.f(`<title id="%s-t">%s</title><desc id="%s-d">%s</desc>`, id, esc(title), id, esc(desc))
	p.b.WriteByte('\n')
}

func (p *pen) close() template.HTML {
	p.b.WriteString("</svg>\n")
	return template.HTML(p.b.String())
}

// f writes a format; strings among args are escaped by the caller.
func (p *pen) f(format string, args ...any) { fmt.Fprintf(&p.b, format, args...) }

// line writes f and ends the line.
func (p *pen) line(format string, args ...any) {
	p.f(format, args...)
	p.b.WriteByte('\n')
}

// text writes words at a place; anchor is "start", "middle" or "end".
func (p *pen) text(class, anchor string, x, y float64, words string) {
	p.line(`<text class="%s" x="%s" y="%s" text-anchor="%s">%s</text>`, class, num(x), num(y), anchor, esc(words))
}

func esc(s string) string { return html.EscapeString(printable(s)) }

// printable drops what has no place in one line of a picture: controls, and
// marks that turn the direction of what follows.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
}

// num writes a coordinate with at most two digits behind the point.
func num(v float64) string {
	s := strconv.FormatFloat(v, 'f', 2, 64)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" {
		return "0"
	}
	return s
}

// letter is the size of small letters in pictures.
const letter = 11.0

// breadth estimates, on the large side, how broad words are in letters of size.
func breadth(s string, size float64) float64 {
	w := 0.0
	for _, r := range s {
		switch {
		case unicode.Is(unicode.Mn, r):
		case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana) || r >= 0x1f000:
			w += 1.05
		case r == 'm' || r == 'w' || r == 'M' || r == 'W' || r == '%' || r == '@':
			w += 0.95
		case unicode.IsUpper(r):
			w += 0.75
		case strings.ContainsRune("iljt.,:;'|! ", r):
			w += 0.35
		default:
			w += 0.62
		}
	}
	return w * size
}

// fit cuts words to a breadth, with an ellipsis where something is missing.
func fit(s string, size, most float64) string {
	s = printable(s)
	if breadth(s, size) <= most {
		return s
	}
	runes := []rune(s)
	for n := len(runes) - 1; n > 0; n-- {
		if cut := strings.TrimRightFunc(string(runes[:n]), unicode.IsSpace) + "…"; breadth(cut, size) <= most {
			return cut
		}
	}
	return "…"
}

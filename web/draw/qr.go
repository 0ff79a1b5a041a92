package draw

import (
	"fmt"
	"html/template"

	"rsc.io/qr"
)

// quiet is the white border of a code in cells, as the standard wants it.
const quiet = 4

// QR draws text as a QR code, black on white whatever the colours of the page:
// cameras do not read a light code on a dark ground. Label says what it is, for
// those who do not see it. It fails where text is longer than a code can hold.
func QR(text, label string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("%d bytes for a QR code: %w", len(text), err)
	}
	var p pen
	size := code.Size + 2*quiet
	p.line(`<svg class="qr" viewBox="0 0 %d %d" role="img" aria-label="%s" shape-rendering="crispEdges" xmlns="http://www.w3.org/2000/svg">`, size, size, esc(label))
	p.line(`<rect width="%d" height="%d" fill="#fff"/>`, size, size)
	p.f(`<path fill="#000" d="`)
	for y := range code.Size {
		for x := 0; x < code.Size; {
			from := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			if x > from {
				p.f("M%d %dh%dv1h-%dz", from+quiet, y+quiet, x-from, x-from)
			}
			x++
		}
	}
	p.line(`"/>`)
	return p.close(), nil
}

package main

import (
	"bufio"
	"context"
	"io"

	"rsc.io/qr"

	"drey/web/scan"
)

// quiet is the white border around a code, in cells; scanners want four, and
// two are enough on a terminal, where room is scarce.
const quiet = 2

// The two colours, each as the ground of a letter with the other for its
// shape. Themes redefine the sixteen first colours, so they are asked for twice:
// a terminal of 256 colours takes its cube's, which stay as they are; another
// takes what it has.
const (
	onPaper    = "\x1b[30;107m\x1b[38;5;16;48;5;231m"
	onInk      = "\x1b[97;40m\x1b[38;5;231;48;5;16m"
	plainAgain = "\x1b[0m"
)

// writeQR draws text as a QR code for a terminal: two cells to a letter, black
// on white whatever the theme, as codes on a dark ground do not scan. The upper
// cell is the letter's ground and the lower its shape where they differ: grounds
// meet without a seam, and block letters of many fonts do not.
func writeQR(w io.Writer, text string) error {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	for y := -quiet; y < code.Size+quiet; y += 2 {
		ground := ""
		for x := -quiet; x < code.Size+quiet; x++ {
			top, bottom := code.Black(x, y), code.Black(x, y+1)
			want := onPaper
			if top {
				want = onInk
			}
			if want != ground {
				b.WriteString(want)
				ground = want
			}
			if top == bottom {
				b.WriteByte(' ')
			} else {
				b.WriteString("▄")
			}
		}
		b.WriteString(plainAgain + "\n")
	}
	return b.Flush()
}

// qrPNG returns text as a QR code in a PNG image with the border that the
// standard wants.
func qrPNG(text string) ([]byte, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil, err
	}
	return code.PNG(), nil
}

// mostUnpacked bounds an image that is searched for a code: photographs of 50
// million pixels take half of it.
const mostUnpacked = 256 << 20

// readQR finds the QR code in a PNG or JPEG image and returns its text.
func readQR(b []byte) (string, error) {
	return scan.Read(context.Background(), b, mostUnpacked)
}

// columns is the width of a code on a terminal, in letters.
func columns(text string) int {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return 0
	}
	return code.Size + 2*quiet
}

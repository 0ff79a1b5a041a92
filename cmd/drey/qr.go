package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // photographs of a screen
	_ "image/png"  // what invite --png wrote
	"io"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"rsc.io/qr"
)

// quiet is the white border around a code, in cells; scanners want four, and
// two are enough on a terminal, where room is scarce.
const quiet = 2

// writeQR draws text as a QR code for a terminal: two cells to a letter, black
// on white whatever the theme, as codes on a dark ground do not scan.
func writeQR(w io.Writer, text string) error {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	for y := -quiet; y < code.Size+quiet; y += 2 {
		b.WriteString("\x1b[30;107m")
		for x := -quiet; x < code.Size+quiet; x++ {
			top, bottom := code.Black(x, y), code.Black(x, y+1)
			switch {
			case top && bottom:
				b.WriteString("█")
			case top:
				b.WriteString("▀")
			case bottom:
				b.WriteString("▄")
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteString("\x1b[0m\n")
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

// maxPixels bounds an image that is searched for a code: a photograph of 50
// million pixels takes 200 MB once unpacked.
const maxPixels = 50_000_000

// readQR finds the QR code in a PNG or JPEG image and returns its text.
func readQR(b []byte) (string, error) {
	conf, kind, err := image.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		return "", errors.New("not a PNG or JPEG image")
	}
	if conf.Width*conf.Height > maxPixels {
		return "", fmt.Errorf("%s image of %d×%d pixels, limit %d million", kind, conf.Width, conf.Height, maxPixels/1_000_000)
	}
	img, _, err := image.Decode(bytes.NewReader(b))
	if err != nil {
		return "", fmt.Errorf("%s image: %w", kind, err)
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		return "", err
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true})
	if err != nil {
		return "", errors.New("no QR code found in the image: take it from straight ahead, with the whole code and its white border in it")
	}
	return result.GetText(), nil
}

// isImage reports whether b begins as a PNG or JPEG image does.
func isImage(b []byte) bool {
	return bytes.HasPrefix(b, []byte("\x89PNG\r\n")) || bytes.HasPrefix(b, []byte("\xff\xd8\xff"))
}

// columns is the width of a code on a terminal, in letters.
func columns(text string) int {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return 0
	}
	return code.Size + 2*quiet
}

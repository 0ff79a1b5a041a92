package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/draw"
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
	for _, try := range attempts(img) {
		result, err := qrcode.NewQRCodeReader().Decode(try, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true})
		if err == nil {
			return result.GetText(), nil
		}
	}
	return "", errors.New("no QR code found in the image: take it from straight ahead, with the whole code and its white border in it")
}

// attempts are the ways to look at a photograph: as it is, and made smaller,
// which takes the grain away; light and dark told apart from place to place, and
// by one measure for all.
func attempts(img image.Image) []*gozxing.BinaryBitmap {
	gray := image.NewGray(image.Rect(0, 0, img.Bounds().Dx(), img.Bounds().Dy()))
	draw.Draw(gray, gray.Rect, img, img.Bounds().Min, draw.Src)
	var all []*gozxing.BinaryBitmap
	for by := 1; by <= 8; by *= 2 {
		small := shrunk(gray, by)
		if by > 1 && min(small.Rect.Dx(), small.Rect.Dy()) < leastPixels {
			break
		}
		source := gozxing.NewLuminanceSourceFromImage(small)
		for _, binarizer := range []gozxing.Binarizer{gozxing.NewHybridBinarizer(source), gozxing.NewGlobalHistgramBinarizer(source)} {
			if bitmap, err := gozxing.NewBinaryBitmap(binarizer); err == nil {
				all = append(all, bitmap)
			}
		}
	}
	return all
}

// leastPixels is the side of the smallest image in which a code of an invite
// could still be told: 45 cells of two.
const leastPixels = 90

// shrunk returns the image with squares of by pixels averaged into one.
func shrunk(img *image.Gray, by int) *image.Gray {
	if by == 1 {
		return img
	}
	small := image.NewGray(image.Rect(0, 0, img.Rect.Dx()/by, img.Rect.Dy()/by))
	for y := range small.Rect.Dy() {
		for x := range small.Rect.Dx() {
			sum := 0
			for dy := range by {
				for _, v := range img.Pix[(y*by+dy)*img.Stride+x*by:][:by] {
					sum += int(v)
				}
			}
			small.Pix[y*small.Stride+x] = uint8(sum / (by * by))
		}
	}
	return small
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

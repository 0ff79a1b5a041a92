// Package scan reads QR codes from photographs. Images come from anybody, so
// what one may take in memory is reckoned from its header before it is
// unpacked, and a look at it can be broken off.
package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	_ "image/jpeg" // photographs
	_ "image/png"  // screenshots, and what 'drey invite --png' writes

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// Errors of Read.
var (
	ErrFormat = errors.New("not a PNG or JPEG image")
	ErrLarge  = errors.New("the image is too large")
	ErrNoCode = errors.New("no QR code found in the image: take it from straight ahead, with the whole code and its white border in it")
)

// IsImage reports whether b begins as an image does that Read can read.
func IsImage(b []byte) bool {
	return bytes.HasPrefix(b, []byte("\x89PNG\r\n")) || bytes.HasPrefix(b, []byte("\xff\xd8\xff"))
}

// Read finds the QR code in a PNG or JPEG image and returns its text. It
// refuses an image that takes more than most bytes once unpacked, and gives up
// when ctx ends. The text is whatever somebody put there.
func Read(ctx context.Context, b []byte, most int64) (string, error) {
	if !IsImage(b) {
		return "", ErrFormat
	}
	need, err := unpacked(b)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if need > most {
		return "", fmt.Errorf("%w: it takes %d MB in memory, limit %d", ErrLarge, need>>20, most>>20)
	}
	img, _, err := image.Decode(&patient{ctx, bytes.NewReader(b)})
	if ended := ctx.Err(); ended != nil {
		return "", ended
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrFormat, err)
	}
	for _, by := range divisors(img.Bounds().Dx(), img.Bounds().Dy()) {
		gray := shrunk(img, by)
		source, err := gozxing.NewPlanarYUVLuminanceSource(gray.Pix, gray.Stride, gray.Rect.Dy(), 0, 0, gray.Rect.Dx(), gray.Rect.Dy(), false)
		if err != nil {
			return "", err
		}
		// Light and dark told apart from place to place, then by one measure for all.
		for _, binarizer := range []gozxing.Binarizer{gozxing.NewHybridBinarizer(source), gozxing.NewGlobalHistgramBinarizer(source)} {
			if err := ctx.Err(); err != nil {
				return "", err
			}
			if text, ok := look(binarizer); ok {
				return text, nil
			}
		}
	}
	return "", ErrNoCode
}

// A patient reads until ctx ends. 30 bytes of a progressive JPEG can ask for a
// pass over the whole image, so it gives out little at a time.
type patient struct {
	ctx context.Context
	r   *bytes.Reader
}

// Read reads what follows.
func (p *patient) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	return p.r.Read(b[:min(len(b), 256)])
}

// mostPatterns is how many marks like the three in a code's corners an image
// may hold. The reader weighs every three of them, so that thousands, which fit
// into 5 kB, keep it busy for hours.
const mostPatterns = 400

// look looks for a code once. The reader indexes by what it reads, so an image
// made for it may throw it off; that image has no code then, and neither has
// one with too many marks.
func look(b gozxing.Binarizer) (text string, ok bool) {
	defer func() {
		if recover() != nil {
			text, ok = "", false
		}
	}()
	bitmap, err := gozxing.NewBinaryBitmap(b)
	if err != nil {
		return "", false
	}
	marks := 0
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, map[gozxing.DecodeHintType]any{
		gozxing.DecodeHintType_TRY_HARDER: true,
		gozxing.DecodeHintType_NEED_RESULT_POINT_CALLBACK: gozxing.ResultPointCallback(func(gozxing.ResultPoint) {
			if marks++; marks > mostPatterns {
				panic("too many marks") // the only way out of the reader
			}
		}),
	})
	if err != nil {
		return "", false
	}
	return result.GetText(), true
}

const (
	// easy is a number of pixels in which a code that fills a good part of a
	// photograph is found at once.
	easy = 1 << 20
	// leastSide is the side of the smallest image in which a code of an invite
	// could still be told: 45 cells of two.
	leastSide = 90
)

// divisors lists by how much to shrink an image for each look: first to an easy
// size, then finer, for codes that are far away, then coarser, which takes the
// grain away.
func divisors(width, height int) []int {
	first := 1
	for (width/first)*(height/first) > easy {
		first *= 2
	}
	all := []int{first}
	for by := first / 2; by >= 1; by /= 2 {
		all = append(all, by)
	}
	for by := 2 * first; by <= 8*first && min(width, height)/by >= leastSide; by *= 2 {
		all = append(all, by)
	}
	return all
}

// shrunk returns the image in shades of gray, with squares of by pixels
// averaged into one. What is transparent counts as white.
func shrunk(img image.Image, by int) *image.Gray {
	at := img.Bounds()
	small := image.NewGray(image.Rect(0, 0, at.Dx()/by, at.Dy()/by))
	var row func(y int) []byte
	switch m := img.(type) {
	case *image.YCbCr:
		row = func(y int) []byte { return m.Y[m.YOffset(at.Min.X, y):][:at.Dx()] }
	case *image.Gray:
		row = func(y int) []byte { return m.Pix[m.PixOffset(at.Min.X, y):][:at.Dx()] }
	default:
		line := image.NewGray(image.Rect(0, 0, at.Dx(), 1))
		paper := image.NewUniform(color.White)
		row = func(y int) []byte {
			draw.Draw(line, line.Rect, paper, image.Point{}, draw.Src)
			draw.Draw(line, line.Rect, img, image.Pt(at.Min.X, y), draw.Over)
			return line.Pix
		}
	}
	sums := make([]int, small.Rect.Dx())
	for y := range small.Rect.Dy() {
		clear(sums)
		for dy := range by {
			line := row(at.Min.Y + y*by + dy)
			for x := range sums {
				for _, v := range line[x*by:][:by] {
					sums[x] += int(v)
				}
			}
		}
		for x, sum := range sums {
			small.Pix[y*small.Stride+x] = uint8(sum / (by * by))
		}
	}
	return small
}

package main

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"drey/web/scan"
)

// invite is as long as an invite with one address gets.
var invite = "HTTP://192.168.100.100:3739/J/" + strings.Repeat("AEBAGBAF", 12)

func TestTerminalQRFitsAndScans(t *testing.T) {
	var b bytes.Buffer
	if err := writeQR(&b, invite); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if w := columns(invite); len(lines) > 24 || w > 80 {
		t.Errorf("the code takes %d columns and %d lines, a terminal has 80 and 24", w, len(lines))
	}
	// Draw what a terminal would show, black on white, and scan that.
	const cell = 4
	img := image.NewGray(image.Rect(0, 0, columns(invite)*cell, len(lines)*2*cell))
	for y, line := range lines {
		x, ground := 0, false
		for line != "" {
			switch {
			case strings.HasPrefix(line, onPaper):
				ground, line = false, line[len(onPaper):]
				continue
			case strings.HasPrefix(line, onInk):
				ground, line = true, line[len(onInk):]
				continue
			case line == plainAgain:
				line = ""
				continue
			}
			r, size := utf8.DecodeRuneInString(line)
			line = line[size:]
			for dy := range 2 * cell {
				black := ground != (r == '▄' && dy >= cell)
				for dx := range cell {
					c := color.Gray{255}
					if black {
						c = color.Gray{0}
					}
					img.SetGray(x*cell+dx, y*2*cell+dy, c)
				}
			}
			x++
		}
		if x != columns(invite) {
			t.Errorf("line %d has %d columns, want %d", y, x, columns(invite))
		}
	}
	var p bytes.Buffer
	if err := png.Encode(&p, img); err != nil {
		t.Fatal(err)
	}
	if got, err := readQR(p.Bytes()); err != nil || got != invite {
		t.Errorf("scanned %q, %v, want %q", got, err, invite)
	}
}

// TestPhotographScans takes a code as a camera sees it: askew, unevenly lit,
// grainy, out of focus and pressed into a JPEG.
func TestPhotographScans(t *testing.T) {
	t.Parallel()
	p, err := qrPNG(invite)
	if err != nil {
		t.Fatal(err)
	}
	code, err := png.Decode(bytes.NewReader(p))
	if err != nil {
		t.Fatal(err)
	}
	for _, shot := range []struct {
		size, angle, grain float64
		blur               int
	}{{600, 4, 25, 1}, {1000, -9, 60, 2}, {800, 14, 40, 1}, {500, 90, 15, 0}} {
		photo := photograph(code, shot.size, shot.angle, shot.grain, shot.blur)
		var b bytes.Buffer
		if err := jpeg.Encode(&b, photo, &jpeg.Options{Quality: 60}); err != nil {
			t.Fatal(err)
		}
		if got, err := readQR(b.Bytes()); err != nil || got != invite {
			t.Errorf("%+v: scanned %.20q, %v", shot, got, err)
		}
	}
}

// photograph turns an image, lays it on a darker ground lit from one side, and
// adds grain. It is the same at every run.
func photograph(code image.Image, size, degrees, grain float64, blur int) image.Image {
	random := rand.New(rand.NewPCG(1, 2))
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	side := int(size)
	photo := image.NewGray(image.Rect(0, 0, side, side))
	at := func(x, y float64) float64 {
		x, y = x-size/2, y-size/2
		scale := float64(code.Bounds().Dx()) / (size * 0.62)
		u, v := (x*cos+y*sin)*scale+float64(code.Bounds().Dx())/2, (y*cos-x*sin)*scale+float64(code.Bounds().Dy())/2
		if !(image.Point{int(u), int(v)}).In(code.Bounds()) || u < 0 || v < 0 {
			return 110
		}
		return 25 + 0.75*float64(color.GrayModel.Convert(code.At(int(u), int(v))).(color.Gray).Y)
	}
	for y := range side {
		for x := range side {
			sum, n := 0.0, 0.0
			for d := -blur; d <= blur; d++ {
				sum += at(float64(x+d), float64(y)) + at(float64(x), float64(y+d))
				n += 2
			}
			light := 0.6 + 0.4*float64(x)/size
			photo.SetGray(x, y, color.Gray{uint8(min(255, max(0, sum/n*light+random.NormFloat64()*grain)))})
		}
	}
	return photo
}

func TestPNGScans(t *testing.T) {
	b, err := qrPNG(invite)
	if err != nil {
		t.Fatal(err)
	}
	if !scan.IsImage(b) {
		t.Error("the PNG is not taken for an image")
	}
	if got, err := readQR(b); err != nil || got != invite {
		t.Errorf("scanned %q, %v, want %q", got, err, invite)
	}
	if _, err := readQR([]byte("no image")); err == nil {
		t.Error("text was taken for an image")
	}
	var empty bytes.Buffer
	png.Encode(&empty, image.NewGray(image.Rect(0, 0, 64, 64)))
	if _, err := readQR(empty.Bytes()); err == nil || !strings.Contains(err.Error(), "no QR code") {
		t.Errorf("an empty image gave %v", err)
	}
}

package main

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"
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
		line = strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[30;107m"), "\x1b[0m")
		for x, r := range []rune(line) {
			for dy := range 2 * cell {
				black := r == '█' || r == '▀' && dy < cell || r == '▄' && dy >= cell
				for dx := range cell {
					c := color.Gray{255}
					if black {
						c = color.Gray{0}
					}
					img.SetGray(x*cell+dx, y*2*cell+dy, c)
				}
			}
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

func TestPNGScans(t *testing.T) {
	b, err := qrPNG(invite)
	if err != nil {
		t.Fatal(err)
	}
	if !isImage(b) {
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

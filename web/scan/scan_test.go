package scan

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"rsc.io/qr"
)

// most is what tests allow.
const most = 96 << 20

// invite is as long as an invite with one address gets.
var invite = "HTTP://192.168.100.100:3739/J/" + strings.Repeat("AEBAGBAF", 12)

// picture returns a code of text in the middle of a gray image.
func picture(t testing.TB, text string, width, height, cell int) *image.RGBA {
	t.Helper()
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		t.Fatal(err)
	}
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	left, top := (width-code.Size*cell)/2, (height-code.Size*cell)/2
	random := rand.New(rand.NewPCG(1, 2))
	for y := range height {
		for x := range width {
			v := uint8(110 + random.IntN(40))
			cx, cy := (x-left)/cell, (y-top)/cell
			if x >= left-4*cell && y >= top-4*cell && cx < code.Size+4 && cy < code.Size+4 {
				v = uint8(200 + random.IntN(40))
				if x >= left && y >= top && code.Black(cx, cy) {
					v = uint8(random.IntN(60))
				}
			}
			copy(img.Pix[img.PixOffset(x, y):], []byte{v, v, v, 255})
		}
	}
	return img
}

func asJPEG(t testing.TB, img image.Image, quality int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asPNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadsPhotographs(t *testing.T) {
	clear := image.NewNRGBA(image.Rect(0, 0, 400, 400)) // transparent where it is white
	code, _ := qr.Encode("through glass", qr.M)
	for y := range code.Size * 8 {
		for x := range code.Size * 8 {
			if code.Black(x/8, y/8) {
				clear.Set(x+60, y+60, color.NRGBA{0, 0, 0, 255})
			}
		}
	}
	for _, c := range []struct {
		name, want string
		image      []byte
	}{
		{"a photograph of 2 megapixels", invite, asJPEG(t, picture(t, invite, 1600, 1200, 14), 75)},
		{"a code that is far away", invite, asJPEG(t, picture(t, invite, 1600, 1200, 4), 90)},
		{"a screenshot", "http://192.0.2.1:3739/", asPNG(t, picture(t, "http://192.0.2.1:3739/", 360, 640, 6))},
		{"black on nothing", "through glass", asPNG(t, clear)},
		{"another script", "Привіт, сусіде", asPNG(t, picture(t, "Привіт, сусіде", 300, 300, 6))},
	} {
		if got, err := Read(t.Context(), c.image, most); err != nil || got != c.want {
			t.Errorf("%s: read %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

// hugePNG is a header that promises side × side pixels in a few bytes.
func hugePNG(side uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
	b = binary.BigEndian.AppendUint32(b, side)
	b = binary.BigEndian.AppendUint32(b, side)
	b = append(b, 8, 6, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
}

// hugeJPEG is a header that promises side × side pixels; marker is of its frame.
func hugeJPEG(side uint16, marker byte) []byte {
	b := []byte{0xff, 0xd8, 0xff, 0xfe, 0, 4, 'h', 'i', 0xff, marker, 0, 17, 8}
	b = binary.BigEndian.AppendUint16(b, side)
	b = binary.BigEndian.AppendUint16(b, side)
	return append(b, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1)
}

// twofaced is a JPEG that a decoder takes for 65 thousand pixels by as many,
// where it passes over "\xff\x00" between segments as Go's does, and for 8 by 8
// where it takes that for a segment.
func twofaced() []byte {
	b := append([]byte{0xff, 0xd8, 0xff, 0}, hugeJPEG(65535, 0xc0)[8:]...)
	b = append(b, make([]byte, 4+0xffc0-len(b))...)
	return append(b, hugeJPEG(8, 0xc0)[8:]...)
}

// corners is a picture full of the marks that a code has in its corners.
func corners(side int) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, 18*side, 18*side))
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			dx, dy := x%18/2-3, y%18/2-3
			if d := max(dx, -dx, dy, -dy); d == 2 || d > 3 {
				img.Pix[img.PixOffset(x, y)] = 255
			}
		}
	}
	return img
}

// scribbled is a progressive JPEG of side × side pixels; each of its scans takes
// a few bytes and asks for a pass over all of them.
func scribbled(side uint16, scans int) []byte {
	b := []byte{0xff, 0xd8, 0xff, 0xdb, 0, 67, 0}
	for range 64 {
		b = append(b, 1)
	}
	b = append(b, 0xff, 0xc2, 0, 11, 8)
	b = binary.BigEndian.AppendUint16(b, side)
	b = binary.BigEndian.AppendUint16(b, side)
	b = append(b, 1, 1, 0x11, 0)
	// One code of one bit: the band ends, for 16384 blocks and what 14 bits more say.
	b = append(b, 0xff, 0xc4, 0, 20, 0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xe0)
	blocks := (int(side) + 7) / 8 * ((int(side) + 7) / 8)
	var run []byte
	for bits, n := 0, blocks; n > 0; n -= 1<<15 - 1 {
		// 0, then fourteen ones; a byte of ones is followed by a zero byte.
		for _, bit := range []byte{0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1} {
			if bits%8 == 0 {
				if len(run) > 0 && run[len(run)-1] == 0xff {
					run = append(run, 0)
				}
				run = append(run, 0)
			}
			run[len(run)-1] |= bit << (7 - bits%8)
			bits++
		}
	}
	if run[len(run)-1] == 0xff {
		run = append(run, 0)
	}
	for range scans {
		b = append(append(b, 0xff, 0xda, 0, 8, 1, 1, 0, 1, 63, 0), run...)
	}
	return b
}

// TestReaderIsNotKeptBusy reads images that ask for hours of work in little.
func TestReaderIsNotKeptBusy(t *testing.T) {
	for name, b := range map[string][]byte{"marks": asPNG(t, corners(60)), "scans": scribbled(4000, 20000)} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		began := time.Now()
		text, err := Read(ctx, b, most)
		cancel()
		if took := time.Since(began); err == nil || took > 20*time.Second {
			t.Errorf("%s, %d bytes: %q, %v after %s", name, len(b), text, err, took)
		}
	}
}

func TestRefuses(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name  string
		ctx   context.Context
		image []byte
		want  error
	}{
		{"nothing", t.Context(), nil, ErrFormat},
		{"a text", t.Context(), []byte("no image"), ErrFormat},
		{"a GIF", t.Context(), []byte("GIF89a\x01\x00\x01\x00"), ErrFormat},
		{"a HEIC", t.Context(), []byte("\x00\x00\x00\x18ftypheic"), ErrFormat},
		{"half a header", t.Context(), []byte("\x89PNG\r\n\x1a\n\x00\x00"), ErrFormat},
		{"half a photograph", t.Context(), asJPEG(t, picture(t, invite, 300, 300, 4), 80)[:3000], ErrFormat},
		{"a PNG of 65 thousand by as many", t.Context(), hugePNG(65535), ErrLarge},
		{"a PNG of two thousand million by as many", t.Context(), hugePNG(1<<31 - 1), ErrLarge},
		{"a PNG of more", t.Context(), hugePNG(1<<32 - 1), ErrFormat},
		{"a JPEG of 65 thousand by as many", t.Context(), hugeJPEG(65535, 0xc0), ErrLarge},
		{"a progressive one of 25 megapixels", t.Context(), hugeJPEG(5000, 0xc2), ErrLarge},
		{"gray paper", t.Context(), asPNG(t, image.NewGray(image.Rect(0, 0, 640, 480))), ErrNoCode},
		{"one pixel", t.Context(), asPNG(t, image.NewGray(image.Rect(0, 0, 1, 1))), ErrNoCode},
		{"nobody waits", ended, asPNG(t, picture(t, "x", 300, 300, 6)), context.Canceled},
	} {
		if got, err := Read(c.ctx, c.image, most); !errors.Is(err, c.want) {
			t.Errorf("%s: %q, %v, want %v", c.name, got, err, c.want)
		}
	}
}

// TestPhonesFit checks what the limit means for the cameras that people have.
func TestPhonesFit(t *testing.T) {
	for _, c := range []struct {
		name   string
		side   uint16
		marker byte
		fits   bool
	}{
		{"12 megapixels", 3500, 0xc0, true},
		{"24 megapixels", 4900, 0xc0, true},
		{"50 megapixels", 7100, 0xc0, true},
		{"108 megapixels", 10400, 0xc0, false},
		{"12 megapixels, progressive", 3500, 0xc2, true},
	} {
		need, err := unpacked(hugeJPEG(c.side, c.marker))
		if err != nil || need <= most != c.fits {
			t.Errorf("%s take %d MB (%v), want fits = %v", c.name, need>>20, err, c.fits)
		}
	}
}

// TestReckonedIsEnough compares what is reckoned from headers with what the
// unpacked image holds.
func TestReckonedIsEnough(t *testing.T) {
	if need, err := unpacked(twofaced()); err == nil && need < most {
		t.Errorf("a JPEG that is huge to its decoder was reckoned to take %d bytes", need)
	}
	img := picture(t, "x", 333, 217, 4)
	for name, b := range map[string][]byte{"jpeg": asJPEG(t, img, 80), "png": asPNG(t, img), "gray": asPNG(t, image.NewGray(img.Rect))} {
		got, _, err := image.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		holds := 0
		switch m := got.(type) {
		case *image.YCbCr:
			holds = len(m.Y) + len(m.Cb) + len(m.Cr)
		case *image.RGBA:
			holds = len(m.Pix)
		case *image.NRGBA:
			holds = len(m.Pix)
		case *image.Gray:
			holds = len(m.Pix)
		}
		if need, err := unpacked(b); err != nil || need < int64(holds) || holds == 0 {
			t.Errorf("%s: %d bytes reckoned (%v), it holds %d", name, need, err, holds)
		}
	}
}

// FuzzRead takes images from anybody: none may crash the reader or take more
// memory than its header said.
func FuzzRead(f *testing.F) {
	f.Add(asPNG(f, picture(f, "x", 120, 120, 4)))
	f.Add(asJPEG(f, picture(f, "x", 120, 120, 4), 60))
	f.Add(hugePNG(65535))
	f.Add(hugeJPEG(65535, 0xc2))
	f.Add(twofaced())
	f.Add(scribbled(64, 3))
	f.Add([]byte("\xff\xd8\xff"))
	gray, _ := base64.StdEncoding.DecodeString("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")
	f.Add(gray)
	f.Fuzz(func(t *testing.T, b []byte) {
		if text, err := Read(t.Context(), b, 1<<20); err != nil && text != "" {
			t.Errorf("%q and %v", text, err)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	photo := asJPEG(b, picture(b, invite, 4032, 3024, 36), 80)
	noise := asJPEG(b, image.NewGray(image.Rect(0, 0, 4032, 3024)), 80)
	b.Run("12 megapixels", func(b *testing.B) {
		for b.Loop() {
			if _, err := Read(b.Context(), photo, most); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("12 megapixels of nothing", func(b *testing.B) {
		for b.Loop() {
			if _, err := Read(b.Context(), noise, most); !errors.Is(err, ErrNoCode) {
				b.Fatal(err)
			}
		}
	})
}

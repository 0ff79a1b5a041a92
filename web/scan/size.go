package scan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

var errCutOff = errors.New("its header is cut off")

// unpacked returns how many bytes the pixels of an image take in memory while
// it is unpacked, from its header alone; see IsImage for which can be told.
func unpacked(b []byte) (int64, error) {
	if b[0] == 0x89 {
		return unpackedPNG(b)
	}
	return unpackedJPEG(b)
}

// unpackedPNG reads the first chunk of a PNG (W3C PNG, section 11.2.2), which
// tells its size, the bits of a sample and the kind of colour.
func unpackedPNG(b []byte) (int64, error) {
	const header = 8 + 8 + 13
	if len(b) < header || string(b[12:16]) != "IHDR" {
		return 0, errCutOff
	}
	width, height := int64(binary.BigEndian.Uint32(b[16:])), int64(binary.BigEndian.Uint32(b[20:]))
	if width == 0 || height == 0 || width > math.MaxInt32 || height > math.MaxInt32 {
		return 0, fmt.Errorf("%d×%d pixels", width, height)
	}
	each := int64(4)
	if b[24] == 16 {
		each = 8
	}
	if b[28] != 0 {
		each *= 2 // interlaced: the passes are unpacked beside the whole
	}
	return sum(width, height, each), nil
}

// unpackedJPEG walks the markers of a JPEG (ITU T.81, annex B) to the first
// start of a frame. A progressive one keeps coefficients of four bytes beside
// its pixels until the end.
func unpackedJPEG(b []byte) (int64, error) {
	for b = b[2:]; len(b) >= 4; {
		if b[0] != 0xff {
			return 0, errors.New("no marker where one must be")
		}
		marker := b[1]
		if marker == 0 { // where one is expected, decoders differ about it; it has no business there
			return 0, errors.New("no marker where one must be")
		}
		if marker == 0xff { // a fill byte
			b = b[1:]
			continue
		}
		if marker == 0x01 || marker >= 0xd0 && marker <= 0xd8 { // alone, without a length
			b = b[2:]
			continue
		}
		size := int(binary.BigEndian.Uint16(b[2:]))
		if size < 2 || len(b) < 2+size {
			return 0, errCutOff
		}
		if frame := marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc; frame {
			return frameSize(b[4:2+size], marker == 0xc2)
		}
		b = b[2+size:]
	}
	return 0, errCutOff
}

// frameSize reckons with the header of a frame.
func frameSize(b []byte, progressive bool) (int64, error) {
	if len(b) < 6 || len(b) < 6+3*int(b[5]) {
		return 0, errCutOff
	}
	height, width, components := int64(binary.BigEndian.Uint16(b[1:])), int64(binary.BigEndian.Uint16(b[3:])), int(b[5])
	if width == 0 || height == 0 || components == 0 || components > 4 {
		return 0, fmt.Errorf("%d×%d pixels of %d components", width, height, components)
	}
	samples, most := int64(0), int64(1)
	for i := range components {
		f := int64(b[6+3*i+1])
		h, v := f>>4, f&15
		if h == 0 || v == 0 || h > 4 || v > 4 {
			return 0, fmt.Errorf("sampling factors %d×%d", h, v)
		}
		samples += h * v
		most = max(most, h*v)
	}
	each := int64(1)
	if progressive {
		each = 5
	}
	if components == 4 {
		each++ // black is joined with the colours in a copy
	}
	// Rows and columns are filled up to whole blocks.
	return sum(width+32, height+32, each) * samples / most, nil
}

// sum multiplies what three 32-bit numbers can make without overflow.
func sum(width, height, each int64) int64 {
	if width > math.MaxInt64/16/height/each {
		return math.MaxInt64 / 16
	}
	return width * height * each
}

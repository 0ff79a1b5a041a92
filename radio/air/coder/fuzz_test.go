package coder

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzText checks that every text comes back, in one byte more at most.
func FuzzText(f *testing.F) {
	for _, s := range nasty {
		f.Add([]byte(s))
	}
	for l := English; l < Universal; l++ {
		f.Add(heldOut(f, l)[3])
	}
	c := shared()
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 2048 {
			return
		}
		checkComesBack(t, c, text)
	})
}

// FuzzStream checks that no stream yields more than the limit, and that
// what is read as a text is what a writer makes of it.
func FuzzStream(f *testing.F) {
	c := shared()
	for _, s := range nasty {
		f.Add(c.Encode([]byte(s)))
	}
	for l := range byte(languages) {
		f.Add([]byte{l << 5, 0, 0, 0, 0, 0, 0, 0})
		f.Add([]byte{l<<5 | 31, 255, 255, 255, 255, 255, 255})
		f.Add([]byte{modeLong<<5 | l, 170, 85, 170, 85})
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 300
		text, err := c.Decode(b, limit)
		switch {
		case err == nil && len(text) > limit:
			t.Errorf("%d bytes, want at most %d", len(text), limit)
		case err != nil && !errors.Is(err, ErrTooLong) && !errors.Is(err, ErrCorrupt):
			t.Errorf("error %v is neither", err)
		case err == nil && len(b) > 0:
			checkWritten(t, c, b, text)
			again, err := c.Decode(c.Encode(text), limit)
			if err != nil || !bytes.Equal(again, text) {
				t.Errorf("%q came back as %q: %v", text, again, err)
			}
		}
	})
}

package air

import (
	"encoding/base64"
	"fmt"
	"testing"

	"drey/mesh"
)

// TestLetterFitsOneFrame packs events of the shape that private letters have (kind
// 3742, see docs/PROTOCOL.md): the body is a form byte, an age byte and the
// compressed text, filled to a multiple of four, between four bytes of nonce and
// eight of mac. Up to 130 bytes of compressed text a letter is one frame, and the
// frame has at most a hundred bytes more.
func TestLetterFitsOneFrame(t *testing.T) {
	c := &Codec{Text: Plain{}, Directory: newVillage()}
	most := 0
	for text := range 140 {
		raw := make([]byte, 4+(2+text+3)/4*4+8)
		for i := range raw {
			raw[i] = byte(37*i + text)
		}
		e := say(t, 1, mesh.KindLetter, noon, base64.StdEncoding.EncodeToString(raw), []string{"expiration", fmt.Sprint(noon + 3*24*3600)})
		payload, n, err := c.Pack([]Item{{e, mesh.TopicMail}}, 0, false)
		if err != nil {
			break
		}
		if n != 1 || len(payload) > text+100 {
			t.Errorf("%d bytes of text make a frame of %d", text, len(payload))
		}
		most = text
	}
	t.Logf("the longest text in one frame has %d bytes after compression", most)
	if most < 130 {
		t.Errorf("a frame holds a letter of %d bytes, want 130", most)
	}
}

// TestWrapFitsFragments cuts gift wraps as long as those of NIP-17: what is sealed
// twice of a text of 4 and of 200 bytes, and the longest that goes.
func TestWrapFitsFragments(t *testing.T) {
	c := &Codec{Text: Plain{}, Directory: newVillage()}
	for _, sealed := range []int{835, 1347, 2000} { // bytes before base64
		raw := make([]byte, sealed)
		for i := range raw {
			raw[i] = byte(i * i)
		}
		e := say(t, 1, mesh.KindGiftWrap, noon, base64.StdEncoding.EncodeToString(raw), []string{"p", pub(5)})
		set, err := c.Split(Item{e, mesh.TopicMail})
		if err != nil {
			t.Errorf("%d bytes: %v", sealed, err)
			continue
		}
		set.Begin(0)
		t.Logf("a wrap of %d bytes goes in %d fragments", sealed, set.Owed())
	}
}

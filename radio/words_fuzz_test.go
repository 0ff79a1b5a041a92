package radio

import (
	"testing"

	"drey/mesh"
)

// FuzzWord reads a gateway's word out of any two tags.
func FuzzWord(f *testing.F) {
	f.Add("!a1b2c3d4", "3", "68")
	f.Add("!a1b2c3d4", "0", "0")
	f.Add("!00000000", "-1", "+2")
	f.Add("! a1b2c3", "007", "1e1")
	f.Fuzz(func(t *testing.T, radio, hops, tenths string) {
		e, err := mesh.NewEvent(mesh.PubKey{1}, mesh.Signature{}, mesh.Draft{Kind: KindAired, Tags: [][]string{
			{tagGateway, radio}, {tagWorth, hops, tenths},
		}})
		if err != nil {
			return
		}
		num, w, ok := parseWord(e)
		if ok && (num.String() != radio || w.hops > maxHops || w.tenths < 0 || w.tenths > mostWorth || w.offer.none() != (w.tenths == 0)) {
			t.Errorf("%q %q %q gave %v, %+v", radio, hops, tenths, num, w)
		}
	})
}

// FuzzHeard reads what the shelf keeps of a text that was heard.
func FuzzHeard(f *testing.F) {
	f.Add("!a1b2c3d4:9f3c21aa", heardText{Channel: 3}.encode())
	f.Add("!a1b2c3d4:", []byte{1, 2, 3, 4, 5, 6, 7, 8, 9})
	f.Fuzz(func(t *testing.T, name string, v []byte) {
		h, err := decodeHeard(name, v)
		if err == nil && (h.proxy() != name || string(h.encode()) != string(v)) {
			t.Errorf("%q %x gave %+v", name, v, h)
		}
	})
}

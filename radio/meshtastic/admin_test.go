package meshtastic

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func TestAdmin(t *testing.T) {
	for name, c := range map[string]struct {
		in   Admin
		hex  string
		asks bool
	}{
		"get channel 1":     {Admin{Variant: AdminGetChannel, Number: 2}, "0802", true},
		"get lora":          {Admin{Variant: AdminGetConfig, Number: 5}, "2805", true},
		"get device":        {Admin{Variant: AdminGetConfig}, "2800", true},
		"begin":             {Admin{Variant: AdminBeginEdit, Number: 1}, "800401", false},
		"commit, passkey":   {Admin{Variant: AdminCommitEdit, Number: 1, Passkey: []byte{1, 2}}, "880401aa06020102", false},
		"set empty channel": {Admin{Variant: AdminSetChannel, Bytes: []byte{}}, "8a0200", false},
		"reboot":            {Admin{Variant: 97, Number: 5}, "880605", false},
	} {
		got := AppendAdmin(nil, &c.in)
		if hex.EncodeToString(got) != c.hex {
			t.Errorf("%s: %x, want %s", name, got, c.hex)
		}
		back, err := ParseAdmin(got)
		if err != nil || back.Variant != c.in.Variant || back.Number != c.in.Number ||
			!bytes.Equal(back.Bytes, c.in.Bytes) || !bytes.Equal(back.Passkey, c.in.Passkey) || back.Asks() != c.asks {
			t.Errorf("%s: read back as %+v, %v", name, back, err)
		}
	}
	for name, bad := range map[string]string{
		"empty": "", "two variants": "1801880605", "fixed variant": "0d00000000", "cut": "8a02",
	} {
		b, _ := hex.DecodeString(bad)
		if a, err := ParseAdmin(b); err == nil {
			t.Errorf("%s was taken as %+v", name, a)
		}
	}
}

func TestPosition(t *testing.T) {
	for _, p := range []Position{
		{Known: true, Latitude: 49.8397, Longitude: 24.0297, Altitude: 296, Time: 1_700_000_000, Precision: 32},
		{Known: true, Latitude: -33.4489, Longitude: -70.6693, Altitude: -5},
		{Known: true}, // where the equator meets Greenwich
		{Time: 7},
	} {
		got, err := ParsePosition(AppendPosition(nil, &p))
		if err != nil || *got != p {
			t.Errorf("%+v was read back as %+v, %v", p, got, err)
		}
	}
	if p, err := ParsePosition([]byte{0x0d, 0, 0, 0, 0x7f, 0x15, 0, 0, 0, 0}); err != nil || p.Known {
		t.Errorf("213 degrees north is %+v, %v", p, err)
	}
}

func TestRegionNames(t *testing.T) {
	for _, name := range Regions() {
		if r, ok := ParseRegion(name); !ok || r.String() != name {
			t.Errorf("%s is read as %s, %v", name, r, ok)
		}
	}
	for _, name := range []string{" eu-868 ", "eu868", "Eu_868"} {
		if r, ok := ParseRegion(name); !ok || r != RegionEU868 {
			t.Errorf("%q is %v, %v", name, r, ok)
		}
	}
	if r, ok := ParseRegion("_u-s"); !ok || r != RegionUS {
		t.Errorf("_u-s is %v, %v", r, ok)
	}
	if _, ok := ParseRegion("EU"); ok {
		t.Error("EU was taken")
	}
}

// TestRaw changes single fields and keeps those that nobody here knows.
func TestRaw(t *testing.T) {
	raw, _ := hex.DecodeString("0807" + "5206" + "1a0401020304" + "f00105") // id, channel, unknown 30
	for name, c := range map[string]struct {
		got  func() ([]byte, error)
		want string
	}{
		"id":          {func() ([]byte, error) { return WithID(raw, 9) }, "08095206" + "1a0401020304" + "f00105"},
		"bytes":       {func() ([]byte, error) { return WithBytes(raw, 10, []byte{5}) }, "0807f00105520105"},
		"bytes out":   {func() ([]byte, error) { return WithBytes(raw, 10, nil) }, "0807f00105"},
		"number":      {func() ([]byte, error) { return WithNumber(raw, 30, 6) }, "080752061a0401020304f00106"},
		"number out":  {func() ([]byte, error) { return WithNumber(raw, 30, 0) }, "080752061a0401020304"},
		"fixed added": {func() ([]byte, error) { return WithFixed(nil, 5, 1) }, "2d01000000"},
	} {
		got, err := c.got()
		if err != nil || hex.EncodeToString(got) != c.want {
			t.Errorf("%s: %x, %v, want %s", name, got, err, c.want)
		}
	}
	if inner, ok, err := Inner(raw, 10); !ok || err != nil || hex.EncodeToString(inner) != "1a0401020304" {
		t.Errorf("inner: %x %v %v", inner, ok, err)
	}
}

func FuzzAdmin(f *testing.F) {
	f.Add([]byte{0x08, 0x02})
	f.Add([]byte{0x8a, 0x02, 0x00})
	f.Add([]byte{0x18, 0x01, 0x88, 0x06, 0x05})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAdmin(b)
		if err != nil {
			return
		}
		again, err := ParseAdmin(AppendAdmin(nil, a))
		if err != nil || again.Variant != a.Variant || again.Number != a.Number || !bytes.Equal(again.Bytes, a.Bytes) {
			t.Errorf("%x: %+v was read back as %+v, %v", b, a, again, err)
		}
	})
}

func FuzzPosition(f *testing.F) {
	f.Add(AppendPosition(nil, &Position{Known: true, Latitude: 1, Longitude: 2}))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePosition(b)
		if err != nil || !p.Known {
			return
		}
		again, err := ParsePosition(AppendPosition(nil, p))
		if err != nil || *again != *p {
			t.Errorf("%+v was read back as %+v, %v", p, again, err)
		}
		_, _ = ParseReadings(b)
	})
}

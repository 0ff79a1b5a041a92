package mesh

import (
	"bytes"
	"strings"
	"testing"
)

func sampleMembership() *Membership {
	m := &Membership{Nonce: [32]byte{1, 2, 3}, Epochs: []Epoch{{2, Secret{9}}, {1, Secret{8}}}}
	m.Community = Found(PubKey{5}, "Riverside", m.Nonce)
	return m
}

func TestMembershipSurvives(t *testing.T) {
	open := &Membership{Community: OpenCommunity("market"), Epochs: []Epoch{{1, Secret{1}}}}
	for _, m := range []*Membership{sampleMembership(), open} {
		b, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseMembership(b)
		if err != nil {
			t.Fatal(err)
		}
		if got.Community != m.Community || got.Nonce != m.Nonce || len(got.Epochs) != len(m.Epochs) || got.Epochs[0] != m.Epochs[0] {
			t.Errorf("%s comes back changed", b)
		}
	}
}

func TestParseMembershipRefuses(t *testing.T) {
	b, err := sampleMembership().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	for name, change := range map[string][2]string{
		"another version":   {`"v": 1`, `"v": 2`},
		"an unknown key":    {`"v": 1`, `"v": 1, "w": 1`},
		"another name":      {"Riverside", "Hillside"},
		"another founder":   {`"founder": "05`, `"founder": "06`},
		"another id":        {`"id": "`, `"id": "00`},
		"a short nonce":     {`"nonce": "01`, `"nonce": "`},
		"upper case":        {`"secret": "09`, `"secret": "0A`},
		"a secret twice":    {`"secret": "08`, `"secret": "09`},
		"open with founder": {`"v": 1`, `"v": 1, "open": true`},
		"something behind":  {"}\n", "}{}"},
		"no secrets":        {`"secrets": [`, `"secrets": [], "x": [`},
		"a name with space": {"Riverside", "Riverside "},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if name == "something behind" {
			bad = good + "{}"
		}
		if bad == good {
			t.Fatalf("%s: the case changes nothing", name)
		}
		if _, err := ParseMembership([]byte(bad)); err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "0900") {
			t.Errorf("%s: the error holds a secret: %v", name, err)
		}
	}
}

func FuzzParseMembership(f *testing.F) {
	b, err := sampleMembership().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"v":1,"name":"x","open":true,"secrets":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMembership(b)
		if err != nil {
			return
		}
		first, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseMembership(first)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := again.Marshal(); err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s is written as %s, %v", first, second, err)
		}
	})
}

func TestCheckName(t *testing.T) {
	for _, s := range []string{"school", "Ana María", "مدرسة", "学校", strings.Repeat("x", 64)} {
		if err := CheckName(s); err != nil {
			t.Errorf("CheckName(%q) = %v", s, err)
		}
	}
	for _, s := range []string{"", " x", "x ", "a\nb", "a\u2028b", "a\u202eb", "\xff", strings.Repeat("x", 65), "a\u00a0b"} {
		if err := CheckName(s); err == nil {
			t.Errorf("CheckName(%q) is no error", s)
		}
	}
}

package mesh

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"rsc.io/qr"
	"rsc.io/qr/coding"
)

func sampleInvite(t testing.TB, uris ...string) *Invite {
	t.Helper()
	v := &Invite{Expires: 1_800_000_600}
	for i := range v.Node {
		v.Node[i] = byte(i)
	}
	copy(v.Token[:], "sixteen bytes!!!")
	for _, uri := range uris {
		e, err := ParseEndpoint(uri)
		if err != nil {
			t.Fatal(err)
		}
		v.Endpoints = append(v.Endpoints, e)
	}
	return v
}

// sampleLink was written by another implementation of base32.
const sampleLink = "HTTP://192.168.1.10:3739/J/" +
	"AEAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB643JPB2GKZLOEBRHS5DFOMQSCILLJHKFQYOAVAAQUDU3"

func TestInviteVector(t *testing.T) {
	v := sampleInvite(t, "http://192.168.1.10:3739")
	if got := v.Link(); got != sampleLink {
		t.Errorf("link %s, want %s", got, sampleLink)
	}
	if n := len(v.AppendBinary(nil)); n != 60 {
		t.Errorf("%d bytes with one IPv4 endpoint, want 60", n)
	}
	for name, text := range map[string]string{
		"as written":      sampleLink,
		"lower case":      strings.ToLower(sampleLink),
		"mixed case":      "http://192.168.1.10:3739/j/" + sampleLink[27:],
		"the code alone":  sampleLink[27:],
		"wrapped by mail": " " + sampleLink[:40] + "\r\n  " + sampleLink[40:] + "\n",
	} {
		got, err := ParseInvite(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(got.AppendBinary(nil), v.AppendBinary(nil)) {
			t.Errorf("%s: parsed as %v", name, got)
		}
	}
}

func TestInviteThroughAnotherDoor(t *testing.T) {
	_, code, _ := strings.Cut(sampleLink, "/J/")
	for front, want := range map[string]string{
		"http://school.local:3739": "http://school.local:3739",
		"https://[fd00::1]":        "https://[fd00::1]:443",
		"HTTP://SCHOOL.LOCAL":      "http://school.local:80",
	} {
		v, err := ParseInvite(front + "/J/" + code)
		if err != nil {
			t.Errorf("%s: %v", front, err)
			continue
		}
		if len(v.Endpoints) != 2 || v.Endpoints[0].String() != want {
			t.Errorf("%s: endpoints %v, want %s first", front, v.Endpoints, want)
		}
	}
}

func TestInviteFitsQR(t *testing.T) {
	for _, c := range []struct {
		endpoints []string
		version   int
	}{
		{[]string{"http://192.168.1.10:3739"}, 5},
		{[]string{"http://255.255.255.255:65535", "tls://255.255.255.255:65535", "http://10.0.0.1:3739"}, 6},
		{[]string{"http://school.local:3739"}, 6},
	} {
		v := sampleInvite(t, c.endpoints...)
		link := v.Link()
		if err := coding.Alpha(link).Check(); err != nil {
			t.Errorf("%v: the link is not alphanumeric: %v", c.endpoints, err)
		}
		code, err := qr.Encode(link, qr.L)
		if err != nil {
			t.Fatal(err)
		}
		if got := (code.Size - 17) / 4; got > c.version {
			t.Errorf("%v: %d characters make QR version %d, want at most %d", c.endpoints, len(link), got, c.version)
		}
		if _, err := ParseInvite(link); err != nil {
			t.Errorf("%v: %v", c.endpoints, err)
		}
	}
	v := sampleInvite(t, "http://[2001:db8:1111:2222:3333:4444:5555:6666]:3739")
	if got, err := ParseInvite(v.Link()); err != nil || got.Endpoints[0] != v.Endpoints[0] {
		t.Errorf("an IPv6 invite comes back as %v, %v", got, err)
	}
}

func TestFit(t *testing.T) {
	v := sampleInvite(t, "http://192.168.1.10:3739", "tls://[2001:db8::1]:3740", "tls://192.168.1.10:3740", "http://192.168.1.10:3739", "tls://10.0.0.1:3740")
	fit, err := v.Fit()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(fit.Endpoints), "[http://192.168.1.10:3739 tls://192.168.1.10:3740 tls://10.0.0.1:3740]"; got != want {
		t.Errorf("Fit keeps %s, want %s", got, want)
	}
	if n := len(fit.AppendBinary(nil)); n > MaxInvite {
		t.Errorf("%d bytes, limit %d", n, MaxInvite)
	}
	for _, uris := range [][]string{nil, {"tls://192.168.1.10:3740"}, {"http://a-name-that-is-much-too-long.example.org:3739"}} {
		if fit, err := sampleInvite(t, uris...).Fit(); !errors.Is(err, ErrInvite) {
			t.Errorf("Fit of %v = %v, %v; want ErrInvite", uris, fit, err)
		}
	}
}

func TestParseInviteRefuses(t *testing.T) {
	_, code, _ := strings.Cut(sampleLink, "/J/")
	for name, c := range map[string]struct{ text, says string }{
		"nothing":            {"", "empty"},
		"a phone's link":     {"HTTP://192.168.1.10:3739/", "/J/"},
		"a cut-off code":     {sampleLink[:len(sampleLink)-8], "cut off"},
		"one letter less":    {sampleLink[:len(sampleLink)-1], "cut off"},
		"a wrong letter":     {strings.Replace(sampleLink, "AEAACAQ", "AEAAC1Q", 1), "A-Z and 2-7"},
		"another version":    {"http://a:1/J/" + "AI" + code[2:], "newer drey"},
		"another scheme":     {"ftp://192.168.1.10:3739/J/" + code, "unknown scheme"},
		"an underlay door":   {"tls://192.168.1.10:3739/J/" + code, "not http"},
		"no host":            {"/J/" + code, ""},
		"far too much":       {strings.Repeat("A", 5000), "limit"},
		"something else":     {"hello", "cut off"},
		"more behind it":     {sampleLink + "/X", "A-Z and 2-7"},
		"a port that is not": {"http://a:b/J/" + code, "before /J/"},
	} {
		v, err := ParseInvite(c.text)
		if name == "no host" { // the code is whole: that is enough
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !errors.Is(err, ErrInvite) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: ParseInvite = %v, %v; want ErrInvite with %q", name, v, err, c.says)
			continue
		}
		if len(code) > 0 && strings.Contains(err.Error(), code[50:70]) {
			t.Errorf("%s: the error repeats the secret: %v", name, err)
		}
	}
}

func TestInviteSecretsDoNotPrint(t *testing.T) {
	v := sampleInvite(t, "http://192.168.1.10:3739")
	m := &Membership{Community: OpenCommunity("x"), Epochs: []Epoch{{1, Secret(bytes.Repeat([]byte{0x5a}, 32))}}}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, text := range []string{
			fmt.Sprintf(format, v.Token), fmt.Sprintf(format, m.Secret()), fmt.Sprintf(format, v), fmt.Sprintf(format, m), fmt.Sprintf(format, *v), fmt.Sprintf(format, *m), fmt.Sprintf(format, m.Epochs),
		} {
			low := strings.ToLower(text)
			for _, leak := range []string{hex.EncodeToString(v.Token[:]), "sixteen bytes", "5a5a", "0x5a", "90 90", fmt.Sprint(v.Token[:])[1:20]} {
				if strings.Contains(low, leak) {
					t.Errorf("%s prints %s", format, text)
				}
			}
		}
	}
}

// FuzzParseInvite checks that whatever parses is written back, as bytes and as
// a link.
func FuzzParseInvite(f *testing.F) {
	f.Add(sampleLink)
	f.Add(strings.ToLower(sampleLink))
	f.Add(sampleInvite(f, "http://[2001:db8::1]:3739").Link())
	f.Add(sampleInvite(f, "https://school.local:443", "tls://10.0.0.1:3740").Link())
	f.Add("HTTP://192.168.1.10/J/AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseInvite(s)
		if err != nil {
			return
		}
		again, err := ParseInvite(v.Link())
		if err != nil {
			if len(v.AppendBinary(nil)) > MaxInvite {
				return // a foreign door in front may make it too long to pass on
			}
			t.Fatalf("%q is written as %q: %v", s, v.Link(), err)
		}
		if !bytes.Equal(again.AppendBinary(nil), v.AppendBinary(nil)) {
			t.Errorf("%q comes back as %v, was %v", s, again, v)
		}
	})
}

// FuzzParseInviteBinary checks that whatever parses is written back byte for byte.
func FuzzParseInviteBinary(f *testing.F) {
	f.Add(sampleInvite(f, "http://192.168.1.10:3739").AppendBinary(nil))
	f.Add(sampleInvite(f, "https://school.local:443").AppendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := ParseInviteBinary(b)
		if err != nil {
			return
		}
		if got := v.AppendBinary(nil); !bytes.Equal(got, b) {
			t.Errorf("%x was written back as %x", b, got)
		}
	})
}

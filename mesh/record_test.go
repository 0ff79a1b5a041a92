package mesh

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// A recordVector is one line of testdata/peer_records.json: what a node says
// and the bytes that follow, seeds being of one repeated byte. The signatures
// have been checked by implementations of Ed25519 and BIP-340 other than ours.
type recordVector struct {
	Seed      byte      `json:"seed"`
	Community string    `json:"community"`
	Seq       uint32    `json:"seq"`
	Issued    Unix      `json:"issued"`
	Hours     int       `json:"lifetime_hours"`
	Abilities Abilities `json:"abilities"`
	Endpoints []string  `json:"endpoints"`
	Bytes     string    `json:"bytes"`
	Binding   string    `json:"binding"`
}

func recordVectors(t testing.TB) []recordVector {
	t.Helper()
	b, err := os.ReadFile("testdata/peer_records.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []recordVector
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) < 4 {
		t.Fatalf("%d vectors, want at least 4", len(list))
	}
	return list
}

func (v *recordVector) identity(t testing.TB) *Identity {
	t.Helper()
	id, err := Seed(bytes.Repeat([]byte{v.Seed}, 32)).Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (v *recordVector) record(t testing.TB) PeerRecord {
	t.Helper()
	r := PeerRecord{Seq: v.Seq, Issued: v.Issued, Lifetime: time.Duration(v.Hours) * time.Hour, Abilities: v.Abilities}
	if _, err := hex.Decode(r.Community[:], []byte(v.Community)); err != nil {
		t.Fatal(err)
	}
	for _, uri := range v.Endpoints {
		e, err := ParseEndpoint(uri)
		if err != nil {
			t.Fatal(err)
		}
		r.Endpoints = append(r.Endpoints, e)
	}
	return r
}

func TestPeerRecordVectors(t *testing.T) {
	for _, v := range recordVectors(t) {
		r, err := v.identity(t).SignPeerRecord(v.record(t))
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(r.AppendBinary(nil)); got != v.Bytes {
			t.Errorf("seed %d: record\n%s, want\n%s", v.Seed, got, v.Bytes)
		}
		b, err := hex.DecodeString(v.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParsePeerRecord(b)
		if err != nil {
			t.Fatal(err)
		}
		binding, err := hex.DecodeString(v.Binding)
		if err != nil || len(binding) != 64 {
			t.Fatalf("binding %q: %v", v.Binding, err)
		}
		if err := VerifyBinding(again, Signature(binding)); err != nil {
			t.Errorf("seed %d: %v", v.Seed, err)
		}
		for i, e := range again.Endpoints {
			if e.String() != v.Endpoints[i] {
				t.Errorf("seed %d: endpoint %s, want %s", v.Seed, e, v.Endpoints[i])
			}
		}
	}
}

func TestPeerRecordSize(t *testing.T) {
	v := recordVectors(t)[0]
	for _, c := range []struct {
		endpoints []string
		limit     int
		why       string
	}{
		{nil, 152, "the budget without endpoints"},
		{[]string{"tls://203.0.113.5:3740"}, 190, "a string of a DNS TXT record"},
		{[]string{"tls://203.0.113.5:3740", "tls://river.example.org:3740"}, 200, "one LoRa packet"},
	} {
		r := v.record(t)
		r.Endpoints = nil
		for _, uri := range c.endpoints {
			e, err := ParseEndpoint(uri)
			if err != nil {
				t.Fatal(err)
			}
			r.Endpoints = append(r.Endpoints, e)
		}
		signed, err := v.identity(t).SignPeerRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(signed.AppendBinary(nil)); n > c.limit {
			t.Errorf("with %v the record has %d bytes, limit %d: %s", c.endpoints, n, c.limit, c.why)
		}
	}
}

func TestPeerRecordNoticesEachChangedBit(t *testing.T) {
	for _, v := range recordVectors(t) {
		b, err := hex.DecodeString(v.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		for i := range len(b) * 8 {
			b[i/8] ^= 1 << (i % 8)
			r, err := ParsePeerRecord(b)
			if err == nil && r.Verify() == nil {
				t.Errorf("seed %d: bit %d changed and nobody noticed", v.Seed, i)
			}
			b[i/8] ^= 1 << (i % 8)
		}
	}
}

func TestBindingNeedsBothKeys(t *testing.T) {
	vectors := recordVectors(t)
	a, b := vectors[0].identity(t), vectors[1].identity(t)
	community := [8]byte{1, 2, 3}
	sign := func(node, author *Identity) *PeerRecord {
		t.Helper()
		id := &Identity{Node: node.Node, Author: author.Author}
		r, err := id.SignPeerRecord(PeerRecord{Community: community})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	bind := func(id *Identity, c [8]byte) Signature {
		t.Helper()
		s, err := id.Bind(c)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	r := sign(a, a)
	if err := VerifyBinding(r, bind(a, community)); err != nil {
		t.Errorf("an honest machine: %v", err)
	}
	for name, c := range map[string]struct {
		r   *PeerRecord
		sig Signature
	}{
		"a node that claims another's author": {sign(a, b), bind(a, community)},
		"an author that claims another node":  {r, bind(b, community)},
		"a binding for another community":     {r, bind(a, [8]byte{9})},
		"no binding":                          {r, Signature{}},
	} {
		if err := VerifyBinding(c.r, c.sig); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPeerRecordSupersedes(t *testing.T) {
	id := recordVectors(t)[0]
	sign := func(seq uint32, issued Unix) *PeerRecord {
		t.Helper()
		r, err := id.identity(t).SignPeerRecord(PeerRecord{Seq: seq, Issued: issued})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	old, newer := sign(7, 2_000_000_000), sign(8, 0) // the clock fell back to 1970
	if !newer.Supersedes(old) || old.Supersedes(newer) {
		t.Error("the higher sequence does not win against a later date")
	}
	twin := sign(7, 2_000_000_001)
	if old.Supersedes(twin) == twin.Supersedes(old) {
		t.Error("of two records of one number neither or both win")
	}
	if old.Supersedes(old) {
		t.Error("a record supersedes itself")
	}
}

func TestParsePeerRecordRefuses(t *testing.T) {
	var with string
	for _, v := range recordVectors(t) {
		if len(v.Endpoints) == 1 {
			with = v.Bytes
		}
	}
	good, err := hex.DecodeString(with)
	if err != nil || len(good) != recordHead+7 {
		t.Fatalf("the vector with one IPv4 endpoint has %d bytes, %v", len(good), err)
	}
	tail := func(b ...byte) []byte { return append(bytes.Clone(good[:recordHead]), b...) }
	one := good[recordHead:]
	for name, b := range map[string][]byte{
		"nothing":              nil,
		"cut off in its head":  good[:recordHead-1],
		"another version":      append([]byte{2}, good[1:]...),
		"cut off in a port":    good[:len(good)-1],
		"scheme 0":             tail(0x01, 1, 2, 3, 4, 0, 80),
		"kind 0":               tail(0x10, 1, 2, 3, 4, 0, 80),
		"kind 4":               tail(0x14, 1, 2, 3, 4, 0, 80),
		"port 0":               tail(0x11, 1, 2, 3, 4, 0, 0),
		"unspecified address":  tail(0x11, 0, 0, 0, 0, 0, 80),
		"multicast address":    tail(0x11, 224, 0, 0, 1, 0, 80),
		"IPv4 dressed as IPv6": tail(append(append([]byte{0x12}, make([]byte, 10)...), 0xff, 0xff, 1, 2, 3, 4, 0, 80)...),
		"address as a name":    tail(append([]byte{0x13, 7}, "1.2.3.4\x00\x50"...)...),
		"upper-case name":      tail(append([]byte{0x13, 5}, "A.org\x00\x50"...)...),
		"empty name":           tail(0x13, 0, 0, 80),
		"name without letters": tail(append([]byte{0x13, 3}, "a.1\x00\x50"...)...),
		"name cut off":         tail(append([]byte{0x13, 9}, "a.org\x00\x50"...)...),
		"one endpoint twice":   append(bytes.Clone(good), one...),
		"17 endpoints": func() []byte {
			b := bytes.Clone(good[:recordHead])
			for i := range byte(17) {
				b = append(b, 0x11, 1, 2, 3, 4, 1, i)
			}
			return b
		}(),
		"too long": append(bytes.Clone(good), make([]byte, MaxPeerRecord)...),
	} {
		if r, err := ParsePeerRecord(b); err == nil {
			t.Errorf("%s: parsed as %+v", name, r)
		}
	}
}

func TestUnknownSchemeAndAbilityAreKept(t *testing.T) {
	b, err := hex.DecodeString(recordVectors(t)[0].Bytes)
	if err != nil {
		t.Fatal(err)
	}
	b = append(b[:recordHead:recordHead], 0x91, 1, 2, 3, 4, 0, 80)
	b[recordHead-2] |= 0x80
	r, err := ParsePeerRecord(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Endpoints[0].String(); got != "scheme-9://1.2.3.4:80" {
		t.Errorf("endpoint of an unknown scheme: %s", got)
	}
	if got := r.Abilities.String(); !strings.HasSuffix(got, "bit-15") {
		t.Errorf("abilities %q, want bit-15 at the end", got)
	}
	if !bytes.Equal(r.AppendBinary(nil), b) {
		t.Error("what is not known was not written back")
	}
}

func TestParseEndpoint(t *testing.T) {
	for in, want := range map[string]string{
		"tls://203.0.113.5:3740":       "tls://203.0.113.5:3740",
		"HTTP://SCHOOL.LOCAL:3739/":    "http://school.local:3739",
		"tcp://[FD00:0:0::1]:1":        "tcp://[fd00::1]:1",
		"tls://[::ffff:192.0.2.1]:443": "tls://192.0.2.1:443",
		"quic://a-b.example:65535":     "quic://a-b.example:65535",
	} {
		if e, err := ParseEndpoint(in); err != nil || e.String() != want {
			t.Errorf("ParseEndpoint(%q) = %v, %v; want %s", in, e, err, want)
		}
	}
	for _, in := range []string{
		"", "school", "school:3739", "tls://school", "tls://school:0", "tls://school:65536", "tls://:1",
		"gopher://school:70", "tls://user@school:1", "tls://school:1/x", "tls://school:1?key=1", "tls://[fe80::1%25eth0]:1",
		"tls://-x:1", "tls://a..b:1", "tls://1.2.3:1", "tls://0.0.0.0:1", "scheme-9://a:1",
	} {
		if e, err := ParseEndpoint(in); err == nil {
			t.Errorf("ParseEndpoint(%q) = %v, want an error", in, e)
		}
	}
}

// FuzzParsePeerRecord checks that whatever parses is written back byte for byte.
func FuzzParsePeerRecord(f *testing.F) {
	for _, v := range recordVectors(f) {
		b, err := hex.DecodeString(v.Bytes)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParsePeerRecord(b)
		if err != nil {
			return
		}
		if got := r.AppendBinary(nil); !bytes.Equal(got, b) {
			t.Errorf("%x was written back as %x", b, got)
		}
		for _, e := range r.Endpoints {
			if e.Scheme >= Scheme(len(schemeNames)) {
				continue
			}
			if again, err := ParseEndpoint(e.String()); err != nil || again != e {
				t.Errorf("%s comes back as %v, %v", e, again, err)
			}
		}
	})
}

func BenchmarkVerifyBinding(b *testing.B) {
	v := recordVectors(b)[0]
	id := v.identity(b)
	r, err := id.SignPeerRecord(v.record(b))
	if err != nil {
		b.Fatal(err)
	}
	sig, err := id.Bind(r.Community)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := VerifyBinding(r, sig); err != nil {
			b.Fatal(err)
		}
	}
}

// TestWriteVectors writes testdata/peer_records.json anew when asked to; the
// bytes on the wire have then changed, and so must their version.
func TestWriteVectors(t *testing.T) {
	if os.Getenv("WRITE_VECTORS") == "" {
		t.Skip("set WRITE_VECTORS=1 to write testdata/peer_records.json")
	}
	list := []recordVector{
		{Seed: 1, Community: "0000000000000000"},
		{Seed: 2, Community: "0123456789abcdef", Seq: 1, Issued: 1_800_000_000, Hours: 48, Abilities: AbleRelay | AbleRadio, Endpoints: []string{"tls://203.0.113.5:3740"}},
		{Seed: 3, Community: "ffffffffffffffff", Seq: 1<<32 - 1, Issued: 1<<32 - 1, Hours: 65535, Abilities: 1<<16 - 1,
			Endpoints: []string{"tls://[2001:db8::1]:3740", "http://school.local:3739", "wss://river.example.org:443"}},
		{Seed: 4, Community: "a1b2c3d4e5f60708", Seq: 256, Issued: 0, Hours: 1, Endpoints: []string{"quic://10.0.0.1:1", "tcp://10.0.0.1:1"}},
	}
	for i := range list {
		v := &list[i]
		id := v.identity(t)
		r, err := id.SignPeerRecord(v.record(t))
		if err != nil {
			t.Fatal(err)
		}
		if !ed25519.Verify(r.Node[:], recordMessage(r.AppendBinary(nil)), r.Signature[:]) {
			t.Fatal("the record does not verify")
		}
		sig, err := id.Bind(r.Community)
		if err != nil {
			t.Fatal(err)
		}
		v.Bytes, v.Binding = hex.EncodeToString(r.AppendBinary(nil)), sig.String()
	}
	b, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("testdata/peer_records.json", append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

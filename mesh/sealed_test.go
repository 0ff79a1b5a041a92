package mesh

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
)

// A sealedVector is one line of testdata/sealed_records.json: the record of a
// vector in peer_records.json, sealed. The secret is of one repeated byte.
type sealedVector struct {
	Record string `json:"record"`
	Secret byte   `json:"secret"`
	Nonce  string `json:"nonce"`
	Bytes  string `json:"bytes"`
	Text   string `json:"text"`
}

func sealedVectors(t testing.TB) []sealedVector {
	t.Helper()
	b, err := os.ReadFile("testdata/sealed_records.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []sealedVector
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) < 2 {
		t.Fatalf("%d vectors, want at least 2", len(list))
	}
	return list
}

func secretOf(b byte) Secret { return Secret(bytes.Repeat([]byte{b}, 32)) }

func mustHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSealedRecordVectors(t *testing.T) {
	for i, v := range sealedVectors(t) {
		r, err := ParsePeerRecord(mustHex(t, v.Record))
		if err != nil {
			t.Fatal(err)
		}
		b := SealRecord(r, secretOf(v.Secret), [12]byte(mustHex(t, v.Nonce)))
		if got := hex.EncodeToString(b); got != v.Bytes {
			t.Errorf("vector %d: sealed\n%s, want\n%s", i, got, v.Bytes)
		}
		if got := RecordText(b); got != v.Text {
			t.Errorf("vector %d: text %s, want %s", i, got, v.Text)
		}
		text, err := ParseRecordText(" " + v.Text + "\r\n")
		if err != nil || !bytes.Equal(text, b) {
			t.Errorf("vector %d: text read back as %x, %v", i, text, err)
		}
		// The older of two secrets opens it too.
		again, sealed, err := OpenRecord(b, []Secret{secretOf(v.Secret + 1), secretOf(v.Secret)})
		if err != nil || !sealed || !bytes.Equal(again.AppendBinary(nil), r.AppendBinary(nil)) {
			t.Errorf("vector %d: opened as %+v, sealed %v, %v", i, again, sealed, err)
		}
		if bytes.Contains(b, r.Node[:]) || bytes.Contains(b, r.Community[:]) {
			t.Errorf("vector %d: the node's key or the community shows", i)
		}
	}
}

func TestOpenRecordRefuses(t *testing.T) {
	v := sealedVectors(t)[0]
	good, clear := mustHex(t, v.Bytes), mustHex(t, v.Record)
	secrets := []Secret{secretOf(v.Secret)}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if r, _, err := OpenRecord(bad, secrets); err == nil {
			t.Fatalf("byte %d changed: opened as %+v", i, r)
		}
	}
	if _, _, err := OpenRecord(good, []Secret{secretOf(v.Secret + 1)}); !errors.Is(err, ErrSealed) {
		t.Errorf("another community's secret: %v, want ErrSealed", err)
	}
	if _, _, err := OpenRecord(good, nil); !errors.Is(err, ErrSealed) {
		t.Errorf("no secret: %v, want ErrSealed", err)
	}
	for n := range good {
		if r, _, err := OpenRecord(good[:n], secrets); err == nil {
			t.Errorf("cut to %d bytes: opened as %+v", n, r)
		}
	}
	if _, _, err := OpenRecord(make([]byte, MaxSealedRecord+1), secrets); err == nil {
		t.Error("an oversized record was opened")
	}
	if r, sealed, err := OpenRecord(clear, nil); err != nil || sealed || r == nil {
		t.Errorf("in clear: %+v, %v, %v", r, sealed, err)
	}
	for _, text := range []string{"", "drey1", "drey2:AAAA", "drey1:AA=", "drey1:A", "drey1:AB\nCD", "drey1:" + strings.Repeat("A", 2*MaxSealedRecord)} {
		if b, err := ParseRecordText(text); err == nil {
			t.Errorf("text %.40q was read as %x", text, b)
		}
	}
}

// FuzzOpenRecord checks that whatever opens was sealed or written here.
func FuzzOpenRecord(f *testing.F) {
	secrets := []Secret{secretOf(7), secretOf(8)}
	for _, v := range sealedVectors(f) {
		f.Add(mustHex(f, v.Bytes))
		f.Add(mustHex(f, v.Record))
	}
	f.Add([]byte{2})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, sealed, err := OpenRecord(b, secrets)
		if err != nil {
			return
		}
		again := r.AppendBinary(nil)
		if sealed {
			again = SealRecord(r, secrets[0], [12]byte(b[1:13]))
			if !bytes.Equal(again, b) {
				again = SealRecord(r, secrets[1], [12]byte(b[1:13]))
			}
		}
		if !bytes.Equal(again, b) {
			t.Errorf("%x was written back as %x", b, again)
		}
	})
}

// FuzzRecordText checks that whatever is read has one form only.
func FuzzRecordText(f *testing.F) {
	for _, v := range sealedVectors(f) {
		f.Add(v.Text)
	}
	f.Add("drey1:")
	f.Add("drey1:AB\nCD")
	f.Fuzz(func(t *testing.T, s string) {
		b, err := ParseRecordText(s)
		if err != nil {
			return
		}
		if got := RecordText(b); got != strings.TrimSpace(s) {
			t.Errorf("%q was written back as %q", s, got)
		}
	})
}

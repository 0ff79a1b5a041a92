package mesh

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
)

// nasty returns events whose text is hard to write back: quotes, controls,
// U+2028, emoji, empty tags, 60-value tags; their ids and signatures come from
// another implementation.
func nasty(t testing.TB) [][]byte {
	t.Helper()
	f, err := os.Open("testdata/nasty.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines [][]byte
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		lines = append(lines, bytes.Clone(s.Bytes()))
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	if len(lines) < 300 {
		t.Fatalf("%d nasty events, want at least 300", len(lines))
	}
	return lines
}

func TestNastyEventsSurviveEveryForm(t *testing.T) {
	for _, line := range nasty(t) {
		e, err := ParseJSON(line)
		if err != nil {
			t.Errorf("ParseJSON(%.120s) = %v", line, err)
			continue
		}
		if err := e.Verify(); err != nil {
			t.Errorf("Verify(%s) = %v", e.ID(), err)
		}
		again, err := ParseJSON(e.AppendJSON(nil))
		if err != nil || again.ID() != e.ID() {
			t.Errorf("%s written as JSON comes back as %v, %v", e.ID(), again, err)
		}
		b := e.AppendBinary(nil)
		again, err = ParseBinary(b)
		if err != nil || again.ID() != e.ID() || !bytes.Equal(again.AppendBinary(nil), b) {
			t.Errorf("%s written as binary comes back as %v, %v", e.ID(), again, err)
		}
	}
}

func TestParseJSONRefuses(t *testing.T) {
	good := string(nasty(t)[0])
	for name, bad := range map[string]string{
		"upper-case id":     strings.Replace(good, `"id":"a`, `"id":"A`, 1),
		"wrong id":          strings.Replace(good, `"id":"a7`, `"id":"a8`, 1),
		"short pubkey":      strings.Replace(good, `"pubkey":"f7`, `"pubkey":"f`, 1),
		"kind too large":    strings.Replace(good, `"kind":0`, `"kind":65536`, 1),
		"kind not whole":    strings.Replace(good, `"kind":0`, `"kind":0.0`, 1),
		"negative time":     strings.Replace(good, `"created_at":`, `"created_at":-`, 1),
		"time too large":    strings.Replace(good, `"created_at":`, `"created_at":9`, 1),
		"no sig":            strings.Replace(good, `"sig"`, `"gis"`, 1),
		"trailing data":     good + "{}",
		"invalid UTF-8":     strings.Replace(good, `"content":"`, "\"content\":\"\xff", 1),
		"changed content":   strings.Replace(good, `"content":"`, `"content":"x`, 1),
		"lone surrogate":    strings.Replace(good, `"content":"`, `"content":"\ud800`, 1),
		"tags of numbers":   strings.Replace(good, `"tags":[]`, `"tags":[[1]]`, 1),
		"nothing":           "",
		"another JSON type": "[]",
	} {
		if bad == good {
			t.Fatalf("%s: the case changes nothing", name)
		}
		if _, err := ParseJSON([]byte(bad)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: ParseJSON = %v, want ErrInvalid", name, err)
		}
	}
}

func TestLimits(t *testing.T) {
	many := func(n int) [][]string { return make([][]string, n) }
	for _, c := range []struct {
		name string
		d    Draft
		ok   bool
	}{
		{"100 tags", Draft{Tags: many(100)}, true},
		{"101 tags", Draft{Tags: many(101)}, false},
		{"200 items", Draft{Tags: [][]string{make([]string, 200)}}, true},
		{"201 items", Draft{Tags: [][]string{make([]string, 201)}}, false},
		{"largest", Draft{Content: strings.Repeat("x", MaxEventSize-len(appendCanonical(nil, PubKey{}, Draft{})))}, true},
		{"one byte more", Draft{Content: strings.Repeat("x", MaxEventSize+1-len(appendCanonical(nil, PubKey{}, Draft{})))}, false},
		{"escapes count", Draft{Content: strings.Repeat("\x01", MaxEventSize/6)}, false},
	} {
		e, err := NewEvent(PubKey{}, Signature{}, c.d)
		if (err == nil) != c.ok {
			t.Errorf("%s: NewEvent = %v, want ok %v", c.name, err, c.ok)
		}
		if err != nil {
			continue
		}
		if _, err := ParseBinary(e.AppendBinary(nil)); err != nil {
			t.Errorf("%s: ParseBinary = %v", c.name, err)
		}
		if _, err := ParseJSON(e.AppendJSON(nil)); err != nil {
			t.Errorf("%s: ParseJSON = %v", c.name, err)
		}
	}
}

func TestVerifyNoticesEachChangedBit(t *testing.T) {
	e, err := ParseJSON(nasty(t)[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range 64 {
		sig := e.Sig()
		sig[i] ^= 1
		forged, err := NewEvent(e.Author(), sig, e.Draft())
		if err != nil {
			t.Fatal(err)
		}
		if err := forged.Verify(); !errors.Is(err, ErrInvalid) {
			t.Errorf("a signature with byte %d changed: Verify = %v, want ErrInvalid", i, err)
		}
	}
}

func FuzzParseJSON(f *testing.F) {
	for _, line := range nasty(f) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseJSON(b)
		if err != nil {
			return
		}
		again, err := ParseJSON(e.AppendJSON(nil))
		if err != nil || again.ID() != e.ID() {
			t.Errorf("%s comes back as %v, %v", e.ID(), again, err)
		}
	})
}

// FuzzParseBinary checks that whatever parses is written back byte for byte.
func FuzzParseBinary(f *testing.F) {
	for _, line := range nasty(f) {
		e, err := ParseJSON(line)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(e.AppendBinary(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseBinary(b)
		if err != nil {
			return
		}
		if got := e.AppendBinary(nil); !bytes.Equal(got, b) {
			t.Errorf("%x was written back as %x", b, got)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	e, err := ParseJSON(nasty(b)[0])
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := e.Verify(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseBinary(b *testing.B) {
	e, err := ParseJSON(nasty(b)[0])
	if err != nil {
		b.Fatal(err)
	}
	form := e.AppendBinary(nil)
	for b.Loop() {
		if _, err := ParseBinary(form); err != nil {
			b.Fatal(err)
		}
	}
}

package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode"

	"drey/mesh"
)

func TestPlainLeavesNothingThatMovesACursor(t *testing.T) {
	for in, want := range map[string]string{
		"water is back":     "water is back",
		"red \x1b[31m":      `red \x1b[31m`,
		"a\tb\r\n":          `a    b\x0d\n`,
		"\u202eevil":        `\u202eevil`,
		"l\u2028s":          `l\u2028s`,
		"\u200e\ufeff":      `\u200e\ufeff`,
		"👩\u200d🌾 ن\u200cی": "👩\u200d🌾 ن\u200cی",
		"c1 \u009b31m":      `c1 \x9b31m`,
	} {
		if got := plain(in, false); got != want {
			t.Errorf("plain(%q) = %q, want %q", in, got, want)
		}
	}
	if got := plain("a\nb", true); got != "a\nb" {
		t.Errorf("with breaks: %q", got)
	}
}

func FuzzPlain(f *testing.F) {
	f.Add("red \x1b[31m alert\u202e\n")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range plain(s, false) {
			if unicode.IsControl(r) {
				t.Errorf("plain(%q) holds %q", s, r)
			}
		}
	})
}

func TestOddClocksAreShown(t *testing.T) {
	received := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		created time.Time
		want    string
	}{
		{received.Add(-time.Minute), ""},
		{received.Add(-72 * time.Hour), ""}, // it took its time
		{received.Add(time.Minute), ""},
		{received.Add(10 * time.Minute), "(its clock is 10 min ahead)"},
		{time.Date(2040, 1, 2, 0, 0, 0, 0, time.UTC), "(dated 2040-01-02)"},
		{time.Unix(5, 0), "(dated 1970-01-01)"},
	} {
		if got := oddity(tt.created, received); got != tt.want {
			t.Errorf("created %v, received %v: %q, want %q", tt.created, received, got, tt.want)
		}
	}
}

// FuzzParseSeed checks that what is taken for an identity is written back as
// the same one.
func FuzzParseSeed(f *testing.F) {
	f.Add(formatSeed(mesh.Seed{1, 2, 3}))
	f.Add([]byte("drey-seed-1 12"))
	f.Add([]byte("# only a comment\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		seed, err := parseSeed(b)
		if err != nil {
			if bytes.Contains(b, []byte(seedWord)) && strings.Contains(err.Error(), string(bytes.TrimSpace(bytes.TrimPrefix(b, []byte(seedWord))))) && len(b) > 40 {
				t.Errorf("the error quotes what may be a secret: %v", err)
			}
			return
		}
		again, err := parseSeed(formatSeed(seed))
		if err != nil || again != seed {
			t.Errorf("%q was read and written as another seed: %v", b, err)
		}
	})
}

func TestWrapped(t *testing.T) {
	if got, want := wrapped("one two\nthree  veryverylongword four", 9), "one two\nthree\nveryverylongword\nfour"; got != want {
		t.Errorf("wrapped gave %q, want %q", got, want)
	}
}

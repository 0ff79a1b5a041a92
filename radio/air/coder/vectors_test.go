package coder

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// The primes are part of the format. Whoever changes one makes a new Version,
// keeps the old one readable, and only then changes a sum here.
func TestPrimesAreWireFormat(t *testing.T) {
	sums := [languages]string{
		English:   "7aa7b3c16a7baab92a8b2bfbb865ffa9b45fcc26ac50305359b3608a22675bd3",
		Spanish:   "39382eeddb82d0458568c4bb6d709d6a8fd1e9389f6df13dd1b2b4dea00b0cfb",
		Ukrainian: "ce5d25c6ac3fd6dab4fb8f64f85d9d08edc7f31db681f27e5f06a2fb7155d29a",
		Arabic:    "d74f1a49769a1f33016cabefb43c1ec73b2e13703732e64bac6cb233e17e00dc",
		Burmese:   "c8c987f1379499aede6e57597670037a70fd4ccf1830942d2c9518f082c98ef6",
		Universal: "376d4b886f403c65532aa862be999bb3e2453298e581164c8364e21a26be1045",
	}
	for l := range Language(languages) {
		if got := fmt.Sprintf("%x", sha256.Sum256(primeOf(l))); got != sums[l] {
			t.Errorf("the prime for %s has SHA-256 %s, version %d has %s", l, got, Version, sums[l])
		}
	}
}

// Every machine computes the same tables.
func TestTablesAreWireFormat(t *testing.T) {
	tables := newTables()
	h := sha256.New()
	for _, part := range []any{tables.squashes, tables.stretches, tables.shares, tables.next, tables.seen, tables.ones} {
		binary.Write(h, binary.BigEndian, part)
	}
	const want = "31478fe3f0fc7cb66d24b4f846ca9e296739fcb39f5945d43e6ed936efd69130"
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("the tables have SHA-256 %s, want %s", got, want)
	}
}

// The vectors are the first byte's meaning, the stream in hex and the text,
// quoted.
func TestVectors(t *testing.T) {
	b, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	c := shared()
	var met [languages + 2]bool
	for line := range strings.SplitSeq(strings.TrimSpace(string(b)), "\n") {
		parts := strings.SplitN(line, " ", 3)
		if strings.HasPrefix(line, "#") {
			continue
		}
		text, err := strconv.Unquote(parts[2])
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		stream, mode := c.Encode([]byte(text)), 0
		kind := "raw"
		if parts[0] == "long" { // Encode writes it only when nothing else is possible
			mode, kind = modeLong, "long"
			coded, _ := c.rooms[Universal].mu.model.record([]byte(text), nil)
			c.rooms[Universal].mu.model.rollback()
			stream, _ = pack(header{modeLong<<5 | uint32(Universal), 8}, coded, 0)
		} else if mode = int(stream[0] >> 5); mode < languages {
			kind = Language(mode).String()
		}
		met[mode] = true
		if got := fmt.Sprintf("%s %x %s", kind, stream, strconv.QuoteToGraphic(text)); got != line {
			t.Errorf("got  %s\nwant %s", got, line)
		}
		stream, _ = hex.DecodeString(parts[1])
		if got, err := c.Decode(stream, len(text)); err != nil || !bytes.Equal(got, []byte(text)) {
			t.Errorf("%s: read as %q: %v", line, got, err)
		}
	}
	for mode, ok := range met {
		if !ok {
			t.Errorf("no vector begins with the bits of %d", mode)
		}
	}
}

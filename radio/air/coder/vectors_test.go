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
		English:   "a9b181d0ff1bb165e2085b23435233894f2863460fd10decf1d9924640496cc8",
		Spanish:   "dd180d12ebde0b4307798359ef6c6d30f7887326074ebf38081ed8cb10b82e07",
		Ukrainian: "2743de61667ba0b470d6b02d5761c530547e3bb9bf9c09ebad2f6415ada7107c",
		Arabic:    "33dd16a0fd3447ead52a102a04532fff99ad58536b375d246e08737d3ef28ccb",
		Burmese:   "5e53d78e6f2d9c3b6ed1ca1e0f9f07405fa79cdd8125bc155d691e6bc3c943db",
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

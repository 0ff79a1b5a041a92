package coder

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

func heldOut(t testing.TB, l Language) [][]byte {
	b, err := os.ReadFile("testdata/heldout/" + l.String() + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for line := range strings.SplitSeq(strings.TrimSpace(string(b)), "\n") {
		out = append(out, []byte(strings.ReplaceAll(line, `\n`, "\n")))
	}
	return out
}

func TestRatio(t *testing.T) {
	c := New()
	for l := English; l < Universal; l++ {
		lines := heldOut(t, l)
		t0 := time.Now()
		c.encodeIn(l, lines[0])
		prime := time.Since(t0)
		var long, raw int
		var in, out [2]int
		var took, back time.Duration
		for i, text := range lines {
			t0 = time.Now()
			b := c.encodeIn(l, text)
			took += time.Since(t0)
			in[i&1] += len(text)
			out[i&1] += len(b)
			if b[0]>>5 == modeLong {
				long++
			}
			t0 = time.Now()
			got, err := c.Decode(b, 4096)
			back += time.Since(t0)
			if err != nil || !bytes.Equal(got, text) {
				t.Fatalf("%s: %q came back as %q: %v", l, text, got, err)
			}
		}
		n := time.Duration(len(lines))
		t.Logf("%s dev %.4f test %.4f all %.4f long %d raw %d  prime %v enc %v dec %v", l, float64(out[0])/float64(in[0]), float64(out[1])/float64(in[1]), float64(out[0]+out[1])/float64(in[0]+in[1]), long, raw, prime, took/n, back/n)
	}
}

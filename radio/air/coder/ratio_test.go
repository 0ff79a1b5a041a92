package coder

import (
	"bytes"
	"compress/flate"
	"os"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// heldOut are a language's texts that are kept apart from its prime, and were
// written before it was read. In the file a line is a text, and `\n` a line
// feed in it.
func heldOut(t testing.TB, l Language) [][]byte {
	t.Helper()
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

// TestRatio compresses each held-out line by itself: all compressed bytes over
// all bytes of UTF-8, header and end included. Other compressors are given the
// same lines, and where they can use one the same prime, when it is run with -v.
func TestRatio(t *testing.T) {
	aims := []struct {
		Language
		ratio float64
	}{{English, .45}, {Spanish, .45}, {Ukrainian, .35}, {Arabic, .35}, {Burmese, .25}}
	c := shared()
	t.Log("          lines  bytes  ratio    aim | flate  flate+prime  zstd  zstd+prime")
	for _, aim := range aims {
		lines := heldOut(t, aim.Language)
		if len(lines) < 200 {
			t.Errorf("%s: %d held-out lines, want at least 200", aim, len(lines))
		}
		prime := primeOf(aim.Language)
		raw, coded := 0, 0
		var others [4]int
		var squeeze []func([]byte) int
		if testing.Verbose() { // they take their time
			squeeze = []func([]byte) int{flatten(t, nil), flatten(t, prime), standard(t, nil), standard(t, prime)}
		}
		for _, line := range lines {
			b := c.Encode(line)
			got, err := c.Decode(b, len(line))
			if err != nil || !bytes.Equal(got, line) {
				t.Fatalf("%s: %q came back as %q: %v", aim, line, got, err)
			}
			raw, coded = raw+len(line), coded+len(b)
			for i, f := range squeeze {
				others[i] += f(line)
			}
		}
		of := func(n int) float64 { return float64(n) / float64(raw) }
		t.Logf("%-8s %6d %6d  %.3f  ≤ %.2f | %.2f   %.2f         %.2f  %.2f", aim, len(lines), raw, of(coded), aim.ratio,
			of(others[0]), of(others[1]), of(others[2]), of(others[3]))
		if of(coded) > aim.ratio {
			t.Errorf("%s: %.3f of the texts, want at most %.2f", aim, of(coded), aim.ratio)
		}
	}
}

// flatten compresses with DEFLATE and at most the last 32 kB of a prime.
func flatten(t *testing.T, prime []byte) func([]byte) int {
	var b bytes.Buffer
	w, err := flate.NewWriterDict(&b, flate.BestCompression, prime[max(0, len(prime)-32768):])
	if err != nil {
		t.Fatal(err)
	}
	return func(text []byte) int {
		b.Reset()
		w.Reset(&b)
		w.Write(text)
		w.Close()
		return b.Len()
	}
}

// standard compresses with Zstandard and a prime, without checksum.
func standard(t *testing.T, prime []byte) func([]byte) int {
	options := []zstd.EOption{zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(1)}
	if prime != nil {
		options = append(options, zstd.WithEncoderDictRaw(1, prime))
	}
	w, err := zstd.NewWriter(nil, options...)
	if err != nil {
		t.Fatal(err)
	}
	return func(text []byte) int { return len(w.EncodeAll(text, nil)) }
}

// TestRatioOfFrames joins held-out lines as a frame joins its texts.
func TestRatioOfFrames(t *testing.T) {
	c := shared()
	for l := English; l < Universal; l++ {
		apart, joined := 0, 0
		lines := heldOut(t, l)
		for i := 0; i+1 < len(lines); i += 2 {
			apart += len(c.Encode(lines[i])) + len(c.Encode(lines[i+1]))
			joined += len(c.Encode(join(lines[i], lines[i+1])))
		}
		t.Logf("%s: two texts joined take %.3f of what they take apart", l, float64(joined)/float64(apart))
		if joined > apart {
			t.Errorf("%s: joined texts take %d bytes, %d apart", l, joined, apart)
		}
	}
}

package coder

import (
	"bytes"
	"testing"
)

// One message: a held-out line, its language found by Encode itself.
func BenchmarkEncode(b *testing.B) {
	c := shared()
	for l := English; l < Universal; l++ {
		b.Run(l.String(), func(b *testing.B) {
			lines := heldOut(b, l)
			c.Preload(l, Universal)
			i, n := 0, 0
			for b.Loop() {
				n += len(lines[i%len(lines)])
				c.Encode(lines[i%len(lines)])
				i++
			}
			b.ReportMetric(float64(n)/float64(i), "B/message")
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	c := shared()
	for l := English; l < Universal; l++ {
		b.Run(l.String(), func(b *testing.B) {
			var streams [][]byte
			for _, line := range heldOut(b, l) {
				streams = append(streams, c.Encode(line))
			}
			i := 0
			for b.Loop() {
				if _, err := c.Decode(streams[i%len(streams)], 4096); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

// The most a reader can be made to do for a limit of 4096 bytes, by a stream of
// a few.
func BenchmarkDecodeBomb(b *testing.B) {
	c := shared()
	bomb := c.Encode(bytes.Repeat([]byte("a"), 5000))
	b.ReportMetric(float64(len(bomb)), "B/stream")
	for b.Loop() {
		if _, err := c.Decode(bomb, 4096); err == nil {
			b.Fatal("no error")
		}
	}
}

// Making a model, once for each language in use.
func BenchmarkPrime(b *testing.B) {
	t := newTables()
	for b.Loop() {
		primed(t, Burmese, primeOf(Burmese))
	}
}

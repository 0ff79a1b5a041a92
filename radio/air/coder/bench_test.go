package coder

import "testing"

func BenchmarkEncode(b *testing.B) {
	for l := English; l < Universal; l++ {
		b.Run(l.String(), func(b *testing.B) {
			c := New()
			lines := heldOut(b, l)
			c.Preload(l)
			c.Encode(lines[0])
			n := 0
			for i := 0; b.Loop(); i++ {
				n += len(lines[i%len(lines)])
				c.Encode(lines[i%len(lines)])
			}
			b.ReportMetric(float64(n)/float64(b.N), "bytes/message")
		})
	}
}

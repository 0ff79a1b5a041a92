package radio

import (
	"bytes"
	"testing"
	"time"

	"drey/mesh"
)

// FuzzBooks checks that whatever is read from the shelf as airtime spent does
// no harm: it is written back as it was understood, and every priority may
// speak again within the days that a full debt takes.
func FuzzBooks(f *testing.F) {
	g := &governor{share: 0.02, legal: 0.1, at: at(0)}
	g.spend(at(0), mesh.Chat, 3*time.Second)
	f.Add(g.encode(0))
	f.Add(make([]byte, 16))
	f.Add(bytes.Repeat([]byte{2}, airtimeSize))
	f.Add(append([]byte{2}, bytes.Repeat([]byte{0xff}, airtimeSize-1)...))
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) {
		g := &governor{share: 0.02, legal: 0.1}
		if g.decode(b) != nil {
			return
		}
		again := &governor{share: 0.02, legal: 0.1}
		if err := again.decode(g.encode(0)); err != nil || again.debts != g.debts || again.law != g.law {
			t.Fatalf("read %v %v, written and read again %v %v (%v)", g.debts, g.law, again.debts, again.law, err)
		}
		for p := mesh.Emergency; p <= mesh.Beacon; p++ {
			for now := time.Duration(0); ; {
				w, _ := g.wait(at(now), p, time.Second)
				if w == 0 {
					break
				}
				if w < 0 || now > 400*24*time.Hour {
					t.Fatalf("%s waits %v after %v", p, w, now)
				}
				now += min(w, 24*time.Hour)
			}
		}
	})
}

package air

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestTextBomb sends the texts that the coder on the air makes shortest: as
// long as one payload may yield, and a byte longer, which is refused. Random
// bytes in their place cost bounded work too.
func TestTextBomb(t *testing.T) {
	c := &Codec{Text: texts(), Directory: newVillage(), Verify: trusting}
	for _, over := range []int{0, 1} {
		b := c.encode([]Item{{write(t, 1, 1, noon, strings.Repeat("a", MaxText+over)), "alerts"}}, false)
		if len(b) > MaxPayload {
			t.Skipf("no bomb: %d bytes for %d of text", len(b), MaxText+over)
		}
		began := time.Now()
		res, err := c.Unpack(b)
		t.Logf("%d bytes of text in a payload of %d: %v", MaxText+over, len(b), time.Since(began))
		if over == 0 && (err != nil || len(res.Items) != 1) || over == 1 && !errors.Is(err, ErrForm) {
			t.Errorf("%d bytes of text: %+v, %v", MaxText+over, res, err)
		}
	}
	r := rand.New(rand.NewPCG(11, 12))
	note := c.encode([]Item{{write(t, 1, 1, noon, ""), "alerts"}}, false)
	note[5] |= contentText
	var worst, sum time.Duration
	const runs = 4
	for range runs {
		b := append([]byte(nil), note...)
		for len(b) < MaxPayload {
			b = append(b, byte(r.Uint32()))
		}
		began := time.Now()
		if _, err := c.Unpack(b); err != nil && !errors.Is(err, ErrForm) {
			t.Errorf("%x: %v", b, err)
		}
		took := time.Since(began)
		worst, sum = max(worst, took), sum+took
	}
	t.Logf("random texts: mean %v, worst %v", sum/runs, worst)
}

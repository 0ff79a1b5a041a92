package radio

import (
	"testing"
	"time"

	"drey/mesh"
)

// TestPutOff checks that what the channel was too busy for is said at a turn of
// one's own in a later round, never at a colleague's.
func TestPutOff(t *testing.T) {
	b := newOutbox(nil, &governor{}, time.Now)
	b.gateways[1], b.gateways[2] = &gateway{}, &gateway{} // a round is 45 s
	for _, c := range []struct{ at, want time.Duration }{
		{0, 0}, {time.Second, 45 * time.Second}, {45 * time.Second, 45 * time.Second}, {46 * time.Second, 90 * time.Second},
	} {
		o := signedNote(t, "bread today")
		o.priority, o.due = mesh.Chat, at(0)
		b.putOff(o, at(c.at))
		if got := o.due.Sub(at(0)); got != c.want || !o.putOff {
			t.Errorf("not before %v: at %v, want %v", c.at, got, c.want)
		}
	}
}

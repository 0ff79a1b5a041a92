package radio

import (
	"time"

	"drey/radio/meshtastic"
)

// How many texts become events. Whoever reaches the channel can say them, and
// each is kept by every machine of the community: a person who talks does not
// meet these bounds, a machine that floods does.
const (
	talkBurst    = 20               // of one radio at once
	talkEvery    = 10 * time.Second // after that
	allTalkBurst = 200              // of all together, who may be one under many numbers
	allTalkEvery = 3 * time.Second
	maxTalkers   = 512 // radios whose pace is kept
)

// A talk keeps the pace of texts. It belongs to the owner of the radio.
type talk struct {
	each map[meshtastic.NodeNum]*meter
	all  meter
}

// allow reports whether a text of a radio may become an event, on an ether that
// is tempo times as fast as life.
func (t *talk) allow(now time.Time, from meshtastic.NodeNum, tempo float64) bool {
	fast := func(d time.Duration) time.Duration { return time.Duration(float64(d) / tempo) }
	m := t.each[from]
	if m == nil {
		if t.each == nil || len(t.each) >= maxTalkers {
			t.each = make(map[meshtastic.NodeNum]*meter)
		}
		m = new(meter)
		t.each[from] = m
	}
	return m.allow(now, fast(talkEvery), talkBurst) && t.all.allow(now, fast(allTalkEvery), allTalkBurst)
}

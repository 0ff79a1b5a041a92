package radio

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"drey/mesh"
	"drey/radio/air"
	"drey/radio/meshtastic"
)

// Bounds of frames that cannot be understood yet.
const (
	maxParked    = 32
	parkedFor    = time.Hour
	maxQuestions = 3 // asked for one frame
	askLeast     = 2 * time.Second
	askMost      = 6 * time.Second
	askAgain     = 2 * time.Minute // doubling
	// targetPatience is how long an event that a frame refers to is awaited
	// before the frame is asked for in full.
	targetPatience = 30 * time.Second
	maxAnswers     = 30 // to questions of others, in an hour
	maxHoped       = 3  // a frame is tried again because more authors or dates are known
	// Questions cost air. One whose frames nobody understands gets few, so that
	// noise in the form of frames does not make gateways talk.
	maxAsksEach = 6  // in an hour, about frames of one sender
	maxAsks     = 30 // in an hour, about all
	maxStrange  = 10 // of these, about senders that nothing understood came from
)

// A lot holds parked frames, oldest first.
type lot struct {
	frames  []*parkedFrame
	answers meter
	asks    meter
	strange meter
	askedOf map[meshtastic.NodeNum]*meter
	asking  map[air.Hint]*atomic.Bool // answers of ours that wait; true: another answered
	dropped uint64
}

// A parkedFrame waits for somebody's key, another event, or the time.
type parkedFrame struct {
	heardFrame
	missing []air.Need
	hopes   int // when events may be dated, and authors: how many were known when it was tried
	hoped   int // times that it was tried again since more were known
	at      time.Time
	ask     time.Time
	asked   int
}

func newLot() *lot {
	return &lot{asking: make(map[air.Hint]*atomic.Bool), askedOf: make(map[meshtastic.NodeNum]*meter)}
}

// mayAsk reports whether a frame of from is worth a question now; proven tells that
// something of it was understood before.
func (l *lot) mayAsk(now time.Time, from meshtastic.NodeNum, proven bool) bool {
	m := l.askedOf[from]
	if m == nil {
		if len(l.askedOf) >= maxSenders {
			clear(l.askedOf)
		}
		m = new(meter)
		l.askedOf[from] = m
	}
	return m.allow(now, time.Hour/maxAsksEach, maxAsksEach) &&
		(proven || l.strange.allow(now, time.Hour/maxStrange, maxStrange)) && l.asks.allow(now, time.Hour/maxAsks, maxAsks)
}

func (l *lot) find(payload []byte) int {
	return slices.IndexFunc(l.frames, func(p *parkedFrame) bool { return bytes.Equal(p.payload, payload) })
}

func (l *lot) add(now time.Time, f heardFrame, missing []air.Need, hopes int, random *rand.Rand) {
	if i := l.find(f.payload); i >= 0 { // it was tried again: some of it may be explained
		l.frames[i].missing, l.frames[i].hopes = missing, hopes
		return
	}
	if len(l.frames) >= maxParked {
		// The sender that has parked most gives way, so that one cannot push out
		// the frames of others.
		count := make(map[uint32]int)
		for _, p := range l.frames {
			count[uint32(p.from)]++
		}
		worst := 0
		for i, p := range l.frames {
			if count[uint32(p.from)] > count[uint32(l.frames[worst].from)] {
				worst = i
			}
		}
		l.frames = slices.Delete(l.frames, worst, worst+1)
		l.dropped++
	}
	patience := askLeast
	for _, m := range missing {
		if len(m.Authors) == 0 && len(m.Targets) > 0 {
			patience = targetPatience
		}
	}
	l.frames = append(l.frames, &parkedFrame{
		heardFrame: f, missing: missing, hopes: hopes, at: now,
		ask: now.Add(patience + time.Duration(random.Int64N(int64(askMost-askLeast)))),
	})
}

func (l *lot) drop(payload []byte) {
	if i := l.find(payload); i >= 0 {
		l.frames = slices.Delete(l.frames, i, i+1)
	}
}

// answered notes keys that somebody told: we need not.
func (l *lot) answered(keys []mesh.PubKey) {
	for _, k := range keys {
		if b := l.asking[air.HintOf(k)]; b != nil {
			b.Store(true)
		}
	}
}

// unpark tries again what may be understood now.
func (d *desk) unpark(ctx context.Context, now time.Time) {
	for _, p := range slices.Clone(d.parked.frames) {
		if d.parked.find(p.payload) >= 0 && d.resolves(p) {
			d.events(ctx, now, p.heardFrame)
		}
	}
}

// resolves reports whether something that p lacks is known by now.
func (d *desk) resolves(p *parkedFrame) bool {
	if n := d.hopes(p.missing); n > p.hopes && p.hoped < maxHoped {
		p.hopes = n
		p.hoped++
		return true
	}
	known := anyone{d.index}
	for _, m := range p.missing {
		if m.Resend {
			continue
		}
		ok := true
		for _, h := range m.Authors {
			ok = ok && len(known.Authors(h[:])) > 0
		}
		for _, t := range m.Targets {
			ok = ok && len(known.Travelled(t)) > 0
		}
		if ok {
			return true
		}
	}
	return false
}

// hopes counts what is known of what a frame tells by one byte: when it may be
// dated, and whom its authors' initials may mean. With more it may be understood.
func (d *desk) hopes(missing []air.Need) (n int) {
	for _, m := range missing {
		if m.Short {
			n += len(d.near())
		}
		for _, initial := range m.Initials {
			n += len(anyone{d.index}.Authors([]byte{initial}))
		}
	}
	return n
}

// askForParked asks for what parked frames lack and returns when to ask next.
func (d *desk) askForParked(ctx context.Context, now time.Time) (wake time.Time) {
	d.parked.frames = slices.DeleteFunc(d.parked.frames, func(p *parkedFrame) bool { return now.Sub(p.at) > parkedFor })
	var hints []air.Hint
	var handles []air.Handle
	for _, p := range d.parked.frames {
		if p.asked >= maxQuestions {
			continue
		}
		if p.ask.After(now) {
			wake = soonest(wake, p.ask)
			continue
		}
		p.ask = now.Add(d.fast(askAgain << (p.asked + 1)))
		if !d.parked.mayAsk(now, p.from, d.inbox.isProven(p.from)) {
			continue // later
		}
		p.asked++
		for _, m := range p.missing {
			switch {
			case len(m.Authors) > 0 && p.asked < maxQuestions:
				for _, h := range m.Authors {
					if !slices.Contains(hints, h) && len(hints) < air.MaxHints {
						hints = append(hints, h)
					}
				}
			case len(handles) < air.MaxHandles:
				handles = append(handles, m.Handle)
			}
		}
	}
	if len(hints) > 0 {
		d.say(ctx, mesh.Sync, now, air.WhoIs{Hints: hints}, nil, nil)
	}
	if len(handles) > 0 {
		d.say(ctx, mesh.Sync, now, air.Resend{Handles: handles}, nil, nil)
	}
	return wake
}

// answerWhoIs tells keys that we know, unless somebody else does first.
func (d *desk) answerWhoIs(ctx context.Context, now time.Time, v *view, m air.WhoIs) {
	if !d.parked.answers.allow(now, time.Hour/maxAnswers, maxAnswers) {
		return
	}
	var keys []mesh.PubKey
	other := new(atomic.Bool)
	for _, h := range m.Hints {
		for _, k := range (anyone{d.index}).Authors(h[:]) {
			if len(keys) < air.MaxKeys {
				keys = append(keys, k)
			}
		}
		d.parked.asking[h] = other
	}
	if len(keys) == 0 {
		return
	}
	step := time.Duration(v.rank(mesh.EventID{0: m.Hints[0][0]})) * 4 * time.Second
	d.say(ctx, mesh.Sync, d.later(now, 500*time.Millisecond+step, time.Second+step), air.Keys{Keys: keys},
		func(time.Time) bool { return !other.Load() }, nil)
	if len(d.parked.asking) > 256 {
		clear(d.parked.asking)
	}
}

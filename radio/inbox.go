package radio

import (
	"slices"
	"sync"
	"time"

	"drey/radio/air"
	"drey/radio/meshtastic"
)

// Bounds of what waits to be looked at, so that a neighbour that floods the
// channel takes neither memory nor time from the others: each sender has a
// rate, and the senders are served in turn.
const (
	maxSenders   = 64 // with frames waiting or a rate to keep
	maxPerSender = 8  // frames of one sender that wait
	// senderBurst is how many frames of one sender are taken at once; after that
	// twice as many as the channel could carry if each were as long as can be.
	senderBurst = 16
	// allBurst is the same for all senders together, who may be one under many
	// numbers; the rate is what the channel could carry of the shortest frames.
	allBurst = 64
	// shortest is the payload of the shortest frame that is worth sending.
	shortest = 16
)

// A heardFrame is a payload in signed form that came off the air.
type heardFrame struct {
	from    meshtastic.NodeNum
	channel uint32
	payload []byte
}

// An inbox holds frames for the desk. Safe for concurrent use.
type inbox struct {
	wake chan struct{}

	mu struct {
		sync.Mutex
		senders map[meshtastic.NodeNum]*sender
		turn    []meshtastic.NodeNum // senders with frames waiting, in order
		all     meter
	}
}

// A sender is one radio that frames come from.
type sender struct {
	waiting []heardFrame
	meter   meter
	proven  bool // a frame of it turned out to be the community's
	last    time.Time
}

func newInbox() *inbox {
	b := &inbox{wake: make(chan struct{}, 1)}
	b.mu.senders = make(map[meshtastic.NodeNum]*sender)
	return b
}

// put takes a frame in, or drops it; the caller counts. each and all are how often one
// sender and all senders may speak.
func (b *inbox) put(now time.Time, f heardFrame, each, all time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.senderLocked(now, f.from)
	if s == nil || len(s.waiting) >= maxPerSender || !s.meter.allow(now, each, senderBurst) || !b.mu.all.allow(now, all, allBurst) {
		return false
	}
	s.last = now
	if len(s.waiting) == 0 {
		b.mu.turn = append(b.mu.turn, f.from)
	}
	s.waiting = append(s.waiting, f)
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return true
}

// senderLocked finds or makes a sender. When there are too many, one goes that
// has nothing waiting, nobody proven if it can be helped.
func (b *inbox) senderLocked(now time.Time, num meshtastic.NodeNum) *sender {
	if s := b.mu.senders[num]; s != nil {
		return s
	}
	if len(b.mu.senders) >= maxSenders {
		var worst meshtastic.NodeNum
		var found *sender
		for n, s := range b.mu.senders {
			if len(s.waiting) == 0 && (found == nil || found.proven && !s.proven || found.proven == s.proven && s.last.Before(found.last)) {
				worst, found = n, s
			}
		}
		if found == nil {
			return nil
		}
		delete(b.mu.senders, worst)
	}
	s := &sender{last: now}
	b.mu.senders[num] = s
	return s
}

// take returns the next frame: the senders in turn, proven ones first.
func (b *inbox) take() (heardFrame, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.mu.turn) == 0 {
		return heardFrame{}, false
	}
	i := max(slices.IndexFunc(b.mu.turn, func(n meshtastic.NodeNum) bool { return b.mu.senders[n].proven }), 0)
	num := b.mu.turn[i]
	b.mu.turn = slices.Delete(b.mu.turn, i, i+1)
	s := b.mu.senders[num]
	f := s.waiting[0]
	s.waiting = slices.Delete(s.waiting, 0, 1)
	if len(s.waiting) > 0 {
		b.mu.turn = append(b.mu.turn, num)
	}
	return f, true
}

// prove notes that a sender speaks for the community.
func (b *inbox) prove(num meshtastic.NodeNum) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.mu.senders[num]; s != nil {
		s.proven = true
	}
}

// isProven reports whether a sender has spoken for the community.
func (b *inbox) isProven(num meshtastic.NodeNum) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.mu.senders[num]
	return s != nil && s.proven
}

// A meter lets one thing through in a while, and a burst of them at first.
type meter struct {
	at   time.Time
	used float64
}

func (m *meter) allow(now time.Time, every time.Duration, burst float64) bool {
	if passed := now.Sub(m.at); passed > 0 {
		m.used = max(0, m.used-float64(passed)/float64(max(every, time.Microsecond)))
		m.at = now
	}
	if m.used+1 > burst {
		return false
	}
	m.used++
	return true
}

// paceOf returns how often one sender and all senders may be heard.
func paceOf(m air.Modulation, tempo float64) (each, all time.Duration) {
	if m.Bandwidth == 0 {
		p, _ := air.PresetOf(0)
		m = p.Modulation
	}
	fast := func(d time.Duration) time.Duration { return time.Duration(float64(d) / tempo) }
	return fast(m.Time(air.MaxFrame) / 2), fast(m.Time(air.FrameSize(shortest, false)))
}

package radio

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"drey/mesh"
	"drey/radio/air"
	"drey/radio/meshtastic"
)

// The firmware's limits, and how far from them we stay.
const (
	maxHeld   = 64 // deliveries taken from the hub
	maxFlying = 2  // packets of ours in the radio's queue
	leaveFree = 4  // places of that queue that are left to others
	// textPace is the least time between two texts. The firmware swallows
	// what comes faster than every 2 s and says that all is well.
	textPace      = 2500 * time.Millisecond
	answerTimeout = 5 * time.Second  // for a QueueStatus
	queueTimeout  = 2 * time.Minute  // for a packet to leave the radio's queue
	ackTimeout    = 2 * time.Minute  // for the news whether anybody repeated it
	retryPause    = 10 * time.Second // after the radio had no room
	maxTries      = 5
	maxEchoes     = 2  // packets whose repetition is awaited
	maxDone       = 64 // ended deliveries that are still recognised
	tooOld        = 12 * time.Hour
	reportEvery   = 15 * time.Minute
	releaseEvery  = time.Minute
)

// Errors that end a delivery; they stand in its history.
var (
	errNothing = errors.New("nothing to say on the air")
	errTooOld  = errors.New("too old for the air")
	errExpired = mesh.ErrExpired
	errHeard   = errors.New("not said again: its origin was heard on this channel")
)

// An outgoing is one delivery on its way to the air.
type outgoing struct {
	d       *mesh.Delivery
	channel uint32
	parts   []string
	said    []bool         // by us or by a colleague
	names   map[uint32]int // packet id → part, for every attempt a colleague may make
	others  [][]string     // how colleagues may write it who know the author by another name
	viaMQTT bool
	expires time.Time // zero: never

	attempt int                // that packet ids are made with
	due     time.Time          // not before
	heard   meshtastic.NodeNum // the colleague who said it, or some of it
	delays  int                // by hearing it over a public key
	again   bool               // the radio may have this part already, under the same packet id
	tries   int
	told    string
	toldAt  time.Time
	checked bool // the archive was asked whether a colleague vouches for having said it
}

// part returns the index of the next part to say, or -1.
func (o *outgoing) part() int { return slices.Index(o.said, false) }

// report adds a line to the history, but not the same one over and over.
func (o *outgoing) report(now time.Time, key, state string) {
	if o.told == key && now.Sub(o.toldAt) < reportEvery {
		return
	}
	o.told, o.toldAt = key, now
	o.d.Report(state)
}

// An outbox decides what goes on the air, and when. It is pure: time and
// chance are arguments, and what it decides to send the caller sends.
//
// A delivery goes: held (listening until due) → flying (given to the radio) →
// accepted (QueueStatus) → out (left the radio's queue): done. It goes back to
// held when the radio did not take it or the line broke, with the same packet
// id, so that nobody shows it twice.
type outbox struct {
	random *rand.Rand
	tempo  float64 // how much faster than life the ether is; 1 for real ones
	budget *budget
	wall   func() time.Time
	seen   func(o *outgoing) bool // it is a translation whose origin was heard here

	// What the radio said of itself.
	live       bool
	blocked    string // why the radio cannot send at all
	modulation air.Modulation
	signs      bool
	num        meshtastic.NodeNum
	public     func(channel uint32) bool
	hops       uint32
	alone      bool // nobody repeated our last packet, and nobody was heard since

	held       []*outgoing // most urgent first
	flying     []*flight   // oldest first
	done       []*outgoing
	acks       map[uint32]*outgoing // packets on the air whose echo is awaited
	ackAt      map[uint32]time.Time
	colleagues map[meshtastic.NodeNum]*colleague

	free, maxLen int // of the radio's queue; free < 0 while not known
	lastText     time.Time
	pausedUntil  time.Time
	pausedFor    string
	lastRelease  time.Time
	sent         uint64
	confirmed    func(o *outgoing) bool // a colleague vouches for having said it
	onSaid       func(o *outgoing)      // everything of o is on the air, said by us
}

func newOutbox(random *rand.Rand, b *budget, wall func() time.Time) *outbox {
	return &outbox{
		random: random, tempo: 1, budget: b, wall: wall, free: -1,
		acks: make(map[uint32]*outgoing), ackAt: make(map[uint32]time.Time),
		colleagues: make(map[meshtastic.NodeNum]*colleague),
		public:     func(uint32) bool { return true },
		seen:       func(*outgoing) bool { return false },
		confirmed:  func(*outgoing) bool { return false },
		onSaid:     func(*outgoing) {},
	}
}

// room reports whether another delivery may be taken from the hub. When all
// places are held by what waits, the least urgent is given back now and then,
// in case something urgent stands behind it.
func (b *outbox) room(now time.Time) bool {
	if len(b.held) < maxHeld {
		return true
	}
	if now.Sub(b.lastRelease) < releaseEvery {
		return false
	}
	b.lastRelease = now
	last := b.held[len(b.held)-1]
	b.held = b.held[:len(b.held)-1]
	last.d.Release()
	return true
}

// add takes a delivery in and listens before it may go out.
func (b *outbox) add(now time.Time, o *outgoing) {
	o.said = make([]bool, len(o.parts))
	o.names = make(map[uint32]int, len(o.parts)*maxAttempt)
	for part := range o.parts {
		for attempt := 1; attempt <= max(maxAttempt, o.d.Attempt); attempt++ {
			o.names[PacketID(o.d.Event.ID(), part+1, attempt)] = part
		}
	}
	o.attempt = o.d.Attempt
	if len(o.parts) == 0 {
		o.d.Done(errNothing)
		return
	}
	o.due = now.Add(b.pause(now, o))
	for _, p := range b.held {
		if p.d.Priority == o.d.Priority && p.delays == 0 {
			o.due = later(o.due, p.due) // a conversation keeps its order
		}
	}
	i := slices.IndexFunc(b.held, func(p *outgoing) bool { return p.d.Priority > o.d.Priority })
	if i < 0 {
		i = len(b.held)
	}
	b.held = slices.Insert(b.held, i, o)
}

// airtime is what a text of so many bytes costs on the air, once.
func (b *outbox) airtime(size int) time.Duration {
	if b.modulation.Bandwidth == 0 {
		p, _ := air.PresetOf(0)
		return p.Time(air.FrameSize(size, true))
	}
	return b.modulation.Time(air.FrameSize(size, b.signs))
}

// next returns the packet to send now, or nil and when to ask again; zero
// means when something happens.
func (b *outbox) next(now time.Time) (p *meshtastic.Packet, wake time.Time) {
	if !b.live {
		return nil, time.Time{}
	}
	for _, o := range slices.Clone(b.held) {
		if err := b.stale(o); err != nil {
			b.end(o, err)
		}
	}
	if b.blocked != "" {
		for _, o := range b.held {
			o.report(now, b.blocked, "waiting: "+b.blocked)
		}
		return nil, time.Time{}
	}
	wake = b.later(now)
	for _, o := range slices.Clone(b.held) {
		if o.due.After(now) {
			wake = soonest(wake, o.due)
			if o.d.Priority == mesh.Emergency {
				break // it listens briefly; nothing slips in before it
			}
			continue
		}
		if o.heard != 0 && !o.checked {
			o.checked = true
			if b.confirmed(o) {
				o.d.Report(fmt.Sprintf("on air, said by %s", o.heard))
				b.end(o, nil)
				continue
			}
		}
		at, why := b.gate(now, o)
		if why == "" {
			return b.launch(now, o), now
		}
		if why != gateBusy {
			o.report(now, why, fmt.Sprintf("waiting: %s, %s", why, about(at.Sub(now))))
		}
		wake = soonest(wake, at)
		break // less urgent ones must not overtake
	}
	return nil, wake
}

// gateBusy is the reason that is not worth a line in the history.
const gateBusy = "busy"

// gate tells until when o must wait although its turn has come, and why.
func (b *outbox) gate(now time.Time, o *outgoing) (time.Time, string) {
	if now.Before(b.pausedUntil) {
		return b.pausedUntil, b.pausedFor
	}
	if at := b.lastText.Add(b.fast(textPace)); now.Before(at) {
		return at, gateBusy
	}
	if len(b.flying) >= maxFlying || b.free < leaveFree {
		return now.Add(b.fast(time.Second)), gateBusy
	}
	if slices.ContainsFunc(b.flying, func(f *flight) bool { return !f.accepted }) {
		return now.Add(b.fast(time.Second)), gateBusy
	}
	if o.d.Priority != mesh.Emergency {
		if d := b.budget.wait(b.wall(), b.airtime(len(o.parts[o.part()]))); d > 0 {
			return now.Add(d), "airtime"
		}
	}
	return now, ""
}

// stale reports why o should not be said any more.
func (b *outbox) stale(o *outgoing) error {
	if !o.expires.IsZero() && !b.wall().Before(o.expires) {
		return errExpired
	}
	if b.seen(o) {
		return errHeard
	}
	return nil
}

// launch turns the next part of o into a packet.
func (b *outbox) launch(now time.Time, o *outgoing) *meshtastic.Packet {
	part := o.part()
	text := o.parts[part]
	id := PacketID(o.d.Event.ID(), part+1, o.attempt)
	b.held = slices.DeleteFunc(b.held, func(p *outgoing) bool { return p == o })
	// An echo that does not come costs three transmissions: nobody is in range,
	// or the channel is too busy to repeat anything.
	b.forgetAcks(now)
	echo := !b.alone && len(b.acks) < maxEchoes || o.d.Priority == mesh.Emergency
	b.flying = append(b.flying, &flight{o: o, part: part, id: id, wrote: now, echo: echo})
	b.lastText = now
	return &meshtastic.Packet{
		To: meshtastic.Broadcast, Channel: o.channel, ID: id, HopLimit: b.hops, WantAck: echo, ViaMQTT: o.viaMQTT,
		Data: &meshtastic.Data{Port: meshtastic.PortText, Payload: []byte(text)},
	}
}

// later returns when the outbox next has to look at what is flying.
func (b *outbox) later(now time.Time) time.Time {
	var wake time.Time
	for _, f := range b.flying {
		if f.accepted {
			wake = soonest(wake, f.acceptAt.Add(queueTimeout))
		} else {
			wake = soonest(wake, f.wrote.Add(answerTimeout))
		}
	}
	return wake
}

// end takes o out of the outbox.
func (b *outbox) end(o *outgoing, err error) {
	b.held = slices.DeleteFunc(b.held, func(p *outgoing) bool { return p == o })
	b.done = append(b.done, o)
	if len(b.done) > maxDone {
		b.done = slices.Delete(b.done, 0, 1)
	}
	o.d.Done(err)
}

// lost takes in that the line to the radio broke. What the radio had not
// finished is tried again under the same packet id, which radios that have it
// ignore.
func (b *outbox) lost(now time.Time) {
	b.live, b.free = false, -1
	for _, f := range slices.Clone(b.flying) {
		f.o.again = true
		b.back(f, now)
	}
}

// up takes in that the radio is there: everything is listened for anew.
func (b *outbox) up(now time.Time) {
	b.live = true
	b.lastText = later(b.lastText, now.Add(-b.fast(textPace)/2)) // another program may just have spoken
	var last *outgoing
	for _, o := range b.held {
		if !o.again {
			o.due = later(o.due, now.Add(b.pause(now, o)))
		}
		if last != nil && last.d.Priority == o.d.Priority && last.delays == 0 {
			o.due = later(o.due, last.due)
		}
		last = o
	}
}

// release gives everything back to the hub, when the carrier stops.
func (b *outbox) release() {
	for _, f := range slices.Clone(b.flying) {
		b.back(f, time.Time{})
	}
	for _, o := range b.held {
		o.d.Release()
	}
	b.held = nil
}

// soonest returns the earlier of two times; zero is never.
func soonest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

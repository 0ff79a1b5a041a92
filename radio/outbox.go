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
	maxLoads  = 64 // packets beside them
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
	maxEchoes     = 2              // packets whose repetition is awaited
	maxDone       = 64             // ended deliveries that are still recognised
	tooOld        = 12 * time.Hour // since it came to this machine
	reportEvery   = 15 * time.Minute
	releaseEvery  = time.Minute
)

// firstClock is from when on a clock may be right: what came before it came to a
// machine that had not learnt the time yet.
var firstClock = time.Unix(1_735_689_600, 0) // 1 January 2025

// Errors that end a delivery; they stand in its history.
var (
	errNothing = errors.New("nothing to say on the air")
	errTooOld  = errors.New("too old for the air")
	errExpired = mesh.ErrExpired
	errHeard   = errors.New("not said again: its origin was heard on this channel")
)

// Errors that end a load.
var (
	errStopped   = errors.New("the radio's carrier has stopped")
	errNotNeeded = errors.New("not needed any more")
)

// An outbox decides what goes on the air, and when. It is pure: time and
// chance are arguments, and what it decides to send the caller sends.
//
// A delivery goes: held (listening until due) → flying (given to the radio) →
// accepted (QueueStatus) → out (left the radio's queue): done. It goes back to
// held when the radio did not take it or the line broke, with the same packet
// id, so that nobody shows it twice.
type outbox struct {
	random   *rand.Rand
	tempo    float64 // how much faster than life the ether is; 1 for real ones
	governor *governor
	wall     func() time.Time
	agreed   func() time.Time       // the time that gateways have in common, as far as we know
	books    func() time.Time       // that airtime is counted by; nobody sets it
	seen     func(o *outgoing) bool // it is a translation whose origin was heard here
	// pack makes a frame of an event in signed form and of as many others as
	// fit; it returns those that ride along.
	pack func(o *outgoing, others []*outgoing) (payload []byte, riders []*outgoing, err error)

	// What the radio said of itself.
	live       bool
	blocked    string // why the radio cannot send at all
	modulation air.Modulation
	signs      bool
	num        meshtastic.NodeNum
	public     func(channel uint32) bool
	hops       uint32                     // of texts
	reach      func(now time.Time) uint32 // hop limit of signed frames
	noTurns    bool                       // every gateway speaks, for comparison
	noGather   bool                       // nothing waits for company, for comparison
	noNear     bool                       // what a colleague said is not said again, for comparison
	alone      bool                       // nobody repeated our last packet, and nobody was heard since
	gateways   map[meshtastic.NodeNum]*gateway
	offers     map[meshtastic.NodeNum]offer // of all gateways, ours among them; see cheapest.go

	held   []*outgoing          // most urgent first
	flying []*flight            // oldest first
	done   []*outgoing          // texts
	acks   map[uint32]*outgoing // packets on the air whose echo is awaited
	ackAt  map[uint32]time.Time

	free, maxLen int // of the radio's queue; free < 0 while not known
	lastText     time.Time
	spoke        time.Time // a packet of ours left the radio
	pausedUntil  time.Time
	pausedFor    string
	lastRelease  time.Time
	sent         uint64
	frames       uint64                 // of these, in signed form
	refusedLoads uint64                 // that found no room
	confirmed    func(o *outgoing) bool // a colleague vouches for having said it
	// aired finds a colleague on this ether who vouches for having said o in
	// signed form.
	aired      func(o *outgoing) (meshtastic.NodeNum, bool)
	onFrame    func(os []*outgoing) // a frame in signed form is on the air
	onSaid     func(o *outgoing)    // everything of o is on the air, said by us
	onSpent    func()               // airtime was spent
	onFragment func(o *outgoing)    // a fragment of o went out
}

func newOutbox(random *rand.Rand, g *governor, wall func() time.Time) *outbox {
	return &outbox{
		random: random, tempo: 1, governor: g, wall: wall, agreed: wall, books: wall, free: -1,
		acks: make(map[uint32]*outgoing), ackAt: make(map[uint32]time.Time),
		gateways:  make(map[meshtastic.NodeNum]*gateway),
		public:    func(uint32) bool { return true },
		seen:      func(*outgoing) bool { return false },
		confirmed: func(*outgoing) bool { return false },
		onSaid:    func(*outgoing) {},
		onFrame:   func([]*outgoing) {},
		aired:     func(*outgoing) (meshtastic.NodeNum, bool) { return 0, false },
		onSpent:   func() {}, onFragment: func(*outgoing) {},
		reach: func(time.Time) uint32 { return hopsDense },
	}
}

// room reports whether another delivery may be taken from the hub. When all
// places are held by what waits, the least urgent is given back now and then,
// in case something urgent stands behind it.
func (b *outbox) room(now time.Time) bool {
	n := 0
	last := -1
	for i, o := range b.held {
		if o.d != nil {
			n++
			last = i
		}
	}
	if n < maxHeld {
		return true
	}
	if now.Sub(b.lastRelease) < releaseEvery {
		return false
	}
	b.lastRelease = now
	o := b.held[last]
	b.unbundle(o)
	b.drop(o)
	o.giveBack()
	return true
}

// add takes a delivery in and listens before it may go out.
func (b *outbox) add(now time.Time, o *outgoing) {
	switch {
	case o.load != nil:
		o.said = make([]bool, 1)
		b.hold(o)
		return
	case o.signed:
		o.said = make([]bool, 1)
	default:
		b.nameParts(o)
		o.late = o.late || b.agreed().Sub(o.event.CreatedAt().Time()) > lateAfter
	}
	if len(o.said) == 0 {
		o.finish(errNothing)
		return
	}
	o.due = later(o.due, now.Add(b.pause(now, o)))
	for _, p := range b.held {
		b.follow(now, o, p)
	}
	b.gather(now, o)
	b.hold(o)
}

// follow has a text wait for the one before it, so that a conversation keeps
// its order. Among gateways that take turns only where both are ours to say,
// and the wait is so short that nobody takes this one for forgotten.
func (b *outbox) follow(now time.Time, o, before *outgoing) {
	if o.signed || before.signed || before.load != nil || before.priority != o.priority || before.delays > 0 {
		return
	}
	if _, turns := b.rank(now, o.event.ID()); turns && (o.late || before.late || before.rank > 0 || before.due.Sub(o.due) > b.slot(o)/2) {
		return
	}
	o.due = later(o.due, before.due)
}

// nameParts prepares a text.
func (b *outbox) nameParts(o *outgoing) {
	o.said = make([]bool, len(o.parts))
	o.names = make(map[uint32]int, len(o.parts)*maxAttempt)
	for part := range o.parts {
		for attempt := 1; attempt <= max(maxAttempt, o.attempt); attempt++ {
			o.names[PacketID(o.event.ID(), part+1, attempt)] = part
		}
	}
}

// addLoad takes a packet in, and reports whether there was room.
func (b *outbox) addLoad(now time.Time, o *outgoing) bool {
	n := 0
	for _, p := range b.held {
		if p.load != nil {
			n++
		}
	}
	if n >= maxLoads {
		b.refusedLoads++
		return false
	}
	b.add(now, o)
	return true
}

// hold puts o behind those that are as urgent.
func (b *outbox) hold(o *outgoing) {
	i := slices.IndexFunc(b.held, func(p *outgoing) bool { return p.priority > o.priority })
	if i < 0 {
		i = len(b.held)
	}
	b.held = slices.Insert(b.held, i, o)
}

// drop takes o out of the held ones.
func (b *outbox) drop(o *outgoing) {
	b.held = slices.DeleteFunc(b.held, func(p *outgoing) bool { return p == o })
}

// airtime is what a packet with so many bytes costs on the air, once.
func (b *outbox) airtime(size int) time.Duration { return b.airtimeOf(size, b.signs) }

func (b *outbox) airtimeOf(size int, signs bool) time.Duration {
	if b.modulation.Bandwidth == 0 {
		p, _ := air.PresetOf(0)
		return p.Time(air.FrameSize(size, true))
	}
	return b.modulation.Time(air.FrameSize(size, signs))
}

// next returns the packet to send now, or nil and when to ask again; zero
// means when something happens.
func (b *outbox) next(now time.Time) (p *meshtastic.Packet, wake time.Time) {
	if !b.live {
		return nil, time.Time{}
	}
	for _, o := range slices.Clone(b.held) {
		if err := b.stale(now, o); err != nil {
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
	kept := b.keptAir(now)
	var full [len(shareOf)]bool // priorities that must wait for air
	paced := false              // texts must wait for their pace
	for _, o := range slices.Clone(b.held) {
		if full[o.priority] || paced && o.port() == meshtastic.PortText || !slices.Contains(b.held, o) {
			continue
		}
		if o.due.After(now) {
			wake = soonest(wake, o.due)
			if o.priority == mesh.Emergency && !o.signed {
				break // it listens briefly; nothing slips in before it
			}
			continue
		}
		if o.behind.After(now) && b.saysSigned(o.event.ID()) {
			wake = soonest(wake, o.behind)
			continue
		}
		if o.heard != 0 && !o.checked && !o.signed {
			o.checked = true
			if b.confirmed(o) {
				o.tell(fmt.Sprintf("on air, said by %s", o.heard))
				b.end(o, nil)
				continue
			}
		}
		at, why := b.gate(now, o, kept[o.priority])
		if o.near && why != "" && why != gateBusy { // it is on the air already
			b.end(o, nil)
			continue
		}
		switch why {
		case "":
			if b.overdue(now, o) {
				o.due, o.kept = b.nextTurn(now, o, 0), true
				kept = b.keptAir(now)
				wake = soonest(wake, o.due)
				continue
			}
			if b.airedMeanwhile(o) {
				continue
			}
			if p := b.launch(now, o); p != nil {
				return p, now
			}
			continue
		case gatePace:
			paced = true
			wake = soonest(wake, at)
			continue
		case whyAirtime:
			full[o.priority] = true // the shares of the others are theirs
			b.explain(now, o.priority, why)
			wake = soonest(wake, at)
			continue
		}
		if why != gateBusy {
			b.explain(now, o.priority, why)
		}
		if why == whyBusy && o.signed && o.set == nil && !b.noTurns {
			b.putOff(o, at)
			wake = soonest(wake, o.due)
			continue
		}
		wake = soonest(wake, at)
		break // less urgent ones must not overtake
	}
	return nil, wake
}

// airedMeanwhile asks at the moment of sending whether a colleague vouches for
// having said o, as gossip may have told what the air did not, and ends it then.
// What may have been missed around here is still said, to neighbours only.
func (b *outbox) airedMeanwhile(o *outgoing) bool {
	first := o.signed && o.rank == 0 && !o.putOff
	if o.event == nil || first || o.near || o.full || o.repair {
		return false
	}
	if !b.vouched(o) {
		return false
	}
	if o.near = o.mayMiss() && !b.noNear; !o.near {
		b.end(o, nil)
		return true
	}
	b.unbundle(o) // what rides in its frame was not vouched for
	return false
}

// vouched reports whether a colleague vouches for having said o, and tells so.
func (b *outbox) vouched(o *outgoing) bool {
	from, ok := b.aired(o)
	if ok {
		o.tell(fmt.Sprintf("on air, said by %s", from))
	}
	return ok
}

// explain tells in the histories of a priority how long each will wait.
func (b *outbox) explain(now time.Time, p mesh.Priority, why string) {
	var sum time.Duration
	for _, o := range b.held {
		if o.priority != p || o.load != nil {
			continue
		}
		sum += b.airtime(o.length())
		wait, _ := b.governor.wait(b.books(), p, sum)
		if now.Before(b.pausedUntil) {
			wait = max(wait, b.pausedUntil.Sub(now))
		}
		o.report(now, why, fmt.Sprintf("waiting: %s, %s", why, about(wait)))
	}
}

// Reasons that are not worth a line in the history.
const (
	gateBusy = "busy"
	gatePace = "pace"
)

// keptAir is the airtime that each priority keeps for texts whose turn passed
// while they waited for it: until the next, others must not take it again.
func (b *outbox) keptAir(now time.Time) (kept [len(shareOf)]time.Duration) {
	for _, o := range b.held {
		if o.kept && o.due.After(now) {
			kept[o.priority] += b.airtime(o.length())
		}
	}
	return kept
}

// gate tells until when o must wait although its turn has come, and why; so much
// airtime is kept for others.
func (b *outbox) gate(now time.Time, o *outgoing, kept time.Duration) (time.Time, string) {
	if now.Before(b.pausedUntil) {
		return b.pausedUntil, b.pausedFor
	}
	if len(b.flying) >= maxFlying || b.free < leaveFree {
		return now.Add(b.fast(time.Second)), gateBusy
	}
	if slices.ContainsFunc(b.flying, func(f *flight) bool { return !f.accepted }) {
		return now.Add(b.fast(time.Second)), gateBusy
	}
	if d, why := b.governor.wait(b.books(), o.priority, kept+b.airtime(o.length())); d > 0 {
		return now.Add(d), why
	}
	if at := b.lastText.Add(b.fast(textPace)); o.port() == meshtastic.PortText && now.Before(at) {
		return at, gatePace
	}
	return now, ""
}

// stale reports why o should not be said any more.
func (b *outbox) stale(now time.Time, o *outgoing) error {
	if !o.expires.IsZero() && !b.wall().Before(o.expires) {
		return errExpired
	}
	if o.load != nil {
		if o.load.still != nil && !o.load.still(now) {
			return errNotNeeded
		}
		return nil
	}
	if !o.signed && b.seen(o) {
		return errHeard
	}
	return nil
}

// launch turns the next part of o into a packet; nil where nothing comes of
// it.
func (b *outbox) launch(now time.Time, o *outgoing) *meshtastic.Packet {
	var p *meshtastic.Packet
	switch {
	case o.load != nil:
		copied := o.load.packet
		p = &copied
		if o.load.control {
			p.HopLimit = b.reach(now)
		}
	case o.signed:
		if p = b.sign(now, o); p == nil {
			return nil
		}
		if !o.near {
			p.HopLimit = b.reach(now)
		}
	default:
		part := o.part()
		// An echo that does not come costs three transmissions: nobody is in
		// range, or the channel is too busy to repeat anything.
		b.forgetAcks(now)
		echo := !b.alone && len(b.acks) < maxEchoes || o.priority == mesh.Emergency
		p = &meshtastic.Packet{
			To: meshtastic.Broadcast, Channel: o.channel, ID: PacketID(o.event.ID(), part+1, o.attempt),
			HopLimit: b.hops, WantAck: echo, ViaMQTT: o.viaMQTT,
			Data: &meshtastic.Data{Port: meshtastic.PortText, Payload: []byte(o.parts[part])},
		}
	}
	b.drop(o)
	f := &flight{o: o, part: o.part(), id: p.ID, size: len(p.Data.Payload), wrote: now, echo: p.WantAck}
	b.flying = append(b.flying, f)
	if p.Data.Port == meshtastic.PortText {
		b.lastText = now
	}
	return p
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
	b.unbundle(o)
	b.drop(o)
	if o.names != nil {
		b.done = append(b.done, o)
		if len(b.done) > maxDone {
			b.done = slices.Delete(b.done, 0, 1)
		}
	}
	o.finish(err)
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
		if o.load != nil {
			continue
		}
		o.forgetWord() // a colleague may have said it while our radio was away
		o.late = true
		if !o.again {
			o.due = later(o.due, now.Add(b.pause(now, o)))
		}
		if o.signed {
			continue
		}
		if last != nil {
			b.follow(now, o, last)
		}
		last = o
	}
}

// release gives everything back to the hub, when the carrier stops.
func (b *outbox) release() {
	for _, f := range slices.Clone(b.flying) {
		b.back(f, time.Time{})
	}
	for _, o := range slices.Clone(b.held) {
		b.unbundle(o)
	}
	for _, o := range b.held {
		o.giveBack()
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

package radio

import (
	"crypto/sha256"
	"encoding/binary"
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

// A flight is a packet that was given to the radio.
type flight struct {
	o        *outgoing
	part     int
	id       uint32
	wrote    time.Time
	echo     bool // it asks to be told whether somebody repeats it
	asked    bool // a heartbeat went out after the answer was late
	accepted bool
	acceptAt time.Time
}

// A colleague is another gateway on this ether.
type colleague struct {
	at     time.Time
	misses int // times that it let us go first although it was its turn
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

// pause returns how long to listen before saying o. Gateways that know each
// other take turns: who is first for an event follows from a hash that all
// compute alike, and each waits a slot longer than the one before it, long
// enough to hear it. Gateways that do not know each other yet leave it to
// chance. After a crash the first attempt may still be on the air.
func (b *outbox) pause(now time.Time, o *outgoing) time.Duration {
	slot := b.slot(o)
	jitter := b.fast(time.Duration(b.random.Int64N(int64(300 * time.Millisecond))))
	rank, known := b.rank(now, o.d.Event.ID())
	var p time.Duration
	switch {
	case known:
		p = b.fast(200*time.Millisecond) + jitter + time.Duration(rank)*slot
	case o.d.Priority == mesh.Emergency:
		p = jitter + time.Duration(b.random.Int64N(int64(slot/2)))
	default:
		p = jitter + time.Duration(b.random.Int64N(int64(slot+slot/2)))
	}
	if o.d.Attempt > 1 {
		p += 2 * slot
	}
	return p
}

// slot is how long it takes until a colleague that has begun is heard: its
// radio waits for silence, sends, and another may have to repeat it.
func (b *outbox) slot(o *outgoing) time.Duration {
	longest := 0
	for _, p := range o.parts {
		longest = max(longest, len(p))
	}
	return b.fast(1500*time.Millisecond + 2*b.airtime(longest))
}

// fast shortens a pause where the ether is faster than life.
func (b *outbox) fast(d time.Duration) time.Duration { return time.Duration(float64(d) / b.tempo) }

// colleagueFor is how long a colleague that is not heard is counted on.
const (
	colleagueFor  = 24 * time.Hour
	maxMisses     = 3
	maxColleagues = 32
)

// rank returns our place in the order for an event, from 0, and whether any
// colleague is known.
func (b *outbox) rank(now time.Time, id mesh.EventID) (rank int, known bool) {
	mine := turn(id, b.num)
	for num, c := range b.colleagues {
		if now.Sub(c.at) > colleagueFor || c.misses >= maxMisses {
			delete(b.colleagues, num)
			continue
		}
		known = true
		if turn(id, num) < mine {
			rank++
		}
	}
	return rank, known
}

// turn is a gateway's lot for an event; the lowest goes first.
func turn(id mesh.EventID, num meshtastic.NodeNum) uint64 {
	sum := sha256.Sum256(binary.BigEndian.AppendUint32(append([]byte("turn"), id[:]...), uint32(num)))
	return binary.BigEndian.Uint64(sum[:])
}

// meet notes that a colleague said something of ours.
func (b *outbox) meet(now time.Time, num meshtastic.NodeNum) {
	if num == b.num {
		return
	}
	if _, ok := b.colleagues[num]; !ok && len(b.colleagues) >= maxColleagues {
		return
	}
	b.colleagues[num] = &colleague{at: now}
}

// missed notes the colleagues that should have said o before us.
func (b *outbox) missed(o *outgoing) {
	mine := turn(o.d.Event.ID(), b.num)
	for num, c := range b.colleagues {
		if turn(o.d.Event.ID(), num) < mine {
			c.misses++
		}
	}
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

// poll reports whether the radio should be asked how its queue is: an answer
// is late, or a packet has to leave the queue. since is the time of the last
// question.
func (b *outbox) poll(now, since time.Time) (ask bool, at time.Time) {
	if !b.live {
		return false, time.Time{}
	}
	if b.free < 0 {
		at = since.Add(b.fast(time.Second))
	}
	for _, f := range b.flying {
		switch {
		case f.accepted:
			at = soonest(at, later(f.acceptAt, since).Add(b.fast(b.airtime(len(f.o.parts[f.part])))))
		case !f.asked:
			at = soonest(at, f.wrote.Add(answerTimeout))
		}
	}
	if len(b.held) > 0 && b.free < leaveFree {
		at = soonest(at, since.Add(b.fast(2*time.Second)))
	}
	if at.IsZero() || at.After(now) {
		return false, at
	}
	for _, f := range b.flying {
		if !f.accepted && now.Sub(f.wrote) >= answerTimeout {
			f.asked = true
		}
	}
	return true, time.Time{}
}

// status takes in what the radio says about its queue.
func (b *outbox) status(now time.Time, s *meshtastic.QueueStatus) {
	b.free, b.maxLen = int(s.Free), int(s.MaxLen)
	if s.ID != 0 {
		b.answer(now, s)
	} else {
		b.silence(now)
	}
	// The radio sends in order, so what is still inside are the last ones.
	inside := b.maxLen - b.free
	for _, f := range slices.Clone(b.flying) {
		if !f.accepted || f.acceptAt.Equal(now) && s.ID == f.id {
			continue
		}
		if b.accepted() <= inside && now.Sub(f.acceptAt) < queueTimeout {
			break
		}
		b.out(now, f)
	}
}

// accepted counts our packets that the radio has taken and not yet sent.
func (b *outbox) accepted() int {
	n := 0
	for _, f := range b.flying {
		if f.accepted {
			n++
		}
	}
	return n
}

// answer takes in the QueueStatus of one of our packets.
func (b *outbox) answer(now time.Time, s *meshtastic.QueueStatus) {
	i := slices.IndexFunc(b.flying, func(f *flight) bool { return f.id == s.ID })
	if i < 0 || b.flying[i].accepted {
		return
	}
	f := b.flying[i]
	if s.Result == meshtastic.ErrorNone {
		b.accept(now, f)
		return
	}
	b.refused(now, f, s.Result)
}

func (b *outbox) accept(now time.Time, f *flight) {
	f.accepted, f.acceptAt = true, now
	b.lastText = later(b.lastText, now)
	b.budget.spend(b.wall(), b.airtime(len(f.o.parts[f.part])))
}

// silence handles packets whose answer is overdue although the radio answers a
// later question. A packet that it was given twice under one id it has had
// since the first time: it ignores the second without a word.
func (b *outbox) silence(now time.Time) {
	for _, f := range slices.Clone(b.flying) {
		if f.accepted || !f.asked {
			continue
		}
		if f.o.again {
			b.accept(now, f)
			continue
		}
		b.back(f, now)
		f.o.again = true
	}
}

// refused handles a packet that the radio did not take.
func (b *outbox) refused(now time.Time, f *flight, why meshtastic.RoutingError) {
	o := f.o
	b.back(f, now)
	o.again = false
	o.attempt++ // the radio would ignore the same packet id without a word
	o.names[PacketID(o.d.Event.ID(), f.part+1, o.attempt)] = f.part
	switch why {
	case meshtastic.ErrorDutyCycle:
		b.pauseFor(now, 5*time.Minute, "airtime (legal limit)")
		return
	case meshtastic.ErrorTooLarge, meshtastic.ErrorNoChannel:
		b.end(o, fmt.Errorf("the radio refused it: %s", why))
		return
	}
	if o.tries++; o.tries >= maxTries {
		b.end(o, fmt.Errorf("the radio refused it %d times: %s", o.tries, why))
		return
	}
	b.pauseFor(now, b.fast(retryPause), why.String())
}

// pauseFor keeps everything back, for at least d from now.
func (b *outbox) pauseFor(now time.Time, d time.Duration, why string) {
	if until := now.Add(d); until.After(b.pausedUntil) {
		b.pausedUntil, b.pausedFor = until, why
	}
}

// back returns a packet from the radio to the held ones.
func (b *outbox) back(f *flight, due time.Time) {
	b.flying = slices.DeleteFunc(b.flying, func(g *flight) bool { return g == f })
	f.o.due = due
	i := slices.IndexFunc(b.held, func(p *outgoing) bool { return p.d.Priority >= f.o.d.Priority })
	if i < 0 {
		i = len(b.held)
	}
	b.held = slices.Insert(b.held, i, f.o)
}

// out ends a packet that has left the radio's queue.
func (b *outbox) out(now time.Time, f *flight) {
	b.flying = slices.DeleteFunc(b.flying, func(g *flight) bool { return g == f })
	o := f.o
	o.said[f.part], o.again, o.tries = true, false, 0
	b.sent++
	if f.echo {
		b.acks[f.id], b.ackAt[f.id] = o, now
	}
	b.forgetAcks(now)
	if next := o.part(); next >= 0 {
		o.d.Report(fmt.Sprintf("part %d of %d on its way", f.part+1, len(o.parts)))
		b.back(f, now)
		return
	}
	b.missed(o)
	o.d.Report("on air")
	b.end(o, nil)
	b.onSaid(o)
}

func (b *outbox) forgetAcks(now time.Time) {
	for id, at := range b.ackAt {
		if now.Sub(at) > ackTimeout {
			delete(b.acks, id)
			delete(b.ackAt, id)
		}
	}
}

// routing takes in what became of a packet on the air.
func (b *outbox) routing(now time.Time, id uint32, e meshtastic.RoutingError) {
	if i := slices.IndexFunc(b.flying, func(f *flight) bool { return f.id == id }); i >= 0 {
		f := b.flying[i]
		switch e {
		case meshtastic.ErrorNone, meshtastic.ErrorMaxRetransmit: // it was on the air
			if !f.accepted {
				b.accept(now, f)
			}
			b.out(now, f)
		default:
			b.refused(now, f, e)
		}
	}
	o, ok := b.acks[id]
	if !ok {
		return
	}
	delete(b.acks, id)
	delete(b.ackAt, id)
	switch e {
	case meshtastic.ErrorNone:
		if o.told != "heard" {
			o.told = "heard"
			o.d.Report("heard")
		}
	case meshtastic.ErrorMaxRetransmit:
		b.alone = true
		b.budget.spend(b.wall(), 2*b.airtime(maxText)) // it tried three times
		o.d.Report("on air, but no radio repeated it")
	}
}

// company takes in that another radio was heard.
func (b *outbox) company() { b.alone = false }

// A match is what recognise returns about a text on the air.
type match struct {
	o     *outgoing
	part  int
	equal bool // the text too, not only the packet id
}

// recognise finds the event that a text on the air is, among what is on its
// way out or was lately.
func (b *outbox) recognise(channel, id uint32, text string) (match, bool) {
	look := func(o *outgoing) (match, bool) {
		part, ok := o.names[id]
		if !ok || o.channel != channel {
			return match{}, false
		}
		equal := o.parts[part] == text
		for _, other := range o.others {
			equal = equal || part < len(other) && other[part] == text
		}
		return match{o, part, equal}, true
	}
	for _, o := range b.held {
		if m, ok := look(o); ok {
			return m, true
		}
	}
	for _, f := range b.flying {
		if m, ok := look(f.o); ok {
			return m, true
		}
	}
	for _, o := range b.done {
		if m, ok := look(o); ok {
			return m, true
		}
	}
	return match{}, false
}

// heardOn takes in that somebody else said one of our texts. Over a secret key
// only a colleague can have said it, so we need not; over a public one it may
// be anybody, so it only delays us, at most twice.
func (b *outbox) heardOn(now time.Time, m match, from meshtastic.NodeNum) {
	b.meet(now, from)
	o := m.o
	if !slices.Contains(b.held, o) || o.said[m.part] {
		return
	}
	o.heard, o.checked = from, false
	slot := b.slot(o)
	if b.public(o.channel) {
		if o.delays < 2 {
			o.delays++
			o.due = now.Add(b.fast(publicDelay + time.Duration(b.random.Int64N(int64(publicDelay)))))
			o.report(now, "delay", fmt.Sprintf("waiting: heard from %s, who may be anybody", from))
		}
		return
	}
	o.said[m.part] = true
	if o.part() < 0 {
		o.d.Report(fmt.Sprintf("on air, said by %s", from))
		b.end(o, nil)
		return
	}
	// The colleague is at it: leave the rest to them, and finish it if they do not.
	o.due = now.Add(b.fast(textPace) + slot + time.Duration(b.random.Int64N(int64(slot))))
}

// publicDelay is how long a text heard over a public key is held back: long
// enough for a colleague's word that it was them.
const publicDelay = 20 * time.Second

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

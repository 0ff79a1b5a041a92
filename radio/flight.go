package radio

import (
	"fmt"
	"slices"
	"time"

	"drey/radio/meshtastic"
)

// A flight is a packet that was given to the radio.
type flight struct {
	o        *outgoing
	part     int
	id       uint32
	size     int // bytes of payload
	wrote    time.Time
	echo     bool // it asks to be told whether somebody repeats it
	asked    bool // a heartbeat went out after the answer was late
	accepted bool
	acceptAt time.Time
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
			// The first question is for when it should be out; then soon again, so
			// that the queue does not run empty.
			air := b.fast(b.airtime(f.size))
			at = soonest(at, later(f.acceptAt.Add(air), since.Add(air/4)))
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
	if f.o.port() == meshtastic.PortText {
		b.lastText = later(b.lastText, now)
	}
	b.governor.spend(b.books(), f.o.priority, b.airtime(f.size))
	b.onSpent()
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
	switch {
	case o.names != nil:
		o.names[PacketID(o.event.ID(), f.part+1, o.attempt)] = f.part
	case o.load != nil:
		o.load.packet.ID = nextID(o.load.packet.ID)
	}
	b.unbundle(o)
	switch why {
	case meshtastic.ErrorDutyCycle:
		b.pauseFor(now, 5*time.Minute, whyLegal)
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
	i := slices.IndexFunc(b.held, func(p *outgoing) bool { return p.priority >= f.o.priority })
	if i < 0 {
		i = len(b.held)
	}
	b.held = slices.Insert(b.held, i, f.o)
}

// out ends a packet that has left the radio's queue.
func (b *outbox) out(now time.Time, f *flight) {
	b.flying = slices.DeleteFunc(b.flying, func(g *flight) bool { return g == f })
	o := f.o
	if !o.again {
		b.spoke = now
	}
	o.again, o.tries = false, 0
	if o.set != nil {
		o.frame = nil
		b.onFragment(o)
	} else {
		o.said[f.part] = true
	}
	b.sent++
	if o.signed {
		b.frames++
	}
	if f.echo {
		b.acks[f.id], b.ackAt[f.id] = o, now
	}
	b.forgetAcks(now)
	if next := o.part(); next >= 0 {
		if o.set != nil {
			o.report(now, "fragments", fmt.Sprintf("fragment %d of %d on its way", o.set.Sent(), o.set.Sent()+o.set.Owed()))
		} else {
			o.tell(fmt.Sprintf("part %d of %d on its way", f.part+1, len(o.said)))
		}
		b.back(f, now)
		return
	}
	if !o.near {
		b.missed(o)
	}
	all := append([]*outgoing{o}, b.riders(o)...)
	if o.signed && !o.full && !o.repair && !o.near {
		b.onFrame(all)
	}
	for _, each := range all {
		if !each.near {
			each.tell("on air")
		}
		b.end(each, nil)
		b.onSaid(each)
	}
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
			o.tell("heard")
		}
	case meshtastic.ErrorMaxRetransmit:
		b.alone = true
		b.governor.spend(b.books(), o.priority, 2*b.airtime(maxText)) // it tried three times
		o.tell("on air, but no radio repeated it")
	}
}

// company takes in that another radio was heard.
func (b *outbox) company() { b.alone = false }

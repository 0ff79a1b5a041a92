package radio

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"drey/mesh"
	"drey/radio/meshtastic"
)

// A gateway is a colleague on this ether.
type gateway struct {
	at     time.Time
	misses int  // times that it let us go first although it was its turn
	sure   bool // the secret or a machine of the community says so; else it may be anybody
}

// How gateways take turns.
const (
	// epoch is how long one gateway leads on a channel. It is counted by the
	// events' own dates, so that all agree whatever their clocks say.
	epoch = 30 * time.Minute
	// takeOver is how much longer the next in the order waits than the one
	// before it: long enough for a frame to cross the mesh.
	takeOver = 15 * time.Second
	// hopPause is about what a radio waits before it repeats another.
	hopPause = 500 * time.Millisecond
	// gatherFor is how long a line of chat waits for others to share its frame.
	gatherFor = 20 * time.Second
	// gatewayFor is how long a colleague that is not heard is counted on.
	gatewayFor = 24 * time.Hour
	// lateAfter is from which age on a colleague may have said a text before it
	// reached us, because we were cut off; lateWait leaves its word the time to
	// reach us too.
	lateAfter   = 5 * time.Second
	lateWait    = 10 * time.Second
	shortName   = 14 // bytes of a name that nobody knows, and ": "
	maxMisses   = 3
	maxGateways = 32
	maxUnsure   = 8 // of these, who may be anybody
	// lastRank is the last place whose turn comes later than the one before it:
	// who invents colleagues delays by so many turns and no more.
	lastRank = 4
)

// pause returns how long to listen before saying o. Gateways that know each
// other take turns: who is first follows from a hash that all compute alike,
// and each waits longer than the one before it, long enough to hear it.
// Gateways that do not know each other yet leave it to chance; whoever missed
// its turn to say a text takes one in a later round, see nextTurn. After a crash
// the first attempt may still be on the air.
func (b *outbox) pause(now time.Time, o *outgoing) time.Duration {
	if o.signed {
		return b.pauseSigned(now, o)
	}
	slot := b.slot(o)
	if o.late && b.inRounds(now, o) {
		wait := b.fast(lateWait)
		if o.attempt > 1 {
			wait += 2 * slot
		}
		return b.nextTurn(now, o, wait).Sub(now)
	}
	jitter := b.fast(time.Duration(b.random.Int64N(int64(300 * time.Millisecond))))
	rank, known := b.rank(now, o.event.ID())
	if b.skipped(now, o) {
		rank++ // it may be back this very moment
	}
	o.rank = rank
	var p time.Duration
	switch {
	case known:
		p = b.fast(200*time.Millisecond) + jitter + b.turns(rank, slot)
	case o.priority == mesh.Emergency:
		p = jitter + time.Duration(b.random.Int64N(int64(slot/2)))
	default:
		p = jitter + time.Duration(b.random.Int64N(int64(slot+slot/2)))
	}
	if o.attempt > 1 {
		p += 2 * slot
	}
	return p
}

// pauseSigned is pause for events in signed form. One gateway leads for an
// epoch, so that what it gathers shares frames; the others take over, each
// after 15 s more, when they hear nothing.
func (b *outbox) pauseSigned(now time.Time, o *outgoing) time.Duration {
	p := time.Duration(b.random.Int64N(int64(300 * time.Millisecond)))
	if o.priority >= mesh.Chat && o.set == nil && !o.both && !b.noGather {
		p += gatherFor
	}
	step := stepOf(o)
	if b.noTurns {
		return b.fast(p)
	}
	rank, known := b.rankSigned(now, o.lot())
	o.rank = rank
	switch {
	case known:
		p += b.turns(rank, step)
	case o.priority == mesh.Emergency:
		p += time.Duration(b.random.Int64N(int64(time.Second)))
	default:
		p += time.Duration(b.random.Int64N(int64(step / 3)))
	}
	if o.attempt > 1 {
		p += step / 2
	}
	return b.fast(p)
}

// stepOf is how much longer the next in the order waits to say o in signed form.
func stepOf(o *outgoing) time.Duration {
	switch {
	case o.priority == mesh.Emergency:
		return takeOver / 2
	case o.event.Kind() == mesh.KindLetter:
		return letterTurn
	}
	return takeOver
}

// putOff gives o its turn in a later round, not before at, where the channel was
// too busy at its turn: the turns between are the others'.
func (b *outbox) putOff(o *outgoing, at time.Time) {
	round := b.fast(time.Duration(min(len(b.gateways), lastRank)+1) * stepOf(o))
	o.putOff = true
	if wait := at.Sub(o.due); wait > 0 {
		o.due = o.due.Add((wait + round - 1) / round * round)
	}
}

// turns is how long so many turns before ours take; those far behind share the
// last place, each at a moment of its own.
func (b *outbox) turns(rank int, step time.Duration) time.Duration {
	p := time.Duration(min(rank, lastRank)) * step
	if rank > lastRank {
		p += time.Duration(b.random.Int64N(int64(step)))
	}
	return p
}

// slot is how long it takes until a colleague that has begun is heard: its
// radio waits for silence, sends, and others may have to repeat it, each after
// a wait of its own.
func (b *outbox) slot(o *outgoing) time.Duration { return b.slotOf(o, b.hops, b.signs) }

// slotOf is slot where radios pass texts on so often, and sign them or not.
func (b *outbox) slotOf(o *outgoing, hops uint32, signs bool) time.Duration {
	size := min(len(o.event.Content())+shortName, maxText) // whatever name each of us knows
	times := time.Duration(min(hops, maxHops) + 1)
	return b.fast(min(1500*time.Millisecond+times*(b.airtimeOf(size, signs)+hopPause), takeOver))
}

// fast shortens a pause where the ether is faster than life.
func (b *outbox) fast(d time.Duration) time.Duration { return time.Duration(float64(d) / b.tempo) }

// rank returns our place in the order for a lot, from 0, and whether any
// colleague is known.
func (b *outbox) rank(now time.Time, lot mesh.EventID) (rank int, known bool) {
	mine := turn(lot, b.num)
	return b.rankBy(now, func(num meshtastic.NodeNum) bool { return turn(lot, num) < mine })
}

// rankSigned is rank for events in signed form.
func (b *outbox) rankSigned(now time.Time, lot mesh.EventID) (rank int, known bool) {
	return b.rankBy(now, func(num meshtastic.NodeNum) bool { return b.first(lot, num, b.num) })
}

// rankBy counts the colleagues that are before us.
func (b *outbox) rankBy(now time.Time, before func(meshtastic.NodeNum) bool) (rank int, known bool) {
	for num, g := range b.gateways {
		if now.Sub(g.at) > gatewayFor {
			delete(b.gateways, num)
			continue
		}
		if g.misses >= maxMisses {
			continue
		}
		known = true
		if before(num) {
			rank++
		}
	}
	return rank, known
}

// present lists the colleagues that take their turns.
func (b *outbox) present() []meshtastic.NodeNum {
	var list []meshtastic.NodeNum
	for num, g := range b.gateways {
		if g.misses < maxMisses {
			list = append(list, num)
		}
	}
	slices.Sort(list)
	return list
}

// turn is a gateway's ticket for a lot; the lowest goes first.
func turn(lot mesh.EventID, num meshtastic.NodeNum) uint64 {
	sum := sha256.Sum256(binary.BigEndian.AppendUint32(append([]byte("turn"), lot[:]...), uint32(num)))
	return binary.BigEndian.Uint64(sum[:])
}

// meet notes that a colleague said something of ours. sure tells that only a
// machine of the community can have: others make room for it.
func (b *outbox) meet(now time.Time, num meshtastic.NodeNum, sure bool) {
	if num == b.num {
		return
	}
	known := b.gateways[num]
	if known == nil && !b.place(sure) {
		return
	}
	b.gateways[num] = &gateway{at: now, sure: sure || known != nil && known.sure}
}

// place makes room for one more gateway and reports whether there is any.
func (b *outbox) place(sure bool) bool {
	var oldest meshtastic.NodeNum
	unsure := 0
	for num, g := range b.gateways {
		if g.sure {
			continue
		}
		if unsure++; unsure == 1 || g.at.Before(b.gateways[oldest].at) {
			oldest = num
		}
	}
	if len(b.gateways) < maxGateways && (sure || unsure < maxUnsure) {
		return true
	}
	if unsure > 0 {
		delete(b.gateways, oldest)
	}
	return unsure > 0
}

// alive takes in that a radio said something of its own. A colleague that let
// turns pass may only have been cut off from what we had to say: all must count
// on the same ones, or two speak at once.
func (b *outbox) alive(num meshtastic.NodeNum) {
	if g := b.gateways[num]; g != nil {
		g.misses = 0
	}
}

// skipped reports whether a colleague is before us that nobody counts on since
// it let turns pass.
func (b *outbox) skipped(now time.Time, o *outgoing) bool {
	for num, g := range b.gateways {
		if g.misses >= maxMisses && now.Sub(g.at) <= gatewayFor && b.before(num, o) {
			return true
		}
	}
	return false
}

// before reports whether it is a colleague's turn to say o before it is ours.
func (b *outbox) before(num meshtastic.NodeNum, o *outgoing) bool {
	if o.signed {
		return b.first(o.lot(), num, b.num)
	}
	return turn(o.lot(), num) < turn(o.lot(), b.num)
}

// missed notes the colleagues that should have said o before us.
func (b *outbox) missed(o *outgoing) {
	if o.load != nil || o.missed || b.governor.busy(b.books()) > useSlow/2 {
		return
	}
	o.missed = true
	for num, g := range b.gateways {
		if b.before(num, o) {
			g.misses++
		}
	}
}

// lot is what decides who says o first.
func (o *outgoing) lot() mesh.EventID {
	if o.signed {
		return voice(o.event.CreatedAt())
	}
	return o.event.ID()
}

// voice is the lot of all events that are dated in one epoch.
func voice(date mesh.Unix) mesh.EventID {
	n := uint64(date.Time().Unix()) / uint64(epoch.Seconds())
	return sha256.Sum256(binary.BigEndian.AppendUint64([]byte("voice"), n))
}

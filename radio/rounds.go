package radio

import (
	"time"

	"drey/mesh"
	"drey/radio/meshtastic"
)

// How texts that missed their first turn are said.
const (
	// keptAfter is from which age on, here, a text has missed its first turn.
	keptAfter = 2 * time.Second
	// arrival is about what a text takes to all of us, and half of the second
	// that its date does not tell.
	arrival = time.Second
	// commonHops is how often radios pass texts on that nobody has set otherwise.
	commonHops = 3
)

// inRounds reports whether we share o with colleagues who keep to its rounds.
func (b *outbox) inRounds(now time.Time, o *outgoing) bool {
	if o.event == nil || o.signed || o.priority == mesh.Emergency {
		return false
	}
	_, known := b.rank(now, o.lot())
	return known
}

// nextTurn returns when our next turn to say o begins, at least wait from now.
// The first turns count from when o came. Whoever could not speak in its own
// takes one in the rounds that follow, which all count from o's date: two that
// come back to it, at whatever moments, never begin at once, where they agree on
// the time to within half a turn and know the same colleagues. Whoever was met
// within a day has a place in them, for all must count alike; for the same reason
// a turn is as long as with common radios, whatever ours is.
func (b *outbox) nextTurn(now time.Time, o *outgoing, wait time.Duration) time.Time {
	place, others := 0, 0
	for num := range b.gateways {
		others++
		if b.before(num, o) {
			place++
		}
	}
	slot := b.turnOf(o)
	round := time.Duration(min(others, lastRank)+1) * slot
	turn := o.event.CreatedAt().Time().Add(b.fast(arrival) + b.turns(place, slot))
	rest := turn.Sub(b.agreed().Add(wait)) % round
	if rest < 0 {
		rest += round
	}
	return now.Add(wait + rest)
}

// turnOf is how long a turn is in rounds.
func (b *outbox) turnOf(o *outgoing) time.Duration { return b.slotOf(o, commonHops, true) }

// overdue reports whether our turn to say o has passed while something kept us:
// colleagues have not heard us since, and theirs may have begun.
func (b *outbox) overdue(now time.Time, o *outgoing) bool {
	return b.inRounds(now, o) && now.Sub(o.due) > b.slot(o)/3 && now.Sub(b.spoke) > b.fast(textPace)
}

// maxYields bounds how often a text waits on since a colleague is busy: who
// pretends to be one delays, and silences nobody.
const maxYields = 4

// yield takes in that a colleague is speaking. What it is to say before us, it
// may have to say after this: our turn comes that much later.
func (b *outbox) yield(now time.Time, num meshtastic.NodeNum) {
	if b.gateways[num] == nil {
		return
	}
	for _, o := range b.held {
		if o.event == nil || o.signed || o.priority == mesh.Emergency || o.yields == maxYields || !b.before(num, o) {
			continue
		}
		if slot := b.turnOf(o); o.due.Before(now.Add(slot)) {
			o.due = b.nextTurn(now, o, slot)
			o.yields++
		}
	}
}

package radio

import (
	"fmt"
	"slices"
	"time"

	"drey/mesh"
	"drey/radio/meshtastic"
)

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
	b.meet(now, from, false) // handhelds have the key too
	o := m.o
	if !slices.Contains(b.held, o) || o.said[m.part] {
		return
	}
	o.heard, o.checked = from, false
	slot := b.slot(o)
	if b.public(o.channel) {
		if o.delays < 2 {
			o.delays++
			delay := publicDelay
			if o.d.Priority == mesh.Emergency {
				delay /= 4
			}
			o.due = now.Add(b.fast(delay + time.Duration(b.random.Int64N(int64(delay)))))
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
	wait := b.fast(textPace) + slot
	o.due = now.Add(wait + time.Duration(b.random.Int64N(int64(slot))))
	if b.inRounds(now, o) {
		o.due = b.nextTurn(now, o, wait)
	}
}

// publicDelay is how long a text heard over a public key is held back: long
// enough for a colleague's word that it was them.
const publicDelay = 20 * time.Second

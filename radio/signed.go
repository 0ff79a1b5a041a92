package radio

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"drey/mesh"
	"drey/radio/air"
	"drey/radio/meshtastic"
)

// Priorities of packets in the radio's own queue.
const priorityBackground = 10

// FrameID is the packet id of a payload in signed form: the first four bytes,
// big endian, of SHA-256(payload ‖ attempt), attempt being two bytes, big
// endian. It follows from the content, so that a frame that a radio was given
// twice goes out once. Zero, which asks a radio to choose, becomes 1.
func FrameID(payload []byte, attempt int) uint32 {
	sum := sha256.Sum256(binary.BigEndian.AppendUint16(slices.Clone(payload), uint16(attempt)))
	return max(binary.BigEndian.Uint32(sum[:]), 1)
}

// nextID is another packet id for what a radio refused under the first.
func nextID(id uint32) uint32 {
	sum := sha256.Sum256(binary.BigEndian.AppendUint32([]byte("again"), id))
	return max(binary.BigEndian.Uint32(sum[:]), 1)
}

// sign makes the next frame of an event in signed form; nil where that fails,
// which ends o. Others that wait ride along where there is room.
func (b *outbox) sign(now time.Time, o *outgoing) *meshtastic.Packet {
	switch {
	case o.frame != nil: // the radio may have it: the same again
	case o.set != nil:
		payload, ok := o.set.Next()
		if !ok { // a colleague was heard sending the rest
			if o.heard != 0 {
				o.tell(fmt.Sprintf("on air, said by %s", o.heard))
			}
			b.end(o, nil)
			return nil
		}
		o.frame = &frame{payload: payload}
	default:
		others := slices.DeleteFunc(b.companions(now, o), func(p *outgoing) bool {
			return !o.near && (b.airedMeanwhile(p) || p.near)
		})
		payload, riders, err := b.pack(o, others)
		if err != nil {
			b.end(o, fmt.Errorf("make a frame: %w", err))
			return nil
		}
		o.frame = &frame{payload: payload, riders: riders}
		for _, r := range riders {
			r.in = o.frame
			b.drop(r)
		}
	}
	payload := o.frame.payload
	return &meshtastic.Packet{
		To: meshtastic.Broadcast, Channel: o.channel, ID: FrameID(payload, o.attempt), ViaMQTT: o.viaMQTT,
		Priority: priorityBackground,
		Data:     &meshtastic.Data{Port: meshtastic.PortPrivate, Payload: payload},
	}
}

// companions lists the held events that may share a frame with o, the most urgent
// first. Where another gateway leads, those that it may still say are left to it.
// What goes to our neighbours only is joined by more of the kind.
func (b *outbox) companions(now time.Time, o *outgoing) []*outgoing {
	var list []*outgoing
	for _, p := range b.held {
		if o.near && !p.near && p.frame == nil && p.mayMiss() {
			p.near = b.vouched(p)
		}
		if !p.near && p.rank > 0 && p.due.After(now) && !b.unsaid(now, p) {
			continue
		}
		if p != o && p.near == o.near && p.signed && p.set == nil && p.frame == nil && p.in == nil &&
			p.channel == o.channel && p.viaMQTT == o.viaMQTT && (p.priority <= mesh.Chat) == (o.priority <= mesh.Chat) {
			list = append(list, p)
		}
	}
	return list
}

// unsaid reports whether whoever leads should have said o by now, and was not
// heard: what the channel is too busy for at its turn goes with what is said.
func (b *outbox) unsaid(now time.Time, o *outgoing) bool {
	turns := b.fast(time.Duration(min(o.rank, lastRank)) * stepOf(o))
	return o.putOff || o.due.Add(-turns).Add(b.fast(unsaidAfter)).Before(now)
}

// unsaidAfter is how long a frame that goes at its turn takes to be heard.
const unsaidAfter = 5 * time.Second

// gather lets what waits for company go when there is enough of it for a frame.
func (b *outbox) gather(now time.Time, o *outgoing) {
	if !o.signed || o.set != nil || o.rank > 0 || o.priority < mesh.Chat {
		return
	}
	sum := 0
	var first *outgoing
	for _, p := range b.companions(now, o) {
		if p.rank == 0 && p.priority == o.priority && p.due.After(now) {
			sum += p.size
			if first == nil || p.due.Before(first.due) {
				first = p
			}
		}
	}
	if first != nil && sum+o.size > air.MaxPayload+sharedHead {
		first.due = now
	}
}

// sharedHead is about what two events in one frame save together.
const sharedHead = 12

// riders lists what went out in o's frame beside o.
func (b *outbox) riders(o *outgoing) []*outgoing {
	if o.frame == nil {
		return nil
	}
	riders := o.frame.riders
	for _, r := range riders {
		r.in = nil
	}
	o.frame = nil
	return riders
}

// unbundle takes o's frame apart: what rode in it waits again by itself.
func (b *outbox) unbundle(o *outgoing) {
	if o.set == nil { // a fragment stays as it is
		for _, r := range b.riders(o) {
			b.hold(r)
		}
	}
	if f := o.in; f != nil { // it rides elsewhere
		f.riders = slices.DeleteFunc(f.riders, func(r *outgoing) bool { return r == o })
		o.in = nil
	}
}

// said ends what a colleague was heard saying in signed form, and reports
// whether it was waiting here. Whoever waits to say it need not.
func (b *outbox) saidBy(id mesh.EventID, from meshtastic.NodeNum) bool {
	for _, o := range b.waiting() {
		if o.signed && o.event.ID() == id {
			o.tell(fmt.Sprintf("on air, said by %s", from))
			b.end(o, nil)
			b.governor.heard(b.books(), b.airtime(o.length()))
			return true
		}
	}
	return false
}

// saysSigned reports whether an event in signed form is on its way out.
func (b *outbox) saysSigned(id mesh.EventID) bool {
	is := func(w *outgoing) bool { return w.signed && w.event.ID() == id }
	return slices.ContainsFunc(b.waiting(), is) || slices.ContainsFunc(b.flying, func(f *flight) bool {
		return is(f.o) || f.o.frame != nil && slices.ContainsFunc(f.o.frame.riders, is)
	})
}

// waiting lists what is held, and what rides in held frames.
func (b *outbox) waiting() []*outgoing {
	list := slices.Clone(b.held)
	for _, o := range b.held {
		if o.frame != nil {
			list = append(list, o.frame.riders...)
		}
	}
	return list
}

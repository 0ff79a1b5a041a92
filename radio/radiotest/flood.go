package radiotest

import (
	"slices"
	"time"

	"drey/radio/air"
	"drey/radio/meshtastic"
)

// How the ether treats signals, in dB.
const (
	goodSNR    = 6    // where nothing else is said
	capture    = 6    // a frame survives another that is so much fainter
	noiseFloor = -114 // dBm, of 250 kHz and a common receiver
)

// The firmware's contention windows: 2^n slots.
const (
	leastWindow = 3
	mostWindow  = 8
	leastSNR    = -20.0 // the smallest window
	mostSNR     = 10.0  // the largest
)

// maxJitter is how much radios differ in the time they take to handle a frame.
const maxJitter = 5 * time.Millisecond

// sensitivity is the least signal that a receiver makes out, in dB over the
// noise, as the chips' data sheets have it.
func sensitivity(m air.Modulation) float64 { return -7.5 - 2.5*float64(m.Spread-7) }

// snrLocked returns how well to hears from.
func (a *Air) snrLocked(from, to *Radio) float64 {
	if a.cfg.SNR == nil {
		return goodSNR
	}
	return a.cfg.SNR(from, to)
}

// hearsLocked reports whether to is in range of from.
func (a *Air) hearsLocked(from, to *Radio) bool {
	return from != to && (a.mu.links == nil || a.mu.links(from, to)) && a.snrLocked(from, to) >= a.faintest
}

// jitterLocked is what one radio takes longer than another to handle a frame.
func (a *Air) jitterLocked() time.Duration {
	return time.Duration(a.mu.random.Int64N(int64(maxJitter)))
}

// busyLocked reports whether r notices that somebody is sending. Where there
// are collisions it takes two and a half symbols to tell, so that two who begin
// within one slot do collide.
func (a *Air) busyLocked(r *Radio) bool {
	now := time.Now()
	noticed := now
	if a.cfg.Collisions {
		noticed = now.Add(-a.fast(a.modulation.Symbol() * 5 / 2))
	}
	return slices.ContainsFunc(a.mu.onAir, func(t *transmission) bool {
		return t.end.After(now) && (t.by == r || !t.start.After(noticed) && a.hearsLocked(t.by, r))
	})
}

// spoiltLocked reports whether r could not make out t: it was sending itself,
// or heard another at the same time that was not much fainter. A signal too
// faint to be understood still disturbs one that is hardly louder.
func (a *Air) spoiltLocked(t *transmission, r *Radio) bool {
	return slices.ContainsFunc(a.mu.onAir, func(o *transmission) bool {
		if o == t || !o.start.Before(t.end) || !t.start.Before(o.end) {
			return false
		}
		if o.by == r {
			return true
		}
		if !a.cfg.Collisions || a.mu.links != nil && !a.mu.links(o.by, r) {
			return false
		}
		snr := a.snrLocked(o.by, r)
		return snr > a.faintest-capture && snr > a.snrLocked(t.by, r)-capture
	})
}

// contendLocked waits a random while before the first of the queue is sent.
// What is passed on waits longer than what is new, and shorter the fainter it
// was heard: who is far away reaches furthest.
func (r *Radio) contendLocked() {
	if r.mu.attempt != nil || r.mu.sending != nil || len(r.mu.queue) == 0 {
		return
	}
	random := r.air.mu.random
	var slots int
	if f := r.mu.queue[0]; f.repeat {
		slots = 2*mostWindow + random.IntN(1<<window(f.snr, leastSNR, mostSNR))
	} else {
		slots = random.IntN(1 << window(r.utilizationLocked(), 0, 100))
	}
	r.mu.attempt = r.air.afterLocked(time.Duration(slots)*r.air.modulation.Slot()+r.air.jitterLocked(), func() {
		r.mu.attempt = nil
		r.trySendLocked()
	})
}

// window maps v between least and most to the power of a contention window.
func window(v, least, most float64) int {
	n := leastWindow + int((v-least)*(mostWindow-leastWindow)/(most-least))
	return min(max(n, leastWindow), mostWindow)
}

// trySendLocked sends the first of the queue, or contends anew when the channel
// is busy.
func (r *Radio) trySendLocked() {
	if r.mu.off || r.mu.sending != nil || len(r.mu.queue) == 0 {
		return
	}
	if r.air.busyLocked(r) {
		r.contendLocked()
		return
	}
	f := r.mu.queue[0]
	r.mu.queue = r.mu.queue[1:]
	r.mu.sending = f
	r.air.transmitLocked(r, f)
	r.freedLocked()
}

// hearLocked takes a frame off the air.
func (r *Radio) hearLocked(f *frame) {
	if r.mu.off {
		return
	}
	if f.from == r.num {
		r.echoLocked(f.id)
		return
	}
	if f.viaMQTT && r.lora.IgnoreMQTT {
		return
	}
	if slices.Contains(r.mu.seen, f.name()) {
		r.heardAgainLocked(f)
		return
	}
	r.rememberLocked(f.name())
	channel, opened := r.channelFor(f)
	if opened && (f.to == meshtastic.Broadcast || f.to == r.num) {
		r.takeLocked(f, channel)
	}
	r.repeatLocked(f)
}

// heardAgainLocked handles a frame that this radio knows. When another passes
// it on already, this radio need not; when its author says it again because
// nobody was heard to do so, this radio does.
func (r *Radio) heardAgainLocked(f *frame) {
	waits := func(o *frame) bool { return o.name() == f.name() }
	if f.hopStart == 0 || f.hopLimit != f.hopStart {
		r.mu.queue = slices.DeleteFunc(r.mu.queue, waits)
	} else if !slices.ContainsFunc(r.mu.queue, waits) {
		r.repeatLocked(f)
	}
}

// repeatLocked queues another's frame for one hop more.
func (r *Radio) repeatLocked(f *frame) {
	if f.hopLimit == 0 || f.to == r.num || r.dutyLocked() > 0 {
		return
	}
	again := *f
	again.hopLimit--
	again.relay = uint32(r.num) & 0xff
	again.priority = 64
	again.repeat = true
	again.tries = 0
	r.queueLocked(&again)
}

// Downlink puts a text on the air as MQTT does at a gateway: under the name and
// packet id of whoever said it first, so that the same text from another
// gateway is the same packet. hops is how far it may still go.
func (r *Radio) Downlink(from meshtastic.NodeNum, id, channel, hops uint32, text string) {
	r.air.mu.Lock()
	defer r.air.mu.Unlock()
	c := r.channels[channel]
	key, _ := c.Key()
	f := &frame{
		from: from, to: meshtastic.Broadcast, id: id, hash: c.Hash(r.air.preset), key: key, viaMQTT: true,
		data:     meshtastic.Data{Port: meshtastic.PortText, Payload: []byte(text)},
		hopLimit: hops, hopStart: hops + 1, priority: 64, relay: uint32(r.num) & 0xff,
	}
	if slices.Contains(r.mu.seen, f.name()) {
		return
	}
	r.rememberLocked(f.name())
	r.queueLocked(f)
}

// Send hands the radio a packet as the program at its line would, without the
// firmware's limits for clients.
func (r *Radio) Send(p *meshtastic.Packet) meshtastic.RoutingError {
	r.air.mu.Lock()
	defer r.air.mu.Unlock()
	if p.ID == 0 {
		p.ID = r.newIDLocked()
	}
	return r.sendLocked(p)
}

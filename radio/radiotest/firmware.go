package radiotest

import (
	"fmt"
	"math"
	"slices"
	"time"

	"drey/radio/meshtastic"
)

// rates are the firmware's limits for clients; other ports have none.
var rates = map[meshtastic.PortNum]time.Duration{
	meshtastic.PortText:       2 * time.Second,
	meshtastic.PortPosition:   10 * time.Second,
	meshtastic.PortWaypoint:   10 * time.Second,
	meshtastic.PortAlert:      10 * time.Second,
	meshtastic.PortTelemetry:  10 * time.Second,
	meshtastic.PortTraceroute: 30 * time.Second,
}

// fromClientLocked takes a packet from the program at the line.
func (r *Radio) fromClientLocked(p *meshtastic.Packet) {
	if p.Data == nil || r.mu.off {
		return
	}
	if p.ID == 0 {
		p.ID = r.newIDLocked()
	} else if slices.Contains(r.mu.clientID, p.ID) {
		return // said before: ignored without a word
	}
	r.mu.clientID = keepLast(append(r.mu.clientID, p.ID), clientIDsKept)
	now := time.Now()
	if limit, ok := rates[p.Data.Port]; ok {
		if last, spoke := r.mu.lastPort[p.Data.Port]; spoke && now.Sub(last) < r.air.fast(limit) {
			r.mu.swallowed++
			r.statusLocked(meshtastic.ErrorNone, p.ID) // all seems well, and nothing is sent
			return
		}
		r.mu.lastPort[p.Data.Port] = now
	}
	r.statusLocked(r.sendLocked(p), p.ID)
}

// sendLocked queues a client's packet for the air.
func (r *Radio) sendLocked(p *meshtastic.Packet) meshtastic.RoutingError {
	switch {
	case p.To == r.num && p.Data.Port == meshtastic.PortAdmin:
		return r.adminLocked(p)
	case p.To == r.num:
		return meshtastic.ErrorNone // for the radio itself
	}
	// Private texts are encrypted for the addressee, whose key must be known.
	pki := p.PKI || p.To != meshtastic.Broadcast && p.Data.Port == meshtastic.PortText
	if pki && !r.air.existsLocked(p.To) {
		r.nakLocked(p.ID, meshtastic.ErrorNoKey)
		return meshtastic.ErrorNoKey
	}
	if int(p.Channel) >= len(r.channels) || r.channels[p.Channel].Role == meshtastic.RoleDisabled {
		r.nakLocked(p.ID, meshtastic.ErrorNoChannel)
		return meshtastic.ErrorNoChannel
	}
	if len(p.Data.Payload) > meshtastic.MaxPayload(p.Data.Port) {
		r.nakLocked(p.ID, meshtastic.ErrorTooLarge)
		return meshtastic.ErrorTooLarge
	}
	if r.lora.Region == meshtastic.RegionUnset || !r.lora.TXEnabled {
		return transmitterOff
	}
	if wait := r.dutyLocked(); wait > 0 {
		r.nakLocked(p.ID, meshtastic.ErrorDutyCycle)
		r.toPhoneLocked(&meshtastic.FromRadio{Notification: &meshtastic.Notification{
			ReplyID: p.ID, Level: 30, Time: uint32(time.Now().Unix()),
			Message: fmt.Sprintf("Duty cycle limit exceeded. You can send again in %d mins", int(math.Ceil(wait.Minutes()))),
		}})
		return meshtastic.ErrorDutyCycle
	}
	hops := p.HopLimit
	if hops == 0 && p.WantAck {
		hops = defaultHops
	}
	c := r.channels[p.Channel]
	key, _ := c.Key()
	f := &frame{
		from: r.num, to: p.To, id: p.ID, hash: c.Hash(r.air.preset), key: key, data: *p.Data,
		hopLimit: min(hops, 7), hopStart: min(hops, 7), wantAck: p.WantAck, viaMQTT: p.ViaMQTT, pki: pki,
		priority: priorityOf(p), relay: uint32(r.num) & 0xff,
	}
	r.rememberLocked(f.name())
	if !r.queueLocked(f) {
		return queueFull
	}
	return meshtastic.ErrorNone
}

func priorityOf(p *meshtastic.Packet) uint32 {
	switch {
	case p.Priority != 0:
		return p.Priority
	case p.Data.Port == meshtastic.PortText, p.Data.Port == meshtastic.PortAdmin:
		return 100
	case p.WantAck:
		return 70
	}
	return 64
}

// queueLocked puts a frame into the transmit queue, most urgent first.
func (r *Radio) queueLocked(f *frame) bool {
	if len(r.mu.queue) >= txQueueSize {
		r.mu.dropped++
		last := r.mu.queue[txQueueSize-1]
		if last.priority >= f.priority {
			return false
		}
		r.mu.queue = r.mu.queue[:txQueueSize-1] // pushed out without a word
	}
	i := slices.IndexFunc(r.mu.queue, func(o *frame) bool { return o.priority < f.priority })
	if i < 0 {
		i = len(r.mu.queue)
	}
	r.mu.queue = slices.Insert(r.mu.queue, i, f)
	r.contendLocked()
	return true
}

// freedLocked tells the client that there is room again, which the firmware
// does only after the queue was full.
func (r *Radio) freedLocked() {
	if r.mu.lastFree == 0 && r.freeLocked() > 0 {
		r.statusLocked(meshtastic.ErrorNone, 0)
	}
}

// sentLocked is called when the radio's own transmission has ended.
func (r *Radio) sentLocked(f *frame) {
	if r.mu.sending != f { // it restarted meanwhile
		return
	}
	r.mu.sending = nil
	if f.wantAck && f.from == r.num {
		r.awaitEchoLocked(f)
	}
	r.contendLocked()
}

// awaitEchoLocked sends a frame again when nobody is heard repeating it, and
// gives up after the third time.
func (r *Radio) awaitEchoLocked(f *frame) {
	f.tries++
	r.mu.waiting[f.id].cancel()
	r.mu.waiting[f.id] = r.air.afterLocked(ackPause, func() {
		delete(r.mu.waiting, f.id)
		if f.tries >= ackTries {
			r.nakLocked(f.id, meshtastic.ErrorMaxRetransmit)
			return
		}
		r.queueLocked(f)
	})
}

// takeLocked hands a frame to the client and to the handheld's owner.
func (r *Radio) takeLocked(f *frame, channel uint32) {
	data := f.data
	if r.air.cfg.Taken != nil {
		r.air.cfg.Taken(Reception{
			By: r, From: f.from, ID: f.id, Channel: channel, Port: data.Port, Payload: data.Payload,
			Hops: f.hopStart - min(f.hopLimit, f.hopStart), At: time.Now(),
		})
	}
	r.toPhoneLocked(&meshtastic.FromRadio{Packet: &meshtastic.Packet{
		From: f.from, To: f.to, Channel: channel, Data: &data, ID: f.id, RxTime: uint32(time.Now().Unix()),
		RxSNR: float32(f.snr), RxRSSI: int32(math.Round(f.snr)) + noiseFloor, HopLimit: f.hopLimit, HopStart: f.hopStart, WantAck: f.wantAck,
		Priority: f.priority, ViaMQTT: f.viaMQTT, RelayNode: f.relay, PKI: f.pki,
	}})
	if data.Port == meshtastic.PortRouting && f.to == r.num {
		r.mu.waiting[data.RequestID].cancel()
		delete(r.mu.waiting, data.RequestID)
	}
	if data.Port != meshtastic.PortText {
		return
	}
	if f.to == r.num && f.wantAck {
		r.replyLocked(f, channel)
	}
	r.readLocked(f, channel)
}

// replyLocked acknowledges a frame that was for this radio alone.
func (r *Radio) replyLocked(f *frame, channel uint32) {
	c := r.channels[channel]
	key, _ := c.Key()
	ack := &frame{
		from: r.num, to: f.from, id: r.newIDLocked(), hash: c.Hash(r.air.preset), key: key,
		hopLimit: defaultHops, hopStart: defaultHops, priority: 120, relay: uint32(r.num) & 0xff, pki: f.pki,
		data: meshtastic.Data{
			Port: meshtastic.PortRouting, Payload: meshtastic.AppendRouting(nil, 0), RequestID: f.id,
		},
	}
	r.rememberLocked(ack.name())
	r.queueLocked(ack)
}

// echoLocked notes that somebody repeated one of this radio's own frames: an
// acknowledgement without a word.
func (r *Radio) echoLocked(id uint32) {
	e, ok := r.mu.waiting[id]
	if !ok {
		return
	}
	e.cancel()
	delete(r.mu.waiting, id)
	r.mu.queue = slices.DeleteFunc(r.mu.queue, func(o *frame) bool { return o.id == id && o.from == r.num })
	r.nakLocked(id, meshtastic.ErrorNone)
}

// nakLocked tells the client what became of a packet of its own.
func (r *Radio) nakLocked(id uint32, why meshtastic.RoutingError) {
	r.toPhoneLocked(&meshtastic.FromRadio{Packet: &meshtastic.Packet{
		From: r.num, To: r.num, ID: r.newIDLocked(), RxTime: uint32(time.Now().Unix()), Priority: 120,
		Data: &meshtastic.Data{
			Port: meshtastic.PortRouting, Payload: meshtastic.AppendRouting(nil, why), RequestID: id,
		},
	}})
}

// toPhoneLocked queues a message for the client. When there is no room, texts
// push out the oldest and everything else is lost.
func (r *Radio) toPhoneLocked(m *meshtastic.FromRadio) {
	if len(r.mu.phone) >= r.phoneMax {
		r.mu.dropped++
		if m.Packet == nil || m.Packet.Data == nil ||
			m.Packet.Data.Port != meshtastic.PortText && m.Packet.Data.Port != meshtastic.PortRangeTest {
			return
		}
		r.mu.phone = r.mu.phone[1:]
	}
	r.mu.phone = append(r.mu.phone, m)
	r.wakeClientLocked()
}

// statusLocked answers the client about the transmit queue. Only the last two
// answers are kept for a client that does not read.
func (r *Radio) statusLocked(result meshtastic.RoutingError, id uint32) {
	r.mu.lastFree = r.freeLocked()
	r.mu.statuses = keepLast(append(r.mu.statuses, meshtastic.QueueStatus{
		Result: result, Free: uint32(r.freeLocked()), MaxLen: txQueueSize, ID: id,
	}), statusesKept)
	r.wakeClientLocked()
}

func (r *Radio) wakeClientLocked() {
	if r.mu.client != nil {
		r.mu.client.nudge()
	}
}

func (r *Radio) rememberLocked(id frameID) {
	r.mu.seen = keepLast(append(r.mu.seen, id), max(framesKept, 2*len(r.air.mu.radios)))
}

// keepLast drops what is older than the last n.
func keepLast[T any](list []T, n int) []T {
	if len(list) > n {
		return slices.Delete(list, 0, len(list)-n)
	}
	return list
}

package radio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"drey/mesh"
	"drey/radio/air"
	"drey/radio/meshtastic"
)

// targetSigned is the target of deliveries in signed form: all gateways of a
// community share one private channel.
const targetSigned = "signed"

// TooLong stands in the history of an event that no number of frames could
// carry.
const TooLong = "too long for the radio"

// Errors of the signed form; they stand in delivery histories.
const (
	errNoChannel = busyFor("the radio has no private channel: run 'drey radio setup'")
	errOldKey    = busyFor("the radio's private channel has an old key: run 'drey radio setup'")
)

// A busyFor says why there is no room now. To the hub it is mesh.ErrBusy, and it
// asks again later; people read the reason alone.
type busyFor string

func (e busyFor) Error() string        { return string(e) }
func (e busyFor) Is(target error) bool { return target == mesh.ErrBusy }

// heardFor is how long an event that was heard on the air is not said again.
const (
	heardFor  = time.Hour
	maxOnAir  = 4096
	maxSpoken = 64 // events said lately whose being heard is still told
)

// keyedChannels lists the channels whose key follows from a secret of the
// community, the newest secret's first.
func (o *owner) keyedChannels() []int {
	var list []int
	for _, s := range o.c.secrets() {
		psk := s.RadioPSK()
		for i, ch := range o.channels {
			key, _ := ch.Key()
			if ch.Role != meshtastic.RoleDisabled && string(key) == string(psk[:]) {
				list = append(list, i)
			}
		}
	}
	return list
}

// signedChannel returns the channel to send signed frames on: the one whose key
// follows from the community's secret, while one takes the place of another the
// older, which every radio has; else the first that a topic in signed form is
// mapped to and whose key is not public; else the one that setup made, whose
// secret is gone; -1 where there is none.
func (o *owner) signedChannel() int {
	if keyed := o.keyedChannels(); len(keyed) > 0 {
		return keyed[len(keyed)-1]
	}
	for _, m := range o.c.cfg.Maps {
		if !m.signed() || m.Channel < 0 || m.Channel >= meshtastic.MaxChannels {
			continue
		}
		if _, public := o.channels[m.Channel].Key(); !public && o.channels[m.Channel].Role != meshtastic.RoleDisabled {
			return m.Channel
		}
	}
	return slices.IndexFunc(o.channels[:], madeBySetup)
}

func (o *owner) signedTarget() uint32 { return uint32(max(o.signedChannel(), 0)) }

// rechannel moves what waits in signed form to the channel that the radio has
// for it now.
func (o *owner) rechannel() {
	channel := o.signedChannel()
	for _, w := range o.out.waiting() {
		switch {
		case w.signed:
			if err := o.unfitChannel(channel, w); err != nil {
				o.out.end(w, err)
				continue
			}
			w.channel = uint32(channel)
		case w.load != nil && w.load.control && channel >= 0:
			w.channel, w.load.packet.Channel = uint32(channel), uint32(channel)
		}
	}
}

// takeSigned prepares an event in signed form for the air.
func (o *owner) takeSigned(now time.Time, out *outgoing) {
	out.signed, out.both = true, o.c.says(out.topic, FormText)
	channel := o.signedChannel()
	if err := o.unfitChannel(channel, out); err != nil && o.out.live {
		out.finish(err)
		return
	}
	out.channel = uint32(max(channel, 0))
	if h, ok := o.onAir[out.event.ID()]; ok && now.Sub(h.at) < heardFor {
		out.tell(fmt.Sprintf("on air, said by %s", h.from))
		out.finish(nil)
		return
	}
	if err := o.measure(out); err != nil {
		out.finish(err)
		return
	}
	o.out.add(now, out)
	o.leave(now, out)
}

// measure finds how out fits into frames.
func (o *owner) measure(out *outgoing) error {
	payload, _, err := o.codec.Pack([]air.Item{{Event: out.event, Topic: out.topic}}, 0, out.full)
	var long *air.TooLongError
	switch {
	case err == nil:
		out.size = len(payload)
		return nil
	case !errors.As(err, &long):
		return err
	}
	return o.split(out)
}

// split has out go in fragments.
func (o *owner) split(out *outgoing) error {
	set, err := o.codec.Split(air.Item{Event: out.event, Topic: out.topic})
	if err != nil {
		return err
	}
	if v, ok := o.resumed[set.ID()]; ok {
		set.Resume(v, o.loss.Share())
		delete(o.resumed, set.ID())
	} else {
		set.Begin(o.loss.Share())
	}
	if set.Owed() == 0 {
		set.Nacked(1) // all had gone out: one more tells whoever missed it
	}
	out.set = set
	return nil
}

// pack makes one frame of an event and of others that wait.
func (o *owner) pack(out *outgoing, others []*outgoing) ([]byte, []*outgoing, error) {
	items := []air.Item{{Event: out.event, Topic: out.topic}}
	if out.full {
		payload, _, err := o.codec.Pack(items, 0, true)
		return payload, nil, err
	}
	others = slices.DeleteFunc(others, func(w *outgoing) bool { return w.full })
	for _, w := range others {
		items = append(items, air.Item{Event: w.event, Topic: w.topic})
	}
	payload, n, err := o.codec.Pack(items, 0, false)
	if _, long := errors.AsType[*air.TooLongError](err); long {
		// It fitted when it was measured; its date has become too far for a short
		// time, or its author is known to others no more.
		if err := o.split(out); err != nil {
			return nil, nil, err
		}
		payload, _ = out.set.Next()
		return payload, nil, nil
	}
	if err != nil || n > 1 || len(others) < 2 {
		return payload, others[:max(n-1, 0)], err
	}
	for i, w := range others[1:min(len(others), maxCompanions)] { // the next did not fit: perhaps a shorter one does
		pair := []air.Item{items[0], {Event: w.event, Topic: w.topic}}
		if better, n, err := o.codec.Pack(pair, 0, false); err == nil && n == 2 {
			return better, others[i+1 : i+2], nil
		}
	}
	return payload, nil, nil
}

// maxCompanions is how many events are tried as company in a frame.
const maxCompanions = 5

// An onAir is when and from whom an event was heard on the air.
type onAir struct {
	at   time.Time
	from meshtastic.NodeNum
}

// heardSaid takes in that an event was heard in a valid signed frame. Whoever
// waits to say it need not.
func (o *owner) heardSaid(now time.Time, id mesh.EventID, from meshtastic.NodeNum) {
	if _, known := o.onAir[id]; !known {
		o.onAirOrder = append(o.onAirOrder, id)
		for len(o.onAirOrder) > maxOnAir {
			delete(o.onAir, o.onAirOrder[0])
			o.onAirOrder = o.onAirOrder[1:]
		}
	}
	o.onAir[id] = onAir{now, from}
	o.out.saidBy(id, from)
}

// overheard takes in a colleague's word about what it said and heard.
func (o *owner) overheard(now time.Time, from meshtastic.NodeNum, m air.Overheard) {
	for _, w := range o.out.waiting() {
		if w.event == nil || !w.signed || w.full {
			continue
		}
		if s := air.ShortOf(w.event.ID()); slices.Contains(m.Said, s) || slices.Contains(m.Heard, s) {
			o.heardSaid(now, w.event.ID(), from)
		}
	}
	for _, s := range o.spoken {
		if slices.Contains(m.Heard, air.ShortOf(s.event.ID())) {
			s.report(now, "heard", fmt.Sprintf("heard by %s", from))
		}
	}
}

// spoke remembers what we said in signed form.
func (o *owner) spoke(now time.Time, out *outgoing) {
	if out.d == nil && !out.full && !out.repair {
		id := out.event.ID()
		select {
		case o.desk.todo <- func(context.Context) { o.desk.heal.said(id) }:
		default: // it may be sent once more
		}
	}
	o.desk.index.add(out.event, true)
	if o.spoken = append(o.spoken, out); len(o.spoken) > maxSpoken {
		o.spoken = slices.Delete(o.spoken, 0, 1)
	}
	if out.set != nil {
		o.keep(now, &series{set: out.set, item: air.Item{Event: out.event, Topic: out.topic}, viaMQTT: out.viaMQTT, priority: out.priority, ours: true})
	}
}

// resend says in full what somebody could not rebuild.
func (o *owner) resend(now time.Time, handles []air.Handle) {
	for _, s := range o.spoken {
		if s.set != nil || !slices.Contains(handles, air.HandleOf(s.event)) || !o.answers.allow(now, time.Hour/maxAnswers, maxAnswers) {
			continue
		}
		again := &outgoing{
			event: s.event, topic: s.topic, signed: true, full: true, viaMQTT: s.viaMQTT, priority: min(s.priority, mesh.Chat),
			channel: s.channel, attempt: s.attempt + 1, due: now.Add(o.out.fast(time.Second)),
		}
		if o.measure(again) == nil && !o.out.saysSigned(again.event.ID()) {
			o.out.add(now, again)
		}
	}
}

// heal says what another island lacks.
func (o *owner) heal(now time.Time, r *mesh.Record) {
	id := r.Event.ID()
	if o.out.saysSigned(id) {
		return
	}
	waiting := 0
	for _, w := range o.out.waiting() {
		if w.d == nil && w.signed && !w.repair {
			waiting++
		}
	}
	if waiting >= maxHealing {
		return
	}
	out := &outgoing{
		event: r.Event, topic: r.Topic, signed: true, priority: mesh.Sync, channel: o.signedTarget(),
		attempt: healAttempt(o.c.cfg.Clock()),
		viaMQTT: o.c.cfg.Internet(r), expires: expiry(r.Event), since: o.c.cfg.Clock(),
	}
	if o.unfitChannel(int(out.channel), out) != nil {
		return
	}
	if err := o.measure(out); err != nil {
		select {
		case o.desk.todo <- func(context.Context) { o.desk.heal.unfit(id) }:
		default: // it is tried once more
		}
		return
	}
	o.c.count(func(s *Status) { s.Signed.Healed++ })
	o.out.add(now, out)
}

// healAttempt is the attempt that frames which heal are named by. A frame that
// went out before has the same bytes, and radios ignore a packet id that they
// remember without a word: it must differ from the first and from another day's.
func healAttempt(now time.Time) int { return 2 + int(max(now.Unix(), 0)/60%60_000) }

// confirm tells the author's gateway that an emergency was heard, unless a
// colleague does first.
func (d *desk) confirm(ctx context.Context, now time.Time, id mesh.EventID) {
	heard := new(atomic.Bool)
	step := time.Duration(d.view.Load().rank(id)) * 4 * time.Second
	d.say(ctx, mesh.Emergency, d.later(now, time.Second+step, 2*time.Second+step), air.Overheard{Heard: []air.Short{air.ShortOf(id)}},
		func(time.Time) bool { return !heard.Load() }, nil)
	d.confirming[air.ShortOf(id)] = heard
	if len(d.confirming) > 64 {
		clear(d.confirming)
	}
}

// look shows the desk what it has to know of the radio.
func (o *owner) look(now time.Time) {
	v := &view{live: o.out.live && o.out.blocked == "", num: o.myNum, channel: o.signedChannel(), tempo: o.out.tempo}
	o.out.rank(now, mesh.EventID{}) // forgets who is gone
	v.gateways, v.offer = o.out.present(), o.offer(now)
	o.c.private.Store(v.channel >= 0)
	o.desk.view.Store(v)
}

// frameFrom takes in a frame in signed form.
func (o *owner) frameFrom(now time.Time, p *meshtastic.Packet) {
	if p.From == o.myNum || p.To != meshtastic.Broadcast || len(p.Data.Payload) == 0 {
		return
	}
	if int(p.Channel) != o.signedChannel() && !slices.Contains(o.keyedChannels(), int(p.Channel)) {
		return
	}
	each, all := paceOf(o.out.modulation, o.out.tempo)
	if !o.desk.inbox.put(now, heardFrame{p.From, p.Channel, p.Data.Payload}, each, all) {
		o.c.count(func(s *Status) { s.Signed.Flooded++ })
	}
}

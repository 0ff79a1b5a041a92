package radio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"drey/mesh"
	"drey/radio/air"
	"drey/radio/meshtastic"
)

// Pauses between attempts to open the radio. A radio that was unplugged is to
// be back within 10 s, so they stay short; looking for it costs little.
const (
	leastPause = 250 * time.Millisecond
	mostPause  = 4 * time.Second
)

// An owner is the goroutine that owns the radio, and all its state.
type owner struct {
	c          *Carrier
	port       mesh.Port
	heard      *memory
	governor   *governor
	out        *outbox
	desk       *desk
	translator *translator
	keeper     *keeper
	errands    *errandBook
	paced      readings
	talk       talk
	codec      *air.Codec // for sending
	deliveries chan *mesh.Delivery
	ask        chan struct{} // one token: the hub may be asked for a delivery
	asked      bool

	// Of the signed form.
	onAir      map[mesh.EventID]onAir
	onAirOrder []mesh.EventID
	spoken     []*outgoing // said lately, oldest first
	series     map[air.SetID]*series
	resumed    map[air.SetID]int // fragments sent before a restart
	loss       air.Loss
	answers    meter
	neighbours [256]time.Time // by the last byte of their numbers
	resting    bool           // short of airtime: others shall lead
	apart      time.Time      // until then somebody was last found to be off the network

	// What the radio told about itself; kept while it is away.
	myNum    meshtastic.NodeNum
	firmware string
	lora     meshtastic.LoRa
	channels [meshtastic.MaxChannels]meshtastic.Channel
	nodes    map[meshtastic.NodeNum]*node
	metrics  meshtastic.Metrics
	lastOpen string // the last failure, so that it is logged once
}

// A node is another radio that ours has heard of.
type node struct {
	name string
	at   time.Time // when we heard it ourselves; zero when the radio only knows it
}

// maxNodes bounds what is remembered of others.
const maxNodes = 2000

// wire joins the outbox to what it asks and tells.
func (o *owner) wire() {
	o.out.seen = o.originHeard
	o.out.public = func(channel uint32) bool {
		if channel >= meshtastic.MaxChannels {
			return true
		}
		_, public := o.channels[channel].Key()
		return public
	}
	o.out.aired, o.out.onFrame = o.aired, o.vouch
	o.out.pack, o.out.reach = o.pack, o.reach
	without := o.c.cfg.Without
	o.out.noTurns, o.out.noGather, o.out.noNear = without.Turns, without.Gathering, without.Near
	books := steady(o.c.cfg.Clock)
	o.out.books, o.out.agreed = books, o.c.cfg.Agreed
	told := o.governor.total
	o.out.onSpent = func() {
		now := o.c.cfg.Clock()
		o.c.day.spent(now, o.governor.total-told)
		told = o.governor.total
		o.keeper.put(airtimeKey, o.governor.encode(now.Sub(books())))
	}
	o.out.onFragment = o.progress
	o.out.confirmed = func(out *outgoing) bool { return o.translator.vouched(out, o.hash(out.channel), o.onThisEther) }
	o.out.onSaid = func(out *outgoing) {
		if out.signed {
			o.spoke(time.Now(), out)
			return
		}
		if out.event != nil && (o.out.public(out.channel) || len(o.out.gateways) > 0) {
			o.translator.later(job{vouch: &vouch{event: out.event.ID(), hash: o.hash(out.channel), radio: o.myNum}})
		}
	}
}

// run keeps a session with the radio until ctx ends.
func (o *owner) run(ctx context.Context) error {
	defer o.out.release()
	for pause := leastPause; ; pause = min(2*pause, mostPause) {
		wasLive, err := o.once(ctx)
		if ctx.Err() != nil {
			o.c.setState(StateClosed, nil)
			return ctx.Err()
		}
		if wasLive {
			pause = leastPause
		}
		o.c.setState(StateClosed, err)
		if message := err.Error(); message != o.lastOpen {
			o.lastOpen = message
			level, text := slog.LevelWarn, "radio is away"
			if errors.Is(err, errNoDevice) && o.myNum == 0 {
				level, text = slog.LevelInfo, "no radio found yet" // nobody said that there is one
			}
			o.c.log.Log(ctx, level, text, "device", o.c.cfg.Device, "err", err, "retryIn", pause)
		}
		if !o.idle(ctx, pause) {
			return ctx.Err()
		}
	}
}

// idle waits, taking in what the hub hands over late.
func (o *owner) idle(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case d := <-o.deliveries:
			o.take(ctx, d)
		case e := <-o.c.errands:
			o.errands.submit(time.Now(), e) // which says that the radio is away
		case tell := <-o.desk.news:
			tell(o, time.Now())
		}
	}
}

// once opens the radio and speaks with it until something fails.
func (o *owner) once(ctx context.Context) (wasLive bool, err error) {
	conn, device, err := o.c.finder.open(ctx)
	if err != nil {
		return false, err
	}
	o.c.setDevice(device)
	s := &session{owner: o, conn: conn, device: device}
	err = s.run(ctx)
	if s.wasLive {
		o.out.lost(time.Now())
		o.look(time.Now())
	}
	return s.wasLive, err
}

// pull asks the hub for one delivery each time the owner has room.
func (o *owner) pull(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.ask:
		}
		d, err := o.port.Next(ctx)
		if err != nil {
			if ctx.Err() == nil {
				o.c.log.Warn("hub gives no delivery", "err", err)
			}
			return
		}
		select {
		case <-ctx.Done():
			d.Release()
			return
		case o.deliveries <- d:
		}
	}
}

// wantMore lets pull ask, when there is room and it is not asking already.
func (o *owner) wantMore(now time.Time) {
	o.spare(now)
	if o.asked || !o.out.live || !o.out.room(now) {
		return
	}
	o.asked = true
	o.ask <- struct{}{}
}

// take prepares a delivery for the air.
func (o *owner) take(ctx context.Context, d *mesh.Delivery) {
	o.asked = false
	now := time.Now()
	e := d.Event
	out := &outgoing{d: d, event: e, topic: d.Topic, priority: d.Priority, attempt: d.Attempt, expires: expiry(e)}
	if r, err := o.c.cfg.Archive.Record(ctx, e.ID(), mesh.Self); err == nil {
		out.viaMQTT = o.c.cfg.Internet(r)
		if at := r.Received; !at.Before(firstClock) && o.c.cfg.Clock().Sub(at) > tooOld {
			d.Done(errTooOld)
			return
		}
		out.came = r.Received
		out.late = o.c.cfg.Clock().Sub(r.Received) > o.out.fast(keptAfter)
	}
	if d.Target == targetSigned {
		o.takeSigned(now, out)
		return
	}
	channel, err := strconv.ParseUint(d.Target, 10, 3)
	if err != nil {
		d.Done(fmt.Errorf("target %q is no channel of a radio", d.Target))
		return
	}
	out.channel = uint32(channel)
	name, others := o.c.namesOf(e)
	out.parts = render(name, e.Content())
	for _, n := range others {
		out.others = append(out.others, render(n, e.Content()))
	}
	if o.c.says(out.topic, FormSigned) && out.priority != mesh.Emergency {
		out.due = now.Add(o.out.fast(textBehind))
		out.behind = now.Add(o.out.fast(textMost))
	}
	o.out.add(now, out)
	o.meetAgain(now, out)
}

// textBehind is how much later the text of an event goes that is said in signed
// form too: whoever has the event by then does not take the text for somebody
// else's. A signed form that does not get out is waited for until textMost.
const (
	textBehind = 6 * time.Second
	textMost   = time.Minute
)

// meetAgain looks whether a colleague said out before it reached us.
func (o *owner) meetAgain(now time.Time, out *outgoing) {
	if num, _, ok := gatewayOf(out.event); ok && o.originHeard(out) && o.c.gateway(out.event.Author()) {
		o.out.meet(now, num, true)
	}
	for _, h := range o.heard.recent(out.channel, out.names) {
		m, ok := o.out.recognise(h.Channel, h.ID, h.Text)
		if !ok || !m.equal || m.o != out {
			continue
		}
		o.out.heardOn(now, m, h.From)
		if id, translated := o.heard.recognised(h); translated {
			o.translator.later(job{retract: &retract{event: id, original: out.event.ID(), topic: out.topic}})
		}
	}
}

// text takes in a text that the radio heard.
func (o *owner) text(p *meshtastic.Packet) {
	topic, mapped := o.c.topicOf(p.Channel)
	if !mapped || p.To != meshtastic.Broadcast {
		return // private, or nobody's business
	}
	now := time.Now()
	h := heardText{
		From: p.From, ID: p.ID, Channel: p.Channel, Text: string(p.Data.Payload), At: o.c.cfg.Clock(),
	}
	m, known := o.out.recognise(p.Channel, p.ID, h.Text)
	if known && p.From == o.myNum {
		return // our own
	}
	if !o.heard.add(h) {
		return // heard before: the radio forgot, or was changed
	}
	if known && m.equal || o.saidAgain(h) {
		o.heard.recognised(h)
		if known {
			o.out.heardOn(now, m, p.From)
		}
		o.c.count(func(s *Status) { s.Recognised++ })
		return
	}
	if !o.talk.allow(now, p.From, o.out.tempo) {
		o.c.count(func(s *Status) { s.Dropped++ })
		return
	}
	t := translation{
		heardText: h, topic: topic, sender: o.nameOf(p.From), viaMQTT: p.ViaMQTT,
		mayLeave: p.Data.Bitfield&meshtastic.BitOKToMQTT != 0, due: now.Add(o.waitForColleagues(now, h)),
		reaction: p.Data.Emoji != 0, gateway: o.myNum, hash: o.hash(p.Channel),
	}
	if p.Data.ReplyID != 0 {
		t.replyTo, t.isReply = o.eventOf(p.Channel, p.Data.ReplyID)
		o.acknowledged(p)
	}
	o.translator.later(job{translate: &t})
}

// saidAgain reports whether a text is a translation's, said by a gateway that
// had not heard the origin, where we had.
func (o *owner) saidAgain(h heardText) bool {
	name, text, ok := strings.Cut(strings.TrimPrefix(h.Text, unsignedMark), ": ")
	if !ok || !strings.HasPrefix(h.Text, unsignedMark) {
		return false
	}
	return o.heard.has(func(e heardText) bool {
		return e.Channel == h.Channel && clean(e.Text) == text && e.From != h.From && cleanName(unsignedMark+o.nameOrNum(e.From)) == unsignedMark+name
	})
}

// waitForColleagues is how long to leave a text to other gateways. Those that
// know each other take turns, a second apart; the others leave it to chance.
func (o *owner) waitForColleagues(now time.Time, h heardText) time.Duration {
	if h.From == o.myNum {
		return 0 // a program at our own radio said it: nobody has it before us
	}
	jitter := time.Duration(o.out.random.Int64N(int64(300 * time.Millisecond)))
	if rank, known := o.out.rank(now, h.lot()); known {
		return o.out.fast(100*time.Millisecond + jitter + time.Duration(rank)*time.Second)
	}
	return o.out.fast(jitter + time.Duration(o.out.random.Int64N(int64(2500*time.Millisecond))))
}

// eventOf finds the event that a packet carried or became.
func (o *owner) eventOf(channel, id uint32) (mesh.EventID, bool) {
	if event, ok := o.heard.eventOf(channel, id); ok {
		return event, true
	}
	for _, out := range o.out.done {
		if _, ok := out.names[id]; ok && out.channel == channel {
			return out.event.ID(), true
		}
	}
	return mesh.EventID{}, false
}

// sameEther is how long ago a colleague's radio may have been heard to count as
// one whose hearing is as good as ours.
const sameEther = time.Hour

// originHeard reports whether a translation's origin was heard on this ether
// and channel: by us, or by a colleague whose radio ours hears.
func (o *owner) originHeard(out *outgoing) bool {
	p, ok := mesh.ProxyOf(out.event)
	if !ok || p.Protocol != protocol {
		return false
	}
	if o.heard.knows(p, out.channel) {
		return true
	}
	num, hash, ok := gatewayOf(out.event)
	return ok && hash == fmt.Sprintf("%02x", o.hash(out.channel)) && o.onThisEther(num)
}

// onThisEther reports whether our radio heard another within the hour.
func (o *owner) onThisEther(num meshtastic.NodeNum) bool {
	known := o.nodes[num]
	return known != nil && !known.at.IsZero() && time.Since(known.at) < sameEther
}

// hash is what packets on the air say of a channel; gateways whose radios
// number channels differently agree on it.
func (o *owner) hash(channel uint32) byte {
	if channel >= meshtastic.MaxChannels {
		return 0
	}
	return o.channels[channel].Hash(presetName(o.lora))
}

func (o *owner) nameOf(n meshtastic.NodeNum) string {
	if known := o.nodes[n]; known != nil {
		return known.name
	}
	return ""
}

func (o *owner) nameOrNum(n meshtastic.NodeNum) string {
	if name := o.nameOf(n); name != "" {
		return name
	}
	return n.String()
}

// meetNode notes a radio, its name where that is known, and whether we heard
// it just now.
func (o *owner) meetNode(n meshtastic.NodeNum, name string, heard bool) {
	known := o.nodes[n]
	if known == nil {
		if len(o.nodes) >= maxNodes {
			o.forgetNode()
		}
		known = new(node)
		o.nodes[n] = known
	}
	if name != "" {
		known.name = name
	}
	if heard {
		known.at = time.Now()
	}
}

// forgetNode makes room by dropping the radio that was not heard for longest, so
// that invented ones do not keep out real ones.
func (o *owner) forgetNode() {
	var oldest meshtastic.NodeNum
	var found *node
	for num, n := range o.nodes {
		if num != o.myNum && (found == nil || n.at.Before(found.at)) {
			oldest, found = num, n
		}
	}
	delete(o.nodes, oldest)
}

// heardBefore takes the radio's word that it heard another some time ago.
func (o *owner) heardBefore(n meshtastic.NodeNum, age time.Duration) {
	if known := o.nodes[n]; known != nil {
		known.at = later(known.at, time.Now().Add(-age))
	}
}

// expiry returns when an event expires (NIP-40), zero for never.
func expiry(e *mesh.Event) time.Time {
	v, ok := e.Tag("expiration")
	if !ok {
		return time.Time{}
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(n, 0)
}

// unsignedMark stands before the name of somebody who did not sign the words.
const unsignedMark = "~"

// namesOf returns the name that goes before an author's text, and how
// colleagues may write it who do not know the author's profile.
func (c *Carrier) namesOf(e *mesh.Event) (name string, others []string) {
	if sender, ok := senderOf(e); ok {
		return unsignedMark + sender, nil
	}
	if guest, ok := mesh.GuestName(e); ok {
		return unsignedMark + guest, nil
	}
	short := shortNPub(e.Author())
	if name = c.cfg.NameOf(e.Author()); name == "" {
		return short, nil
	}
	return name, []string{short}
}

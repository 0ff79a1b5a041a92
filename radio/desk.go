package radio

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"drey/mesh"
	"drey/radio/air"
	"drey/radio/meshtastic"
)

// Bounds of the desk.
const (
	newsBuffer  = 64  // what the owner of the radio has not looked at
	maxRetried  = 64  // events that the hub had no room for
	maxPayloads = 512 // that are recognised when they come again
	counterKey  = "air/counter"
)

// A desk is where frames in signed form are understood and answered. It does
// what waits for signatures, the disk or the hub, so the owner of the radio
// does not. It tells the owner its conclusions through news.
type desk struct {
	c      *Carrier
	port   mesh.Port
	index  *index
	codec  *air.Codec // for understanding
	dates  *dater
	inbox  *inbox
	news   chan func(*owner, time.Time)
	todo   chan func(context.Context)
	view   atomic.Pointer[view]
	random *rand.Rand

	// Used by run only.
	door       *air.Door
	counter    *air.Counter
	assembly   *air.Assembly
	seen       *payloads
	parked     *lot
	stored     map[air.SetID]bool // sets of which the shelf has fragments
	nacks      meter
	confirms   meter
	heal       *healer
	notices    *notices
	announceAt time.Time
	confirming map[air.Short]*atomic.Bool // emergencies that we would confirm; true: another did
	retries    []retry
	members    time.Time // when the index was told of them
	began      time.Time
	lastLive   bool
	met        map[meshtastic.NodeNum]time.Time // colleagues, when they were heard last
	traffic    time.Time                        // an event was on the air
	learnt     bool                             // something that parked frames may have waited for
}

// A view is what the desk knows of the radio, as its owner shows it.
type view struct {
	live     bool
	num      meshtastic.NodeNum
	channel  int // in signed form; -1 where the radio has none
	gateways []meshtastic.NodeNum
	offer    offer
	tempo    float64
}

// A retry is an event that the hub had no room for.
type retry struct {
	item  air.Item
	from  meshtastic.NodeNum
	due   time.Time
	tries int
}

func newDesk(c *Carrier, p mesh.Port) *desk {
	x := newIndex()
	d := &desk{
		c: c, port: p, index: x, inbox: newInbox(), news: make(chan func(*owner, time.Time), newsBuffer),
		met: make(map[meshtastic.NodeNum]time.Time), todo: make(chan func(context.Context), maxToDo),
		random: rand.New(rand.NewPCG(c.cfg.Seed, 2)), seen: newPayloads(), parked: newLot(), notices: c.notices,
		confirming: make(map[air.Short]*atomic.Bool), stored: make(map[air.SetID]bool),
	}
	d.dates = &dater{clock: c.cfg.Clock}
	d.codec = &air.Codec{Text: c.text, Directory: anyone{x}, Held: d.held, Near: d.near}
	d.assembly = air.NewAssembly(rand.New(rand.NewPCG(c.cfg.Seed, 3)))
	d.heal = newHealer(d)
	d.view.Store(&view{channel: -1, tempo: 1})
	return d
}

// held returns an event whose signature was checked when it came in.
func (d *desk) held(id mesh.EventID) *mesh.Event {
	r, err := d.c.cfg.Archive.Record(context.Background(), id, mesh.Self)
	if err != nil {
		return nil
	}
	return r.Event
}

// near lists when events may be dated that others say now.
func (d *desk) near() []mesh.Unix { return d.dates.near(time.Now()) }

// nearOurs lists when events may be dated that we say now, as others know it.
func (d *desk) nearOurs() []mesh.Unix {
	if !d.dates.sure() {
		return nil
	}
	return d.near()
}

// run works until ctx ends.
func (d *desk) run(ctx context.Context) {
	d.began = time.Now()
	if err := d.load(ctx); err != nil && ctx.Err() == nil {
		d.c.log.Warn("radio's memory of signed frames not read", "err", err)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		if f, ok := d.inbox.take(); ok {
			d.frame(ctx, f)
			for d.learnt && ctx.Err() == nil { // what was learnt may explain what is parked
				d.learnt = false
				d.unpark(ctx, time.Now())
			}
			continue
		}
		now := time.Now()
		timer.Reset(max(d.tick(ctx, now).Sub(now), time.Millisecond))
		select {
		case <-ctx.Done():
		case <-d.inbox.wake:
		case do := <-d.todo:
			do(ctx)
		case <-timer.C:
		}
	}
}

// load reads back what a restart left on the shelf.
func (d *desk) load(ctx context.Context) error {
	d.door = air.NewDoor(d.c.secrets())
	saved := uint32(0)
	v, err := d.c.cfg.Shelf.Value(ctx, counterKey)
	switch {
	case err == nil && len(v) == 4:
		saved = binary.BigEndian.Uint32(v)
	case err != nil && !errors.Is(err, mesh.ErrNotFound):
		d.counter = air.NewCounter(0)
		return err
	}
	d.counter = air.NewCounter(saved)
	d.learnMembers(time.Now())
	return errors.Join(d.index.recall(ctx, d.c.cfg.Archive), d.loadFragments(ctx))
}

// learnMembers takes in who belongs, and the secrets, which change with it.
func (d *desk) learnMembers(now time.Time) {
	d.members = now
	d.door.SetSecrets(d.c.secrets())
	d.index.learn(d.c.cfg.Signer.PubKey())
	if d.c.cfg.Members != nil {
		d.index.setMembers(d.c.cfg.Members())
	}
}

// membersEvery is how often the desk asks who belongs.
const membersEvery = 30 * time.Second

// tick does what is due and returns when to come again.
func (d *desk) tick(ctx context.Context, now time.Time) time.Time {
	if now.Sub(d.members) >= membersEvery {
		d.learnMembers(now)
		d.compare(ctx, d.view.Load())
	}
	d.retry(ctx, now)
	wake := now.Add(membersEvery)
	for _, r := range d.retries {
		wake = soonest(wake, r.due)
	}
	v := d.view.Load()
	if !v.live || v.channel < 0 {
		d.lastLive = false
		return soonest(wake, now.Add(time.Second))
	}
	if !d.lastLive {
		d.lastLive = true
		d.heal.wake(now, v)
	}
	for _, at := range []time.Time{
		d.askForParked(ctx, now), d.askForFragments(ctx, now), d.heal.tick(ctx, now, v), d.announce(ctx, now),
	} {
		wake = soonest(wake, at)
	}
	return soonest(wake, now.Add(time.Second*5))
}

// tell hands a conclusion to the owner of the radio.
func (d *desk) tell(ctx context.Context, f func(*owner, time.Time)) {
	select {
	case d.news <- f:
	case <-ctx.Done():
	}
}

// frame looks at one frame off the air.
func (d *desk) frame(ctx context.Context, f heardFrame) {
	now := time.Now()
	v := d.view.Load()
	if ids, again := d.seen.look(f.payload, now); again {
		for _, id := range ids { // said once more: whoever waits to say it need not
			d.tell(ctx, func(o *owner, now time.Time) { o.heardSaid(now, id, f.from) })
		}
		return
	}
	switch air.FormOf(f.payload) {
	case air.FormEvents:
		d.events(ctx, now, f)
	case air.FormControl:
		if m, err := d.door.Open(uint32(f.from), f.payload, now); err == nil {
			d.inbox.prove(f.from)
			d.tell(ctx, func(o *owner, now time.Time) { o.out.meet(now, f.from, true); o.look(now) })
			if _, sketch := m.(air.Sketch); sketch {
				d.met[f.from] = now // and compared at once
			}
			d.meet(now, f.from)
			d.control(ctx, now, v, f.from, m)
		} else {
			d.c.refuse(err)
		}
	case air.FormFragment:
		d.fragment(ctx, now, f)
	default:
		d.c.refuse(air.ErrUnknown)
	}
}

// meet has a sketch sent soon to a colleague that was not heard for long: there
// may be much that it does not know.
func (d *desk) meet(now time.Time, from meshtastic.NodeNum) {
	at, known := d.met[from]
	if len(d.met) >= maxSenders && !known {
		clear(d.met)
	}
	d.met[from] = now
	if !known || now.Sub(at) > sameEther {
		d.heal.soon(now)
	}
}

// companyFor is how long a colleague counts that is not heard: longer than the
// longest pause between two sketches.
const companyFor = 5 * healMost / 4

// company reports whether any colleague was heard lately.
func (d *desk) company(now time.Time) bool {
	for _, at := range d.met {
		if now.Sub(at) < companyFor {
			return true
		}
	}
	return false
}

// events takes in a frame with events. It may have been parked before.
func (d *desk) events(ctx context.Context, now time.Time, f heardFrame) {
	r, err := d.codec.Unpack(f.payload)
	if err != nil {
		d.c.refuse(err)
		return
	}
	d.c.count(func(s *Status) { s.Signed.Checks += uint64(r.Work.Checks) })
	ids := d.take(ctx, now, f.from, r.Items)
	if len(r.Missing) > 0 {
		d.parked.add(now, f, r.Missing, d.hopes(r.Missing), d.random)
		return
	}
	d.parked.drop(f.payload)
	d.seen.add(f.payload, ids, now)
}

// take hands events over to the hub and tells that they were heard. What the hub
// refuses says nothing about who sent it: anybody can sign with a key of his own.
func (d *desk) take(ctx context.Context, now time.Time, from meshtastic.NodeNum, items []air.Item) (ids []mesh.EventID) {
	for _, it := range items {
		id := it.Event.ID()
		ids = append(ids, id)
		d.index.learn(it.Event.Author()) // whatever the hub says: nobody need ask again
		d.c.count(func(s *Status) { s.Signed.Heard++ })
		said := func() {
			d.dates.heard(it.Event.CreatedAt(), now)
			d.learnt = d.index.add(it.Event, true) || d.learnt
			d.inbox.prove(from)
			d.meet(now, from)
			d.traffic = now
			d.tell(ctx, func(o *owner, now time.Time) {
				o.out.meet(now, from, false) // who has the channel's key can say what another signed
				o.look(now)
				o.heardSaid(now, id, from)
			})
		}
		fresh := d.held(id) == nil
		if !fresh { // whoever waits to say it shall not wait for the disk
			said()
		}
		err := d.receive(ctx, now, retry{item: it, from: from})
		if fresh && (err == nil || errors.Is(err, mesh.ErrDuplicate) || errors.Is(err, mesh.ErrBusy)) {
			said()
		}
		if fresh && err == nil && mesh.Urgent(it.Event) && d.confirms.allow(now, time.Hour/maxConfirms, maxConfirms) {
			d.confirm(ctx, now, id)
		}
	}
	return ids
}

// maxConfirms is how many emergencies are confirmed in an hour.
const maxConfirms = 30

// receive hands one event to the hub, later again where it has no room.
func (d *desk) receive(ctx context.Context, now time.Time, r retry) error {
	err := d.port.Receive(ctx, r.item.Event, mesh.Origin{Peer: r.from.String(), Topic: r.item.Topic, Durable: true})
	switch {
	case errors.Is(err, mesh.ErrBusy) && ctx.Err() == nil:
		if r.tries++; r.tries >= maxBusy || len(d.retries) >= maxRetried {
			d.c.count(func(s *Status) { s.Dropped++ })
			d.c.log.Warn("event from the radio not taken", "event", r.item.Event.ID(), "err", err)
			return err
		}
		r.due = now.Add(busyPause)
		d.retries = append(d.retries, r)
	case err != nil && !errors.Is(err, mesh.ErrDuplicate):
		d.c.log.Debug("event from the radio refused", "event", r.item.Event.ID(), "err", err)
	}
	return err
}

func (d *desk) retry(ctx context.Context, now time.Time) {
	waiting := d.retries
	d.retries = nil
	for _, r := range waiting {
		if r.due.After(now) {
			d.retries = append(d.retries, r)
			continue
		}
		_ = d.receive(ctx, now, r)
	}
}

// control takes in a message of a colleague's machine.
func (d *desk) control(ctx context.Context, now time.Time, v *view, from meshtastic.NodeNum, m air.Message) {
	switch m := m.(type) {
	case air.WhoIs:
		d.answerWhoIs(ctx, now, v, m)
	case air.Keys:
		for _, k := range m.Keys {
			d.index.learn(k)
		}
		d.parked.answered(m.Keys)
		d.learnt = true
	case air.Resend:
		d.tell(ctx, func(o *owner, now time.Time) { o.resend(now, m.Handles) })
	case air.Nack:
		d.assembly.Heard(m, now)
		for _, s := range m.Sets {
			d.nacked(ctx, s)
		}
	case air.Sketch:
		d.heal.sketch(ctx, now, v, m)
	case air.Want:
		d.heal.want(ctx, now, m)
	case air.Overheard:
		for _, s := range m.Heard {
			if b := d.confirming[s]; b != nil {
				b.Store(true)
			}
		}
		d.tell(ctx, func(o *owner, now time.Time) { o.overheard(now, from, m) })
	case air.Record:
		d.notices.deliver(m.Bytes)
	}
}

// say seals a message and has it sent when its time has come; still may end it
// before.
func (d *desk) say(ctx context.Context, p mesh.Priority, due time.Time, m air.Message, still func(time.Time) bool, ended func(error)) {
	v := d.view.Load()
	if v.channel < 0 || len(d.c.secrets()) == 0 {
		return
	}
	n, err := d.counter.Next(mesh.UnixOf(d.c.cfg.Clock()), func(upto uint32) error {
		return d.c.cfg.Shelf.Put(ctx, counterKey, binary.BigEndian.AppendUint32(nil, upto))
	})
	if err != nil {
		d.c.log.Warn("control frame not made", "err", err)
		return
	}
	payload, err := d.door.Seal(uint32(v.num), n, m)
	if err != nil {
		d.c.log.Warn("control frame not made", "err", err)
		return
	}
	o := &outgoing{
		priority: p, channel: uint32(v.channel), due: due,
		load: &load{still: still, ended: ended, control: true, packet: meshtastic.Packet{
			To: meshtastic.Broadcast, Channel: uint32(v.channel), ID: FrameID(payload, 1), Priority: priorityBackground,
			Data: &meshtastic.Data{Port: meshtastic.PortPrivate, Payload: payload},
		}},
	}
	d.tell(ctx, func(w *owner, now time.Time) {
		if !w.out.addLoad(now, o) && ended != nil {
			ended(errCrowded)
		}
	})
}

// errCrowded ends a load that found the outbox full.
const errCrowded = busyFor("too many packets wait for the radio")

// later returns a moment between least and most from now, as fast as the ether.
func (d *desk) later(now time.Time, least, most time.Duration) time.Time {
	t := least
	if most > least {
		t += time.Duration(d.random.Int64N(int64(most - least)))
	}
	return now.Add(d.fast(t))
}

func (d *desk) fast(t time.Duration) time.Duration {
	return time.Duration(float64(t) / d.view.Load().tempo)
}

// rank returns our place among the gateways for a lot, from 0.
func (v *view) rank(lot mesh.EventID) int {
	mine, rank := turn(lot, v.num), 0
	for _, g := range v.gateways {
		if turn(lot, g) < mine {
			rank++
		}
	}
	return rank
}

// payloads remembers frames, so that one that is said again costs nothing.
type payloads struct {
	ids   map[string][]mesh.EventID
	order []string
	at    map[string]time.Time
}

// payloadFor is how long a frame is remembered.
const payloadFor = 30 * time.Minute

func newPayloads() *payloads {
	return &payloads{ids: make(map[string][]mesh.EventID), at: make(map[string]time.Time)}
}

func (p *payloads) look(payload []byte, now time.Time) ([]mesh.EventID, bool) {
	ids, ok := p.ids[string(payload)]
	return ids, ok && now.Sub(p.at[string(payload)]) < payloadFor
}

func (p *payloads) add(payload []byte, ids []mesh.EventID, now time.Time) {
	k := string(payload)
	if _, known := p.ids[k]; !known {
		p.order = append(p.order, k)
	}
	p.ids[k], p.at[k] = slices.Clone(ids), now
	for len(p.order) > maxPayloads {
		delete(p.ids, p.order[0])
		delete(p.at, p.order[0])
		p.order = p.order[1:]
	}
}

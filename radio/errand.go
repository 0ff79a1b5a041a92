package radio

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"drey/mesh"
	"drey/radio/meshtastic"
	"drey/radio/share"
)

// An errand is a packet that the radio is to send for somebody else than the
// hub: a program at the shared radio, or this node's operator.
type errand struct {
	client share.ClientID // 0 is the operator
	id     uint32         // under which the client knows it
	packet meshtastic.Packet
	tell   func(*owner, news) // the operator's; called by the radio's owner, so it must not block

	out     *outgoing // on its way to the air; nil where it is for the radio itself
	refused meshtastic.RoutingError
	ended   bool
	at      time.Time // when it was written, or given up
}

// News is what an operator's errand is told about.
type news struct {
	sent    bool                    // it is on the air
	err     error                   // it came to nothing; the last news
	from    meshtastic.NodeNum      // who answers
	routing meshtastic.RoutingError // the answer, where packet is nil
	packet  *meshtastic.Packet      // the answer
}

// Bounds of errands.
const (
	maxErrands   = 512             // remembered, so that answers find whom they are for
	maxOpen      = 2               // of one client in the outbox
	errandWait   = 5 * time.Minute // for air
	answerWait   = 5 * time.Second // for the radio's own answer
	maxForRadio  = 32              // questions and orders that wait for it
	refreshAfter = 2 * time.Second // after the last order: many come together
	maxShown     = 32              // own texts whose acceptance is awaited
)

var (
	errAway    = errors.New("the radio is away")
	errNoReply = errors.New("the radio does not answer")
)

// A routingError is what the radio said about a packet.
type routingError struct{ meshtastic.RoutingError }

func (e routingError) Error() string { return e.RoutingError.String() }

// paces are the least times between two packets of a client on a port; the
// firmware swallows what comes faster.
var paces = map[meshtastic.PortNum]time.Duration{
	meshtastic.PortPosition:   10 * time.Second,
	meshtastic.PortWaypoint:   10 * time.Second,
	meshtastic.PortAlert:      10 * time.Second,
	meshtastic.PortTelemetry:  10 * time.Second,
	meshtastic.PortTraceroute: 30 * time.Second,
}

// An errandBook keeps all errands. It belongs to the radio's owner.
type errandBook struct {
	owner  *owner
	server *share.Server

	byID  map[uint32]*errand // by the id on the air
	order []uint32           // of byID, oldest first
	open  []*errand          // in the outbox
	radio []*errand          // for the radio itself; the first may be out
	asked time.Time          // when the first was; zero: not yet
	shown []*meshtastic.Packet
	next  map[meshtastic.PortNum]time.Time // when a client's packet may go

	refreshAt time.Time // to ask the radio for its account again
}

func newErrandBook(o *owner, s *share.Server) *errandBook {
	return &errandBook{owner: o, server: s, byID: make(map[uint32]*errand), next: make(map[meshtastic.PortNum]time.Time)}
}

// pull takes from the clients what they want sent, as far as there is room.
func (b *errandBook) pull(now time.Time) {
	busy := func(c share.ClientID) bool {
		n := 0
		for _, e := range slices.Concat(b.open, b.radio) {
			if e.client == c {
				n++
			}
		}
		return n >= maxOpen
	}
	for len(b.radio) < maxForRadio {
		r, ok := b.server.Next(busy)
		if !ok {
			return
		}
		b.submit(now, &errand{client: r.Client, id: r.Packet.ID, packet: *r.Packet})
	}
}

// submit puts an errand on its way.
func (b *errandBook) submit(now time.Time, e *errand) {
	o := b.owner
	e.at = now
	if e.packet.ID == 0 {
		e.packet.ID = o.out.random.Uint32() | 1
	}
	for b.taken(e.packet.ID) { // another program chose the same
		e.packet.ID = nextID(e.packet.ID)
	}
	if !o.out.live {
		b.fail(e, errAway)
		return
	}
	if e.packet.To == o.myNum {
		if len(b.radio) >= maxForRadio {
			b.fail(e, errCrowded)
			return
		}
		b.radio = append(b.radio, e)
		return
	}
	if o.out.blocked != "" {
		e.refused = meshtastic.ErrorNoInterface
		b.fail(e, errors.New(o.out.blocked))
		return
	}
	port := e.packet.Data.Port
	e.out = &outgoing{priority: errandPriority(&e.packet), channel: e.packet.Channel, due: now}
	if pace := paces[port]; pace > 0 {
		e.out.due = later(now, b.next[port])
		b.next[port] = e.out.due.Add(o.out.fast(pace + pace/20))
	}
	e.out.load = &load{
		packet: e.packet,
		still:  func(at time.Time) bool { return at.Sub(now) < errandWait },
		ended:  func(err error) { b.ended(e, err) },
	}
	if !o.out.addLoad(now, e.out) {
		b.fail(e, errCrowded)
		return
	}
	b.open = append(b.open, e)
}

// taken reports whether a packet id is in use.
func (b *errandBook) taken(id uint32) bool {
	if id == 0 || b.byID[id] != nil {
		return true
	}
	for _, f := range b.owner.out.flying {
		if f.id == id {
			return true
		}
	}
	return slices.ContainsFunc(b.open, func(e *errand) bool { return e.packet.ID == id })
}

// errandPriority is how urgent a packet is: what people say before what
// machines say.
func errandPriority(p *meshtastic.Packet) mesh.Priority {
	switch p.Data.Port {
	case meshtastic.PortText, meshtastic.PortAlert, meshtastic.PortWaypoint:
		if p.To != meshtastic.Broadcast {
			return mesh.Direct
		}
		return mesh.Chat
	case meshtastic.PortAdmin, meshtastic.PortTraceroute, meshtastic.PortRouting, meshtastic.PortProbe:
		return mesh.Direct
	}
	return mesh.Beacon
}

// launched notes that a packet was given to the radio.
func (b *errandBook) launched(now time.Time, p *meshtastic.Packet) {
	for _, e := range b.open {
		if e.out.load.packet.ID == p.ID { // the outbox gives another id to what was refused
			e.packet.ID, e.at = p.ID, now
			b.remember(e)
			return
		}
	}
	if p.Data.Port == meshtastic.PortText {
		if b.shown = append(b.shown, p); len(b.shown) > maxShown {
			b.shown = slices.Delete(b.shown, 0, 1)
		}
	}
}

func (b *errandBook) remember(e *errand) {
	if b.byID[e.packet.ID] == nil {
		b.order = append(b.order, e.packet.ID)
	}
	b.byID[e.packet.ID] = e
	if len(b.order) > maxErrands {
		delete(b.byID, b.order[0])
		b.order = slices.Delete(b.order, 0, 1)
	}
}

// accepted shows the clients a text of the hub's that the radio has taken.
func (b *errandBook) accepted(id uint32) {
	i := slices.IndexFunc(b.shown, func(p *meshtastic.Packet) bool { return p.ID == id })
	if i < 0 {
		return
	}
	b.server.Own(b.shown[i], 0)
	b.shown = slices.Delete(b.shown, i, i+1)
}

// status takes in the radio's answer to a packet.
func (b *errandBook) status(now time.Time, q *meshtastic.QueueStatus) {
	if q.ID == 0 {
		return
	}
	if q.Result == meshtastic.ErrorNone {
		b.accepted(q.ID)
	}
	e := b.byID[q.ID]
	if e == nil {
		return
	}
	if q.Result != meshtastic.ErrorNone {
		e.refused = routingOf(q.Result)
	}
	if e.out != nil || len(b.radio) == 0 || b.radio[0] != e {
		return
	}
	if q.Result != meshtastic.ErrorNone {
		b.nextQuestion()
		b.fail(e, routingError{e.refused})
		return
	}
	if !e.packet.Data.WantResponse && !e.packet.WantAck { // there will be no other answer
		b.nextQuestion()
		e.ended = true
		b.inform(e, news{sent: true})
	}
}

// routingOf gives the results of a QueueStatus the meaning they have in a
// routing message: 32 is a full queue, 33 and 34 a radio that does not transmit.
func routingOf(e meshtastic.RoutingError) meshtastic.RoutingError {
	switch e {
	case meshtastic.ErrorNotAuthorized, meshtastic.ErrorPKIFailed:
		return meshtastic.ErrorNoInterface
	}
	return e
}

// nextQuestion goes on to the next message for the radio itself.
func (b *errandBook) nextQuestion() {
	b.radio = slices.Delete(b.radio, 0, 1)
	b.asked = time.Time{}
}

// ended takes in that an errand left the outbox.
func (b *errandBook) ended(e *errand, err error) {
	b.open = slices.DeleteFunc(b.open, func(o *errand) bool { return o == e })
	if err != nil {
		b.fail(e, err)
		return
	}
	p := e.packet
	b.server.Own(&p, e.client)
	own := p
	own.From = b.owner.myNum
	b.owner.c.nodes.heard(&own) // where we are, if a program said so
	if e.client != 0 {
		b.owner.said(&p)
	}
	b.inform(e, news{sent: true})
}

// fail ends an errand that came to nothing.
func (b *errandBook) fail(e *errand, err error) {
	if e.ended {
		return
	}
	e.ended = true
	if e.client == 0 {
		b.inform(e, news{err: err})
		return
	}
	code := meshtastic.ErrorTimeout
	var r routingError
	switch {
	case errors.As(err, &r):
		code = r.RoutingError
	case e.refused != meshtastic.ErrorNone:
		code = e.refused
	case errors.Is(err, errNotNeeded): // it waited for air all the time
		code = meshtastic.ErrorDutyCycle
		b.server.Answer(e.client, &meshtastic.FromRadio{Notification: &meshtastic.Notification{
			ReplyID: e.id, Level: 30, Time: uint32(b.owner.c.cfg.Clock().Unix()),
			Message: fmt.Sprintf("No airtime within %d minutes; what people of this place send has used it up.", int(errandWait.Minutes())),
		}})
	case errors.Is(err, errAway), errors.Is(err, errStopped):
		code = meshtastic.ErrorNoInterface
	case errors.Is(err, errCrowded):
		code = meshtastic.ErrorBadRequest
	}
	b.server.Routing(e.client, e.id, code)
}

func (b *errandBook) inform(e *errand, n news) {
	if e.tell != nil {
		e.tell(b.owner, n)
	}
}

// packet takes in a packet that may be the answer to an errand, and hands it to
// whom it is for. It reports whether it was one.
func (b *errandBook) packet(p *meshtastic.Packet) bool {
	o := b.owner
	if p.Data.RequestID == 0 || p.To != o.myNum {
		return false
	}
	if p.Data.Port == meshtastic.PortRouting {
		b.accepted(p.Data.RequestID)
	}
	e := b.byID[p.Data.RequestID]
	if e == nil {
		return false
	}
	if len(b.radio) > 0 && b.radio[0] == e {
		b.nextQuestion()
	}
	if e.client != 0 {
		answer, data := *p, *p.Data
		answer.Data, data.RequestID = &data, e.id
		b.server.Answer(e.client, &meshtastic.FromRadio{Packet: &answer})
		return true
	}
	n := news{from: p.From, packet: p}
	if p.Data.Port == meshtastic.PortRouting {
		code, ok, err := meshtastic.ParseRouting(p.Data.Payload)
		if err != nil || !ok {
			return true
		}
		n.packet, n.routing = nil, code
	}
	b.inform(e, n)
	return true
}

// act returns what is to be said to the radio itself, nil when there is
// nothing, and when to ask again; zero means when something happens.
func (b *errandBook) act(now time.Time) (say *meshtastic.ToRadio, wake time.Time) {
	if len(b.radio) > 0 && !b.asked.IsZero() && now.Sub(b.asked) >= answerWait {
		e := b.radio[0]
		b.nextQuestion()
		b.fail(e, errNoReply)
	}
	if len(b.radio) == 0 {
		if b.refreshAt.IsZero() {
			return nil, time.Time{}
		}
		return nil, b.refreshAt
	}
	if !b.asked.IsZero() {
		return nil, b.asked.Add(answerWait)
	}
	e := b.radio[0]
	b.asked, e.at = now, now
	b.remember(e)
	if e.packet.Data.Port == meshtastic.PortAdmin && changesSettings(e.packet.Data.Payload) {
		b.refreshAt = now.Add(refreshAfter)
	}
	p := e.packet
	return &meshtastic.ToRadio{Packet: &p}, now.Add(answerWait)
}

// changesSettings reports whether an ADMIN message may change what the radio
// tells of itself. Programs set its clock whenever they connect.
func changesSettings(payload []byte) bool {
	a, err := meshtastic.ParseAdmin(payload)
	return err != nil || !a.Asks() && a.Variant != meshtastic.AdminSetTime && a.Variant != meshtastic.AdminBeginEdit
}

// refresh reports whether the radio is to be asked for its account again,
// because somebody changed its settings. It says so once.
func (b *errandBook) refresh(now time.Time) bool {
	if b.refreshAt.IsZero() || now.Before(b.refreshAt) || len(b.radio) > 0 {
		return false
	}
	b.refreshAt = time.Time{}
	return true
}

// gone takes in that the radio is away: whoever waits for it is told.
func (b *errandBook) gone() {
	b.server.Gone()
	waiting := b.radio
	b.radio, b.asked, b.refreshAt = nil, time.Time{}, time.Time{}
	for _, e := range waiting {
		b.fail(e, errAway)
	}
}

// notified hands on what the radio says to people: to whom it is about, else to
// all who are at this machine.
func (b *errandBook) notified(raw []byte, n *meshtastic.Notification) {
	e := b.byID[n.ReplyID]
	if n.ReplyID == 0 || e == nil {
		b.server.Tell(raw)
		return
	}
	if e.client != 0 {
		about := *n
		about.ReplyID = e.id
		b.server.Answer(e.client, &meshtastic.FromRadio{Notification: &about})
	}
}

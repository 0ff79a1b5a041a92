package radio

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"drey/mesh"
	"drey/radio/air"
)

// How islands that only the radio joins find what they lack.
const (
	// healEvery is how often one of the gateways sends a sketch, and healIdle to
	// healMost how often when nothing was found.
	healEvery = 5 * time.Minute
	healIdle  = time.Hour
	healMost  = 2 * time.Hour
	healAlone = 10 * time.Minute // while no colleague is heard, or nobody says anything
	healFirst = 40 * time.Second // after the radio is ready, at most
	healStep  = time.Minute      // the next gateway waits so much longer
	// settled is how old an event must be to be missed: a younger one may be on
	// its way.
	settled = 3 * time.Minute

	firstHours = 24 // of the window, at first
	mostHours  = 255

	maxHealing   = 24 // events that wait to be sent to heal
	maxHealed    = 3  // times that one event is sent to heal, within healedFor
	healedFor    = 24 * time.Hour
	maxHealMemo  = 4096
	maxWindowSet = 20_000 // events that a sketch may sum up
	maxSketches  = 120    // of others that are looked at in an hour
)

// A healer finds what another island lacks, and has it sent. It is used by the
// desk only.
type healer struct {
	d       *desk
	topics  []mesh.Topic          // in signed form, sorted
	scope   byte                  // of all of them
	belong  byte                  // the scope of all decisions, whatever their date
	decides bool                  // decisions are compared by themselves
	scopes  map[byte][]mesh.Topic // what we can compare: all topics, and each
	single  time.Time             // a sketch was heard of topics that are not ours
	round   int                   // of the topics, one by one
	turns   int                   // sketches that we made
	hours   uint8                 // of the next window
	next    time.Time             // our next sketch; zero while the radio is away
	last    time.Time             // a sketch was heard or sent
	worth   meter                 // of others' sketches
	sent    map[mesh.EventID]healed
	order   []mesh.EventID
	never   map[mesh.EventID]bool // cannot be sent at all
	asked   *atomic.Bool          // what we are about to say of askedOf; true: a colleague said it
	askedOf air.Window
	differ  bool // the last comparison found something
	calm    int  // comparisons in a row that found nothing
	spoke   bool // colleagues have heard of us since the radio is ready
}

// A healed is how often an event was sent or heard lately.
type healed struct {
	times int
	at    time.Time
}

func newHealer(d *desk) *healer {
	h := &healer{d: d, hours: firstHours, sent: make(map[mesh.EventID]healed), never: make(map[mesh.EventID]bool)}
	for _, m := range d.c.cfg.Maps {
		if m.signed() && m.Topic != mesh.TopicRegistry && !slices.Contains(h.topics, m.Topic) {
			h.topics = append(h.topics, m.Topic)
		}
	}
	slices.SortFunc(h.topics, func(a, b mesh.Topic) int {
		return cmp.Or(cmp.Compare(urgencyOf(a), urgencyOf(b)), cmp.Compare(a, b))
	})
	h.scopes = make(map[byte][]mesh.Topic)
	for _, t := range h.topics {
		h.scopes[air.Scope([]mesh.Topic{t})] = []mesh.Topic{t}
	}
	h.scope, h.belong = air.Scope(h.topics), air.Scope([]mesh.Topic{mesh.TopicRegistry})
	if len(h.topics) > 0 {
		h.scopes[h.scope] = h.topics
	}
	h.decides = d.c.decides() && h.scopes[h.belong] == nil
	return h
}

// decisionsEvery is how many of our sketches there are to one that is about
// decisions alone. Others are about the last days; a ban must reach an island
// that was alone for longer.
const decisionsEvery = 4

// knows reports whether sketches of a scope can be compared here.
func (h *healer) knows(scope byte) bool {
	return h.scopes[scope] != nil || h.decides && scope == h.belong
}

// compares reports whether there is anything to compare.
func (h *healer) compares() bool { return h.decides || len(h.topics) > 0 }

// wake begins when the radio is ready.
func (h *healer) wake(now time.Time, v *view) {
	h.next, h.spoke = h.d.later(now, healFirst/4, healFirst), false
}

// soon has a sketch sent before long, where the last is not just over.
func (h *healer) soon(now time.Time) {
	if !h.next.IsZero() && (h.last.IsZero() || now.Sub(h.last) > 2*time.Minute) {
		h.next = soonest(h.next, h.d.later(now, healFirst/4, 2*healFirst))
	}
}

// pause is how long to wait for the next sketch: the longer, the oftener in a
// row nothing was found. A colleague that turns up after a silence ends it; see
// soon.
func (h *healer) pause() time.Duration {
	switch {
	case h.differ:
		return healEvery
	case !h.d.company(time.Now()):
		return healAlone
	}
	return min(healIdle<<min(h.calm, 8), healMost)
}

// due is when our next sketch goes. Where the air is silent it costs little, and
// a colleague that just came in reach would not be noticed otherwise.
func (h *healer) due(v *view) time.Time {
	last := later(h.last, h.d.traffic)
	if !h.spoke || last.IsZero() {
		return h.next
	}
	step := healStep * time.Duration(min(v.rank(voice(mesh.UnixOf(last))), 5))
	return soonest(h.next, last.Add(h.d.fast(healAlone+step)))
}

// tick sends a sketch when it is time and returns when to come again.
func (h *healer) tick(ctx context.Context, now time.Time, v *view) time.Time {
	if len(h.d.c.secrets()) == 0 {
		return time.Time{}
	}
	if due := h.due(v); now.Before(due) {
		return due
	}
	wait := h.pause()
	h.next, h.spoke = h.d.later(now, wait*9/10, wait*11/10), true
	if !h.compares() { // only a sign of life
		h.last = now
		h.d.say(ctx, mesh.Beacon, now, air.Overheard{}, nil, nil)
		return h.next
	}
	h.say(ctx, now, h.window(), air.SketchBeacon)
	return h.next
}

// window is what the next sketch is about.
func (h *healer) window() air.Window {
	until := mesh.UnixOf(h.d.c.cfg.Clock().Add(-settled))
	w := air.Window{Until: until, Hours: h.hours, Salt: uint16(h.d.random.Uint32()), Scope: h.scope}
	if h.turns++; h.decides && (h.turns%decisionsEvery == 0 || len(h.topics) == 0) {
		w.Scope = h.belong
		return w
	}
	if !h.single.IsZero() && time.Since(h.single) < singleFor {
		w.Scope = air.Scope([]mesh.Topic{h.topics[h.round%len(h.topics)]})
		h.round++
	}
	return w
}

// singleFor is how long sketches are about one topic each, urgent ones first,
// after a colleague was heard whose topics are not the same as ours.
const singleFor = 6 * time.Hour

// say sends a sketch of a window.
func (h *healer) say(ctx context.Context, now time.Time, w air.Window, capacity int) {
	s, _, err := h.sum(ctx, w, capacity)
	if err != nil {
		h.d.c.log.Warn("sketch not made", "err", err)
		return
	}
	h.last = now
	h.d.c.count(func(s *Status) { s.Signed.Sketches++ })
	h.d.say(ctx, mesh.Sync, now, s, nil, nil)
}

// sum makes the sketch of a window and lists what is in it, by short id.
func (h *healer) sum(ctx context.Context, w air.Window, capacity int) (air.Sketch, map[uint32]*mesh.Record, error) {
	s := air.NewSketch(w, capacity)
	held := make(map[uint32]*mesh.Record)
	now := h.d.c.cfg.Clock()
	add := func(f mesh.Filter) error {
		for r, err := range h.d.c.cfg.Archive.Records(ctx, f, mesh.Self) {
			if err != nil {
				return err
			}
			if id := r.Event.ID(); h.mayGo(r, now) && held[w.Short(id)] == nil {
				s.Add(id)
				held[w.Short(id)] = r
			}
		}
		return nil
	}
	if h.scopes[w.Scope] == nil {
		err := add(mesh.Filter{Topics: []mesh.Topic{mesh.TopicRegistry}, Kinds: []mesh.Kind{mesh.KindRoster}, Limit: maxWindowSet})
		return s, held, err
	}
	until := w.Until
	if until > 0 {
		until-- // the end is outside
	}
	f := mesh.Filter{Topics: h.scopes[w.Scope], Since: w.Since(), Until: max(until, 1), Limit: maxWindowSet}
	err := add(f)
	f.Topics, f.Kinds = []mesh.Topic{mesh.TopicRegistry}, []mesh.Kind{mesh.KindRoster, mesh.KindPass}
	return s, held, errors.Join(err, add(f))
}

// mayGo reports whether a record may be sent to heal.
func (h *healer) mayGo(r *mesh.Record, now time.Time) bool {
	e := r.Event
	if r.Flags&mesh.FlagOrphan != 0 || e.Kind().Ephemeral() || e.Kind() == KindAired || e.Kind().Sealed() || mesh.StaysHere(e) || h.never[e.ID()] {
		return false
	}
	if _, protected := e.Tag("-"); protected {
		return false
	}
	at := expiry(e)
	return at.IsZero() || now.Before(at)
}

// unfit notes that an event can never be sent: others cannot lack it.
func (h *healer) unfit(id mesh.EventID) {
	if len(h.never) >= maxHealMemo {
		clear(h.never)
	}
	h.never[id] = true
}

// said notes that we sent an event again to heal.
func (h *healer) said(id mesh.EventID) {
	now := time.Now()
	was, known := h.sent[id]
	if !known {
		h.order = append(h.order, id)
		for len(h.order) > maxHealMemo {
			delete(h.sent, h.order[0])
			h.order = h.order[1:]
		}
	}
	if now.Sub(was.at) > healedFor {
		was.times = 0
	}
	h.sent[id] = healed{was.times + 1, now}
}

// sketch compares another's sketch with what is held here, and sends what the
// other lacks.
func (h *healer) sketch(ctx context.Context, now time.Time, v *view, s air.Sketch) {
	rank := v.rank(voice(s.Window.Until))
	h.last = now
	h.answered(s.Window)
	// Somebody did it: our own can wait, longer where others are first.
	step := healStep * time.Duration(min(rank, 5))
	// The first is said all the same: colleagues must know that we are here.
	wait := h.pause() + step
	if next := h.d.later(now, wait*9/10, wait*11/10); h.next.Before(next) && !h.differ && h.spoke {
		h.next = next
	}
	if len(h.topics) > 0 && !h.knows(s.Window.Scope) {
		h.single = now
	}
	if !h.knows(s.Window.Scope) || !h.worth.allow(now, time.Hour/maxSketches, maxSketches) {
		return
	}
	mine, held, err := h.sum(ctx, s.Window, len(s.Sums))
	if err != nil {
		h.d.c.log.Warn("sketch not made", "err", err)
		return
	}
	ids, err := mine.Differences(s)
	if err != nil {
		h.overflow(ctx, now, v, s)
		return
	}
	h.differ = len(ids) > 0
	if h.calm++; h.differ {
		h.calm = 0
	}
	if len(ids) == 0 && h.scopes[s.Window.Scope] == nil {
		return
	}
	if len(ids) == 0 {
		h.hours = uint8(min(2*max(int(s.Window.Hours), int(h.hours)), mostHours))
		return
	}
	h.d.c.count(func(s *Status) { s.Signed.Differences += uint64(len(ids)) })
	var lacking []*mesh.Record // by the other
	var wanted []uint32
	for _, id := range ids {
		if r := held[id]; r != nil {
			lacking = append(lacking, r)
		} else {
			wanted = append(wanted, id)
		}
	}
	wanted = h.without(ctx, s.Window, wanted)
	h.send(ctx, now, lacking)
	if len(wanted) > 0 {
		asked := h.ask(s.Window)
		pause := time.Duration(rank) * 10 * time.Second
		h.d.say(ctx, mesh.Sync, h.d.later(now, time.Second+pause, 4*time.Second+pause),
			air.Want{Window: s.Window, IDs: wanted[:min(len(wanted), air.MaxWants)]},
			func(time.Time) bool { return !asked.Load() }, nil)
	}
}

// ask notes that we are about to say something about a window, unless a
// colleague does first.
func (h *healer) ask(w air.Window) *atomic.Bool {
	h.asked, h.askedOf = new(atomic.Bool), w
	return h.asked
}

// answered notes that a colleague did.
func (h *healer) answered(w air.Window) {
	if h.asked != nil && h.askedOf == w {
		h.asked.Store(true)
	}
}

// without leaves out what was here once and is held no more: it is not wanted
// back.
func (h *healer) without(ctx context.Context, w air.Window, ids []uint32) []uint32 {
	if len(ids) == 0 || h.scopes[w.Scope] == nil { // decisions do not go
		return ids
	}
	until := w.Until
	if until > 0 {
		until--
	}
	for it, err := range h.d.c.cfg.Archive.Items(ctx, w.Since(), until, mesh.Self) {
		if err != nil {
			break
		}
		if it.Gone != 0 {
			short := w.Short(it.ID)
			ids = slices.DeleteFunc(ids, func(id uint32) bool { return id == short })
		}
	}
	return ids
}

// overflow answers a sketch that tells too little: with a larger one, or, when
// that was one, by comparing a shorter window.
func (h *healer) overflow(ctx context.Context, now time.Time, v *view, s air.Sketch) {
	h.differ = true
	capacity := air.SketchFull
	switch {
	case len(s.Sums) < air.SketchReply:
		capacity = air.SketchReply
	case len(s.Sums) >= air.SketchFull && h.scopes[s.Window.Scope] == nil:
		h.anything(ctx, now, s.Window)
		return
	case len(s.Sums) >= air.SketchFull:
		h.hours = uint8(max(int(s.Window.Hours)/4, 1))
		if s.Window.Hours > 1 {
			h.next = soonest(h.next, h.d.later(now, 10*time.Second, 30*time.Second))
			return
		}
		h.anything(ctx, now, s.Window)
		return
	}
	mine, _, err := h.sum(ctx, s.Window, capacity)
	if err != nil {
		return
	}
	asked := h.ask(s.Window)
	pause := time.Duration(v.rank(voice(s.Window.Until))) * 10 * time.Second
	h.d.c.count(func(s *Status) { s.Signed.Sketches++ })
	h.d.say(ctx, mesh.Sync, h.d.later(now, time.Second+pause, 4*time.Second+pause), mine,
		func(time.Time) bool { return !asked.Load() }, nil)
}

// anything sends the newest of a window in which more is different than any
// sketch can tell: a few each time, until one can.
func (h *healer) anything(ctx context.Context, now time.Time, w air.Window) {
	_, held, err := h.sum(ctx, w, 1)
	if err != nil {
		return
	}
	var list []*mesh.Record
	for _, r := range held {
		if h.sent[r.Event.ID()].times == 0 {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, byWorth)
	h.send(ctx, now, list[:min(len(list), 8)])
}

// want sends what another asked for.
func (h *healer) want(ctx context.Context, now time.Time, m air.Want) {
	h.answered(m.Window)
	if !h.knows(m.Window.Scope) || !h.worth.allow(now, time.Hour/maxSketches, maxSketches) {
		return
	}
	_, held, err := h.sum(ctx, m.Window, 1)
	if err != nil {
		h.d.c.log.Warn("events asked for not found", "err", err)
		return
	}
	h.differ = true
	var list []*mesh.Record
	for _, id := range m.IDs {
		if r := held[id]; r != nil {
			list = append(list, r)
		}
	}
	h.send(ctx, now, list)
}

// send has records sent again, urgent ones and urgent topics first, then the
// newest.
func (h *healer) send(ctx context.Context, now time.Time, list []*mesh.Record) {
	slices.SortStableFunc(list, func(a, b *mesh.Record) int {
		if x, y := urgency(a), urgency(b); x != y {
			return x - y
		}
		return byWorth(a, b)
	})
	for _, r := range list[:min(len(list), maxHealing)] {
		id := r.Event.ID()
		if was := h.sent[id]; was.times >= maxHealed && now.Sub(was.at) < healedFor {
			continue
		}
		h.d.tell(ctx, func(o *owner, now time.Time) { o.heal(now, r) })
	}
}

// byWorth orders what is as urgent: decisions as they were made, for each
// counts only with those it saw, then the newest first.
func byWorth(a, b *mesh.Record) int {
	x, y := a.Event.Kind() == mesh.KindRoster, b.Event.Kind() == mesh.KindRoster
	switch {
	case x && y:
		return cmp.Compare(a.Event.CreatedAt(), b.Event.CreatedAt())
	case x:
		return -1
	case y:
		return 1
	}
	return cmp.Compare(b.Event.CreatedAt(), a.Event.CreatedAt())
}

// urgency orders what heals: who belongs, then emergencies and alerts, then the
// rest.
func urgency(r *mesh.Record) int {
	if mesh.Urgent(r.Event) {
		return 1
	}
	return urgencyOf(r.Topic)
}

func urgencyOf(t mesh.Topic) int {
	switch t {
	case mesh.TopicRegistry:
		return 0
	case mesh.TopicAlerts:
		return 2
	}
	return 3
}

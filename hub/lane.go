package hub

import (
	"context"
	"slices"

	"drey/mesh"
)

// maxLanes bounds the lanes that are kept in memory and that nobody uses. The
// store has what waits in others.
const maxLanes = 64

// A lane is the outbox of one target of a carrier whose targets wait apart. The
// carrier's outbox makes it when it is used, and forgets it some time later.
type lane struct {
	of     *outbox
	target string
}

// A laneBox is a lane's outbox in memory. The carrier's outbox guards the rest.
type laneBox struct {
	*outbox
	users int    // calls in progress
	used  uint64 // when the last began, by the count of calls
}

var (
	_ mesh.Lane  = lane{}
	_ mesh.Lanes = (*lanedPort)(nil)
)

// A lanedPort is the side of a carrier whose targets wait apart.
type lanedPort struct{ *port }

// Lane implements mesh.Lanes.
func (p *lanedPort) Lane(target string) mesh.Lane { return lane{p.outbox, target} }

// Targets implements mesh.Lanes.
func (p *lanedPort) Targets(ctx context.Context) ([]string, error) {
	owed, err := p.outbox.store.Owed(ctx, p.outbox.carrier, 0)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, o := range owed {
		if !slices.Contains(all, o.Target) {
			all = append(all, o.Target)
		}
	}
	slices.Sort(all)
	return all, nil
}

// useLane returns the outbox of one target, and makes it where there is none. It
// stays until done is called.
func (o *outbox) useLane(target string) (l *outbox, done func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	box := o.mu.lanes[target]
	if box == nil {
		if len(o.mu.lanes) >= maxLanes {
			o.forgetLaneLocked()
		}
		box = &laneBox{outbox: o.newLane(target)}
		o.mu.lanes[target] = box
	}
	o.mu.calls++
	box.users, box.used = box.users+1, o.mu.calls
	return box.outbox, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		box.users--
	}
}

func (o *outbox) newLane(target string) *outbox {
	l := &outbox{
		carrier: o.carrier, target: &target, fast: o.fast, limits: o.limits,
		store: o.store, log: o.log.With("target", target), clock: o.clock, note: o.note,
	}
	l.mu.line = newLine(maxQueued)
	l.mu.out = make(map[*mesh.Delivery]*item)
	l.mu.changed = make(chan struct{})
	return l
}

// forgetLaneLocked forgets the lane that was used longest ago, of those that
// hold nothing but what the store has too. Where there is none, lanes are as
// many as their users.
func (o *outbox) forgetLaneLocked() {
	var oldest string
	var found *laneBox
	for target, l := range o.mu.lanes {
		if l.users == 0 && (found == nil || l.used < found.used) && l.inStore() {
			oldest, found = target, l
		}
	}
	if found != nil {
		delete(o.mu.lanes, oldest)
	}
}

// inStore reports whether the store has all that an outbox holds.
func (o *outbox) inStore() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.mu.out) > 0 || len(o.mu.unsettled) > 0 {
		return false
	}
	for _, it := range o.mu.line.by {
		if it.rec != nil {
			return false
		}
	}
	return true
}

// all lists an outbox's lanes, or the outbox itself where it has none.
func (o *outbox) all() []*outbox {
	if !o.laned {
		return []*outbox{o}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	lanes := make([]*outbox, 0, len(o.mu.lanes))
	for _, l := range o.mu.lanes {
		lanes = append(lanes, l.outbox)
	}
	return lanes
}

// Next implements mesh.Lane.
func (l lane) Next(ctx context.Context, mine func(mesh.Topic) bool) (*mesh.Delivery, error) {
	o, done := l.of.useLane(l.target)
	defer done()
	return o.next(ctx, mine)
}

// Wake implements mesh.Lane.
func (l lane) Wake() {
	o, done := l.of.useLane(l.target)
	defer done()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.line.wake()
	o.changedLocked()
}

// Ahead implements mesh.Lane.
func (l lane) Ahead(ctx context.Context, n int) []mesh.Owed {
	o, done := l.of.useLane(l.target)
	defer done()
	if _, err := o.fill(ctx); err != nil && ctx.Err() == nil {
		o.log.Warn("outbox not read", "err", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	items := o.mu.line.sorted()
	items = items[:min(n, len(items))]
	owed := make([]mesh.Owed, 0, len(items))
	for _, it := range items {
		owed = append(owed, it.Owed)
	}
	return owed
}

// Settle implements mesh.Lane.
func (l lane) Settle(ctx context.Context, id mesh.EventID, state string) bool {
	o, done := l.of.useLane(l.target)
	defer done()
	k := mesh.Key{ID: id, Carrier: o.carrier, Target: l.target}
	o.mu.Lock()
	it := o.mu.line.by[k]
	if it != nil && !o.mu.line.remove(it) {
		o.mu.Unlock()
		return false // it is out
	}
	if it != nil {
		o.endLocked(it)
	}
	o.mu.Unlock()
	o.settle(k)
	o.note(id, o.carrier, l.target, state)
	return it != nil
}

package hub

import (
	"context"
	"slices"

	"drey/mesh"
)

// A lane is the outbox of one target of a carrier whose targets wait apart.
type lane struct{ *outbox }

var (
	_ mesh.Lane  = lane{}
	_ mesh.Lanes = (*lanedPort)(nil)
)

// A lanedPort is the side of a carrier whose targets wait apart.
type lanedPort struct{ *port }

// Lane implements mesh.Lanes.
func (p *lanedPort) Lane(target string) mesh.Lane { return lane{p.outbox.lane(target)} }

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

// lane returns the outbox of one target, and makes it at the first time. There
// are as many as the route's Targets has ever named.
func (o *outbox) lane(target string) *outbox {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.mu.lanes[target]; l != nil {
		return l
	}
	l := &outbox{
		carrier: o.carrier, target: &target, fast: o.fast, limits: o.limits,
		store: o.store, log: o.log.With("target", target), clock: o.clock, note: o.note,
	}
	l.mu.line = newLine(maxQueued)
	l.mu.out = make(map[*mesh.Delivery]*item)
	l.mu.changed = make(chan struct{})
	o.mu.lanes[target] = l
	return l
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
		lanes = append(lanes, l)
	}
	return lanes
}

// Next implements mesh.Lane.
func (l lane) Next(ctx context.Context, mine func(mesh.Topic) bool) (*mesh.Delivery, error) {
	return l.next(ctx, mine)
}

// Wake implements mesh.Lane.
func (l lane) Wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.line.wake()
	l.changedLocked()
}

// Ahead implements mesh.Lane.
func (l lane) Ahead(ctx context.Context, n int) []mesh.Owed {
	if _, err := l.fill(ctx); err != nil && ctx.Err() == nil {
		l.log.Warn("outbox not read", "err", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	items := l.mu.line.sorted()
	items = items[:min(n, len(items))]
	owed := make([]mesh.Owed, 0, len(items))
	for _, it := range items {
		owed = append(owed, it.Owed)
	}
	return owed
}

// Settle implements mesh.Lane.
func (l lane) Settle(ctx context.Context, id mesh.EventID, state string) bool {
	k := mesh.Key{ID: id, Carrier: l.carrier, Target: *l.target}
	l.mu.Lock()
	it := l.mu.line.by[k]
	if it != nil && !l.mu.line.remove(it) {
		l.mu.Unlock()
		return false // it is out
	}
	if it != nil {
		l.endLocked(it)
	}
	l.mu.Unlock()
	l.settle(k)
	l.note(id, l.carrier, *l.target, state)
	return it != nil
}

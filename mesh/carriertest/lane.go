package carriertest

import (
	"context"
	"slices"

	"drey/mesh"
)

var (
	_ mesh.Lanes = (*Port)(nil)
	_ mesh.Lane  = (*lane)(nil)
)

// A lane is what a port owes to one target.
type lane struct {
	p      *Port
	target string
}

// Lane implements mesh.Lanes.
func (p *Port) Lane(target string) mesh.Lane { return &lane{p, target} }

// Targets implements mesh.Lanes.
func (p *Port) Targets(ctx context.Context) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, d := range p.mu.owed {
		if !slices.Contains(all, d.Target) {
			all = append(all, d.Target)
		}
	}
	return all, ctx.Err()
}

// Next implements mesh.Lane. What is declined is shown again after every change.
func (l *lane) Next(ctx context.Context, mine func(mesh.Topic) bool) (*mesh.Delivery, error) {
	return l.p.next(ctx, func(d *mesh.Delivery) bool {
		return d.Target == l.target && (mine == nil || mine(d.Topic))
	})
}

// Wake implements mesh.Lane.
func (l *lane) Wake() {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.p.changedLocked()
}

// Ahead implements mesh.Lane.
func (l *lane) Ahead(ctx context.Context, n int) []mesh.Owed {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	var all []mesh.Owed
	for _, d := range l.p.mu.owed {
		if d.Target == l.target && len(all) < n {
			all = append(all, mesh.Owed{Key: mesh.Key{ID: d.Event.ID(), Target: d.Target}, Priority: d.Priority, Seq: d.Seq})
		}
	}
	return all
}

// Settle implements mesh.Lane.
func (l *lane) Settle(ctx context.Context, id mesh.EventID, state string) bool {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	i := slices.IndexFunc(l.p.mu.owed, func(d *mesh.Delivery) bool { return d.Target == l.target && d.Event.ID() == id })
	if i < 0 {
		return false
	}
	d := l.p.mu.owed[i]
	l.p.mu.owed = slices.Delete(l.p.mu.owed, i, i+1)
	l.p.mu.reports = append(l.p.mu.reports, Report{d, state})
	l.p.mu.endings = append(l.p.mu.endings, Ending{d, nil})
	l.p.changedLocked()
	return true
}

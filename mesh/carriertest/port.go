package carriertest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"drey/mesh"
)

// A Port stands in for the hub at one carrier. What it is told to owe it hands
// out, most urgent first, until each delivery has ended; what comes in it
// records. It fails the test when a delivery is ended twice. Safe for
// concurrent use.
type Port struct {
	t testing.TB

	mu struct {
		sync.Mutex
		known    map[mesh.EventID]bool // owed or received before
		owed     []*mesh.Delivery      // not handed out
		out      map[*mesh.Delivery]bool
		order    map[*mesh.Delivery]int
		endings  []Ending
		released int
		handed   int
		receipts []Receipt
		reports  []Report
		answer   func(context.Context, *mesh.Event, mesh.Origin) error
		attempts map[mesh.Key]int
		changed  chan struct{} // closed and replaced at every change
	}
}

// A Receipt is one event that the carrier brought, and what it was answered.
type Receipt struct {
	Event  *mesh.Event
	Origin mesh.Origin
	Answer error
}

// An Ending is one delivery that was Done.
type Ending struct {
	Delivery *mesh.Delivery
	Err      error
}

// A Report is one line that a carrier added to an event's history.
type Report struct {
	Delivery *mesh.Delivery
	State    string
}

var (
	_ mesh.Port   = (*Port)(nil)
	_ mesh.Ledger = (*Port)(nil)
)

// NewPort returns a port that owes nothing. t may be nil outside of tests.
func NewPort(t testing.TB) *Port {
	p := &Port{t: t}
	p.mu.known = make(map[mesh.EventID]bool)
	p.mu.out = make(map[*mesh.Delivery]bool)
	p.mu.order = make(map[*mesh.Delivery]int)
	p.mu.attempts = make(map[mesh.Key]int)
	p.mu.changed = make(chan struct{})
	return p
}

// Owe has the port hand e to the carrier for a target ("" where the medium is
// one), in the order of priority and then of the calls.
func (p *Port) Owe(e *mesh.Event, t mesh.Topic, target string, priority mesh.Priority) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := &mesh.Delivery{Event: e, Topic: t, Target: target, Priority: priority, Ledger: p}
	p.mu.known[e.ID()] = true
	p.mu.order[d] = len(p.mu.order)
	p.putLocked(d)
}

func (p *Port) putLocked(d *mesh.Delivery) {
	p.mu.owed = append(p.mu.owed, d)
	slices.SortFunc(p.mu.owed, func(a, b *mesh.Delivery) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(p.mu.order[a], p.mu.order[b]))
	})
	p.changedLocked()
}

func (p *Port) changedLocked() {
	close(p.mu.changed)
	p.mu.changed = make(chan struct{})
}

// Answer has f decide what Receive answers to events; nil restores the usual:
// nil for what is new, mesh.ErrDuplicate for what was owed or received before.
// f may block until its context ends.
func (p *Port) Answer(f func(context.Context, *mesh.Event, mesh.Origin) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.answer = f
}

// Receive implements mesh.Port.
func (p *Port) Receive(ctx context.Context, e *mesh.Event, from mesh.Origin) error {
	p.mu.Lock()
	answer := p.mu.answer
	p.mu.Unlock()
	var err error
	if answer != nil {
		err = answer(ctx, e, from)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && p.mu.known[e.ID()] {
		err = mesh.ErrDuplicate
	}
	if err == nil {
		p.mu.known[e.ID()] = true
	}
	p.mu.receipts = append(p.mu.receipts, Receipt{e, from, err})
	p.changedLocked()
	return err
}

// Next implements mesh.Port.
func (p *Port) Next(ctx context.Context) (*mesh.Delivery, error) {
	return p.next(ctx, func(*mesh.Delivery) bool { return true })
}

// next hands out the first delivery that is wanted.
func (p *Port) next(ctx context.Context, wanted func(*mesh.Delivery) bool) (*mesh.Delivery, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p.mu.Lock()
		changed := p.mu.changed
		if i := slices.IndexFunc(p.mu.owed, wanted); i >= 0 {
			d := p.mu.owed[i]
			p.mu.owed = slices.Delete(p.mu.owed, i, i+1)
			k := mesh.Key{ID: d.Event.ID(), Target: d.Target}
			p.mu.attempts[k]++
			again := *d // a new delivery each time, so that a late call on an old one shows
			again.Attempt = p.mu.attempts[k]
			p.mu.order[&again] = p.mu.order[d]
			p.mu.out[&again] = true
			p.mu.handed++
			p.changedLocked()
			p.mu.Unlock()
			return &again, nil
		}
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Report implements mesh.Ledger.
func (p *Port) Report(d *mesh.Delivery, state string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.reports = append(p.mu.reports, Report{d, state})
	p.changedLocked()
}

// Release implements mesh.Ledger.
func (p *Port) Release(d *mesh.Delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.endLocked(d, "Release") {
		p.mu.released++
		p.putLocked(d)
	}
}

// Done implements mesh.Ledger.
func (p *Port) Done(d *mesh.Delivery, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.endLocked(d, "Done") {
		p.mu.endings = append(p.mu.endings, Ending{d, err})
		p.changedLocked()
	}
}

func (p *Port) endLocked(d *mesh.Delivery, by string) bool {
	if p.mu.out[d] {
		delete(p.mu.out, d)
		return true
	}
	p.fail(fmt.Sprintf("%s was called for a delivery that had ended: event %s, target %q, attempt %d", by, d.Event.ID(), d.Target, d.Attempt))
	return false
}

func (p *Port) fail(text string) {
	if p.t != nil {
		p.t.Error(text)
	}
}

// Receipts lists what came in, oldest first.
func (p *Port) Receipts() []Receipt {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.mu.receipts)
}

// Taken lists what came in and was answered nil, oldest first.
func (p *Port) Taken() []Receipt {
	return slices.DeleteFunc(p.Receipts(), func(r Receipt) bool { return r.Answer != nil })
}

// Endings lists the deliveries that were Done, oldest first.
func (p *Port) Endings() []Ending {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.mu.endings)
}

// Reports lists the lines that were added to histories, oldest first.
func (p *Port) Reports() []Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.mu.reports)
}

// Outstanding counts the deliveries that were handed out and not ended.
func (p *Port) Outstanding() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.mu.out)
}

// Handed counts the deliveries that Next returned, and of them those that came
// back by Release.
func (p *Port) Handed() (handed, released int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.handed, p.mu.released
}

// Await waits until cond holds, asking again after every change of the port,
// and reports whether it did before ctx ended. cond may call p's methods.
func (p *Port) Await(ctx context.Context, cond func() bool) bool {
	for {
		p.mu.Lock()
		changed := p.mu.changed
		p.mu.Unlock()
		if cond() {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return cond()
		}
	}
}

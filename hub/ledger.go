package hub

import (
	"errors"

	"drey/mesh"
)

var _ mesh.Ledger = (*outbox)(nil)

// Report implements mesh.Ledger.
func (o *outbox) Report(d *mesh.Delivery, state string) {
	o.note(d.Event.ID(), o.carrier, d.Target, state)
}

// Release implements mesh.Ledger.
func (o *outbox) Release(d *mesh.Delivery) {
	o.mu.Lock()
	defer o.mu.Unlock()
	it := o.takeBackLocked(d, "Release")
	if it == nil {
		return
	}
	o.mu.line.put(it)
	o.changedLocked()
}

// Done implements mesh.Ledger.
func (o *outbox) Done(d *mesh.Delivery, err error) {
	o.mu.Lock()
	it := o.takeBackLocked(d, "Done")
	if it == nil {
		o.mu.Unlock()
		return
	}
	if errors.Is(err, mesh.ErrBusy) {
		first := it.tries == 0
		it.due = o.clock().Add(min(busyLeast<<min(it.tries, 10), busyMost))
		it.tries++
		o.mu.line.put(it)
		o.changedLocked()
		o.mu.Unlock()
		if first {
			o.note(it.ID, o.carrier, it.Target, "waiting: "+err.Error())
		}
		return
	}
	o.endLocked(it)
	o.mu.Unlock()
	if it.rec == nil {
		o.settle(it.Key)
	}
	if err != nil {
		o.note(it.ID, o.carrier, it.Target, "failed: "+err.Error())
	}
}

// takeBackLocked returns the item of a delivery that is out. One that is not
// has ended before, or its carrier's Run has returned meanwhile.
func (o *outbox) takeBackLocked(d *mesh.Delivery, by string) *item {
	it := o.mu.out[d]
	if it == nil {
		o.log.Debug("delivery ended twice", "event", d.Event.ID(), "by", by)
		return nil
	}
	delete(o.mu.out, d)
	return it
}

// reclaim takes back what a carrier held when its Run returned.
func (o *outbox) reclaim() {
	if o.laned {
		for _, l := range o.all() {
			l.reclaim()
		}
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for d, it := range o.mu.out {
		delete(o.mu.out, d)
		o.mu.line.put(it)
	}
	o.changedLocked()
}

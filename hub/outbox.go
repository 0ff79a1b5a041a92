package hub

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"drey/mesh"
)

const (
	// maxQueued is how many deliveries of one carrier that may go are kept in
	// memory: a few hundred kB. The store holds the rest.
	maxQueued = 1024
	// maxUnsettled bounds deliveries that ended while the disk took nothing.
	maxUnsettled = 4096
	// A carrier that had no room is asked again after this, doubling.
	busyLeast = 5 * time.Second
	busyMost  = 10 * time.Minute
	// stuckPause is how long a delivery rests when its attempt could not be
	// recorded.
	stuckPause = 2 * time.Second
)

// An outbox is what is owed to one carrier. The store has all of it; the outbox
// keeps the next ones in order and decides at the last moment who goes.
type outbox struct {
	carrier string           // immutable
	target  *string          // immutable; nil where it holds those of all targets
	laned   bool             // immutable; what is owed waits in lanes, none here
	fast    bool             // immutable; see Route
	limits  mesh.Limits      // immutable
	store   Store            // immutable
	log     *slog.Logger     // immutable
	clock   func() time.Time // immutable
	note    func(id mesh.EventID, carrier, target, state string)

	filling sync.Mutex // held while the store is asked for more

	mu struct {
		sync.Mutex
		line      *line
		out       map[*mesh.Delivery]*item
		settled   map[mesh.Key]bool // ended since the store was asked; nil while it is not
		unsettled []mesh.Key        // the store has to hear of these yet
		lost      uint64            // of those, how many there was no room for
		changed   chan struct{}     // closed and replaced when something may go
		lanes     map[string]*laneBox
		calls     uint64 // of useLane
	}
}

func newOutbox(h *Hub, r Route) *outbox {
	o := &outbox{
		carrier: r.Carrier.Name(), fast: r.Fast, limits: r.Carrier.Limits(),
		store: h.store, log: h.log.With("carrier", r.Carrier.Name()), clock: h.clock, note: h.note,
		laned: r.Lanes,
	}
	o.mu.lanes = make(map[string]*laneBox)
	o.mu.line = newLine(maxQueued)
	o.mu.out = make(map[*mesh.Delivery]*item)
	o.mu.changed = make(chan struct{})
	return o
}

// push adds deliveries that the store has taken already, or never will when rec
// is given.
func (o *outbox) push(owed mesh.Owed, rec *mesh.Record) {
	if o.laned {
		l, done := o.useLane(owed.Target)
		defer done()
		l.push(owed, rec)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.line.push(&item{Owed: owed, rec: rec})
	o.changedLocked()
}

func (o *outbox) changedLocked() {
	close(o.mu.changed)
	o.mu.changed = make(chan struct{})
}

// next blocks until something may go that mine accepts, nil for all, and
// returns it.
func (o *outbox) next(ctx context.Context, mine func(mesh.Topic) bool) (*mesh.Delivery, error) {
	for {
		o.mu.Lock()
		changed := o.mu.changed
		o.mu.Unlock()
		d, wake, err := o.tryNext(ctx, mine)
		if d != nil || err != nil {
			return d, err
		}
		if err := o.wait(ctx, changed, wake); err != nil {
			return nil, err
		}
	}
}

func (o *outbox) wait(ctx context.Context, changed <-chan struct{}, wake time.Time) error {
	var timeout <-chan time.Time
	if !wake.IsZero() {
		timer := time.NewTimer(wake.Sub(o.clock()))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-changed:
	case <-timeout:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// tryNext returns what goes now, or nil and when to ask again (zero: when
// something changes).
func (o *outbox) tryNext(ctx context.Context, mine func(mesh.Topic) bool) (*mesh.Delivery, time.Time, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, time.Time{}, err
		}
		more, err := o.fill(ctx)
		if err != nil && ctx.Err() == nil {
			o.log.Warn("outbox not read", "err", err)
		}
		now := o.clock()
		o.mu.Lock()
		it, wake := o.mu.line.pop(now)
		o.mu.Unlock()
		if it == nil {
			if more {
				wake = now.Add(stuckPause)
			}
			return nil, wake, ctx.Err()
		}
		if d := o.hand(ctx, it, mine); d != nil {
			return d, time.Time{}, nil
		}
	}
}

// fill reads from the store while little waits here and the store may hold
// more. It reports whether it still may.
func (o *outbox) fill(ctx context.Context) (more bool, err error) {
	o.filling.Lock()
	defer o.filling.Unlock()
	o.settleRest(ctx)
	o.mu.Lock()
	if !o.mu.line.wants() {
		more = o.mu.line.more
		o.mu.Unlock()
		return more, nil
	}
	o.mu.line.more = false
	o.mu.settled = make(map[mesh.Key]bool)
	for _, k := range o.mu.unsettled {
		o.mu.settled[k] = true
	}
	limit := len(o.mu.line.by) + len(o.mu.settled) + maxQueued
	o.mu.Unlock()

	owed, err := o.ask(ctx, limit)

	o.mu.Lock()
	defer o.mu.Unlock()
	for _, w := range owed {
		if !o.mu.settled[w.Key] {
			o.mu.line.push(&item{Owed: w})
		}
	}
	o.mu.settled = nil
	if err != nil || len(owed) >= limit {
		o.mu.line.more = true
	}
	return o.mu.line.more, err
}

// ask lists the first that are owed, most urgent first.
func (o *outbox) ask(ctx context.Context, limit int) ([]mesh.Owed, error) {
	if o.target == nil {
		return o.store.Owed(ctx, o.carrier, limit)
	}
	return o.store.OwedTo(ctx, o.carrier, *o.target, limit)
}

// decline sets an item aside that is not for mine, and reports whether it did.
func (o *outbox) decline(it *item, mine func(mesh.Topic) bool) bool {
	if mine == nil || it.topic == "" || mine(it.topic) {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.line.setAside(it)
	return true
}

// hand makes the delivery of an item that goes now; nil when it does not go.
// An attempt is on disk, and the event with it, before the carrier has it.
func (o *outbox) hand(ctx context.Context, it *item, mine func(mesh.Topic) bool) *mesh.Delivery {
	if o.decline(it, mine) {
		return nil
	}
	rec := it.rec
	if rec == nil {
		var err error
		rec, err = o.store.Record(ctx, it.ID, mesh.Self)
		var gone *mesh.GoneError
		if errors.As(err, &gone) || errors.Is(err, mesh.ErrNotFound) {
			o.cancel(it)
			return nil
		}
		if err != nil {
			o.rest(ctx, it, err)
			return nil
		}
	}
	if it.topic == "" {
		if it.topic = rec.Topic; o.decline(it, mine) {
			return nil
		}
	}
	if at, ok := expiry(rec.Event); ok && !o.clock().Before(at.Time()) {
		o.cancel(it)
		o.note(it.ID, it.Carrier, it.Target, "expired before it was sent")
		return nil
	}
	attempt := it.Attempts + 1
	if it.rec == nil && !o.fast {
		n, err := o.store.Attempt(ctx, it.Key)
		if errors.Is(err, mesh.ErrNotFound) {
			o.cancel(it)
			return nil
		}
		if err != nil {
			o.rest(ctx, it, err)
			return nil
		}
		attempt = n
	}
	d := &mesh.Delivery{
		Event: rec.Event, Topic: rec.Topic, Target: it.Target,
		Priority: it.Priority, Attempt: attempt, Seq: rec.Seq, Ledger: o,
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	it.Attempts = attempt
	o.mu.out[d] = it
	return d
}

// rest puts an item back because the store failed.
func (o *outbox) rest(ctx context.Context, it *item, err error) {
	if ctx.Err() == nil {
		o.log.Warn("delivery rests", "event", it.ID, "err", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if ctx.Err() == nil {
		it.due = o.clock().Add(stuckPause)
	}
	o.mu.line.put(it)
}

// cancel ends an item that is not to go any more.
func (o *outbox) cancel(it *item) {
	o.mu.Lock()
	o.endLocked(it)
	o.mu.Unlock()
	if it.rec == nil {
		o.settle(it.Key)
	}
}

func (o *outbox) endLocked(it *item) {
	o.mu.line.end(it)
	if o.mu.settled != nil {
		o.mu.settled[it.Key] = true
	}
}

// settle tells the store that a delivery has ended, or remembers to.
func (o *outbox) settle(k mesh.Key) {
	err := o.store.Settle(context.Background(), k)
	if err == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.mu.unsettled) >= maxUnsettled {
		o.mu.lost++
		return
	}
	o.mu.unsettled = append(o.mu.unsettled, k)
}

// settleRest tries again what the store did not take. The caller holds filling.
func (o *outbox) settleRest(ctx context.Context) {
	o.mu.Lock()
	keys := o.mu.unsettled
	o.mu.unsettled = nil
	o.mu.Unlock()
	for i, k := range keys {
		if err := o.store.Settle(ctx, k); err != nil {
			o.mu.Lock()
			o.mu.unsettled = append(o.mu.unsettled, keys[i:]...)
			o.mu.Unlock()
			return
		}
	}
}

// settleNow is settleRest for those who do not hold filling.
func (o *outbox) settleNow(ctx context.Context) {
	if o.laned {
		for _, l := range o.all() {
			l.settleNow(ctx)
		}
		return
	}
	o.filling.Lock()
	defer o.filling.Unlock()
	o.settleRest(ctx)
}

func (o *outbox) stats() OutboxStats {
	s := OutboxStats{Carrier: o.carrier}
	for _, l := range o.all() {
		l.mu.Lock()
		s.Queued += l.mu.line.waiting()
		s.Out += len(l.mu.out)
		s.More = s.More || l.mu.line.more
		s.Dropped += l.mu.line.dropped
		l.mu.Unlock()
	}
	return s
}

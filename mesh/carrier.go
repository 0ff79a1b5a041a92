package mesh

import (
	"context"
	"errors"
)

// A Carrier moves events over one medium.
type Carrier interface {
	// Name stands in configuration, logs and metrics; it never changes.
	Name() string
	// Limits is asked once, before Run.
	Limits() Limits
	// Run works until ctx ends or the medium fails, and leaves no goroutine
	// behind. After an error it is run again, after a pause.
	Run(ctx context.Context, p Port) error
}

// Limits are what a medium can bear.
type Limits struct {
	MaxEvent int  // bytes of an event's binary form; 0 means MaxEventSize
	Scarce   bool // orphans, machines' talk and history stay off this medium
}

// A Port is the hub as one carrier sees it; safe for concurrent use.
type Port interface {
	// Receive hands over an event that came in. It checks, remembers and fans
	// out, and returns nil when the event was new here and taken, or
	// ErrDuplicate, ErrExpired, ErrInvalid, ErrRefused, ErrUnknownAuthor or
	// ErrBusy (or an error that wraps one). With from.Durable it returns only
	// when the event is on disk.
	Receive(ctx context.Context, e *Event, from Origin) error
	// Next blocks until something is owed to this carrier and returns the most
	// urgent. It returns ctx's error when ctx ends.
	Next(ctx context.Context) (*Delivery, error)
}

// What Port.Receive answers. Errors that say more wrap these.
var (
	ErrDuplicate     = errors.New("already known")
	ErrExpired       = errors.New("expired")
	ErrRefused       = errors.New("refused")                // policy: banned, too fast, not allowed
	ErrUnknownAuthor = errors.New("author is not a member") // held for a while, in case the roster changes
	ErrBusy          = errors.New("no room now")            // try again later; nothing was remembered
)

// An Origin says how an event came in.
type Origin struct {
	Peer    string // who handed it over, in the carrier's own words; for logs and cut-offs
	Topic   Topic  // from the envelope; empty where the event enters the network here
	History bool   // sync brought it: it is owed to others as history, not as news
	Durable bool   // wait for the disk before answering
}

// A Delivery is one event owed to one target of one carrier. Whoever got it
// from Next ends it with exactly one call of Done or Release.
type Delivery struct {
	Event    *Event
	Topic    Topic
	Target   string // a relay's URL, a channel; empty where the medium is one
	Priority Priority
	Attempt  int    // 1 for the first; recorded on disk before Next returned
	Seq      uint64 // of the record (see Record); 0 for what no store keeps

	Ledger Ledger // where news of this delivery goes; set by whoever made it
}

// A Ledger takes down what becomes of deliveries. The hub is one.
type Ledger interface {
	Report(d *Delivery, state string)
	Release(d *Delivery)
	Done(d *Delivery, err error)
}

// Report adds a line to the event's delivery history, as often as there is
// news: "on 2 of 3 relays", "heard", "waiting: airtime, 4 min".
func (d *Delivery) Report(state string) { d.Ledger.Report(d, state) }

// Release gives the delivery back unfinished; Next will return it again.
func (d *Delivery) Release() { d.Ledger.Release(d) }

// Done ends the delivery. A nil error means that the medium took it; an error
// is kept as the reason in the delivery history, and the delivery is not tried
// again unless the error is ErrBusy.
func (d *Delivery) Done(err error) { d.Ledger.Done(d, err) }

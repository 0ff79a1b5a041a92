package mesh

import "context"

// Lanes is what the hub's port offers, beside Port, to a carrier whose route
// asks for it (hub.Route.Lanes): what is owed to each target waits apart, so
// that one that is down holds up no other. It is found by type assertion; Next
// of such a port returns nothing.
type Lanes interface {
	// Lane returns what is owed to a target; always the same for one target.
	Lane(target string) Lane
	// Targets lists the targets to which something is owed.
	Targets(ctx context.Context) ([]string, error)
}

// A Lane is what is owed to one target of a carrier. Safe for concurrent use.
type Lane interface {
	// Next blocks until something is owed in a topic that mine accepts, and
	// returns the most urgent of it, then the oldest. What mine declines stays
	// owed, without an attempt, and is not shown to it again before Wake. nil
	// accepts everything. It returns ctx's error when ctx ends.
	Next(ctx context.Context, mine func(Topic) bool) (*Delivery, error)
	// Wake has Next look again at what was declined.
	Wake()
	// Ahead lists what waits here, declined or not: at most n, in the order in
	// which it would go. What is out is not among it.
	Ahead(ctx context.Context, n int) []Owed
	// Settle ends a delivery that is not out: somebody else has carried it.
	// state goes into the event's history. It reports whether it was owed here.
	Settle(ctx context.Context, id EventID, state string) bool
}

package mesh

import "time"

// A Key names one delivery: an event for one target of one carrier.
type Key struct {
	ID      EventID
	Carrier string
	Target  string
}

// Owed is one delivery that has not ended.
type Owed struct {
	Key
	Priority Priority
	Seq      uint64 // of the record; set by the store
	Attempts int    // made so far; set by the store
}

// A Step is one line of an event's delivery history.
type Step struct {
	At      time.Time
	Carrier string // "" for the node itself
	Target  string
	State   string // "saved", "gossiped to 3", "on air", "heard", "waiting: airtime, 4 min"
}

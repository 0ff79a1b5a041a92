package hub

import (
	"fmt"
	"log/slog"
	"time"

	"drey/mesh"
)

// Config says what a hub works with. Store, Roster and Signer are needed.
type Config struct {
	Store  Store
	Roster Roster
	Signer mesh.Signer // in whose name the node itself speaks
	Routes []Route     // the carriers; their names must differ
	Log    *slog.Logger
	Clock  func() time.Time // nil means time.Now
	Built  time.Time        // no clock before this can be right; zero means unknown

	// Clocks tells what is known of the time besides this node's own clock; nil
	// means nothing is. It is asked for every event, so it must only look.
	Clocks func() Clocks

	// Pass tells who issued a guest's pass and how many events an hour it
	// grants; nil gives every guest guestRate.
	Pass func(guest mesh.PubKey, now time.Time) (issuer mesh.PubKey, perHour int, ok bool)

	// Outside tells whether a record came from the world, through whatever gateway:
	// its author's pass says so, or the gateway does. It is kept from scarce
	// carriers as what a public carrier brought here is, and does not leave by
	// public ones. It is asked for every event, so it must only look. nil: nothing.
	Outside func(*mesh.Record) bool

	// Blocked tells whether this node's operator refuses an author; nil blocks
	// nobody.
	Blocked func(author mesh.PubKey) bool

	// Original returns a function that tells whether a translation (see
	// mesh.ProxyOf) is of a text in which somebody said e, or nil where e is
	// never said; radio.Carrier.Original is one. A signed original takes the
	// place of its translations. nil where no carrier can tell.
	Original func(e *mesh.Event) func(translation *mesh.Event) bool
}

// A Roster knows who belongs, and learns it from events. *roster.Book is one.
type Roster interface {
	mesh.Roster
	// Apply takes in an event of mesh.KindRoster or mesh.KindPass whose
	// signature holds. Its errors wrap mesh.ErrInvalid, mesh.ErrRefused or
	// mesh.ErrUnknownAuthor.
	Apply(e *mesh.Event) (changed bool, err error)
}

// A Route says what goes to a carrier.
type Route struct {
	Carrier mesh.Carrier
	// Fast carriers get events before the disk has them, and attempts are not
	// recorded: gossip, where everything is brought again anyway. They spread
	// history by their own means, so they are owed news only.
	Fast bool
	// Public carriers reach people outside of the community. Orphans, protected
	// events (NIP-70) and events with a topic that may not leave stay off them,
	// as off every scarce carrier (see mesh.Limits), and so does what its sender
	// did not allow there (mesh.OffInternet).
	Public bool
	// World carriers bear what a public carrier brought. Scarce ones do not
	// otherwise: the world has nothing to say on the community's air.
	World bool
	// Lanes has what is owed to each target wait apart; see mesh.Lanes.
	Lanes bool
	// Targets lists to whom a record is owed over this carrier: the URLs of
	// relays, the numbers of channels; none keeps it off. nil means one target,
	// "", for everything.
	Targets func(*mesh.Record) []string
}

func (c *Config) check() error {
	if c.Store == nil || c.Roster == nil || c.Signer == nil {
		return fmt.Errorf("hub: store, roster and signer are all needed")
	}
	names := make(map[string]bool)
	for _, r := range c.Routes {
		name := r.Carrier.Name()
		if name == "" || names[name] {
			return fmt.Errorf("hub: carrier name %q is empty or given twice", name)
		}
		names[name] = true
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Clocks == nil {
		c.Clocks = func() Clocks { return Clocks{} }
	}
	if c.Pass == nil {
		c.Pass = func(mesh.PubKey, time.Time) (mesh.PubKey, int, bool) { return mesh.PubKey{}, guestRate, true }
	}
	if c.Outside == nil {
		c.Outside = func(*mesh.Record) bool { return false }
	}
	if c.Blocked == nil {
		c.Blocked = func(mesh.PubKey) bool { return false }
	}
	return nil
}

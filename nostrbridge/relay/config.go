package relay

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"time"

	"drey/mesh"
)

// A Node is what the relay needs of the machine it speaks for. Safe for
// concurrent use.
type Node interface {
	// Receive takes an event as mesh.Port does.
	Receive(ctx context.Context, e *mesh.Event, from mesh.Origin) error
	// Flush returns when everything that Receive has taken is on disk.
	Flush(ctx context.Context) error
	// Records is mesh.Archive's: it leaves out what v may not see.
	Records(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error]
	// Watch yields what came in after f.After, then what comes in, in order of
	// receipt, without gap or double, until ctx ends.
	Watch(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error]
	// Topics lists the topics that exist.
	Topics() []mesh.Topic
	// Standing tells what a key is to the community now.
	Standing(author mesh.PubKey) mesh.Standing
	// Changed returns a channel that is closed when standings change.
	Changed() <-chan struct{}
	// Welcome gives a key a guest's pass and returns when it counts.
	Welcome(ctx context.Context, guest mesh.PubKey) error
}

// Config says for whom and to whom a relay speaks. Node is needed.
type Config struct {
	Node        Node
	Name        string      // of the machine, for the information document
	Author      mesh.PubKey // the machine's own key, likewise
	Version     string      // of the program, likewise
	GuestTopics []mesh.Topic
	Ours        func(host string) bool // whether a host, without its port, is this machine; nil knows the one that a client used
	Welcome     bool                   // unknown keys get a guest's pass when they first write
	Open        bool                   // an open community: everybody belongs, and is held to a guest's pace
	Limits      Limits
	Log         *slog.Logger     // nil discards
	Clock       func() time.Time // nil means time.Now
}

// Limits bound what connections may use. A zero field means its default.
type Limits struct {
	Conns        int           // open at once; default 1000, below what the page's port takes
	ConnsEach    int           // of one address, loopback apart; default 200
	Subs         int           // of one connection; default 128: go-nostr fetches a reconciliation with one for 50 events, all at once
	Filters      int           // of one REQ or COUNT; default 16
	Weight       int           // of one connection's filters, in values of up to 32 bytes; default 8192
	WeightAll    int           // of all connections' filters; default 1 << 20
	Stored       int           // events that one filter brings of what is stored; default 500
	Message      int           // bytes of one message; default 256 KiB
	Queue        int           // live events that wait for one connection; default 512
	Counted      int           // where COUNT stops and says "approximate"; default 20000
	GuestBytes   int           // of a guest's event; default 8192
	MemberBurst  int           // events of members over one connection at once; default 2000
	MemberEvery  time.Duration // then one in so long; default 5 ms
	GuestBurst   int           // events of others over one connection at once; default 20
	GuestEvery   time.Duration // then one in so long; default 2 s
	Neg          int           // reconciliations at a time, of one connection and of one key; default 2
	NegEach      int           // reconciliations at a time of those of one address that have shown no key; default 8
	NegItems     int           // events of one reconciliation; default 50000
	NegItemsAll  int           // events of all reconciliations at a time, 40 bytes each; default 400000
	AskBurst     int           // REQ, COUNT and AUTH over one connection at once; default 200
	AskEvery     time.Duration // then one in so long; default 50 ms
	PassBurst    int           // new guests of one address at once; default 40
	PassEvery    time.Duration // then one in so long; default 2 min
	PassBurstAll int           // new guests of all addresses at once; default 100
	PassEveryAll time.Duration // then one in so long; default 2 min
}

func (l Limits) filled() Limits {
	for _, n := range []struct {
		v *int
		d int
	}{
		{&l.Conns, 1000}, {&l.ConnsEach, 200}, {&l.Subs, 128}, {&l.Filters, 16}, {&l.Weight, 8192}, {&l.WeightAll, 1 << 20},
		{&l.Stored, 500}, {&l.Message, 256 << 10}, {&l.Queue, 512}, {&l.Counted, 20000}, {&l.GuestBytes, 8192},
		{&l.Neg, 2}, {&l.NegEach, 8}, {&l.NegItems, 50000}, {&l.NegItemsAll, 400000}, {&l.MemberBurst, 2000}, {&l.GuestBurst, 20}, {&l.AskBurst, 200}, {&l.PassBurst, 40}, {&l.PassBurstAll, 100},
	} {
		if *n.v <= 0 {
			*n.v = n.d
		}
	}
	for _, n := range []struct {
		v *time.Duration
		d time.Duration
	}{
		{&l.MemberEvery, 5 * time.Millisecond}, {&l.GuestEvery, 2 * time.Second}, {&l.AskEvery, 50 * time.Millisecond},
		{&l.PassEvery, 2 * time.Minute}, {&l.PassEveryAll, 2 * time.Minute},
	} {
		if *n.v <= 0 {
			*n.v = n.d
		}
	}
	return l
}

func (c *Config) check() error {
	if c.Node == nil {
		return errors.New("relay: a node is needed")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	c.Limits = c.Limits.filled()
	return nil
}

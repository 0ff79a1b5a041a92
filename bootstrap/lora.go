package bootstrap

import (
	"context"

	"drey/mesh"
)

// A Channel carries the records of a community's nodes over a medium of its
// own, in its own time. The radio is one.
type Channel interface {
	// Announce has a record of this node, at most RecordBudget bytes, sent from
	// now on; a later one takes its place. It does not block.
	Announce(ctx context.Context, record []byte) error
	// Records returns what other nodes announced, as it comes in. Whoever sent
	// it has shown that it holds a secret of the community.
	Records() <-chan []byte
}

// A LoRa is the finder of nodes by a beacon on the air: one packet within a
// minute of the start, then at most one in half an hour, which the radio sees
// to. The radio seals it.
type LoRa struct {
	channel Channel
	own     *latest
}

// NewLoRa returns a finder over the radio.
func NewLoRa(c Channel) *LoRa { return &LoRa{channel: c, own: newLatest()} }

// Name returns FinderLoRa.
func (l *LoRa) Name() string { return FinderLoRa }

// Announce has this node's record sent in its time.
func (l *LoRa) Announce(a Announcement) { l.own.set(a.Record) }

// Run hands on what the radio hears until ctx ends.
func (l *LoRa) Run(ctx context.Context, found func(Candidate)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.own.changed():
			if r := l.own.get(); r != nil {
				if err := l.channel.Announce(ctx, r.AppendBinary(nil)); err != nil {
					l.own.touch() // to be sent by the next run
					return err
				}
			}
		case b := <-l.channel.Records():
			if len(b) > mesh.MaxPeerRecord {
				b = b[:mesh.MaxPeerRecord+1] // enough to be refused for its size
			}
			found(Candidate{Record: b, Proved: true})
		}
	}
}

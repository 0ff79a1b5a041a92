package radio

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"drey/mesh"
	"drey/radio/air"
)

// When a node's own record goes on the air.
const (
	announceFirst = 45 * time.Second // after the start, at most
	announceEvery = 30 * time.Minute // at least
	maxNotices    = 16               // records of others that nobody has read
)

// A notices is the door through which records of nodes go out and come in. It
// outlives a run of the carrier. Safe for concurrent use.
type notices struct {
	in chan []byte

	mu struct {
		sync.Mutex
		record  []byte // ours
		changed bool
		dropped uint64
	}
}

func newNotices() *notices { return &notices{in: make(chan []byte, maxNotices)} }

// Announce has a record of this node, 1 to 200 bytes, sent over the radio to
// the community: within a minute of the radio being ready, then every half an
// hour at most, inside the beacons' share of the airtime. It is sealed as
// control frames are: authentic to who has the community's secret. A later
// record takes its place. It returns at once.
func (c *Carrier) Announce(_ context.Context, record []byte) error {
	if len(record) == 0 || len(record) > air.MaxRecord {
		return fmt.Errorf("announce by radio: %d bytes, allowed are 1 to %d", len(record), air.MaxRecord)
	}
	c.notices.mu.Lock()
	defer c.notices.mu.Unlock()
	c.notices.mu.changed = !slices.Equal(c.notices.mu.record, record)
	c.notices.mu.record = slices.Clone(record)
	return nil
}

// Records returns what other nodes announced over the radio, as it comes in.
// What nobody reads is dropped, the oldest first.
func (c *Carrier) Records() <-chan []byte { return c.notices.in }

func (n *notices) own() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.record
}

func (n *notices) deliver(record []byte) {
	for {
		select {
		case n.in <- record:
			return
		default:
		}
		select {
		case <-n.in:
			n.mu.Lock()
			n.mu.dropped++
			n.mu.Unlock()
		default:
		}
	}
}

// announce sends our record when it is time and returns when it is next.
func (d *desk) announce(ctx context.Context, now time.Time) time.Time {
	record := d.notices.own()
	if record == nil {
		return time.Time{}
	}
	if d.announceAt.IsZero() {
		d.announceAt = d.later(now, announceFirst/9, announceFirst)
	}
	if now.Before(d.announceAt) {
		return d.announceAt
	}
	d.announceAt = d.later(now, announceEvery, announceEvery*11/10)
	d.say(ctx, mesh.Beacon, now, air.Record{Bytes: record}, nil, nil)
	return d.announceAt
}

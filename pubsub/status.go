package pubsub

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"drey/mesh"
)

// A Status tells how the carrier is doing, for status --json.
type Status struct {
	Peers     int               `json:"peers"`  // neighbours that gossip with this node, and have told their topics
	Topics    int               `json:"topics"` // that this node takes part in
	Mesh      map[string]int    `json:"mesh"`   // by topic: neighbours that send news unasked
	Published uint64            `json:"published"`
	Delivered uint64            `json:"delivered"` // new here by gossip
	Duplicate uint64            `json:"duplicate"` // copies of what was known
	Rejected  uint64            `json:"rejected"`  // invalid
	Ignored   uint64            `json:"ignored"`   // known, expired, refused or held back
	Dropped   map[string]uint64 `json:"dropped"`   // by queue: what did not fit
	CutOff    uint64            `json:"cut_off"`   // times a neighbour was blocked for sending invalid events
	SyncBusy  uint64            `json:"sync_busy"` // sessions put off, here or there
	SyncBad   uint64            `json:"sync_bad"`  // sessions that broke the protocol
	Sync      []SyncReport      `json:"sync"`      // the last session with each neighbour, latest first
}

// A Tally counts what one session did.
type Tally struct {
	Windows   int   `json:"windows"`  // compared
	Rounds    int   `json:"rounds"`   // questions answered
	Compared  int   `json:"-"`        // items, counted by the answerer
	Missing   int   `json:"missing"`  // ids found that this side lacked
	Extra     int   `json:"extra"`    // ids found that the other side lacked
	Received  int   `json:"received"` // events new here
	Duplicate int   `json:"duplicate"`
	Refused   int   `json:"refused"`
	Gone      int   `json:"gone"` // answered by a tombstone, or not at all
	Sent      int   `json:"sent"` // events given
	BytesIn   int64 `json:"bytes_in"`
	BytesOut  int64 `json:"bytes_out"`
	Deep      bool  `json:"deep"` // down to the retention floor
}

// A SyncReport is the outcome of one session with a neighbour.
type SyncReport struct {
	Tally
	Peer   string    `json:"peer"`
	Ended  time.Time `json:"ended"`
	TookMS int64     `json:"took_ms"`
	Why    string    `json:"why"`
	Error  string    `json:"error,omitempty"`
}

func (p *plan) report(id peer.ID, t Tally, err error, began time.Time) *SyncReport {
	s := &SyncReport{Tally: t, Peer: id.String(), Ended: p.run.c.clock(), TookMS: time.Since(began).Milliseconds(), Why: "was asked"}
	if n := p.mu.by[id]; n != nil && t.Compared == 0 {
		s.Why = n.why
	}
	if err != nil {
		s.Error = err.Error()
	}
	return s
}

// reports lists the last session with each neighbour, latest first.
func (p *plan) reports() []SyncReport {
	p.mu.Lock()
	defer p.mu.Unlock()
	reports := []SyncReport{}
	for _, n := range p.mu.by {
		if n.last != nil {
			reports = append(reports, *n.last)
		}
	}
	slices.SortFunc(reports, func(a, b SyncReport) int {
		return cmp.Or(b.Ended.Compare(a.Ended), cmp.Compare(a.Peer, b.Peer))
	})
	return reports
}

// counts are the carrier's counters since the process began.
type counts struct {
	published, delivered, duplicate, rejected, ignored atomic.Uint64
	outbound, validation, throttled, subscriptions     atomic.Uint64 // drops
	busy, broken                                       atomic.Uint64 // sync sessions
}

// Status tells how the carrier is doing. Before Run has a host, it is all zeros.
func (c *Carrier) Status() Status {
	s := Status{
		Mesh:      map[string]int{},
		Published: c.counts.published.Load(),
		Delivered: c.counts.delivered.Load(),
		Duplicate: c.counts.duplicate.Load(),
		Rejected:  c.counts.rejected.Load(),
		Ignored:   c.counts.ignored.Load(),
		Dropped: map[string]uint64{
			"outbound":      c.counts.outbound.Load(),
			"validation":    c.counts.validation.Load(),
			"throttled":     c.counts.throttled.Load(),
			"subscriptions": c.counts.subscriptions.Load(),
		},
		CutOff:   c.cut.count(),
		SyncBusy: c.counts.busy.Load(),
		SyncBad:  c.counts.broken.Load(),
		Sync:     []SyncReport{},
	}
	r := c.running()
	if r == nil {
		return s
	}
	s.Peers = len(r.gossip.ps.ListPeers(c.names.of(mesh.TopicRegistry)))
	s.Topics, s.Mesh = r.gossip.sizes()
	s.Sync = r.plan.reports()
	return s
}

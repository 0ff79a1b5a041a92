package main

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"drey/hub"
)

// clockProtocol tells a member what time it is here. Whoever opens a stream
// gets
//
//	time int64   Unix milliseconds by the answerer's clock, big endian
//
// and the stream ends. Only members get through to it.
const clockProtocol protocol.ID = "/drey/clock/1"

const (
	clockAgain   = 10 * time.Minute // between two looks at one clock
	clockWithin  = 5 * time.Second  // an answer that takes longer says little
	maxClocks    = 32               // neighbours whose clocks are remembered
	systemEvery  = time.Minute      // between two looks at the system's time service
	clockSet     = time.Second      // by which a clock is set, not wrong
	clockAskedIn = 4                // at once
)

// clocks measures how far the clocks of neighbours are from this machine's.
type clocks struct {
	host  func(context.Context) (host.Host, error) // immutable
	clock func() time.Time                         // immutable
	kept  func() bool                              // whether the system keeps the clock right; immutable
	log   *slog.Logger                             // immutable
	met   chan struct{}                            // holds one: a neighbour has connected

	mu struct {
		sync.Mutex
		synced bool
		ahead  map[peer.ID]measured
		agreed time.Duration // from this machine's clock to the agreed time, when neighbours were last there
		steady time.Duration // from the monotonic clock to this machine's, at the last look
	}
}

type measured struct {
	ahead time.Duration
	at    time.Time // by the monotonic clock
}

func newClocks(host func(context.Context) (host.Host, error), clock func() time.Time, kept func() bool, log *slog.Logger) *clocks {
	c := &clocks{host: host, clock: clock, kept: kept, log: log, met: make(chan struct{}, 1)}
	c.mu.ahead = map[peer.ID]measured{}
	c.mu.synced = kept()
	return c
}

// look returns what is known now; it only looks.
func (c *clocks) look() hub.Clocks {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := hub.Clocks{Synced: c.mu.synced}
	for _, m := range c.mu.ahead {
		known.Peers = append(known.Peers, m.ahead)
	}
	slices.Sort(known.Peers)
	return known
}

// agreed is the time that this machine and its neighbours have in common: its
// own where the system keeps it right, else the middle of all their clocks, as
// they were when neighbours were last there.
func (c *clocks) agreed() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.synced {
		return c.clock()
	}
	return c.clock().Add(c.mu.agreed)
}

// agree finds how far the agreed time is ahead of this machine's clock; what was
// agreed last stays where nobody is there.
func (c *clocks) agree() {
	all := append(c.look().Peers, 0)
	if len(all) == 1 {
		return
	}
	slices.Sort(all)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.agreed = (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// notice forgets what was measured by a clock that was set since, or that stood
// still while the machine slept.
func (c *clocks) notice(monotonic time.Duration) {
	steady := time.Duration(c.clock().UnixNano()) - monotonic
	c.mu.Lock()
	defer c.mu.Unlock()
	if by := (steady - c.mu.steady).Abs(); c.mu.steady != 0 && by > clockSet {
		clear(c.mu.ahead)
		c.mu.agreed = 0
	}
	c.mu.steady = steady
}

// run answers neighbours and asks them, until ctx ends.
func (c *clocks) run(ctx context.Context) error {
	h, err := c.host(ctx)
	if err != nil {
		<-ctx.Done() // the overlay itself says what ails it
		return nil
	}
	h.SetStreamHandler(clockProtocol, c.answer)
	defer h.RemoveStreamHandler(clockProtocol)
	meet := &network.NotifyBundle{ConnectedF: func(network.Network, network.Conn) {
		select {
		case c.met <- struct{}{}:
		default: // a look at everybody is due already
		}
	}}
	h.Network().Notify(meet)
	defer h.Network().StopNotify(meet)
	tick := time.NewTicker(systemEvery)
	defer tick.Stop()
	for began := time.Now(); ; {
		c.notice(time.Since(began))
		c.ask(ctx, h)
		c.agree()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-c.met:
		}
	}
}

func (c *clocks) answer(s network.Stream) {
	defer s.Close()
	s.SetDeadline(time.Now().Add(clockWithin))
	s.Write(binary.BigEndian.AppendUint64(nil, uint64(c.clock().UnixMilli())))
}

// ask measures the clocks that were not measured lately, and forgets those of
// machines that have gone.
func (c *clocks) ask(ctx context.Context, h host.Host) {
	synced := c.kept()
	peers := h.Network().Peers()
	c.mu.Lock()
	c.mu.synced = synced
	for id := range c.mu.ahead {
		if !slices.Contains(peers, id) {
			delete(c.mu.ahead, id)
		}
	}
	due := slices.DeleteFunc(slices.Clone(peers), func(id peer.ID) bool {
		return time.Since(c.mu.ahead[id].at) < clockAgain
	})
	room := maxClocks
	for _, m := range c.mu.ahead {
		if time.Since(m.at) < clockAgain {
			room--
		}
	}
	c.mu.Unlock()
	var asked sync.WaitGroup
	places := make(chan struct{}, clockAskedIn)
	for _, id := range due[:min(len(due), room)] {
		places <- struct{}{}
		asked.Go(func() {
			defer func() { <-places }()
			ahead, err := c.measure(ctx, h, id)
			if err != nil {
				c.log.Debug("clock not measured", "peer", id, "err", err)
				return
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.mu.ahead[id] = measured{ahead, time.Now()}
		})
	}
	asked.Wait()
}

// measure asks one neighbour. Its answer is taken for the middle of the time
// that the question took.
func (c *clocks) measure(ctx context.Context, h host.Host, id peer.ID) (time.Duration, error) {
	ctx, stop := context.WithTimeout(ctx, clockWithin)
	defer stop()
	s, err := h.NewStream(ctx, id, clockProtocol)
	if err != nil {
		return 0, err
	}
	defer s.Reset()
	s.SetDeadline(time.Now().Add(clockWithin))
	began := time.Now()
	var b [8]byte
	if _, err := io.ReadFull(s, b[:]); err != nil {
		return 0, err
	}
	theirs := time.UnixMilli(int64(binary.BigEndian.Uint64(b[:])))
	return theirs.Sub(c.clock().Add(-time.Since(began) / 2)), nil
}

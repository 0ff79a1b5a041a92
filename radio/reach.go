package radio

import (
	"time"

	"drey/radio/meshtastic"
)

// Hop limits of signed frames.
const (
	hopsNear   = 2
	hopsDense  = 3
	hopsSparse = 4
	hopsFar    = 5
	// manyNeighbours is from how many direct neighbours on a mesh counts as
	// dense, while little is known of what lies behind them.
	manyNeighbours = 14
	// fewKnown is how many radios must be known at a distance before the
	// distances count.
	fewKnown = 8
	// mostRadios is the part of the known radios that must lie two hops nearer
	// than a frame may go: a flood takes ways that are longer than the shortest,
	// and where it barely arrives it arrives seldom.
	mostRadios = 0.65
	// halfOfThem is the part of the known radios that must be direct neighbours
	// for two hops to reach the rest by many ways.
	halfOfThem = 0.60
	// knownFor is how long a radio counts that is not heard: they tell their
	// names every three hours.
	knownFor = 12 * time.Hour
	// neighbourFor is how long a neighbour that is not heard counts.
	neighbourFor = 2 * time.Hour
	// maxHops is the most that the firmware passes a packet on.
	maxHops = 7
)

// distances counts the radios heard within the last hours by how many others
// lie in between.
func (b *nodeBook) distances() (far [maxHops + 1]int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	oldest := b.clock().Add(-knownFor).Unix()
	for num, n := range b.mu.nodes {
		if num != b.mu.self && !n.ViaMQTT && n.LastHeard >= oldest && n.Hops >= 0 && n.Hops <= maxHops {
			far[n.Hops]++
		}
	}
	return far
}

// hopsFor returns the hop limit that reaches most of the radios at such
// distances, and whether enough are known.
func hopsFor(far [maxHops + 1]int) (hops uint32, ok bool) {
	all := 0
	for _, n := range far {
		all += n
	}
	if all < fewKnown {
		return 0, false
	}
	near := far[0]
	if float64(near) >= halfOfThem*float64(all) {
		return hopsNear, true
	}
	for hops = hopsDense; hops < hopsFar; hops++ {
		near += far[hops-2]
		if float64(near) >= mostRadios*float64(all) {
			return hops, true
		}
	}
	return hopsFar, true
}

// neighbour notes which radio ours heard directly: the sender's, or the one
// that passed the packet on, of whose number only the last byte is told.
func (o *owner) neighbour(now time.Time, p *meshtastic.Packet) {
	switch {
	case p.HopStart != 0 && p.HopStart == p.HopLimit:
		o.neighbours[byte(p.From)] = now
	case p.RelayNode != 0:
		o.neighbours[byte(p.RelayNode)] = now
	}
}

// reach is the hop limit of signed frames: as few as reach most radios.
func (o *owner) reach(now time.Time) uint32 {
	if n := o.c.cfg.HopLimit; n != 0 {
		return uint32(min(max(n, 0), maxHops))
	}
	if hops, ok := hopsFor(o.c.nodes.distances()); ok {
		return hops
	}
	n := 0
	for _, at := range o.neighbours {
		if !at.IsZero() && now.Sub(at) < neighbourFor {
			n++
		}
	}
	if n >= manyNeighbours {
		return hopsDense
	}
	return hopsSparse
}

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
	// halfOfThem is the part of the known radios that must be direct neighbours
	// for two hops to reach the rest by many ways.
	halfOfThem = 0.60
	// nearlyAll is the part of the known radios that must be at most two hops
	// away for a hop more to cost next to nothing: most hear others repeat a frame
	// then, and keep silent. The table below is of meshes that are less dense.
	nearlyAll = 0.85
	// knownFor is how long a radio counts that is not heard: they tell their
	// names every three hours.
	knownFor = 12 * time.Hour
	// neighbourFor is how long a neighbour that is not heard counts.
	neighbourFor = 2 * time.Hour
	// maxHops is the most that the firmware passes a packet on.
	maxHops = 7
	// transmission is what one transmission is worth, in radios: a frame may go
	// further as long as each time it is passed on brings it to so many more.
	transmission = 0.65
)

// A flood is what becomes of a frame, by how many other radios lie between its
// sender and another (0: a neighbour; 7: 7 and more): the chance that this one
// gets it, and how often it passes it on. A flood takes ways that are longer than
// the shortest, and where it barely arrives it arrives seldom; radios pass on less
// than they get, since they hear others do it.
type flood struct {
	arrives, repeats [maxHops + 1]float64
}

// floods holds, by hop limit, what fits best what was brought and spent by the
// floods of many gateways among sixty simulated radios with nine neighbours each
// (docs/BENCHMARKS.md). The means by distance, which TestLoraFloods of package sim
// measures, choose a little worse: where many are near, each passes on less.
var floods = [hopsFar + 1]flood{
	hopsNear:   {[...]float64{0.95, 0.92, 0.45, 7: 0}, [...]float64{0.36, 0.36, 0.04, 7: 0}},
	hopsDense:  {[...]float64{0.96, 0.99, 0.79, 0.35, 7: 0}, [...]float64{0.37, 0.56, 0.27, 0.04, 7: 0}},
	hopsSparse: {[...]float64{0.97, 0.98, 0.92, 0.74, 0.20, 0.05, 7: 0}, [...]float64{0.39, 0.61, 0.45, 0.25, 0.08, 7: 0}},
	hopsFar:    {[...]float64{0.97, 0.98, 0.95, 0.87, 0.65, 0.25, 7: 0}, [...]float64{0.41, 0.62, 0.52, 0.43, 0.40, 0.20, 7: 0}},
}

// worth is what a frame with a hop limit is worth among radios at such distances:
// how many get it, less what the transmissions are worth, in radios. For hop
// limits beyond hopsFar it is that of hopsFar.
func worth(far [maxHops + 1]int, hops uint32) float64 {
	f := &floods[min(hops, hopsFar)]
	w := -transmission
	for between, n := range far {
		w += float64(n) * (f.arrives[between] - transmission*f.repeats[between])
	}
	return w
}

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

// hopsFor returns the hop limit that is worth most among radios at such
// distances, and whether enough are known.
func hopsFor(far [maxHops + 1]int) (hops uint32, ok bool) {
	all := 0
	for _, n := range far {
		all += n
	}
	if all < fewKnown {
		return 0, false
	}
	if float64(far[0]) >= halfOfThem*float64(all) {
		return hopsNear, true
	}
	hops = hopsDense
	for h := uint32(hopsSparse); h <= hopsFar; h++ {
		if worth(far, h) > worth(far, hops) {
			hops = h
		}
	}
	if float64(far[0]+far[1]) >= nearlyAll*float64(all) {
		hops = max(hops, hopsSparse)
	}
	return hops, true
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

// reach is the hop limit of signed frames.
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

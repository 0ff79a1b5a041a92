package hub

import (
	"slices"
	"time"

	"drey/mesh"
)

// Clocks is what a node knows of the time besides its own clock.
type Clocks struct {
	Synced bool            // the operating system keeps the clock right, as by NTP
	Peers  []time.Duration // how far the clock of each roster peer is ahead of ours
}

const (
	// futureSlack is how far an event may be dated ahead of a clock before it
	// counts as dated in the future. Public relays allow as much.
	futureSlack = 15 * time.Minute
	// enoughPeers is how many roster peers make a time that can be trusted. One
	// stale clock has poisoned whole networks; three cannot be wrong by one.
	enoughPeers = 3
	// stampSlack is how far the own clock may be from the peers' median before it
	// gives way to it.
	stampSlack = time.Minute
)

// A reckoning is the time as far as a node knows it.
type reckoning struct {
	now     time.Time // the best guess
	trusted bool      // good enough to call a date wrong
	lost    bool      // the own clock is certainly wrong and there is no other
}

// reckon decides what time it is: by the own clock when it is kept right, else
// by the median of the peers, else by the own clock, but never before the
// program was built.
func reckon(now, built time.Time, c Clocks) reckoning {
	if c.Synced && !now.Before(built) {
		return reckoning{now: now, trusted: true}
	}
	if theirs, ok := peerTime(now, built, c); ok {
		return reckoning{now: theirs, trusted: true}
	}
	if now.Before(built) {
		return reckoning{now: built, lost: true}
	}
	return reckoning{now: now}
}

// stamp returns the date for an event that this node makes now.
func stamp(now, built time.Time, c Clocks) mesh.Unix {
	t := now
	if t.Before(built) {
		t = built
	}
	if theirs, ok := peerTime(now, built, c); ok && !c.Synced && t.Sub(theirs).Abs() > stampSlack {
		t = theirs
	}
	return mesh.UnixOf(t)
}

// peerTime is the time by the median of the peers; false when they are too few
// or cannot be right either.
func peerTime(now, built time.Time, c Clocks) (time.Time, bool) {
	m, ok := median(c.Peers)
	theirs := now.Add(m)
	return theirs, ok && !theirs.Before(built)
}

// median returns the middle of the peers' offsets; false when there are too few.
func median(offsets []time.Duration) (time.Duration, bool) {
	if len(offsets) < enoughPeers {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(offsets))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2, true
}

// future reports whether a date lies ahead of the time, beyond the slack.
func (r reckoning) future(at mesh.Unix) bool {
	return at.Time().After(r.now.Add(futureSlack))
}

// newestOnly reports whether of an author's events of this kind only the newest
// counts, so that one dated in the future would silence all that follow.
func newestOnly(k mesh.Kind) bool { return k.Replaceable() || k.Addressable() }

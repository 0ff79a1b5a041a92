package radio

import (
	"sync"
	"time"

	"drey/mesh"
)

// datesFor is how long the newest event's date counts when older ones follow: a
// machine's clock that is ahead leads the others astray no longer.
const datesFor = 2 * time.Hour

// A dater knows when events may be dated that are on the air now: by its own
// clock, where that may be right, and by the newest event heard on this channel
// and the time since. So a machine without a clock learns from the first whole
// frame what the short times of others mean. Safe for concurrent use.
type dater struct {
	clock func() time.Time // immutable

	mu struct {
		sync.Mutex
		newest mesh.Unix
		at     time.Time // when it was heard, steady; zero where none was
	}
}

// heard takes in the date of an event that was on the air at a moment.
func (d *dater) heard(date mesh.Unix, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.at.IsZero() || now.Sub(d.mu.at) >= datesFor || !date.Time().Before(d.expectedLocked(now)) {
		d.mu.newest, d.mu.at = date, now
	}
}

// expectedLocked is the date of an event that is written now, by the newest.
func (d *dater) expectedLocked(now time.Time) time.Time {
	return d.mu.newest.Time().Add(now.Sub(d.mu.at))
}

// sure reports whether the machine's clock may be right. Where it is not, no
// short times are written: others may know as little.
func (d *dater) sure() bool { return !d.clock().Before(firstClock) }

// near lists when events may be dated that are on the air at a moment, the
// likeliest first: for air.Codec.
func (d *dater) near(now time.Time) (list []mesh.Unix) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sure() {
		list = append(list, mesh.UnixOf(d.clock()))
	}
	if !d.mu.at.IsZero() {
		list = append(list, mesh.UnixOf(d.expectedLocked(now)))
	}
	return list
}

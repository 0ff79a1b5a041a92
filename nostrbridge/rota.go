package nostrbridge

import "time"

// Bounds of what goes to relays outside of the list, where readers look for
// their mail: strangers name them, and many may be dead.
const (
	maxTurns   = 12   // relays that are sent to at one time; the pool visits a few more
	firstTurns = 8    // of them, relays that have never answered
	maxTurners = 4096 // relays that are remembered; of others the store knows

	turnLasts = time.Minute      // then somebody else's turn comes
	turnWaits = 2 * time.Second  // for something that may go
	turnOffer = 15 * time.Second // for a relay's answer, the call included
	turnEvery = 20 * time.Second // where what is owed is a colleague's, or not due yet
	failLeast = 30 * time.Second // after a turn that failed, doubling
	failMost  = 30 * time.Minute
)

// A rota says whose turn it is among the relays outside of the list. A dead one
// has its turn seldom, and relays that have answered before need not wait for
// those that never did. It does no I/O; times are arguments.
type rota struct {
	by      map[string]*turn
	on      int    // turns that last
	first   int    // of them, relays that have never answered
	dropped uint64 // relays that there was no room for
}

// A turn is one relay's place in a rota.
type turn struct {
	sender *sender // what it learnt lasts for as long as something is owed
	due    time.Time
	owed   bool
	more   bool // something came to be owed while it was on
	on     bool
	fails  int  // turns in a row
	good   bool // it has answered
	fresh  bool // this turn counts among the first ones
}

func newRota() rota { return rota{by: make(map[string]*turn)} }

// expect takes down that something is owed to a relay from a time on. It
// reports whether that may change who is next.
func (r *rota) expect(url string, at time.Time) bool {
	t := r.by[url]
	if t == nil {
		if len(r.by) >= maxTurners && !r.makeRoom() {
			r.dropped++
			return false
		}
		t = &turn{}
		r.by[url] = t
	}
	switch {
	case t.on:
		t.more = true
		return false
	case t.owed && (t.fails > 0 || !at.Before(t.due)):
		return false
	case t.fails == 0 || at.After(t.due):
		t.due = at
	}
	t.owed = true
	return true
}

// makeRoom forgets a relay: one to which nothing is owed, else the one that has
// failed most. Whatever is owed to it the store keeps.
func (r *rota) makeRoom() bool {
	worst, found := "", false
	for url, t := range r.by {
		switch {
		case t.on:
		case !t.owed:
			delete(r.by, url)
			return true
		case t.fails > 0 && (!found || t.fails > r.by[worst].fails):
			worst, found = url, true
		}
	}
	delete(r.by, worst)
	return found
}

// take begins the turn of who is next, and reports false when nobody is; then
// wake is when somebody will be, zero where that takes news.
func (r *rota) take(now time.Time, busy func(url string) bool) (url string, ok bool, wake time.Time) {
	if r.on >= maxTurns {
		return "", false, wake
	}
	for u, t := range r.by {
		switch {
		case !t.owed || t.on || busy(u) || !t.good && r.first >= firstTurns:
		case t.due.After(now):
			if wake.IsZero() || t.due.Before(wake) {
				wake = t.due
			}
		case !ok || t.before(r.by[url]):
			url, ok = u, true
		}
	}
	if !ok {
		return "", false, wake
	}
	t := r.by[url]
	t.on, t.more, t.fresh = true, false, !t.good
	r.on++
	if t.fresh {
		r.first++
	}
	return url, true, time.Time{}
}

// before orders turns that are due: who has not failed, then who has waited
// longest.
func (t *turn) before(o *turn) bool {
	if (t.fails > 0) != (o.fails > 0) {
		return t.fails == 0
	}
	return t.due.Before(o.due)
}

// An outcome is what came of a turn.
type outcome struct {
	owed     bool // something is, still
	answered bool // the relay did
	failed   bool // it did not, or was not reached
	rest     time.Duration
}

// end ends a relay's turn.
func (r *rota) end(url string, o outcome, now time.Time) {
	t := r.by[url]
	t.on = false
	r.on--
	if t.fresh {
		r.first--
	}
	if o.answered {
		t.good, t.fails = true, 0
	}
	if o.failed {
		t.fails++
		o.rest = min(failLeast<<min(t.fails-1, 10), failMost)
	}
	t.due = now.Add(o.rest)
	if t.owed = o.owed || t.more; !t.owed {
		t.sender = nil
	}
}

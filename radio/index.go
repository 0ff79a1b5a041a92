package radio

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"drey/mesh"
	"drey/radio/air"
)

// Bounds of what short names are looked up in.
const (
	maxAuthors   = 8192
	maxTravelled = 4096
	maxRecalled  = 2000 // records of the archive that are read at the start
)

// An index knows what the short names in frames stand for. Safe for concurrent
// use.
//
// What it knows is of two sorts. Some of it any node on this channel knows too:
// members of the roster, authors and events that were on this channel. Only
// these are shortened when we send. The rest is what this node happens to
// hold, and helps to understand what others shortened.
type index struct {
	mu struct {
		sync.RWMutex
		members keyring
		aired   keyring // were on this channel
		known   keyring
		authors int // in aired and known

		events map[air.Prefix][]travelled
		order  []air.Prefix // oldest first, one for each in events
	}
}

// A keyring holds keys by their first byte.
type keyring [256][]mesh.PubKey

// A travelled is an event that may be named by a prefix.
type travelled struct {
	air.Reference
	aired bool
}

func newIndex() *index {
	x := &index{}
	x.mu.events = make(map[air.Prefix][]travelled)
	return x
}

// setMembers replaces the keys of the roster.
func (x *index) setMembers(keys []mesh.PubKey) {
	var members keyring
	for _, k := range keys {
		members[k[0]] = append(members[k[0]], k)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mu.members = members
}

// learn adds a key that was heard of.
func (x *index) learn(k mesh.PubKey) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.learnLocked(&x.mu.known, k)
}

func (x *index) learnLocked(ring *keyring, k mesh.PubKey) {
	alike := 0
	for _, o := range ring[k[0]] {
		if o == k {
			return
		}
		if air.HintOf(o) == air.HintOf(k) {
			alike++
		}
	}
	if alike >= air.MaxCandidates {
		return
	}
	if x.mu.authors >= maxAuthors {
		x.forgetLocked()
	}
	ring[k[0]] = append(ring[k[0]], k)
	x.mu.authors++
}

// forgetLocked makes room by dropping a key where most begin alike, the oldest
// there: it is asked for again where it is needed. So whoever invents keys that
// begin alike pushes out his own.
func (x *index) forgetLocked() {
	longest := &x.mu.known[0]
	for _, ring := range []*keyring{&x.mu.known, &x.mu.aired} {
		for i := range ring {
			if len(ring[i]) > len(*longest) {
				longest = &ring[i]
			}
		}
	}
	*longest = slices.Delete(*longest, 0, 1)
	x.mu.authors--
}

// add takes in an event and reports whether it is new; aired tells that it went
// over this channel.
func (x *index) add(e *mesh.Event, aired bool) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if aired {
		x.learnLocked(&x.mu.aired, e.Author())
	} else {
		x.learnLocked(&x.mu.known, e.Author())
	}
	p := air.PrefixOf(e.ID())
	for i, t := range x.mu.events[p] {
		if t.ID == e.ID() {
			x.mu.events[p][i].aired = t.aired || aired
			return false
		}
	}
	if len(x.mu.order) >= maxTravelled {
		oldest := x.mu.order[0]
		x.mu.order = x.mu.order[1:]
		if left := x.mu.events[oldest][1:]; len(left) > 0 {
			x.mu.events[oldest] = left
		} else {
			delete(x.mu.events, oldest)
		}
	}
	x.mu.events[p] = append(x.mu.events[p], travelled{air.Reference{ID: e.ID(), Author: e.Author()}, aired})
	x.mu.order = append(x.mu.order, p)
	return true
}

// recall fills the index with what the archive holds.
func (x *index) recall(ctx context.Context, a mesh.Archive) error {
	f := mesh.Filter{Order: mesh.ReceiptLatest, Limit: maxRecalled}
	for r, err := range a.Records(ctx, f, mesh.Self) {
		if err != nil {
			return err
		}
		x.add(r.Event, false)
	}
	return nil
}

// ours is what others know too: for sending.
type ours struct{ *index }

// Authors implements air.Directory. By its first byte only a member is named:
// anybody can make keys that begin so, and the roster comes first everywhere.
func (x ours) Authors(begin []byte) []mesh.PubKey {
	if len(begin) == 1 {
		return x.authors(begin, 1)
	}
	return x.authors(begin, 2)
}

// Travelled implements air.Directory.
func (x ours) Travelled(p air.Prefix) []air.Reference { return x.travelled(p, true) }

// anyone is all that is known here: for understanding others.
type anyone struct{ *index }

// Authors implements air.Directory.
func (x anyone) Authors(begin []byte) []mesh.PubKey { return x.authors(begin, 3) }

// Travelled implements air.Directory.
func (x anyone) Travelled(p air.Prefix) []air.Reference { return x.travelled(p, false) }

// authors lists keys that begin so, as many as are tried: members, those that
// were on this channel, others; of so many of these.
func (x *index) authors(begin []byte, sorts int) (list []mesh.PubKey) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, ring := range []*keyring{&x.mu.members, &x.mu.aired, &x.mu.known}[:sorts] {
		for _, k := range ring[begin[0]] {
			if len(list) == air.MaxCandidates {
				return list
			}
			if bytes.HasPrefix(k[:], begin) && !slices.Contains(list, k) {
				list = append(list, k)
			}
		}
	}
	return list
}

// travelled lists the events with a prefix. For sending the prefix must be
// unique in all that is known, and the event must have been on this channel.
func (x *index) travelled(p air.Prefix, sending bool) []air.Reference {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var list []air.Reference
	for _, t := range x.mu.events[p] {
		if sending && !t.aired {
			return nil
		}
		list = append(list, t.Reference)
	}
	return list
}

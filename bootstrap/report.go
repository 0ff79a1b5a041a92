package bootstrap

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"drey/mesh"
)

// A Status says how far this node reaches and what its finders do.
type Status struct {
	Mode    Mode
	Finders []FinderStatus // those switched on, sorted by name
	Known   int            // peers that may be called, linked ones included
}

// A FinderStatus says how one finder fares.
type FinderStatus struct {
	Name  string
	State State
	Err   string             // why it rests
	Found uint64             // candidates since the start, the same one again included
	Last  time.Time          // when the last was found; zero when none was
	Peers int                // peers known through it
	Links int                // links that are up and were called for it
	Count map[Refusal]uint64 // candidates refused, by reason
}

// A State says what a finder does.
type State string

// The states of a finder.
const (
	StateLooking State = "looking" // runs, and has found nobody that is linked
	StateLinked  State = "linked"  // at least one link is up through it
	StateResting State = "resting" // failed, and is run again after a pause
)

// Status tells how the finders fare now.
func (m *Manager) Status() Status {
	links := m.c.Dialer.Links()
	byFinder := map[string]int{}
	for _, l := range links {
		if l.Up {
			byFinder[l.Finder]++
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	st := Status{Mode: modeOf(links), Known: len(m.mu.contacts.all)}
	peers := map[string]int{}
	for _, c := range m.mu.contacts.all {
		for _, finder := range c.finders {
			peers[finder]++
		}
	}
	one := func(name string) FinderStatus {
		f := FinderStatus{Name: name, State: StateLooking, Peers: peers[name], Links: byFinder[name], Count: maps.Clone(m.mu.refused[name])}
		if f.Links > 0 {
			f.State = StateLinked
		}
		return f
	}
	for _, r := range m.run {
		f := one(r.finder.Name())
		var flooded uint64
		if f.Found, flooded, f.Last = r.intake.counts(); flooded > 0 {
			if f.Count == nil {
				f.Count = map[Refusal]uint64{}
			}
			f.Count[RefusedFlood] += flooded
		}
		if p, ok := r.finder.(Picky); ok {
			f.Count = sum(f.Count, p.Refused())
		}
		if err := r.fault(); err != nil {
			f.State, f.Err = StateResting, err.Error()
		}
		st.Finders = append(st.Finders, f)
	}
	for _, name := range m.c.Elsewhere {
		f := one(name)
		for _, l := range links {
			if l.Finder == name {
				f.Found++
			}
		}
		st.Finders = append(st.Finders, f)
	}
	slices.SortFunc(st.Finders, func(a, b FinderStatus) int { return strings.Compare(a.Name, b.Name) })
	return st
}

// Refused returns how often candidates were refused, by reason.
func (m *Manager) Refused() map[Refusal]uint64 {
	all := map[Refusal]uint64{}
	for _, f := range m.Status().Finders {
		for why, n := range f.Count {
			all[why] += n
		}
	}
	return all
}

// Own returns what this node says of itself, as finders announce it; zero
// before Run has begun.
func (m *Manager) Own() Announcement {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.own
}

// Records returns the newest record known of each member, this node's first,
// the others sorted by key: what a file for a stick holds. In an open community
// it is everybody's who was met.
func (m *Manager) Records() []*mesh.PeerRecord {
	open := m.c.Roster.Community().Open
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []*mesh.PeerRecord
	for _, c := range m.mu.contacts.all {
		if c.record != nil && (open || m.c.Roster.Admits(c.node)) {
			all = append(all, c.record)
		}
	}
	slices.SortFunc(all, func(a, b *mesh.PeerRecord) int { return bytes.Compare(a.Node[:], b.Node[:]) })
	if m.mu.own.Record != nil {
		all = slices.Insert(all, 0, m.mu.own.Record)
	}
	return all
}

// Import looks at records that the operator brought, at once and whatever the
// pace of the finders. It returns how many are of somebody to call, and why
// the others are not.
func (m *Manager) Import(records [][]byte) (taken int, refused map[Refusal]int) {
	refused = map[Refusal]int{}
	now := m.c.Clock()
	m.mu.Lock()
	for _, b := range records {
		v, why := m.guard.look(Candidate{Record: b}, now)
		if why == "" && m.mu.contacts.meet(FinderFile, v, netip.Addr{}, m.c.Zones(), now) == nil {
			why = RefusedFlood
		}
		if why != "" {
			refused[why]++
			m.refuseLocked(FinderFile, why, 1)
			continue
		}
		taken++
	}
	m.mu.Unlock()
	select {
	case m.news <- struct{}{}:
	default:
	}
	return taken, refused
}

// Forget makes an address be called no more, until a finder names it again,
// and reports whether it was known.
func (m *Manager) Forget(ctx context.Context, uri string) (known bool, err error) {
	uri = bareURI(uri)
	var changed []*contact
	m.mu.Lock()
	for id, c := range m.mu.contacts.all {
		i := slices.IndexFunc(c.places, func(p place) bool { return p.URI == uri })
		if i < 0 {
			continue
		}
		c.places = slices.Delete(slices.Clone(c.places), i, i+1)
		changed = append(changed, c)
		if len(c.places) == 0 && c.record == nil && !c.calling {
			delete(m.mu.contacts.all, id)
		}
	}
	m.mu.Unlock()
	for _, c := range changed {
		if len(c.places) == 0 {
			err = errors.Join(err, m.diary.forget(ctx, c.id))
		} else if c.won {
			m.remember(ctx, c)
		}
	}
	return len(changed) > 0, err
}

package roster

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"drey/mesh"
)

// Limits of guest passes.
const (
	// MaxPass is the longest time between a pass's own date and its end.
	MaxPass = 366 * 24 * time.Hour
	// MaxPassRate is the most events an hour that a pass can grant.
	MaxPassRate = 3600

	maxPasses = 512 // of one issuer; the soonest to end are dropped
)

// fromWorld marks the pass of somebody out in the world.
const fromWorld = "world"

// A Pass lets a guest post for a while.
type Pass struct {
	ID     mesh.EventID
	Issuer mesh.PubKey
	Guest  mesh.PubKey
	Until  time.Time
	Rate   int  // events an hour, 1 to MaxPassRate
	World  bool // for somebody out in the world whom a gateway lets in
}

// pass is an event of kind 3740, checked in form.
type pass struct {
	id     mesh.EventID
	issuer mesh.PubKey
	revoke bool
	ends   mesh.EventID // the pass that a revoke ends
	guest  mesh.PubKey
	until  mesh.Unix
	rate   int
	world  bool
}

func parsePass(c mesh.Community, e *mesh.Event) (*pass, error) {
	p, err := parsePassForm(c, e)
	if err != nil {
		return nil, fmt.Errorf("%w: pass: %w", mesh.ErrInvalid, err)
	}
	return p, nil
}

func parsePassForm(c mesh.Community, e *mesh.Event) (*pass, error) {
	t, err := singleTags(e, "op", "c", "e", "p", "until", "rate", "from")
	if err != nil {
		return nil, err
	}
	if t["c"] != c.Tag() {
		return nil, fmt.Errorf("it is of community %.16q, this is %s", t["c"], c.Tag())
	}
	p := &pass{id: e.ID(), issuer: e.Author()}
	switch t["op"] {
	case "revoke":
		p.revoke = true
		p.ends, err = mesh.ParseEventID(t["e"])
		return p, err
	case "pass":
	default:
		return nil, fmt.Errorf("unknown op %.20q", t["op"])
	}
	if p.guest, err = mesh.ParsePubKey(t["p"]); err != nil {
		return nil, err
	}
	until, err := parseNumber(t["until"], 1<<32-1)
	if err != nil {
		return nil, err
	}
	rate, err := parseNumber(t["rate"], MaxPassRate)
	if err != nil {
		return nil, err
	}
	if rate == 0 {
		return nil, fmt.Errorf("rate is 0")
	}
	p.world = t["from"] == fromWorld
	p.until, p.rate = mesh.Unix(until), int(rate)
	if left := p.until.Time().Sub(e.CreatedAt().Time()); left <= 0 || left > MaxPass {
		return nil, fmt.Errorf("it lasts %v, allowed is up to %v", left, MaxPass)
	}
	return p, nil
}

// passes holds the newest passes and revokes of each issuer. What it keeps
// depends on the set of what came, not on the order.
type passes struct {
	byIssuer map[mesh.PubKey][]*pass // the last to end first
	revokes  map[mesh.PubKey][]*pass // by author, the lowest id first
	byGuest  map[mesh.PubKey][]*pass
	ended    map[mesh.EventID][]mesh.PubKey // by pass: who revoked it
}

func newPasses() *passes {
	return &passes{
		byIssuer: make(map[mesh.PubKey][]*pass),
		revokes:  make(map[mesh.PubKey][]*pass),
		byGuest:  make(map[mesh.PubKey][]*pass),
		ended:    make(map[mesh.EventID][]mesh.PubKey),
	}
}

func (s *passes) len() int {
	n := 0
	for _, list := range s.byIssuer {
		n += len(list)
	}
	return n
}

// add reports whether p was new and is kept.
func (s *passes) add(p *pass) bool {
	if p.revoke {
		kept, out, ok := insert(s.revokes[p.issuer], p)
		s.revokes[p.issuer] = kept
		if ok {
			s.ended[p.ends] = append(s.ended[p.ends], p.issuer)
		}
		if out != nil {
			s.ended[out.ends] = drop(s.ended[out.ends], out.issuer)
			if len(s.ended[out.ends]) == 0 {
				delete(s.ended, out.ends)
			}
		}
		return ok
	}
	kept, out, ok := insert(s.byIssuer[p.issuer], p)
	s.byIssuer[p.issuer] = kept
	if ok {
		s.byGuest[p.guest] = append(s.byGuest[p.guest], p)
	}
	if out != nil {
		s.byGuest[out.guest] = drop(s.byGuest[out.guest], out)
		if len(s.byGuest[out.guest]) == 0 {
			delete(s.byGuest, out.guest)
		}
	}
	return ok
}

// insert puts p in its place and returns what fell out at the end, and whether
// p is new and stayed.
func insert(list []*pass, p *pass) (kept []*pass, out *pass, ok bool) {
	i, known := slices.BinarySearchFunc(list, p, func(a, b *pass) int {
		return cmp.Or(cmp.Compare(b.until, a.until), bytes.Compare(a.id[:], b.id[:]))
	})
	if known || i >= maxPasses {
		return list, nil, false
	}
	list = slices.Insert(list, i, p)
	if len(list) > maxPasses {
		out = list[maxPasses]
		list = list[:maxPasses]
	}
	return list, out, true
}

// drop removes the first x from the list.
func drop[T comparable](list []T, x T) []T {
	if i := slices.Index(list, x); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}

// Pass returns the pass with which a guest may post at a time: the fastest of
// those that count. One from a door of the community goes over one for the
// world.
func (b *Book) Pass(guest mesh.PubKey, now time.Time) (Pass, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.passLocked(guest, now)
}

func (b *Book) passLocked(guest mesh.PubKey, now time.Time) (best Pass, ok bool) {
	for _, p := range b.mu.passes.byGuest[guest] {
		if p.until.Time().After(now) && (!ok || best.World && !p.world || best.World == p.world && p.rate > best.Rate) &&
			b.standingLocked(p.issuer) >= mesh.Machine && !b.revokedLocked(p) {
			best, ok = Pass{p.id, p.issuer, p.guest, p.until.Time(), p.rate, p.world}, true
		}
	}
	return best, ok
}

func (b *Book) revokedLocked(p *pass) bool {
	return slices.ContainsFunc(b.mu.passes.ended[p.id], func(by mesh.PubKey) bool {
		return by == p.issuer || b.standingLocked(by) >= mesh.Admin
	})
}

// Passes lists the passes that count at a time, the last to end first.
func (b *Book) Passes(now time.Time) []Pass {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var list []Pass
	for issuer, of := range b.mu.passes.byIssuer {
		if b.standingLocked(issuer) < mesh.Machine {
			continue
		}
		for _, p := range of {
			if p.until.Time().After(now) && !b.revokedLocked(p) {
				list = append(list, Pass{p.id, p.issuer, p.guest, p.until.Time(), p.rate, p.world})
			}
		}
	}
	slices.SortFunc(list, func(x, y Pass) int {
		return cmp.Or(y.Until.Compare(x.Until), bytes.Compare(x.ID[:], y.ID[:]))
	})
	return list
}

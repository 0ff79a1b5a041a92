package roster

import (
	"bytes"
	"math"

	"drey/mesh"
)

// A reference is the rule of the package comment written down as directly as
// possible, from scratch and without any index: slow, and easy to believe.
type reference struct {
	founder mesh.PubKey
	ops     map[mesh.EventID]*op
	past    map[mesh.EventID]map[mesh.EventID]bool
	depth   map[mesh.EventID]int
	counted map[mesh.EventID]bool // revocations
	valid   map[mesh.EventID]bool // everything
}

func newReference(founder mesh.PubKey, ops []*op) *reference {
	r := &reference{
		founder: founder,
		ops:     make(map[mesh.EventID]*op),
		past:    make(map[mesh.EventID]map[mesh.EventID]bool),
		depth:   make(map[mesh.EventID]int),
		counted: make(map[mesh.EventID]bool),
		valid:   make(map[mesh.EventID]bool),
	}
	for again := true; again; {
		again = false
		for _, o := range ops {
			if r.ops[o.id()] == nil && r.place(o) {
				again = true
			}
		}
	}
	for {
		next := r.nextRevocation()
		if next == nil {
			break
		}
		r.counted[next.id()] = r.may(next)
	}
	for id, o := range r.ops {
		if o.verb.revokes() {
			r.valid[id] = r.counted[id]
			continue
		}
		r.valid[id] = r.may(o)
	}
	return r
}

// place takes o in when its past is whole and its signer was once promoted.
func (r *reference) place(o *op) bool {
	past := make(map[mesh.EventID]bool)
	for _, h := range o.heads {
		if r.ops[h] == nil {
			return false
		}
		past[h] = true
		for id := range r.past[h] {
			past[id] = true
		}
	}
	depth := math.MaxInt
	if o.signer() == r.founder {
		depth = 0
	}
	for id := range past {
		if p := r.ops[id]; p.verb == verbPromote && p.author == o.signer() {
			depth = min(depth, r.depth[id]+1)
		}
	}
	if depth == math.MaxInt {
		return false
	}
	if o.verb == verbRotate {
		want, known := uint32(1), uint32(0)
		for id := range past {
			if p := r.ops[id]; p.verb == verbRotate {
				want = max(want, p.epoch)
				if p.secret == o.secret && (known == 0 || p.epoch < known) {
					known = p.epoch
				}
			}
		}
		if known == 0 {
			known = want + 1
		}
		if o.epoch != known {
			return false
		}
	}
	r.ops[o.id()], r.past[o.id()], r.depth[o.id()] = o, past, depth
	return true
}

// nextRevocation returns the one to judge next, nil at the end.
func (r *reference) nextRevocation() *op {
	var best *op
	for id, o := range r.ops {
		if _, judged := r.counted[id]; judged || !o.verb.revokes() {
			continue
		}
		ready := true
		for p := range r.past[id] {
			if _, judged := r.counted[p]; r.ops[p].verb.revokes() && !judged {
				ready = false
			}
		}
		if !ready {
			continue
		}
		if best == nil || r.depth[id] < r.depth[best.id()] {
			best = o
			continue
		}
		a, b := id, best.id()
		if r.depth[id] == r.depth[best.id()] && bytes.Compare(a[:], b[:]) < 0 {
			best = o
		}
	}
	return best
}

// falls reports whether revocation o falls on an author.
func (r *reference) falls(o *op, who mesh.PubKey) bool {
	if who == r.founder {
		return false
	}
	if o.author == who {
		return true
	}
	if o.verb == verbDemote || o.node == (mesh.NodeKey{}) {
		return false
	}
	return r.bound(o.node, who)
}

// fallsOn reports whether revocation o falls on a machine.
func (r *reference) fallsOn(o *op, node mesh.NodeKey) bool {
	if o.verb == verbDemote || r.bound(node, r.founder) {
		return false
	}
	return o.node == node || r.bound(node, o.author)
}

func (r *reference) bound(node mesh.NodeKey, author mesh.PubKey) bool {
	for _, o := range r.ops {
		if o.record != nil && o.node == node && o.author == author {
			return true
		}
	}
	return false
}

// may reports whether o's signer had the right, under what is counted so far.
func (r *reference) may(o *op) bool {
	who := o.signer()
	if who == r.founder {
		return true
	}
	for id, counts := range r.counted {
		if counts && id != o.id() && !r.past[o.id()][id] && !r.past[id][o.id()] && r.falls(r.ops[id], who) {
			return false
		}
	}
grants:
	for g := range r.past[o.id()] {
		grant := r.ops[g]
		if grant.verb != verbPromote || grant.author != who || !r.may(grant) {
			continue
		}
		for id, counts := range r.counted {
			if counts && r.falls(r.ops[id], who) && r.past[o.id()][id] && !r.past[g][id] {
				continue grants
			}
		}
		return true
	}
	return false
}

// standing is what the reference thinks of an author.
func (r *reference) standing(who mesh.PubKey) mesh.Standing {
	if who == r.founder {
		return mesh.Founder
	}
	s := mesh.Stranger
	for id, o := range r.ops {
		if !r.valid[id] || o.author != who {
			continue
		}
		switch {
		case o.verb == verbPromote && !r.ended(o, true):
			s = max(s, mesh.Admin)
		case o.verb == verbAdmit && !r.ended(o, false) && o.record != nil:
			s = max(s, mesh.Machine)
		case o.verb == verbAdmit && !r.ended(o, false):
			s = max(s, mesh.Person)
		}
	}
	if s != mesh.Stranger {
		return s
	}
bans:
	for id, counts := range r.counted {
		if !counts || r.ops[id].verb != verbBan || !r.falls(r.ops[id], who) {
			continue
		}
		for a, o := range r.ops {
			if o.author == who && (o.verb == verbAdmit || o.verb == verbFound) && r.valid[a] && r.past[a][id] {
				continue bans
			}
		}
		return mesh.Banned
	}
	return mesh.Stranger
}

// ended reports whether a grant has been taken back since.
func (r *reference) ended(grant *op, demotable bool) bool {
	for id, counts := range r.counted {
		o := r.ops[id]
		if !counts || r.past[grant.id()][id] || o.verb == verbDemote && !demotable {
			continue
		}
		if r.falls(o, grant.author) || grant.record != nil && r.fallsOn(o, grant.node) {
			return true
		}
	}
	return false
}

func (r *reference) admits(node mesh.NodeKey) bool {
	for id, o := range r.ops {
		if r.valid[id] && o.record != nil && o.node == node && !r.ended(o, false) {
			return true
		}
	}
	return false
}

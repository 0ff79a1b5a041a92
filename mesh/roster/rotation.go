package roster

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"drey/mesh"
)

// MaxOverlap is the longest time for which a rotated secret may still be
// listened for.
const MaxOverlap = 30 * 24 * time.Hour

// A Rotation is a new secret, announced to every machine that then belonged.
type Rotation struct {
	Epoch   uint32
	Secret  mesh.SecretID
	Overlap time.Duration // for how long the secret before it is still listened for
	By      mesh.PubKey
	At      mesh.Unix // by the announcer's clock
	Leaks   int       // machines that may know it and belong no more

	parts []*vertex
}

// Open returns the new secret where the rotation names this machine.
func (r *Rotation) Open(id *mesh.Identity) (mesh.Secret, bool) {
	for _, v := range r.parts {
		if s, ok := v.wrapped.open(id, r.Secret, r.Epoch); ok {
			return s, true
		}
	}
	return mesh.Secret{}, false
}

// Names reports whether the rotation is sealed for a machine.
func (r *Rotation) Names(node mesh.NodeKey) bool {
	return slices.ContainsFunc(r.parts, func(v *vertex) bool { return v.wrapped.names(node) })
}

// DraftRotation announces a secret to machines, with as many events as that
// takes; all name the same heads. The secret that the roster announced last
// may be announced again to machines that it left out: it keeps its epoch.
// The overlap counts in whole hours.
func (b *Book) DraftRotation(s mesh.Secret, to []mesh.NodeKey, overlap time.Duration, at mesh.Unix) ([]mesh.Draft, error) {
	if len(to) == 0 {
		return nil, fmt.Errorf("a rotation for nobody")
	}
	if overlap < 0 || overlap > MaxOverlap {
		return nil, fmt.Errorf("an overlap of %v, allowed is up to %v", overlap, MaxOverlap)
	}
	epoch := b.nextEpoch(s.ID())
	blank := b.draft(verbRotate, at, "",
		[]string{"epoch", strconv.FormatUint(uint64(epoch), 10)},
		[]string{"secret", s.ID().String()},
		[]string{"overlap", strconv.Itoa(int(overlap / time.Hour))})
	per := min(maxSlots, max(fewSlots, (len(to)+someParts-1)/someParts))
	var parts []mesh.Draft
	for some := range slices.Chunk(to, per) {
		d := blank
		content, err := wrap(s, epoch, some)
		if err != nil {
			return nil, err
		}
		d.Content = content
		parts = append(parts, d)
	}
	return parts, nil
}

// nextEpoch returns the number under which a draft announces a secret now.
func (b *Book) nextEpoch(s mesh.SecretID) uint32 {
	heads := b.Heads()
	b.mu.RLock()
	defer b.mu.RUnlock()
	var past bits
	for _, h := range heads[:min(len(heads), maxHeads)] {
		past.addAll(b.mu.graph.closure(b.mu.graph.byID[h]))
	}
	epoch, _ := b.mu.graph.epochAfter(past, s)
	return epoch
}

// epochAfter returns the number of a rotation with this past: that of the same
// secret in it (the lowest, where two islands gave it two), or one more than
// the highest, and then it is the secret's first announcement there. The
// secret of the founding has number 1.
func (g *graph) epochAfter(past bits, s mesh.SecretID) (epoch uint32, first bool) {
	highest, same := uint32(1), uint32(math.MaxUint32)
	first = true
	for _, r := range g.rotates {
		if !past.has(r.index) {
			continue
		}
		if r.secret == s {
			same, first = min(same, r.epoch), false
		}
		highest = max(highest, r.epoch)
	}
	if first {
		return highest + 1, true
	}
	return same, false
}

// Rotations lists the announced secrets that count, the one in force first.
// A rotation gives way to those that saw it. Of several that did not see each
// other that one is in force which the fewest may know who belong no more,
// then the one with the highest epoch, the author nearest to the founder, and
// the lowest name.
func (b *Book) Rotations() []Rotation {
	b.mu.RLock()
	defer b.mu.RUnlock()
	g := b.mu.graph
	groups := make(map[mesh.SecretID][]*vertex)
	for _, v := range g.rotates {
		if v.counts {
			groups[v.secret] = append(groups[v.secret], v)
		}
	}
	type ranked struct {
		Rotation
		rounds int // by how many others it has been replaced
		depth  int
	}
	leavers := b.leaversLocked()
	var of []ranked
	for name, parts := range groups {
		first := slices.MinFunc(parts, func(x, y *vertex) int {
			i, j := x.id(), y.id()
			return cmp.Or(cmp.Compare(x.epoch, y.epoch), cmp.Compare(x.depth, y.depth), bytes.Compare(i[:], j[:]))
		})
		r := ranked{Rotation: Rotation{
			Epoch: first.epoch, Secret: name, Overlap: first.overlap,
			By: first.signer(), At: first.event.CreatedAt(), parts: parts,
		}, depth: first.depth}
		for other, theirs := range groups {
			if other != name && replaces(theirs, parts) {
				r.rounds++
			}
		}
		for _, l := range leavers {
			if b.leaksLocked(l, parts) {
				r.Leaks++
			}
		}
		of = append(of, r)
	}
	slices.SortFunc(of, func(x, y ranked) int {
		return cmp.Or(
			cmp.Compare(x.rounds, y.rounds),
			cmp.Compare(x.Leaks, y.Leaks),
			cmp.Compare(y.Epoch, x.Epoch),
			cmp.Compare(x.depth, y.depth),
			bytes.Compare(x.Secret[:], y.Secret[:]),
		)
	})
	list := make([]Rotation, len(of))
	for i, r := range of {
		list[i] = r.Rotation
	}
	return list
}

// replaces reports whether rotation x saw rotation y. Only a secret's first
// announcements tell: later ones bring it to machines that were left out.
func replaces(x, y []*vertex) bool {
	for _, v := range x {
		for _, w := range y {
			if v.first && w.first && v.past.has(w.index) {
				return true
			}
		}
	}
	return false
}

// A leaver is a machine that belonged, or was to, and does not.
type leaver struct {
	node  mesh.NodeKey
	ended []*vertex // what ended it and counts
	pasts []bits    // what is behind its admissions
}

func (b *Book) leaversLocked() []leaver {
	var list []leaver
	g, d := b.mu.graph, b.mu.verdict
	if len(g.rotates) == 0 {
		return nil
	}
	for node, admissions := range g.machines {
		if b.admitsLocked(node) {
			continue
		}
		l := leaver{node: node, ended: slices.Clone(d.byNode[node])}
		for _, a := range admissions {
			l.ended = append(l.ended, d.byKey[a.author]...)
			l.pasts = append(l.pasts, g.pastOf(a))
		}
		l.ended = slices.DeleteFunc(l.ended, func(r *vertex) bool { return r.verb == verbDemote })
		list = append(list, l)
	}
	return list
}

// leaksLocked reports whether a machine that belongs no more may know a
// secret: it is named by a slot, or was welcomed after the announcement, and
// the announcement had not seen its end.
func (b *Book) leaksLocked(l leaver, parts []*vertex) bool {
	for _, v := range parts {
		if slices.ContainsFunc(l.ended, v.saw) {
			continue
		}
		if v.wrapped.names(l.node) || slices.ContainsFunc(l.pasts, func(past bits) bool { return past.has(v.index) }) {
			return true
		}
	}
	return false
}

// RotationDue counts the machines that may know the secret in force and belong
// no more.
func (b *Book) RotationDue() int {
	if list := b.Rotations(); len(list) > 0 {
		return list[0].Leaks
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	n := 0
	for node := range b.mu.graph.machines {
		if !b.admitsLocked(node) {
			n++
		}
	}
	return n
}

// parseRotation reads what a rotation has beyond its heads.
func (o *op) parseRotation(t map[string]string) error {
	n, err := parseNumber(t["epoch"], 1<<32-1)
	if err != nil {
		return err
	}
	if n < 2 {
		return fmt.Errorf("epoch %d, the first rotation makes 2", n)
	}
	o.epoch = uint32(n)
	if o.secret, err = mesh.ParseSecretID(t["secret"]); err != nil {
		return err
	}
	hours, err := parseNumber(t["overlap"], uint64(MaxOverlap/time.Hour))
	if err != nil {
		return err
	}
	o.overlap = time.Duration(hours) * time.Hour
	o.wrapped, err = parseWrapped(o.event.Content())
	return err
}

// LeftOut lists the machines that belong and could not learn the secret of a
// rotation from the roster: another island admitted them meanwhile.
func (b *Book) LeftOut(r *Rotation) []mesh.NodeKey {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var list []mesh.NodeKey
	for node, admissions := range b.mu.graph.machines {
		if r.Names(node) {
			continue
		}
		in, welcomed := false, false
		for _, a := range admissions {
			if b.mu.verdict.belongs(a) {
				in = true
				past := b.mu.graph.pastOf(a)
				welcomed = welcomed || slices.ContainsFunc(r.parts, func(v *vertex) bool { return past.has(v.index) })
			}
		}
		if in && !welcomed {
			list = append(list, node)
		}
	}
	slices.SortFunc(list, func(x, y mesh.NodeKey) int { return bytes.Compare(x[:], y[:]) })
	return list
}

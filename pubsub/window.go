package pubsub

import (
	"cmp"
	"context"
	"slices"

	"drey/mesh"
	"drey/mesh/negentropy"
)

// firstSpan is how far back, in seconds, newest looks at first when not
// everything fits.
const firstSpan = 3600

// A snapshot is what one side brings to the comparison of one window.
type snapshot struct {
	set   *negentropy.Set
	first place // where it begins

	byID   []uint32 // indices into the set, by id; made when first needed
	served []bool   // by index: each item is handed out once
}

// newest gathers the newest items of a window, at most most of them, and tells
// where they begin: at w.first when all of them fit. Memory stays within most
// items however many the archive holds.
func newest(ctx context.Context, a mesh.Archive, v mesh.Viewer, w window, most int) (*snapshot, error) {
	gather := func(first place) (items []mesh.Item, over bool, err error) {
		for it, err := range a.Items(ctx, first.created(), w.last.created(), v) {
			if err != nil {
				return nil, false, err
			}
			if p := placeOf(it); first.after(p) || p.after(w.last) {
				continue
			}
			if len(items) == most {
				return nil, true, nil
			}
			items = append(items, it)
		}
		return items, false, nil
	}
	taken := func(items []mesh.Item, first place) *snapshot {
		s := &snapshot{set: &negentropy.Set{}, first: first}
		for _, it := range items {
			s.set.Add(it)
		}
		return s
	}

	items, over, err := gather(w.first)
	if err != nil || !over {
		return taken(items, w.first), err
	}
	// Look back twice as far each time until it is too much. What lies from
	// fits on is known to fit; from tooFar on it does not.
	fits, tooFar := int64(w.last.created())+1, int64(w.first.created())
	var best []mesh.Item
	for span := int64(firstSpan); len(best) < most/4; span *= 2 {
		since := int64(w.last.created()) - span
		if since <= tooFar {
			break
		}
		items, over, err := gather(firstAt(mesh.Unix(since)))
		if err != nil {
			return nil, err
		}
		if over {
			tooFar = since
			break
		}
		best, fits = items, since
	}
	// Nothing at all, then too much: close in on the second where it begins.
	for len(best) == 0 && fits-tooFar > 1 {
		since := tooFar + (fits-tooFar)/2
		items, over, err := gather(firstAt(mesh.Unix(since)))
		if err != nil {
			return nil, err
		}
		if over {
			tooFar = since
			continue
		}
		best, fits = items, since
	}
	if len(best) > 0 {
		return taken(best, firstAt(mesh.Unix(fits))), nil
	}
	return lastOf(ctx, a, v, w, mesh.Unix(tooFar), most)
}

// lastOf gathers the last items of a single second that holds too many.
func lastOf(ctx context.Context, a mesh.Archive, v mesh.Viewer, w window, second mesh.Unix, most int) (*snapshot, error) {
	ring := make([]mesh.Item, 0, most)
	n := 0
	for it, err := range a.Items(ctx, second, second, v) {
		if err != nil {
			return nil, err
		}
		if p := placeOf(it); w.first.after(p) || p.after(w.last) {
			continue
		}
		if len(ring) < most {
			ring = append(ring, it)
		} else {
			ring[n%most] = it
		}
		n++
	}
	slices.SortFunc(ring, negentropy.Compare)
	s := &snapshot{set: &negentropy.Set{}, first: w.first}
	for _, it := range ring {
		s.set.Add(it)
	}
	if len(ring) > 0 {
		s.first = placeOf(ring[0])
	}
	return s, nil
}

// registry gathers what is held in the registry's topic, the newest at most
// most of it.
func registry(ctx context.Context, a mesh.Archive, v mesh.Viewer, w window, most int) (*snapshot, error) {
	s := &snapshot{set: &negentropy.Set{}, first: w.first}
	f := mesh.Filter{
		Topics: []mesh.Topic{mesh.TopicRegistry},
		Since:  w.first.created(), Until: w.last.created(), // an Until of 0 could only widen, and places are checked
		Limit: most + 1,
	}
	for r, err := range a.Records(ctx, f, v) {
		if err != nil {
			return nil, err
		}
		it := mesh.Item{CreatedAt: r.Event.CreatedAt(), ID: r.Event.ID()}
		p := placeOf(it)
		if w.first.after(p) || p.after(w.last) {
			continue
		}
		if s.set.Len() == most {
			return s.from(firstAt(it.CreatedAt + 1)), nil
		}
		s.set.Add(it)
	}
	return s, nil
}

// add puts in items known beside the archive, and seals the snapshot.
func (s *snapshot) add(more []mesh.Item, last place) {
	for _, it := range more {
		if p := placeOf(it); !s.first.after(p) && !p.after(last) {
			s.set.Add(it)
		}
	}
	s.set.Seal()
}

// from drops what lies before first.
func (s *snapshot) from(first place) *snapshot {
	t := &snapshot{set: &negentropy.Set{}, first: first}
	for _, it := range s.set.Items() {
		if !first.after(placeOf(it)) {
			t.set.Add(it)
		}
	}
	t.set.Seal()
	return t
}

// find returns the item with an id, and its index, or -1.
func (s *snapshot) find(id mesh.EventID) (mesh.Item, int) {
	items := s.set.Items()
	if s.byID == nil {
		s.byID = make([]uint32, len(items))
		for i := range s.byID {
			s.byID[i] = uint32(i)
		}
		slices.SortFunc(s.byID, func(i, j uint32) int { return slices.Compare(items[i].ID[:], items[j].ID[:]) })
	}
	at, found := slices.BinarySearchFunc(s.byID, id, func(i uint32, id mesh.EventID) int {
		return slices.Compare(items[i].ID[:], id[:])
	})
	if !found {
		return mesh.Item{}, -1
	}
	i := int(s.byID[at])
	return items[i], i
}

// hand notes that item i goes out, and reports whether that is the first time.
func (s *snapshot) hand(i int) bool {
	if s.served == nil {
		s.served = make([]bool, s.set.Len())
	}
	if s.served[i] {
		return false
	}
	s.served[i] = true
	return true
}

// newestFirst sorts items the way they are transferred.
func newestFirst(items []mesh.Item) {
	slices.SortFunc(items, func(a, b mesh.Item) int {
		if c := cmp.Compare(b.CreatedAt, a.CreatedAt); c != 0 {
			return c
		}
		return slices.Compare(b.ID[:], a.ID[:])
	})
}

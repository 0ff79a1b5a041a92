package hub

import (
	"cmp"
	"container/heap"
	"slices"
	"time"

	"drey/mesh"
)

// An item is one delivery that waits or is out.
type item struct {
	mesh.Owed
	rec   *mesh.Record // set for what no store keeps
	topic mesh.Topic   // of the record; empty until somebody has looked
	due   time.Time    // not before; zero means at once
	tries int          // times that there was no room
}

// compareItems orders deliveries: most urgent first, then oldest.
func compareItems(a, b *item) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Target, b.Target))
}

// ready is a heap of items that may go.
type ready []*item

func (r ready) Len() int           { return len(r) }
func (r ready) Less(i, j int) bool { return compareItems(r[i], r[j]) < 0 }
func (r ready) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *ready) Push(x any)        { *r = append(*r, x.(*item)) }
func (r *ready) Pop() any {
	old := *r
	x := old[len(old)-1]
	old[len(old)-1] = nil
	*r = old[:len(old)-1]
	return x
}

// A line is what waits for one carrier, in the order in which it goes. It holds
// at most so many items that may go; the least urgent beyond that stay in the
// store alone. Those that rest are bounded apart: one target without room must
// not take the place of what may go to others.
type line struct {
	most    int
	ready   ready
	later   []*item            // whose due time has not come; at most resting times most
	aside   []*item            // declined until wake; bounded as later is
	by      map[mesh.Key]*item // waiting or out
	more    bool               // the store may hold some that are not here
	dropped uint64             // that no store held
}

// resting is how many times as many items may rest as may be ready. Each costs
// the disk an attempt now and then.
const resting = 4

func newLine(most int) *line {
	return &line{most: most, by: make(map[mesh.Key]*item), more: true}
}

func (l *line) waiting() int { return len(l.ready) + len(l.later) + len(l.aside) }

// wants reports whether the store should be asked for more: little is ready,
// and what does not go at once can rest.
func (l *line) wants() bool {
	return l.more && len(l.ready) <= l.most/4 && len(l.later) < resting*l.most && len(l.aside) < resting*l.most
}

// push lets a new item wait; what is here already changes nothing.
func (l *line) push(it *item) {
	if l.by[it.Key] != nil {
		return
	}
	if len(l.ready) >= l.most && !l.makeRoom(it) {
		l.giveUp(it)
		return
	}
	l.by[it.Key] = it
	l.put(it)
}

// put lets an item wait that was out. When too many rest, the one that would go
// last stays in the store alone.
func (l *line) put(it *item) {
	if it.due.IsZero() {
		heap.Push(&l.ready, it)
		return
	}
	l.later = l.bound(append(l.later, it))
}

// setAside lets an item wait until wake.
func (l *line) setAside(it *item) { l.aside = l.bound(append(l.aside, it)) }

// bound leaves the one that would go last to the store alone where too many
// wait.
func (l *line) bound(waiting []*item) []*item {
	if len(waiting) <= resting*l.most {
		return waiting
	}
	last := 0
	for i := range waiting {
		if compareItems(waiting[i], waiting[last]) > 0 {
			last = i
		}
	}
	out := waiting[last]
	delete(l.by, out.Key)
	l.giveUp(out)
	return slices.Delete(waiting, last, last+1)
}

// wake lets those that were set aside be looked at again.
func (l *line) wake() {
	for _, it := range l.aside {
		heap.Push(&l.ready, it)
	}
	l.aside = nil
}

// remove takes an item out that waits; false when it is out.
func (l *line) remove(it *item) bool {
	if i := slices.Index(l.ready, it); i >= 0 {
		heap.Remove(&l.ready, i)
		return true
	}
	for _, waiting := range []*[]*item{&l.later, &l.aside} {
		if i := slices.Index(*waiting, it); i >= 0 {
			*waiting = slices.Delete(*waiting, i, i+1)
			return true
		}
	}
	return false
}

// sorted lists what waits, in the order in which it would go.
func (l *line) sorted() []*item {
	all := slices.Concat(l.ready, l.later, l.aside)
	slices.SortFunc(all, compareItems)
	return all
}

// makeRoom drops the item that would go last, unless that is the new one.
func (l *line) makeRoom(it *item) bool {
	last := 0
	for i := range l.ready {
		if compareItems(l.ready[i], l.ready[last]) > 0 {
			last = i
		}
	}
	if compareItems(it, l.ready[last]) > 0 {
		return false
	}
	out := heap.Remove(&l.ready, last).(*item)
	delete(l.by, out.Key)
	l.giveUp(out)
	return true
}

func (l *line) giveUp(it *item) {
	if it.rec != nil {
		l.dropped++
		return
	}
	l.more = true
}

// pop takes out who goes next, nil when nobody may go now; then wake is when
// somebody may, zero when that takes news.
func (l *line) pop(now time.Time) (it *item, wake time.Time) {
	l.later = slices.DeleteFunc(l.later, func(it *item) bool {
		if it.due.After(now) {
			if wake.IsZero() || it.due.Before(wake) {
				wake = it.due
			}
			return false
		}
		it.due = time.Time{}
		heap.Push(&l.ready, it)
		return true
	})
	if len(l.ready) == 0 {
		return nil, wake
	}
	return heap.Pop(&l.ready).(*item), time.Time{}
}

// end forgets an item.
func (l *line) end(it *item) { delete(l.by, it.Key) }

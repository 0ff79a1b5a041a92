package pool

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"drey/mesh"
)

// shelfOf answers as a relay that holds events, oldest first in the list, and
// shows at most so many at once.
func shelfOf(events []*mesh.Event, most int) func(context.Context, mesh.Filter) ([]*mesh.Event, error) {
	return func(_ context.Context, f mesh.Filter) (all []*mesh.Event, err error) {
		end := len(events)
		if f.Until > 0 {
			end, _ = slices.BinarySearchFunc(events, f.Until+1, func(e *mesh.Event, at mesh.Unix) int { return int(e.CreatedAt()) - int(at) })
		}
		for i := end - 1; i >= 0 && len(all) < min(f.Limit, most) && events[i].CreatedAt() >= f.Since; i-- {
			all = append(all, events[i])
		}
		return all, nil
	}
}

// However much a relay holds, all of it comes, each event once, in memory that
// does not grow with it.
func TestWalkEndsAtTheBeginning(t *testing.T) {
	for _, c := range []struct{ events, perSecond, most int }{
		{60_000, 3, 500}, {3000, 150, 500}, {700, 1, 100}, {900, 300, 500}, {1, 1, 500}, {0, 1, 500},
	} {
		t.Run(fmt.Sprint(c.events, " with ", c.perSecond, " a second"), func(t *testing.T) {
			var events []*mesh.Event
			for i := range c.events {
				e, err := mesh.NewEvent(mesh.PubKey{1}, mesh.Signature{}, mesh.Draft{CreatedAt: mesh.Unix(1_700_000_000 + i/c.perSecond), Kind: mesh.KindNote, Content: fmt.Sprint(i)})
				if err != nil {
					t.Fatal(err)
				}
				events = append(events, e)
			}
			came, remembered := map[mesh.EventID]int{}, 0
			w := &walk{page: shelfOf(events, c.most), most: c.most}
			w.do = func(some []*mesh.Event) error {
				for _, e := range some {
					came[e.ID()]++
				}
				remembered = max(remembered, len(w.seen))
				return nil
			}
			if err := w.back(t.Context(), mesh.Filter{}); err != nil {
				t.Fatal(err)
			}
			for i, e := range events {
				if n := came[e.ID()]; n != 1 {
					t.Fatalf("event %d of %d came %d times", i, c.events, n)
				}
			}
			if bound := pageEvents + 2*c.perSecond; remembered > bound {
				t.Errorf("%d ids were remembered at one time, want at most %d", remembered, bound)
			}
		})
	}
}

package hub

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"drey/mesh"
)

// Whoever watches gets everything that was stored and everything that comes in
// meanwhile, in order and once, however many bring it.
func TestWatchHasNoGapAndNoDouble(t *testing.T) {
	w := newWorld(t)
	const before, after, authors = 40, 40, 4
	var events [authors][]*mesh.Event
	for a := range authors {
		for i := range before + after {
			events[a] = append(events[a], w.sign(fmt.Sprintf("member %d", a), fmt.Sprintf("%d/%d", a, i), nil))
		}
		w.roster.set(w.key(fmt.Sprintf("member %d", a)).PubKey(), mesh.Person)
	}
	bring := func(list []*mesh.Event) {
		for _, e := range list {
			if err := w.hub.Port("gossip").Receive(context.Background(), e, mesh.Origin{Topic: "commons"}); err != nil {
				t.Errorf("Receive = %v", err)
			}
		}
	}
	for a := range authors {
		bring(events[a][:before])
	}
	var wg sync.WaitGroup
	seen := make(map[mesh.EventID]int)
	var last uint64
	n := 0
	for r, err := range w.hub.Watch(t.Context(), mesh.Filter{Topics: []mesh.Topic{"commons"}}, mesh.Viewer{Member: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			for a := range authors {
				wg.Go(func() { bring(events[a][before:]) })
			}
		}
		if r.Seq <= last {
			t.Fatalf("record %d came after %d", r.Seq, last)
		}
		last = r.Seq
		seen[r.Event.ID()]++
		if n++; n == authors*(before+after) {
			break
		}
	}
	wg.Wait()
	if len(seen) != n {
		t.Errorf("%d records were %d events", n, len(seen))
	}
	if s := w.hub.Stats(); s.Watchers != 0 {
		t.Errorf("%d watchers are left", s.Watchers)
	}
}

func TestWatchBeginsWhereAskedAndShowsWhatMayBeSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := w.hub.Port("gossip")
		bring := func(topic mesh.Topic, e *mesh.Event) {
			if err := p.Receive(t.Context(), e, mesh.Origin{Topic: topic}); err != nil {
				t.Errorf("Receive = %v", err)
			}
		}
		bring("commons", w.sign("ana", "old", nil))
		bring("commons", w.sign("ana", "newer", nil))

		texts := make(chan string, 16)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			guest := mesh.Viewer{Topics: []mesh.Topic{"commons"}}
			for r, err := range w.hub.Watch(ctx, mesh.Filter{After: 1}, guest) {
				if err != nil {
					t.Errorf("Watch: %v", err)
				}
				texts <- r.Event.Content()
			}
		}()
		synctest.Wait()
		bring("commons", w.sign("ana", "for members", []string{"protected"}))
		bring("town/council", w.sign("ana", "elsewhere", nil))
		bring("commons", w.sign("ana", "live", nil))
		bring("commons", w.sign("ana", "typing", []string{"kind=20001"})) // ephemeral: no store has it
		bring("commons", w.sign("ana", "typing, inside", []string{"kind=20001", "protected"}))
		synctest.Wait()
		cancel()
		<-done
		close(texts)
		var got []string
		for s := range texts {
			got = append(got, s)
		}
		if want := []string{"newer", "live", "typing"}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("a guest saw %q, want %q", got, want)
		}
	})
}

func TestWatchEndsAtItsLimit(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		if err := w.hub.Port("gossip").Receive(t.Context(), w.sign("ana", fmt.Sprint(i), nil), mesh.Origin{Topic: "commons"}); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for range w.hub.Watch(t.Context(), mesh.Filter{Limit: 3}, mesh.Self) {
		n++
	}
	if n != 3 {
		t.Errorf("%d records came, want 3", n)
	}
}

func TestWatchHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r, err := w.hub.Publish(t.Context(), "alerts", mesh.Draft{Kind: mesh.KindNote, Content: "hello"}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		states := make(chan string, 16)
		go func() {
			for s, err := range w.hub.WatchHistory(t.Context(), r.Event.ID()) {
				if err != nil {
					t.Errorf("WatchHistory: %v", err)
				}
				states <- s.State
			}
		}()
		synctest.Wait()
		d, _, err := w.hub.outboxes[1].tryNext(t.Context(), nil)
		if err != nil || d == nil {
			t.Fatalf("tryNext = %v, %v", d, err)
		}
		d.Report("waiting: airtime, 4 min")
		synctest.Wait()
		d.Report("on air")
		d.Report("heard")
		synctest.Wait()
		for _, want := range []string{"saved", "waiting: airtime, 4 min", "on air", "heard"} {
			if got := <-states; got != want {
				t.Errorf("line %q, want %q", got, want)
			}
		}
		if len(states) != 0 {
			t.Errorf("one more line: %q", <-states)
		}
		d.Done(nil)
	})
}

// A watcher who does not read loses ephemeral events beyond his room, and that
// is counted.
func TestWatchCountsWhatItDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		first, read := make(chan struct{}), make(chan struct{})
		got := 0
		wg.Go(func() {
			for range w.hub.Watch(ctx, mesh.Filter{Topics: []mesh.Topic{"commons"}}, mesh.Self) {
				if got++; got == 1 {
					close(first)
					<-read
				}
			}
		})
		synctest.Wait()
		p := w.hub.Port("gossip")
		bring := func(text string) {
			if err := p.Receive(t.Context(), w.sign("ana", text, []string{"kind=20001"}), mesh.Origin{Topic: "commons"}); err != nil {
				t.Fatalf("Receive(%s) = %v", text, err)
			}
		}
		bring("first")
		<-first
		for i := range watchBuffer + 3 {
			bring(fmt.Sprint(i))
		}
		close(read)
		synctest.Wait()
		if s := w.hub.Stats(); s.WatchDropped != 3 || got != 1+watchBuffer {
			t.Errorf("%d came, %d were counted as dropped; want %d and 3", got, s.WatchDropped, 1+watchBuffer)
		}
		cancel()
		wg.Wait()
	})
}

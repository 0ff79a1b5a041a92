package pool

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"drey/mesh"
	"drey/nostrbridge/pool/badrelay"
)

// same checks that a reader got exactly some events, each once.
func (w *world) same(when string, r *reader, want ...*mesh.Event) {
	w.Helper()
	got, wanted := r.all(), contents(want)
	if !slices.Equal(got, wanted) {
		missing, extra := 0, 0
		for _, s := range wanted {
			if !slices.Contains(got, s) {
				missing++
			}
		}
		for _, s := range got {
			if !slices.Contains(wanted, s) {
				extra++
			}
		}
		w.Errorf("%s: got %d, want %d; %d are missing, %d too many", when, len(got), len(wanted), missing, extra)
	}
}

// What a relay holds comes, then what it gets, whatever its date; what it got
// while it was not reached comes afterwards. Each comes once, from wherever.
func TestFollow(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.relay("a.example", badrelay.Behaviour{}), w.relay("b.example", badrelay.Behaviour{MaxLimit: 37})
		events := numbered(260, time.Now(), "stored")
		for _, e := range events {
			b.Put(e)
		}
		for _, e := range events[:100] {
			a.Put(e)
		}
		w.start(a.URL, b.URL)
		r := &reader{}
		w.follow(Feed{}, r)
		w.sleep(10 * time.Second)
		w.same("stored", r, events...)

		live := append(numbered(3, time.Now(), "live"), note(time.Now().Add(-200*time.Hour), "long ago"))
		for _, e := range live {
			a.Put(e)
			b.Put(e)
		}
		w.sleep(0)
		events = append(events, live...)
		w.same("live", r, events...)

		w.sleep(time.Hour)
		a.Set(func(b *badrelay.Behaviour) { b.Away = true })
		a.Cut()
		missed := numbered(5, time.Now().Add(time.Hour), "missed")
		for _, e := range missed {
			a.Put(e)
		}
		w.sleep(2 * time.Hour)
		a.Set(func(b *badrelay.Behaviour) { b.Away = false })
		w.sleep(10 * time.Minute)
		events = append(events, missed...)
		w.same("after an outage", r, events...)
	})
}

// Many events of one second come, too, although no question names them apart.
func TestOneSecond(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.relay("a.example", badrelay.Behaviour{})
		var events []*mesh.Event
		for i := range pageEvents + 50 {
			events = append(events, note(time.Now(), fmt.Sprintf("at once %03d", i)))
		}
		events = append(numbered(3, time.Now().Add(-time.Second), "before"), events...)
		for _, e := range events {
			a.Put(e)
		}
		w.start(a.URL)
		r := &reader{}
		w.follow(Feed{}, r)
		w.sleep(time.Second)
		w.same("stored", r, events...)
	})
}

// The order in which stored events are handed on is that of their dates, as
// far as calls that overlap allow.
func TestStoredComeOldestFirst(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.relay("a.example", badrelay.Behaviour{})
		events := numbered(250, time.Now(), "n")
		for _, e := range events {
			a.Put(e)
		}
		w.start(a.URL)
		r := &reader{}
		w.follow(Feed{}, r)
		w.sleep(time.Second)
		w.same("stored", r, events...)
		for i, s := range r.got {
			var n int
			fmt.Sscanf(s, "n %d", &n)
			if n < i-together || n > i+together {
				t.Fatalf("event %d came as number %d", n, i)
			}
		}
	})
}

// After a restart a relay is asked from the watermark on: what was there
// before does not come again, and what came late does.
func TestWatermark(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sleep(30 * 24 * time.Hour)
		a := w.relay("a.example", badrelay.Behaviour{})
		old := numbered(100, time.Now(), "old")
		for _, e := range old {
			a.Put(e)
		}
		w.start(a.URL)
		r := &reader{}
		w.follow(Feed{}, r)
		w.sleep(23 * time.Hour) // within the day after which a long way back is asked for again
		w.same("first", r, old...)
		w.end()

		late := note(time.Now().Add(-lateEvents+time.Minute), "late")
		recent := note(time.Now(), "recent")
		lost := note(time.Now().Add(-2*time.Hour), "came later than that")
		for _, e := range []*mesh.Event{late, recent, lost} {
			a.Put(e)
		}
		asked := a.Counts().Asked
		w.start(a.URL)
		again := &reader{}
		stop := w.follow(Feed{}, again)
		w.sleep(time.Second)
		w.same("within the day", again, late, recent)
		if n := a.Counts().Asked - asked; n > 5 {
			w.Errorf("%d questions for three events", n)
		}
		w.sleep(24 * time.Hour)
		a.Cut()
		w.sleep(time.Minute)
		w.same("the day after", again, append(old, late, recent, lost)...)
		stop()
	})
}

// A gift wrap's date is up to two days in the past (NIP-59).
// A mark from a clock that was far ahead says nothing of what came since.
func TestMarkOfAWrongClock(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sleep(30 * 24 * time.Hour)
		a := w.relay("a.example", badrelay.Behaviour{})
		var ahead atomic.Int64
		ahead.Store(int64(365 * 24 * time.Hour))
		w.conf.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		w.start(a.URL)
		r := &reader{}
		stop := w.follow(Feed{Back: 7 * 24 * time.Hour}, r)
		w.sleep(time.Hour)
		stop()
		w.end()
		missed := numbered(5, time.Now().Add(time.Hour), "missed")
		for _, e := range missed {
			a.Put(e)
		}
		w.sleep(4 * 24 * time.Hour)
		ahead.Store(0)
		w.start(a.URL)
		w.follow(Feed{Back: 7 * 24 * time.Hour}, r)
		w.sleep(time.Minute)
		w.same("after the clock was put right", r, missed...)
	})
}

func TestWrapsAreAskedForTwoDaysBack(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sleep(30 * 24 * time.Hour)
		a := w.relay("a.example", badrelay.Behaviour{})
		w.start(a.URL)
		wraps := Feed{Name: "wraps", Filters: func(string) []mesh.Filter { return []mesh.Filter{{Kinds: []mesh.Kind{mesh.KindGiftWrap}}} }}
		r := &reader{}
		stop := w.follow(wraps, r)
		w.sleep(2 * time.Hour)
		stop()
		wrap := sign(key(2), mesh.Draft{CreatedAt: mesh.UnixOf(time.Now().Add(-48 * time.Hour)), Kind: mesh.KindGiftWrap, Content: "sealed"})
		a.Put(wrap)
		w.sleep(time.Minute)
		stop = w.follow(wraps, r)
		w.sleep(time.Second)
		w.same("after the outage", r, wrap)
		stop()
	})
}

// Some relays leave out what is for one key only, without saying so.
func TestWrapsAreAskedForUnderAKey(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.relay("shy.example", badrelay.Behaviour{Shy: true})
		wrap := sign(key(2), mesh.Draft{CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindGiftWrap, Content: "sealed"})
		a.Put(wrap)
		w.start(a.URL)
		r := &reader{}
		w.follow(Feed{Filters: func(string) []mesh.Filter { return []mesh.Filter{{Kinds: []mesh.Kind{mesh.KindGiftWrap}}} }}, r)
		w.sleep(time.Second)
		w.same("all", r, wrap)

		// Its document is known the next time, and so takes no time to read.
		a.Set(func(b *badrelay.Behaviour) { b.Away = true })
		a.Cut()
		missed := sign(key(2), mesh.Draft{CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindGiftWrap, Content: "sealed meanwhile"})
		a.Put(missed)
		a.Set(func(b *badrelay.Behaviour) { b.Away = false })
		w.sleep(time.Minute)
		w.same("after an outage", r, wrap, missed)
	})
}

// An event that nobody could take comes again, and the watermark waits for it.
func TestWhatWasNotTakenComesAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.relay("a.example", badrelay.Behaviour{})
		stored := numbered(5, time.Now(), "stored")
		for _, e := range stored {
			a.Put(e)
		}
		w.start(a.URL)
		r := &reader{fail: 3}
		stop := w.follow(Feed{}, r)
		w.sleep(time.Minute)
		w.same("stored", r, stored...)

		w.sleep(24 * time.Hour)
		r.mu.Lock()
		r.fail = 1 << 20
		r.mu.Unlock()
		live := note(time.Now(), "live")
		a.Put(live)
		w.sleep(48 * time.Hour) // all the while it cannot be taken
		stop()
		w.end()
		w.start(a.URL)
		after := &reader{}
		w.follow(Feed{}, after)
		w.sleep(time.Second)
		if !slices.Contains(after.all(), "live") {
			w.Errorf("what could not be taken for two days is lost: %q", after.all())
		}
	})
}

// Live events that come faster than they can be taken are asked for again.
func TestTooFastIsAskedForAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.relay("a.example", badrelay.Behaviour{})
		w.start(a.URL)
		r := &reader{wait: 100 * time.Millisecond}
		w.follow(Feed{}, r)
		events := numbered(queued+100, time.Now(), "live")
		for _, e := range events {
			a.Put(e)
		}
		w.sleep(10 * time.Minute)
		w.same("in the end", r, events...)
		if s := w.one(a.URL); s.Dropped == 0 {
			w.Error("nothing was dropped: the test tests nothing")
		}
	})
}

// Forged events are counted, never handed on, and get the relay cut off.
func TestForgedEventsAreNotHandedOn(t *testing.T) {
	inWorld(t, func(w *world) {
		good := note(time.Now(), "good")
		forged, err := mesh.NewEvent(good.Author(), mesh.Signature{1, 2, 3}, mesh.Draft{CreatedAt: good.CreatedAt(), Kind: mesh.KindNote, Content: "forged"})
		if err != nil {
			t.Fatal(err)
		}
		// The same id with another signature: the true one must still count.
		shadow, err := mesh.NewEvent(good.Author(), mesh.Signature{1, 2, 3}, good.Draft())
		if err != nil {
			t.Fatal(err)
		}
		a := w.relay("a.example", badrelay.Behaviour{Forged: []*mesh.Event{shadow, forged}})
		b := w.relay("b.example", badrelay.Behaviour{})
		w.start(a.URL)
		r := &reader{}
		w.follow(Feed{}, r)
		w.sleep(time.Second)
		w.same("from the forger", r)
		if s := w.one(a.URL); s.Invalid < 2 {
			w.Errorf("%d forged events were counted", s.Invalid)
		}
		b.Put(good)
		if err := w.pool.Add(w.ctx, b.URL); err != nil {
			t.Fatal(err)
		}
		w.sleep(time.Second)
		w.same("from another", r, good)

		a.Set(func(b *badrelay.Behaviour) { b.Forged = nil; b.Flood = 3000 })
		a.Cut()
		w.sleep(3 * time.Second)
		s := w.state(a.URL, Failed)
		if time.Until(s.NextTry) < shunned/2 {
			w.Errorf("a forger is called again in %v: %s", time.Until(s.NextTry), s.Error)
		}
		w.same("after the flood", r, good)
	})
}

// What a relay sends beside the question is not handed on.
func TestUnaskedEventsAreNotHandedOn(t *testing.T) {
	inWorld(t, func(w *world) {
		other := sign(key(1), mesh.Draft{CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindReaction, Content: "other"})
		good := note(time.Now(), "good")
		a := w.relay("a.example", badrelay.Behaviour{Forged: []*mesh.Event{other}, Raw: []string{`["EVENT","d1",` + string(good.AppendJSON(nil)) + `]`, `["EVENT","zz",` + string(good.AppendJSON(nil)) + `]`}})
		w.start(a.URL)
		r := &reader{}
		w.follow(Feed{}, r)
		w.sleep(time.Second)
		w.same("all that came", r)
		if s := w.one(a.URL); s.Unasked < 3 || s.Invalid != 0 {
			w.Errorf("%d were counted as not asked for, %d as invalid", s.Unasked, s.Invalid)
		}
	})
}

// New filters are asked for at once, and a long way back.
func TestFiltersChange(t *testing.T) {
	inWorld(t, func(w *world) {
		w.sleep(30 * 24 * time.Hour)
		a := w.relay("a.example", badrelay.Behaviour{})
		mine := note(time.Now().Add(-time.Hour), "mine")
		theirs := sign(key(2), mesh.Draft{CreatedAt: mesh.UnixOf(time.Now().Add(-40 * time.Hour)), Kind: mesh.KindNote, Content: "theirs"})
		a.Put(mine)
		a.Put(theirs)
		authors := []mesh.PubKey{key(1).PubKey()}
		change := make(chan struct{})
		w.start(a.URL)
		r := &reader{}
		w.follow(Feed{
			Filters: func(string) []mesh.Filter {
				if authors == nil {
					return nil
				}
				return []mesh.Filter{{Kinds: []mesh.Kind{mesh.KindNote}, Authors: authors}}
			},
			Changed: func() <-chan struct{} { return change },
		}, r)
		w.sleep(26 * time.Hour)
		w.same("before", r, mine)
		said := func(next []mesh.PubKey) {
			was := change
			authors, change = next, make(chan struct{})
			close(was)
			w.sleep(time.Second)
		}
		said([]mesh.PubKey{key(1).PubKey(), key(2).PubKey()})
		w.same("after", r, mine, theirs)
		said(nil)
		a.Put(note(time.Now(), "unheard"))
		w.sleep(0)
		w.same("without filters", r, mine, theirs)
		said([]mesh.PubKey{key(3).PubKey()})
		if c := w.one(a.URL); c.State != Connected {
			w.Error(c.State)
		}
	})
}

// A relay that ends subscriptions is asked again when that makes sense.
func TestClosedSubscriptions(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.relay("a.example", badrelay.Behaviour{Closes: "error: busy"})
		e := note(time.Now(), "here")
		a.Put(e)
		w.start(a.URL)
		r := &reader{}
		w.follow(Feed{}, r)
		w.sleep(10 * time.Minute)
		if n := a.Counts().Asked; n < 3 || n > 12 {
			w.Errorf("asked %d times in ten minutes", n)
		}
		a.Set(func(b *badrelay.Behaviour) { b.Closes = "" })
		w.sleep(againMost * 2)
		w.same("in the end", r, e)
	})
}

// A feed that wants everything gets it at each connection, and keeps no mark.
func TestWhole(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.relay("a.example", badrelay.Behaviour{})
		e := note(time.Now(), "here")
		a.Put(e)
		w.start(a.URL)
		w.sleep(10 * time.Hour)
		for range 2 {
			r := &reader{}
			stop := w.follow(Feed{Name: "whole", Whole: true}, r)
			w.sleep(2 * saveEvery)
			w.same("each time", r, e)
			stop()
		}
		if keys, _ := w.conf.Shelf.Keys(w.ctx, markKey); len(keys) != 0 {
			w.Errorf("marks are kept: %q", keys)
		}
	})
}

func TestFollowNeedsAFeed(t *testing.T) {
	p := New(Config{Log: discard, Clock: time.Now})
	if err := p.Follow(t.Context(), Feed{}); err == nil {
		t.Error("an empty feed is followed")
	}
}

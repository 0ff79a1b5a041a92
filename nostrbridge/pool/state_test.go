package pool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drey/nostrbridge/pool/badrelay"
)

var discard = slog.New(slog.DiscardHandler)

// A relay that is away is tried again after 1, 2, 4 s … 5 min, not more often.
func TestBackOff(t *testing.T) {
	inWorld(t, func(w *world) {
		r := w.relay("away.example", badrelay.Behaviour{Away: true})
		w.start(r.URL)
		for _, step := range []struct {
			after time.Duration
			dials [2]int // at least, at most
		}{{time.Second, [2]int{1, 2}}, {10 * time.Second, [2]int{3, 4}}, {time.Minute, [2]int{5, 7}}, {time.Hour, [2]int{17, 22}}} {
			w.sleep(step.after)
			if n := r.Counts().Dials; n < step.dials[0] || n > step.dials[1] {
				w.Errorf("%v later: %d attempts, want %v", step.after, n, step.dials)
			}
		}
		s := w.state(r.URL, Failed)
		if wait := time.Until(s.NextTry); wait <= 0 || wait > pauseMost*5/4 || s.Error == "" || w.pool.Health() != Down {
			w.Errorf("next try in %v, error %q, health %s", wait, s.Error, w.pool.Health())
		}
		r.Set(func(b *badrelay.Behaviour) { b.Away = false })
		w.sleep(pauseMost * 5 / 4)
		if s := w.state(r.URL, Connected); s.Error != "" || w.pool.Health() != Up {
			w.Errorf("back, and %q, %s", s.Error, w.pool.Health())
		}
		// One that held for a minute begins anew; a shorter one does not.
		w.sleep(stable)
		r.Cut()
		w.sleep(0)
		if s := w.state(r.URL, Failed); time.Until(s.NextTry) > pauseLeast*5/4 {
			w.Errorf("after a long connection the next try is in %v", time.Until(s.NextTry))
		}
		for range 3 {
			w.sleep(time.Until(w.one(r.URL).NextTry))
			r.Cut()
			w.sleep(0)
		}
		if s := w.state(r.URL, Failed); time.Until(s.NextTry) < 4*pauseLeast {
			w.Errorf("after short connections the next try is in %v", time.Until(s.NextTry))
		}
	})
}

// A pool that has ended runs again, visits included.
func TestRunAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		r, far := w.relay("one.example", badrelay.Behaviour{}), w.relay("far.example", badrelay.Behaviour{})
		w.start(r.URL)
		for range 3 {
			w.sleep(time.Second)
			w.state(r.URL, Connected)
			if err := w.pool.Publish(w.ctx, far.URL, note(time.Now(), "to a visit")); err != nil {
				w.Fatal(err)
			}
			w.stop()
			w.tasks.Wait()
			w.state(r.URL, Closed)
			if err := w.pool.Publish(context.Background(), far.URL, note(time.Now(), "to nobody")); !errors.Is(err, ErrDown) {
				w.Fatalf("published while the pool did not run: %v", err)
			}
			w.ctx, w.stop = context.WithCancel(context.Background())
			ctx := w.ctx
			w.tasks.Go(func() {
				if err := w.pool.Run(ctx); err != nil {
					w.Errorf("Run: %v", err)
				}
			})
			synctest.Wait()
		}
	})
}

// Fifty machines whose relay restarts do not come back all at once, and
// not more often than the pauses allow.
func TestStormIsBounded(t *testing.T) {
	inWorld(t, func(w *world) {
		const machines = 50
		r := w.relay("busy.example", badrelay.Behaviour{})
		var pools []*Pool
		for range machines {
			w.start(r.URL)
			pools = append(pools, w.pool)
			stop := w.stop
			defer stop()
		}
		w.sleep(2 * time.Minute)
		if n := r.Counts(); n.Open != machines || n.Dials != machines {
			w.Fatalf("%d connections, %d attempts", n.Open, n.Dials)
		}
		r.Set(func(b *badrelay.Behaviour) { b.Away = true })
		r.Cut()
		w.sleep(0)
		worst, was := 0, r.Counts().Dials
		for range 10 * 60 { // ten minutes, in seconds
			w.sleep(time.Second)
			n := r.Counts().Dials
			worst, was = max(worst, n-was), n
		}
		if n := was - machines; n > 11*machines || worst > machines*3/2 {
			w.Errorf("%d attempts in ten minutes, %d in the worst second", n, worst)
		}
		w.Logf("%d machines, ten minutes without the relay: %d attempts, at most %d in a second", machines, was-machines, worst)
		r.Set(func(b *badrelay.Behaviour) { b.Away = false })
		w.sleep(pauseMost * 5 / 4)
		if n := r.Counts().Open; n != machines {
			w.Errorf("%d of %d are back", n, machines)
		}
		for _, p := range pools {
			if p.Health() != Up {
				w.Error(p.Health())
			}
		}
	})
}

func TestHalfOpenIsNoticedWithinAMinute(t *testing.T) {
	inWorld(t, func(w *world) {
		r := w.relay("frozen.example", badrelay.Behaviour{})
		w.start(r.URL)
		w.sleep(37 * time.Second)
		w.state(r.URL, Connected)
		r.Set(func(b *badrelay.Behaviour) { b.HalfOpen = true })
		began := time.Now()
		for w.one(r.URL).State == Connected && time.Since(began) < time.Hour {
			select {
			case <-w.pool.Changed():
			case <-time.After(time.Second):
			}
			synctest.Wait()
		}
		took := time.Since(began)
		if s := w.one(r.URL); took > time.Minute || s.State == Connected {
			w.Errorf("%s after %v", s.State, took)
		}
		w.Logf("noticed after %v: %s", took, w.one(r.URL).Error)
	})
}

// A relay that has gone silent holds nobody up who closes the connection.
func TestGoodbyeTakesNoTime(t *testing.T) {
	inWorld(t, func(w *world) {
		r := w.relay("frozen.example", badrelay.Behaviour{})
		w.start(r.URL)
		w.state(r.URL, Connected)
		r.Set(func(b *badrelay.Behaviour) { b.HalfOpen = true })
		patient, stop := context.WithTimeout(w.ctx, time.Second)
		defer stop()
		w.pool.Publish(patient, r.URL, note(time.Now(), "x")) // the last that it reads
		began := time.Now()
		w.end()
		if took := time.Since(began); took > time.Second {
			w.Errorf("the end took %v", took)
		}
	})
}

func TestHealth(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.relay("a.example", badrelay.Behaviour{})
		b := w.relay("b.example", badrelay.Behaviour{Away: true})
		w.start(a.URL, b.URL)
		check := func(when string, want Health) {
			w.Helper()
			if got := w.pool.Health(); got != want {
				w.Errorf("%s: %s, want %s", when, got, want)
			}
		}
		check("one of two", Degraded)
		if err := w.pool.Pause(w.ctx, b.URL); err != nil {
			w.Fatal(err)
		}
		w.sleep(0)
		check("the dead one is paused", Up)
		w.state(b.URL, Closed)
		if err := w.pool.Pause(w.ctx, a.URL); err != nil {
			w.Fatal(err)
		}
		w.sleep(0)
		check("both are paused", Off)
		if n := a.Counts().Open; n != 0 {
			w.Errorf("%d connections of a paused relay", n)
		}
		b.Set(func(b *badrelay.Behaviour) { b.Away = false })
		for _, u := range []string{a.URL, b.URL} {
			if err := w.pool.Resume(w.ctx, u); err != nil {
				w.Fatal(err)
			}
		}
		w.sleep(0)
		check("both are back", Up)
		a.Close()
		b.Close()
		w.sleep(time.Minute)
		check("both are dead", Down)
	})
}

// What the operator changes goes over the configuration, and lasts.
func TestListIsKept(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b, c := w.relay("a.example", badrelay.Behaviour{}), w.relay("b.example", badrelay.Behaviour{}), w.relay("c.example", badrelay.Behaviour{})
		list := func() string {
			var all []string
			for _, r := range w.pool.Relays() {
				all = append(all, fmt.Sprint(strings.TrimPrefix(r.URL, "ws://"), " ", r.State))
			}
			return strings.Join(all, ", ")
		}
		w.start(a.URL, b.URL)
		changed := w.pool.Changed()
		for _, do := range []error{
			w.pool.Add(w.ctx, "WS://C.example:80/"), w.pool.Remove(w.ctx, a.URL), w.pool.Pause(w.ctx, b.URL), w.pool.Add(w.ctx, c.URL),
		} {
			if do != nil {
				w.Error(do)
			}
		}
		w.sleep(0)
		select {
		case <-changed:
		default:
			w.Error("nobody was told of the change")
		}
		const want = "b.example closed, c.example connected"
		if got := list(); got != want {
			w.Errorf("now %s", got)
		}
		if n := a.Counts().Open + b.Counts().Open; n != 0 {
			w.Errorf("%d connections to relays that are removed or paused", n)
		}
		w.end()
		w.start(a.URL, b.URL)
		if got := list(); got != want {
			w.Errorf("after a restart %s", got)
		}
		if err := w.pool.Remove(w.ctx, a.URL); err == nil {
			w.Error("what is not there was removed")
		}
		if err := w.pool.Add(w.ctx, a.URL); err != nil {
			w.Error(err)
		}
		w.sleep(0)
		w.state(a.URL, Connected)
		for i := range MaxRelays {
			w.pool.Add(w.ctx, fmt.Sprintf("ws://more%d.example", i))
		}
		if n := len(w.pool.Relays()); n != MaxRelays {
			w.Errorf("%d relays, limit %d", n, MaxRelays)
		}
		if err := w.pool.Add(w.ctx, "https://x.example"); err == nil {
			w.Error("https is taken for a relay")
		}
	})
}

// What is not asked for, or forged, ends the connection before it can cost
// anything to speak of.
func TestFloodAndForgeryAreCutOff(t *testing.T) {
	inWorld(t, func(w *world) {
		var raw []string
		for i := range 4000 {
			raw = append(raw, fmt.Sprintf(`["NOTICE","%d"]`, i))
		}
		noisy := w.relay("noisy.example", badrelay.Behaviour{Raw: raw})
		garbled := w.relay("garbled.example", badrelay.Behaviour{Raw: []string{
			"", "{}", "[]", "[1]", `["EVENT"]`, `["EOSE",4]`, `["OK",true]`, `["OK","00",true]`, "\xff", "null", `["EVENT","d1"]`, `["CLOSED"]`,
		}})
		w.start(noisy.URL, garbled.URL)
		w.sleep(time.Second)
		if s := w.state(noisy.URL, Connected); s.Unasked != 4000 {
			w.Errorf("%d messages were not asked for, want 4000", s.Unasked)
		}
		if s := w.state(garbled.URL, Connected); s.Invalid != 12 {
			w.Errorf("%d messages were garbled, want 12", s.Invalid)
		}
		garbled.Set(func(b *badrelay.Behaviour) { b.Raw = append(b.Raw, b.Raw...) })
		garbled.Cut()
		w.sleep(2 * time.Second)
		s := w.state(garbled.URL, Failed)
		if wait := time.Until(s.NextTry); wait < shunned-2*time.Second || !strings.Contains(s.Error, "wrong form") {
			w.Errorf("next try in %v, after %q", wait, s.Error)
		}
		garbled.Set(func(b *badrelay.Behaviour) { b.Raw = []string{`["NOTICE","` + strings.Repeat("x", maxMessage) + `"]`} })
		w.sleep(shunned * 5 / 4)
		// The library says why it closes, for five seconds at most, before it does.
		for tries := 0; w.one(garbled.URL).State == Connected && tries < 10; tries++ {
			w.sleep(time.Second)
		}
		if s := w.state(garbled.URL, Failed); s.Error == "" {
			w.Error("a message beyond the limit was read")
		}
	})
}

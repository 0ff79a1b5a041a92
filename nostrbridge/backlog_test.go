package nostrbridge

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"drey/mesh"
	"drey/nostrbridge/pool/badrelay"
)

// Three days without the internet, and 10,000 messages (less without the tag
// e2e) to a relay that takes six in a second: they come in the order of receipt, emergencies first, none
// is lost, and the gateway that carries them dies in the middle.
func TestThreeDaysOfBacklog(t *testing.T) {
	const many = backlog
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one")
		r := w.relays["one"]
		r.Set(func(b *badrelay.Behaviour) { b.Rate, b.Burst = 6, 6 })
		gs := []*machine{w.add("hill", nil), w.add("school", nil), w.add("clinic", nil)}
		home := w.add("home", func(c *Config) { c.Gateway, c.Out = false, nil })
		passes(time.Minute)
		r.Set(func(b *badrelay.Behaviour) { b.Away = true })
		r.Cut()
		var chat []mesh.EventID
		for i := range many {
			chat = append(chat, home.say("alerts", fmt.Sprint("message ", i)).ID())
			passes(outage / many)
		}
		emergency := home.say("alerts", "!flood").ID()
		passes(time.Second)
		for _, g := range gs {
			if n := g.owes(Name); n != many+1 {
				t.Fatalf("%s owes %d, want %d", g.name, n, many+1)
			}
		}
		r.Set(func(b *badrelay.Behaviour) { b.Away = false })
		for _, g := range gs { // call at once: after days each calls every five minutes only
			if err := errors.Join(g.pool.Pause(t.Context(), r.URL), g.pool.Resume(t.Context(), r.URL)); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		var killed time.Time
		var gap time.Duration // without anything new, after the kill
		held, last := 0, time.Now()
		for len(r.Events()) < many+1 && time.Since(began) < 24*time.Hour {
			passes(10 * time.Second)
			n := len(r.Events())
			if n > held {
				if !killed.IsZero() {
					gap = max(gap, time.Since(last))
				}
				held, last = n, time.Now()
			}
			if killed.IsZero() && n > many/2 {
				for _, g := range gs {
					if len(g.bridge.Status().Leads) > 0 {
						g.kill()
						killed = time.Now()
						break
					}
				}
			}
		}
		t.Logf("%d messages in %v, %.1f in a second; the longest pause after the kill was %v", held, time.Since(began), float64(held)/time.Since(began).Seconds(), gap)
		if gap > 90*time.Second { // the takeover, and what the limit of the relay makes of it
			t.Errorf("after the kill nothing came for %v", gap)
		}
		var got []mesh.EventID
		for _, e := range r.Events() {
			got = append(got, e.ID())
		}
		if len(got) != many+1 || got[0] != emergency {
			t.Errorf("%d events stand there, want %d; the emergency is number %d", len(got), many+1, slices.Index(got, emergency))
		}
		if !slices.Equal(slices.DeleteFunc(got, func(id mesh.EventID) bool { return id == emergency }), chat) {
			t.Error("what was said is not in the order of receipt")
		}
		passes(5 * time.Minute)
		for _, g := range gs {
			if g.alive() && g.owes(Name) != 0 {
				t.Errorf("%s owes %d still", g.name, g.owes(Name))
			}
		}
		w.close()
	})
}

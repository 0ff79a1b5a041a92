package nostrbridge

import (
	"fmt"
	"testing"
	"time"

	"drey/mesh"
	"drey/nostrbridge/pool/badrelay"
)

func nobody(string) bool { return false }

// Hundreds of dead relays that somebody named delay neither a relay that has
// answered before nor, for long, one that is new; and each is called seldom.
func TestRotaAmongTheDead(t *testing.T) {
	r, now := newRota(), time.Unix(1_800_000_000, 0)
	begin := now
	type running struct {
		url string
		end time.Time
		out outcome
	}
	var on []running
	calls := map[string]int{}
	began := map[string]time.Time{}
	step := func() {
		left := on[:0]
		for _, x := range on {
			if x.end.After(now) {
				left = append(left, x)
				continue
			}
			r.end(x.url, x.out, now)
		}
		on = left
		for {
			url, ok, _ := r.take(now, nobody)
			if !ok {
				break
			}
			calls[url]++
			began[url] = now
			x := running{url, now.Add(15 * time.Second), outcome{owed: true, failed: true}}
			if url[0] == 'g' {
				x.end, x.out = now.Add(time.Second), outcome{answered: true}
			}
			on = append(on, x)
		}
		if len(on) > maxTurns {
			t.Fatalf("%d turns at one time, at most %d", len(on), maxTurns)
		}
		now = now.Add(time.Second)
	}
	r.expect("good", now)
	for range 3 {
		step()
	}
	for i := range 400 {
		r.expect(fmt.Sprint("dead ", i), now)
	}
	for range 120 {
		step()
	}
	r.expect("good", now)
	owed := now
	step()
	if began["good"] != owed {
		t.Errorf("a relay that has answered before waits behind dead ones")
	}
	r.expect("good and new", now)
	owed = now
	for began["good and new"].IsZero() && now.Sub(owed) < time.Hour {
		step()
	}
	if waited := began["good and new"].Sub(owed); waited > 15*time.Minute {
		t.Errorf("a new relay waited for %v", waited)
	}
	for now.Sub(begin) < 24*time.Hour {
		step()
	}
	for url, n := range calls {
		if url[0] == 'd' && (n < 24 || n > 60) {
			t.Errorf("%s was called %d times in a day", url, n)
		}
	}
}

func TestRotaIsBounded(t *testing.T) {
	r, now := newRota(), time.Unix(1_800_000_000, 0)
	for i := range maxTurners + 10 {
		r.expect(fmt.Sprint(i), now)
	}
	if len(r.by) != maxTurners || r.dropped != 10 {
		t.Errorf("%d relays are remembered, %d left out", len(r.by), r.dropped)
	}
	url, _, _ := r.take(now, nobody)
	r.end(url, outcome{}, now) // nothing is owed there any more
	if !r.expect("new", now) || len(r.by) != maxTurners {
		t.Error("there is no room in place of a relay that is owed nothing")
	}
	// What comes to be owed while a turn lasts is not forgotten at its end.
	url, _, _ = r.take(now, nobody)
	r.expect(url, now)
	if r.end(url, outcome{answered: true}, now); !r.by[url].owed {
		t.Error("what came during the turn is forgotten")
	}
}

// A guest names relays that nobody answers at, and is sent messages: everybody
// else's mail goes as if he were not there.
func TestDeadRelaysDelayNobodyElse(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one", "two")
		for _, who := range []string{"ana", "guest"} {
			w.roster.set(keyOf(who).PubKey(), mesh.Person)
		}
		dead := make([]string, 90)
		for i := range dead {
			name := fmt.Sprint("dead", i)
			r := w.net.Relay(name, badrelay.Behaviour{HalfOpen: true, Mute: true})
			defer r.Close()
			dead[i] = r.URL
		}
		alive := w.net.Relay("alive", badrelay.Behaviour{})
		defer alive.Close()
		guest := keyOf("guest").PubKey().String()
		mail := &guests{guest: guest, dead: dead, alive: alive.URL}
		g := w.add("hill", func(c *Config) { c.Mail = mail })
		passes(time.Minute)
		hand := func(e *mesh.Event) {
			t.Helper()
			if err := g.hub.Port("relay").Receive(t.Context(), e, mesh.Origin{}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 20 {
			hand(wrap(t, "guest", fmt.Sprint("for the guest ", i), time.Hour))
		}
		passes(time.Minute)
		for i := range 3 {
			e := wrap(t, "ana", fmt.Sprint("for ana ", i), time.Hour)
			hand(e)
			said := time.Now()
			for !alive.Holds(e.ID()) && time.Since(said) < time.Hour {
				passes(time.Second)
			}
			if took := time.Since(said); took > []time.Duration{6 * time.Minute, time.Minute, time.Minute}[i] {
				t.Errorf("message %d took %v", i, took)
			}
		}
		w.close()
	})
}

// guests is mail of which a guest's is to go to dead relays.
type guests struct {
	post
	guest, alive string
	dead         []string
}

func (g *guests) Relays(e *mesh.Event) []string {
	if to, _ := e.Tag("p"); to == g.guest {
		return g.dead
	}
	return []string{g.alive}
}

package nostrbridge

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/nostrbridge/pool/badrelay"
)

// inBubble runs a test on a fake clock: time passes when everybody waits.
func inBubble(t *testing.T, test func(t *testing.T)) { synctest.Test(t, test) }

// passes lets time pass.
func passes(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// What a neighbour says in a topic that leaves stands once on each relay, and
// every machine of the community can tell.
func TestOneGateway(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one", "two")
		g := w.add("hill", nil)
		home := w.add("home", func(c *Config) { c.Gateway, c.Out = false, nil })
		passes(10 * time.Second)
		e := home.say("alerts", "bridge closed")
		kept := home.say("commons", "soup is ready")
		passes(10 * time.Second)
		for name, r := range w.relays {
			if r.Heard(e.ID()) != 1 || !r.Holds(e.ID()) || r.Holds(kept.ID()) {
				t.Errorf("relay %s was told %d times, holds it: %v, and what does not leave: %v", name, r.Heard(e.ID()), r.Holds(e.ID()), r.Holds(kept.ID()))
			}
		}
		for _, m := range []*machine{g, home} {
			if h := m.history(e.ID()); len(h) != 2 || !strings.HasSuffix(h[0], "on 1 of 2 relays") || !strings.HasSuffix(h[1], "on 2 of 2 relays") {
				t.Errorf("history at %s: %q", m.name, h)
			}
		}
		if n := g.owes(Name); n != 0 {
			t.Errorf("%d are owed still", n)
		}
		w.close()
	})
}

// Three gateways run, and one is killed: each event stands once, was sent once,
// and within a minute of the kill somebody else sends.
func TestTakeover(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one", "two")
		var gs []*machine
		for _, name := range []string{"hill", "school", "clinic"} {
			gs = append(gs, w.add(name, nil))
		}
		home := w.add("home", func(c *Config) { c.Gateway, c.Out = false, nil })
		passes(time.Minute)
		var all []*mesh.Event
		say := func(n int) {
			for i := range n {
				all = append(all, home.say("alerts", fmt.Sprintf("%d of %d", i, len(all))))
				passes(100 * time.Millisecond)
			}
		}
		say(20)
		leads := func() (who *machine) {
			for _, g := range gs {
				if g.alive() && slices.Contains(g.bridge.Status().Leads, w.relays["one"].URL+" alerts") {
					if who != nil {
						t.Errorf("%s and %s lead", who.name, g.name)
					}
					who = g
				}
			}
			return who
		}
		passes(time.Second)
		for range 2 {
			first := leads()
			if first == nil {
				t.Fatal("nobody leads")
			}
			first.kill()
			killed := time.Now()
			say(20)
			last := all[len(all)-1]
			for !w.relays["one"].Holds(last.ID()) && time.Since(killed) < 5*time.Minute {
				passes(time.Second)
			}
			if took := time.Since(killed); took > time.Minute {
				t.Errorf("the takeover took %v", took)
			}
			passes(5 * time.Second)
		}
		for name, r := range w.relays {
			for i, e := range all {
				if n := r.Heard(e.ID()); n != 1 || !r.Holds(e.ID()) {
					t.Errorf("relay %s was told event %d %d times, holds it: %v", name, i, n, r.Holds(e.ID()))
				}
			}
		}
		for _, g := range gs {
			if g.alive() && g.owes(Name) != 0 {
				t.Errorf("%s owes %d", g.name, g.owes(Name))
			}
		}
		w.close()
	})
}

// Two islands with internet each publish what they hear of; when they meet,
// nothing is sent again.
func TestIslands(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one")
		a, b := w.add("hill", nil), w.add("school", nil)
		w.split(a, b)
		passes(2 * time.Minute)
		var all []*mesh.Event
		for i := range 10 {
			all = append(all, a.say("alerts", fmt.Sprint("a", i)), b.say("alerts", fmt.Sprint("b", i)))
			passes(time.Second)
		}
		passes(10 * time.Second)
		w.heal(a, b)
		passes(3 * time.Minute)
		for _, e := range all {
			if n := w.relays["one"].Heard(e.ID()); n != 1 || !w.relays["one"].Holds(e.ID()) {
				t.Errorf("%q was sent %d times", e.Content(), n)
			}
		}
		if a.owes(Name) != 0 || b.owes(Name) != 0 {
			t.Errorf("owed still: %d and %d", a.owes(Name), b.owes(Name))
		}
		w.close()
	})
}

// A relay that loses the connection before its OK is asked, not sent to again.
func TestDropBeforeOK(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one")
		g := w.add("hill", nil)
		passes(10 * time.Second)
		w.relays["one"].Set(func(b *badrelay.Behaviour) { b.Drop, b.DropKeeps = 1, true })
		kept := g.say("alerts", "kept without a word")
		passes(time.Minute)
		w.relays["one"].Set(func(b *badrelay.Behaviour) { b.Drop, b.DropKeeps = 1, false })
		lost := g.say("alerts", "lost")
		passes(time.Minute)
		for e, want := range map[*mesh.Event]int{kept: 1, lost: 2} {
			if n := w.relays["one"].Heard(e.ID()); n != want || !w.relays["one"].Holds(e.ID()) {
				t.Errorf("%q was sent %d times, want %d; held: %v", e.Content(), n, want, w.relays["one"].Holds(e.ID()))
			}
			if h := g.history(e.ID()); !strings.HasSuffix(h[len(h)-1], "on 1 of 1 relays") {
				t.Errorf("history %q", h)
			}
		}
		w.close()
	})
}

// A relay's refusal is in the history: for good, or while it is tried again.
func TestRefusals(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one")
		w.relays["one"].Set(func(b *badrelay.Behaviour) {
			b.Refuse = func(e *mesh.Event) string {
				if before, _, ok := strings.Cut(e.Content(), ","); ok {
					return before + ": no"
				}
				return ""
			}
		})
		g, other := w.add("hill", nil), w.add("school", nil)
		passes(time.Minute)
		for _, c := range []struct{ text, want string }{
			{"invalid, too old", "failed: invalid: no"},
			{"blocked, go away", "failed: blocked: no"},
			{"pow, work", "waiting: pow: no"},
		} {
			e := g.say("alerts", c.text)
			passes(20 * time.Second)
			found := 0
			for _, m := range []*machine{g, other} {
				for _, line := range m.history(e.ID()) {
					if strings.HasSuffix(line, c.want) {
						found++
						break
					}
				}
			}
			if found == 0 || found < 2 && c.want[0] == 'f' {
				t.Errorf("%q: %q is in %d histories: %q and %q", c.text, c.want, found, g.history(e.ID()), other.history(e.ID()))
			}
		}
		fine := g.say("alerts", "fine")
		passes(20 * time.Second)
		if !w.relays["one"].Holds(fine.ID()) {
			t.Error("what is refused holds up what is not")
		}
		w.close()
	})
}

package nostrbridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"drey/mesh"
	"drey/nostrbridge/pool/badrelay"
)

// In an open community, too, gateways share the work: each event is sent once,
// and when one is killed another takes over.
func TestOpenCommunityShares(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one", "two")
		w.roster.open = true
		var gs []*machine
		for _, name := range []string{"hill", "school", "clinic"} {
			gs = append(gs, w.add(name, nil))
		}
		passes(time.Minute)
		var all []*mesh.Event
		say := func() {
			for range 10 {
				all = append(all, gs[2].say("alerts", fmt.Sprint("number ", len(all))))
				passes(time.Second)
			}
		}
		say()
		passes(2 * time.Minute)
		for _, g := range gs {
			if n := g.owes(Name); n != 0 {
				t.Errorf("%s owes %d", g.name, n)
			}
		}
		gs[0].kill()
		killed := time.Now()
		say()
		for !w.relays["one"].Holds(all[19].ID()) && time.Since(killed) < 5*time.Minute {
			passes(time.Second)
		}
		if took := time.Since(killed); took > time.Minute {
			t.Errorf("the takeover took %v", took)
		}
		passes(time.Minute)
		for name, r := range w.relays {
			for i, e := range all {
				if n := r.Heard(e.ID()); n != 1 || !r.Holds(e.ID()) {
					t.Errorf("relay %s was told event %d %d times, holds it: %v", name, i, n, r.Holds(e.ID()))
				}
			}
		}
		w.close()
	})
}

// A stranger in an open community says that he is a gateway, for ever under new
// keys with the highest lots, that relays have everything, and that everything
// comes from them. That delays a little; it silences nobody.
func TestLiarSilencesNobody(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one")
		w.roster.open = true
		one := w.relays["one"]
		gs := []*machine{w.add("hill", nil), w.add("school", nil)}
		liar := func(n int) *mesh.SecretKey {
			best := keyOf("liar")
			for i := range 16 {
				k := keyOf(fmt.Sprint("liar ", n, i))
				a, b := lot(k.PubKey(), one.URL, "alerts"), lot(best.PubKey(), one.URL, "alerts")
				if string(a[:]) > string(b[:]) {
					best = k
				}
			}
			return best
		}
		var said []*mesh.Event
		lie := func(n int) {
			lies := &word{ready: map[string]time.Duration{one.URL: time.Hour}, out: map[mesh.Topic]bool{"alerts": true}}
			for _, e := range said {
				lies.on = append(lies.on, landing{relay: one.URL, id: e.ID()})
				lies.no = append(lies.no, landing{relay: one.URL, id: e.ID(), reason: "invalid: no"})
				lies.in = append(lies.in, e.ID())
			}
			d := lies.draft()
			d.CreatedAt = mesh.UnixOf(time.Now())
			k := liar(n)
			w.roster.set(k.PubKey(), mesh.Person) // as everybody is there
			e, err := k.Sign(d)
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range gs {
				if err := g.hub.Port("gossip").Receive(t.Context(), e, mesh.Origin{Topic: mesh.TopicRegistry}); err != nil {
					t.Fatal(err)
				}
			}
		}
		n := 0
		lies := func(d time.Duration, until func() bool) (took time.Duration) {
			for began := time.Now(); !until() && took < d; took = time.Since(began) {
				lie(n)
				passes(20 * time.Second)
				n++
			}
			return took
		}
		never := func() bool { return false }
		lies(time.Minute, never)
		for i := range 4 {
			e := gs[0].say("alerts", fmt.Sprint("number ", i))
			said = append(said, e)
			if took := lies(time.Hour, func() bool { return one.Holds(e.ID()) }); took > 200*time.Second {
				t.Errorf("event %d stood there after %v", i, took)
			}
			lies(25*time.Minute, never) // a lead that was taken over ends meanwhile
		}
		for _, e := range said {
			// Both may have taken the lead, and send at the same second.
			if n := one.Heard(e.ID()); n < 1 || n > len(gs) {
				t.Errorf("%q was sent %d times", e.Content(), n)
			}
			for _, g := range gs {
				if h := strings.Join(g.history(e.ID()), ", "); strings.Contains(h, "failed") {
					t.Errorf("history at %s: %s", g.name, h)
				}
				if n := g.owes(Name); n != 0 {
					t.Errorf("%s owes %d", g.name, n)
				}
			}
		}
		w.close()
	})
}

// In an open community no wrap travels between machines, so each gateway carries
// the mail that was posted at it, whoever leads the rest.
func TestOpenCommunityMail(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one")
		w.roster.open = true
		side := w.net.Relay("side", badrelay.Behaviour{})
		defer side.Close()
		var gs []*machine
		for _, name := range []string{"hill", "school"} {
			gs = append(gs, w.add(name, func(c *Config) { c.Mail = &post{at: []string{w.relays["one"].URL, side.URL}} }))
		}
		w.roster.set(keyOf("zoe").PubKey(), mesh.Person) // as everybody is there
		passes(time.Minute)
		for i, g := range gs {
			e := wrap(t, "zoe", fmt.Sprint("number ", i), 0)
			if err := g.hub.Port("relay").Receive(t.Context(), e, mesh.Origin{Topic: mesh.TopicMail, Durable: true}); err != nil {
				t.Fatal(err)
			}
			passes(2 * time.Minute)
			if !side.Holds(e.ID()) || !w.relays["one"].Holds(e.ID()) {
				t.Errorf("posted at %s: the relay of the list has it: %v, the reader's own: %v", g.name, w.relays["one"].Holds(e.ID()), side.Holds(e.ID()))
			}
		}
		w.close()
	})
}

// What a relay was known to lack when somebody took the lead by a lie goes, too.
func TestWhatWasMissingBeforeTheLieGoes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one")
		w.roster.open = true
		one := w.relays["one"]
		g := w.add("hill", nil)
		passes(time.Minute)
		one.Set(func(b *badrelay.Behaviour) { b.Refuse = func(*mesh.Event) string { return "rate-limited: later" } })
		e := g.say("alerts", "kept back")
		passes(time.Second)
		if one.Heard(e.ID()) == 0 {
			t.Fatal("it was not offered")
		}
		mine := lot(g.key.PubKey(), one.URL, "alerts")
		liar := keyOf("liar")
		for i := 0; ; i++ {
			if theirs := lot(liar.PubKey(), one.URL, "alerts"); string(theirs[:]) > string(mine[:]) {
				break
			}
			liar = keyOf(fmt.Sprint("liar ", i))
		}
		w.roster.set(liar.PubKey(), mesh.Person)
		lie := (&word{ready: map[string]time.Duration{one.URL: time.Hour}, out: map[mesh.Topic]bool{"alerts": true}}).draft()
		for i := range 20 {
			lie.CreatedAt = mesh.UnixOf(time.Now())
			said, err := liar.Sign(lie)
			if err != nil {
				t.Fatal(err)
			}
			if err := g.hub.Port("gossip").Receive(t.Context(), said, mesh.Origin{Topic: mesh.TopicRegistry}); err != nil {
				t.Fatal(err)
			}
			if i == 1 {
				one.Set(func(b *badrelay.Behaviour) { b.Refuse = nil })
			}
			passes(20 * time.Second)
		}
		if !one.Holds(e.ID()) {
			t.Error("it still waits for who only says that he is a gateway")
		}
		w.close()
	})
}

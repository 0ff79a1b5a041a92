package nostrbridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"drey/mesh"
	"drey/nostrbridge/pool/badrelay"
)

// note signs a note as somebody with an ordinary app would.
func note(t *testing.T, who, text string, tags ...[]string) *mesh.Event {
	t.Helper()
	e, err := keyOf(who).Sign(mesh.Draft{CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindNote, Content: text, Tags: tags})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func topic(t string) []string { return []string{"t", t} }

// record returns what a machine holds of an event, nil where it does not.
func (m *machine) record(id mesh.EventID) *mesh.Record {
	r, err := m.store.Record(context.Background(), id, mesh.Self)
	var gone *mesh.GoneError
	if err != nil && !errors.Is(err, mesh.ErrNotFound) && !errors.As(err, &gone) {
		m.town.t.Fatal(err)
	}
	return r
}

// What comes in, and what does not: by topic, by author, and by whether it is
// for others to carry. It never goes on the air, nor out again.
func TestWhatComesIn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one", "two")
		w.roster.set(keyOf("ana").PubKey(), mesh.Person)
		w.roster.set(keyOf("bad").PubKey(), mesh.Banned)
		listed := keyOf("reporter").PubKey()
		in := func(c *Config) {
			c.In, c.Out, c.Authors = []mesh.Topic{"alerts", "news"}, []mesh.Topic{"alerts", "news"}, []mesh.PubKey{listed}
		}
		g := w.add("hill", in)
		other := w.add("school", in)
		home := w.add("home", func(c *Config) { c.Gateway, c.Out = false, nil })
		passes(time.Minute)
		if !slices.Contains(home.hub.Topics(), "news") {
			t.Errorf("home knows the topics %v, want news among them", home.hub.Topics())
		}
		for _, c := range []struct {
			what  string
			e     *mesh.Event
			topic mesh.Topic // "": it does not come in
		}{
			{"a member's", note(t, "ana", "from afar", topic("alerts")), "alerts"},
			{"a topic that nobody has registered", note(t, "ana", "the news", topic("news")), "news"},
			{"a label before the topic", note(t, "ana", "labelled", topic("weather"), topic("alerts")), "alerts"},
			{"a topic that does not come in first", note(t, "ana", "for the commons", topic("commons"), topic("alerts")), ""},
			{"no topic", note(t, "ana", "somewhere"), ""},
			{"somebody on the list", note(t, "reporter", "rain is coming", topic("alerts")), "alerts"},
			{"a stranger", note(t, "zoe", "buy this", topic("alerts")), ""},
			{"somebody banned", note(t, "bad", "back again", topic("alerts")), ""},
			{"protected", note(t, "ana", "not for you", topic("alerts"), []string{"-"}), ""},
			{"an orphan", note(t, "ana", "I agree", []string{"e", note(t, "ana", "what is not here").ID().String()}), ""},
		} {
			w.relays["one"].Put(c.e)
			passes(10 * time.Second)
			for _, m := range []*machine{g, home} {
				r := m.record(c.e.ID())
				if (r != nil) != (c.topic != "") || r != nil && r.Topic != c.topic {
					t.Errorf("%s: %s holds it: %v", c.what, m.name, r)
				}
			}
			if n := w.relays["one"].Heard(c.e.ID()); n != 0 {
				t.Errorf("%s: sent back to the relay where it came from %d times", c.what, n)
			}
			for _, m := range []*machine{g, other} {
				if n := m.owes("radio"); n != 0 {
					t.Fatalf("%s: %d are owed to the radio at %s", c.what, n, m.name)
				}
			}
		}
		w.close()
	})
}

// With the door open anybody's messages come in, some in an hour, and stay off
// the air on every machine.
func TestOpenDoor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one")
		w.add("hill", func(c *Config) { c.In, c.InOpen = []mesh.Topic{"alerts"}, true })
		home := w.add("home", func(c *Config) { c.Gateway, c.Out = false, nil })
		passes(time.Minute)
		e := note(t, "zoe", "hello from the world", topic("alerts"))
		urgent := note(t, "zoe", "!wolf", append([][]string{topic("alerts")}, mesh.LabelTags(mesh.LabelEmergency)...)...)
		w.relays["one"].Put(e)
		w.relays["one"].Put(urgent)
		passes(10 * time.Second)
		if r := home.record(e.ID()); r == nil || r.Flags&mesh.FlagGuest == 0 {
			t.Errorf("a stranger's note came as %+v", r)
		}
		if home.record(urgent.ID()) != nil {
			t.Error("a stranger's emergency came in")
		}
		if n := home.owes("radio"); n != 0 {
			t.Errorf("%d are owed to the radio", n)
		}
		w.close()
	})
}

// What a stranger sends beyond his hour's share is counted, and comes in when the
// relay is next asked far back.
func TestTooFastComesLater(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one")
		g := w.add("hill", func(c *Config) { c.In, c.InOpen = []mesh.Topic{"alerts"}, true })
		passes(time.Minute)
		var all []*mesh.Event
		for i := range openRate + 5 {
			e := note(t, "zoe", fmt.Sprint("number ", i), topic("alerts"))
			all = append(all, e)
			w.relays["one"].Put(e)
			passes(time.Second)
		}
		held := func() (n int) {
			for _, e := range all {
				if g.record(e.ID()) != nil {
					n++
				}
			}
			return n
		}
		if n := held(); n != openRate {
			t.Errorf("%d of %d came in at once, want %d", n, len(all), openRate)
		}
		if n := g.bridge.Status().TooFast; n != 5 {
			t.Errorf("%d were counted as too fast, want 5", n)
		}
		passes(25 * time.Hour)
		w.relays["one"].Cut()
		passes(time.Minute)
		if n := held(); n != len(all) {
			t.Errorf("%d of %d are here a day later", n, len(all))
		}
		w.close()
	})
}

// What was said while the gateway was away comes in when it is back, and what
// the hub had no room for comes again.
func TestComesInLater(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one")
		w.roster.set(keyOf("ana").PubKey(), mesh.Person)
		in := func(c *Config) { c.In = []mesh.Topic{"alerts"} }
		g := w.add("hill", in)
		passes(time.Minute)
		g.kill()
		e := note(t, "ana", "while you were away", topic("alerts"))
		w.relays["one"].Put(e)
		passes(30 * time.Hour)
		g.begin(in)
		passes(time.Minute)
		if g.record(e.ID()) == nil {
			t.Error("what was said meanwhile did not come in")
		}
		w.close()
	})
}

// The internet goes in the middle of it: neighbours notice nothing, and what
// they said meanwhile goes out afterwards, once.
func TestInternetVanishes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one", "two")
		g := w.add("hill", func(c *Config) { c.In = []mesh.Topic{"alerts"} })
		home := w.add("home", func(c *Config) { c.Gateway, c.Out = false, nil })
		passes(time.Minute)
		away := func(yes bool) {
			for _, r := range w.relays {
				r.Set(func(b *badrelay.Behaviour) { b.Away = yes })
				if yes {
					r.Cut()
				}
			}
		}
		var all []*mesh.Event
		for i := range 30 {
			if i == 10 {
				away(true)
			}
			if i == 20 {
				away(false)
			}
			began := time.Now()
			e := home.say("alerts", string(rune('a'+i)))
			all = append(all, e)
			if took := time.Since(began); took > 0 {
				t.Errorf("saying took %v", took) // in the bubble nothing passes but what somebody waits for
			}
			passes(500 * time.Millisecond)
			if g.record(e.ID()) == nil {
				t.Errorf("message %d is not at the neighbour's", i)
			}
		}
		passes(10 * time.Minute)
		for name, r := range w.relays {
			for i, e := range all {
				if r.Heard(e.ID()) != 1 || !r.Holds(e.ID()) {
					t.Errorf("relay %s was told message %d %d times, holds it: %v", name, i, r.Heard(e.ID()), r.Holds(e.ID()))
				}
			}
		}
		w.close()
	})
}

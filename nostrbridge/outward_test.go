package nostrbridge

import (
	"strings"
	"testing"
	"time"

	"drey/mesh"
	"drey/nostrbridge/pool/badrelay"
)

// A message to somebody outside goes to the relays of his list, once, whichever
// machine wrote it; without a list, or a gateway, it waits.
func TestOutsidersGetMail(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one")
		far, dead := w.net.Relay("far", badrelay.Behaviour{}), w.net.Relay("dead", badrelay.Behaviour{Away: true})
		defer far.Close()
		defer dead.Close()
		one, zoe := w.relays["one"], keyOf("zoe")
		home := w.add("home", func(c *Config) { c.Gateway, c.Out, c.Mail = false, nil, &post{} })
		gs := []*machine{
			w.add("hill", func(c *Config) { c.Mail = &post{} }),
			w.add("school", func(c *Config) { c.Mail = &post{} }),
		}
		passes(time.Minute)
		send := func(text string) (outward, inside *mesh.Event) {
			t.Helper()
			inside = wrap(t, "zoe", text, time.Hour)
			outward, err := home.key.Sign(mesh.Draft{
				CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindOutward, Content: string(inside.AppendJSON(nil)),
				Tags: [][]string{{"p", zoe.PubKey().String()}},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := home.hub.Accept(t.Context(), outward, mesh.Origin{Peer: "self", Topic: mesh.TopicMail, Durable: true}); err != nil {
				t.Fatal(err)
			}
			return outward, inside
		}
		early, inside := send("before anybody knows where")
		passes(2 * time.Minute)
		told := strings.Join(append(gs[0].history(early.ID()), gs[1].history(early.ID())...), ", ")
		if !strings.Contains(told, zoe.PubKey().NPub()+" waiting: no list of relays (kind 10050) of its reader is found") {
			t.Errorf("history: %q", told)
		}
		list, err := zoe.Sign(mesh.Draft{
			CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindInboxRelays, Tags: [][]string{{"relay", dead.URL}, {"relay", far.URL}},
		})
		if err != nil {
			t.Fatal(err)
		}
		one.Put(list)
		passes(time.Hour)
		late, inside2 := send("when the list is known")
		passes(time.Minute)
		for i, e := range []*mesh.Event{inside, inside2} {
			if n := far.Heard(e.ID()); n != 1 || !far.Holds(e.ID()) || one.Heard(e.ID()) != 0 {
				t.Errorf("wrap %d: the reader's relay heard of it %d times, another one %d", i, n, one.Heard(e.ID()))
			}
		}
		told = strings.Join(append(gs[0].history(late.ID()), gs[1].history(late.ID())...), ", ")
		if !strings.Contains(told, "on 1 of 2 relays of its reader") {
			t.Errorf("history: %q", told)
		}
		passes(10 * time.Second)
		if h := home.history(late.ID()); len(h) != 1 || !strings.HasSuffix(h[0], " on relays of its reader") {
			t.Errorf("history where it was written: %q", h)
		}
		if a, b := gs[0].owes(Name), gs[1].owes(Name); a+b != 0 {
			t.Errorf("the gateways owe %d and %d", a, b)
		}
		// Who takes over sends nothing again.
		gs[0].kill()
		passes(2 * time.Hour)
		for i, e := range []*mesh.Event{inside, inside2} {
			if n := far.Heard(e.ID()); n != 1 {
				t.Errorf("after a takeover the reader's relay has heard of wrap %d %d times", i, n)
			}
		}
		w.close()
	})
}

// Where all of an outsider's relays refuse a message for good, its writer and the
// other gateways hear of that, and nobody tries again.
func TestOutsidersRelaysRefuse(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one")
		far := w.net.Relay("far", badrelay.Behaviour{Refuse: func(*mesh.Event) string { return "blocked: not from you" }})
		defer far.Close()
		zoe := keyOf("zoe")
		home := w.add("home", func(c *Config) { c.Gateway, c.Out, c.Mail = false, nil, &post{} })
		gs := []*machine{
			w.add("hill", func(c *Config) { c.Mail = &post{} }),
			w.add("school", func(c *Config) { c.Mail = &post{} }),
		}
		list, err := zoe.Sign(mesh.Draft{
			CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindInboxRelays, Tags: [][]string{{"relay", far.URL}},
		})
		if err != nil {
			t.Fatal(err)
		}
		w.relays["one"].Put(list)
		passes(time.Minute)
		inside := wrap(t, "zoe", "hello", time.Hour)
		e, err := home.key.Sign(mesh.Draft{
			CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindOutward, Content: string(inside.AppendJSON(nil)),
			Tags: [][]string{{"p", zoe.PubKey().String()}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := home.hub.Accept(t.Context(), e, mesh.Origin{Peer: "self", Topic: mesh.TopicMail, Durable: true}); err != nil {
			t.Fatal(err)
		}
		passes(10 * time.Minute)
		if h := home.history(e.ID()); len(h) != 1 || !strings.HasSuffix(h[0], " failed: blocked: not from you") {
			t.Errorf("history where it was written: %q", h)
		}
		if a, b := gs[0].owes(Name), gs[1].owes(Name); a+b != 0 {
			t.Errorf("the gateways owe %d and %d", a, b)
		}
		if n := far.Heard(inside.ID()); n != 1 {
			t.Errorf("the relay was told %d times", n)
		}
		w.close()
	})
}

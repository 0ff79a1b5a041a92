package nostrbridge

import (
	"strings"
	"sync"
	"testing"
	"time"

	"drey/mesh"
	"drey/nostrbridge/pool/badrelay"
)

// post is mail whose readers look for it at some relays, and may take it first.
type post struct {
	at    []string
	taken sync.Map // of ids
}

func (p *post) Relays(e *mesh.Event) []string {
	if _, taken := p.taken.Load(e.ID()); taken {
		return nil
	}
	return p.at
}
func (p *post) Due(r *mesh.Record) time.Time { return r.Received.Add(30 * time.Second) }
func (p *post) Wanted(string) []mesh.Filter {
	return []mesh.Filter{{Kinds: []mesh.Kind{mesh.KindGiftWrap}, Tags: map[string][]string{"p": {keyOf("ana").PubKey().String()}}}}
}

func wrap(t *testing.T, to, text string, age time.Duration) *mesh.Event {
	t.Helper()
	e, err := keyOf("once " + text).Sign(mesh.Draft{
		CreatedAt: mesh.UnixOf(time.Now().Add(-age)), Kind: mesh.KindGiftWrap, Content: text,
		Tags: [][]string{{"p", keyOf(to).PubKey().String()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Gift wraps go where their readers look, unless those have them after half a
// minute; and those for members come in, however they are dated.
func TestMail(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one", "two")
		w.roster.set(keyOf("ana").PubKey(), mesh.Person)
		one, two := w.relays["one"], w.relays["two"]
		mail := &post{at: []string{strings.ToUpper(two.URL[:2]) + two.URL[2:]}}
		g := w.add("hill", func(c *Config) { c.Mail = mail })
		passes(time.Minute)
		hand := func(e *mesh.Event) {
			t.Helper()
			if err := g.hub.Port("relay").Receive(t.Context(), e, mesh.Origin{}); err != nil {
				t.Fatal(err)
			}
		}
		away, near := wrap(t, "ana", "for who is away", 30*time.Hour), wrap(t, "ana", "for who is near", time.Hour)
		hand(away)
		hand(near)
		passes(20 * time.Second)
		mail.taken.Store(near.ID(), true)
		if two.Holds(away.ID()) {
			t.Error("it left before its reader could take it")
		}
		passes(2 * time.Minute)
		if !two.Holds(away.ID()) || two.Heard(away.ID()) != 1 || one.Heard(away.ID()) != 0 {
			t.Errorf("the wrap was sent %d times to its reader's relay, and %d to another", two.Heard(away.ID()), one.Heard(away.ID()))
		}
		if two.Heard(near.ID()) != 0 {
			t.Error("what its reader has was sent")
		}
		if n := g.owes(Name); n != 0 {
			t.Errorf("%d are owed still: %q", n, g.history(near.ID()))
		}

		old, other := wrap(t, "ana", "from afar", 47*time.Hour), wrap(t, "zoe", "for a stranger", 0)
		one.Put(old)
		one.Put(other)
		passes(10 * time.Second)
		if r := g.record(old.ID()); r == nil || r.Topic != mesh.TopicMail {
			t.Errorf("a wrap for a member came as %v", r)
		}
		if g.record(other.ID()) != nil {
			t.Error("a wrap for a stranger came in")
		}
		w.close()
	})
}

// Reconciling with a relay names nothing to it that never left: neither wraps
// that their readers took at home, nor what is protected or a guest's.
func TestReconcilingTellsNothingPrivate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one")
		w.roster.set(keyOf("ana").PubKey(), mesh.Person)
		one := w.relays["one"]
		one.Set(func(b *badrelay.Behaviour) { b.Sync = badrelay.SyncHonest })
		mail := &post{at: []string{one.URL}}
		g := w.add("hill", func(c *Config) { c.Mail, c.In = mail, []mesh.Topic{"alerts"} })
		passes(time.Minute)
		var private []*mesh.Event
		hand := func(e *mesh.Event) *mesh.Event {
			t.Helper()
			if err := g.hub.Port("relay").Receive(t.Context(), e, mesh.Origin{}); err != nil {
				t.Fatal(err)
			}
			return e
		}
		near := hand(wrap(t, "ana", "for who is near", time.Hour))
		mail.taken.Store(near.ID(), true)
		protected, err := keyOf("ana").Sign(mesh.Draft{
			CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindNote, Content: "among us", Tags: [][]string{{"t", "alerts"}, {"-"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		private = append(private, near, hand(protected))
		open := hand(wrap(t, "ana", "for who is away", 30*time.Hour))
		passes(2 * time.Minute)
		if !one.Holds(open.ID()) {
			t.Fatal("the wrap for who is away did not leave")
		}
		was := one.Counts().Syncs
		one.Cut()
		passes(time.Minute)
		if one.Counts().Syncs == was {
			t.Fatal("nothing was reconciled")
		}
		for _, e := range private {
			if one.Told(e.ID()) || one.Holds(e.ID()) {
				t.Errorf("the relay learned of %q", e.Content())
			}
		}
		w.close()
	})
}

// A relay that lets nobody read what it has is sent to all the same.
func TestRelayThatTellsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one")
		one := w.relays["one"]
		one.Set(func(b *badrelay.Behaviour) { b.Closes = "restricted: readers pay" })
		g := w.add("hill", nil)
		e := g.say("alerts", "before anybody leads")
		passes(time.Minute)
		if one.Heard(e.ID()) != 1 || !one.Holds(e.ID()) {
			t.Errorf("sent %d times, held: %v", one.Heard(e.ID()), one.Holds(e.ID()))
		}
		w.close()
	})
}

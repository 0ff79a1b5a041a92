package hub

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
)

// lanes makes a hub whose carrier "nostr" owes everything to relays a and b.
func lanes(t *testing.T) (*world, mesh.Lanes) {
	w := newWorld(t)
	w.nowFunc = time.Now
	h, err := New(Config{
		Store: w.store, Roster: w.roster, Signer: w.key("school"), Clock: w.now,
		Routes: []Route{{
			Carrier: idle{"nostr", mesh.Limits{}}, Public: true, Lanes: true,
			Targets: func(*mesh.Record) []string { return []string{"a", "b"} },
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.hub = h
	return w, h.Port("nostr").(mesh.Lanes)
}

func say(t *testing.T, w *world, topic mesh.Topic, text string) mesh.EventID {
	t.Helper()
	r, err := w.hub.Publish(t.Context(), topic, mesh.Draft{Kind: mesh.KindNote, Content: text}, Options{Urgent: text[0] == '!'})
	if err != nil {
		t.Fatal(err)
	}
	return r.Event.ID()
}

func texts(t *testing.T, l mesh.Lane, n int, mine func(mesh.Topic) bool) (all []string) {
	t.Helper()
	for range n {
		d, err := l.Next(t.Context(), mine)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d.Event.Content())
		d.Done(nil)
	}
	return all
}

func TestLanesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := lanes(t)
		say(t, w, "commons", "one")
		say(t, w, "commons", "!two")
		a, b := p.Lane("a"), p.Lane("b")
		// b takes one and keeps it: a does not wait for it.
		held, err := b.Next(t.Context(), nil)
		if err != nil || held.Event.Content() != "!two" || held.Target != "b" || held.Seq == 0 {
			t.Fatalf("b.Next = %+v, %v", held, err)
		}
		if got := texts(t, a, 2, nil); !slices.Equal(got, []string{"!two", "one"}) {
			t.Errorf("a got %q, want the emergency first", got)
		}
		if got, _ := p.Targets(t.Context()); !slices.Equal(got, []string{"b"}) {
			t.Errorf("something is owed to %q, want b", got)
		}
		held.Release()
		if got := texts(t, b, 2, nil); !slices.Equal(got, []string{"!two", "one"}) {
			t.Errorf("b got %q", got)
		}
	})
}

// What a lane's reader declines waits without an attempt until it is woken.
func TestLaneDeclines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := lanes(t)
		a := p.Lane("a")
		say(t, w, "alerts", "for another")
		say(t, w, "commons", "mine")
		only := func(wanted mesh.Topic) func(mesh.Topic) bool {
			return func(t mesh.Topic) bool { return t == wanted }
		}
		if got := texts(t, a, 1, only("commons")); got[0] != "mine" {
			t.Errorf("got %q", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if d, err := a.Next(ctx, nil); err == nil {
			t.Errorf("Next = %q before Wake", d.Event.Content())
		}
		a.Wake()
		d, err := a.Next(t.Context(), only("alerts"))
		if err != nil || d.Event.Content() != "for another" || d.Attempt != 1 {
			t.Errorf("Next after Wake = %+v, %v, want the first attempt", d, err)
		}
	})
}

// Whoever carried it, it is not owed any more, and the history says so.
func TestLaneSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := lanes(t)
		a := p.Lane("a")
		var ids []mesh.EventID
		for i := range 4 {
			ids = append(ids, say(t, w, "commons", fmt.Sprint(i)))
		}
		ahead := a.Ahead(t.Context(), 3)
		if len(ahead) != 3 || ahead[0].ID != ids[0] || ahead[2].ID != ids[2] {
			t.Errorf("Ahead = %v", ahead)
		}
		out, err := a.Next(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if a.Settle(t.Context(), ids[0], "on a") {
			t.Error("Settle took away what is out")
		}
		out.Done(nil)
		if !a.Settle(t.Context(), ids[2], "on a, says the hill") || a.Settle(t.Context(), ids[2], "again") {
			t.Error("Settle: not owed, or owed still after it")
		}
		steps, err := w.hub.History(t.Context(), ids[2])
		if want := (mesh.Step{At: time.Now(), Carrier: "nostr", Target: "a", State: "on a, says the hill"}); err != nil ||
			!slices.ContainsFunc(steps, func(s mesh.Step) bool {
				return s.State == want.State && s.Carrier == want.Carrier && s.Target == want.Target
			}) {
			t.Errorf("history %v, %v, want %v in it", steps, err, want)
		}
		if got := texts(t, a, 2, nil); !slices.Equal(got, []string{"1", "3"}) {
			t.Errorf("went on with %q", got)
		}
		if left, _ := p.Targets(t.Context()); !slices.Equal(left, []string{"b"}) {
			t.Errorf("owed to %q, want b alone", left)
		}
	})
}

// A target that is down keeps nothing from another, however much it is owed.
func TestLaneDeadTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := lanes(t)
		const n = maxQueued + 99
		for i := range n {
			say(t, w, "commons", fmt.Sprint(i))
		}
		got := texts(t, p.Lane("b"), n, nil)
		for i, s := range got {
			if s != fmt.Sprint(i) {
				t.Fatalf("delivery %d is %q", i, s)
			}
		}
	})
}

// However many targets words and readers name, few lanes stay in memory, and
// what is owed to the others is not lost.
func TestLanesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.nowFunc = time.Now
		var targets []string
		for i := range 3 * maxLanes {
			targets = append(targets, fmt.Sprint("relay ", i))
		}
		h, err := New(Config{
			Store: w.store, Roster: w.roster, Signer: w.key("school"), Clock: w.now,
			Routes: []Route{{
				Carrier: idle{"nostr", mesh.Limits{}}, Public: true, Lanes: true,
				Targets: func(*mesh.Record) []string { return targets },
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		w.hub = h
		p := h.Port("nostr").(mesh.Lanes)
		say(t, w, "commons", "one")
		id := say(t, w, "commons", "two")
		held, err := p.Lane(targets[0]).Next(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			p.Lane(fmt.Sprint("named in a word ", i)).Settle(t.Context(), id, "on 1 of 1 relays")
		}
		if n := len(h.outboxes[0].all()); n > maxLanes {
			t.Errorf("%d lanes are kept, at most %d", n, maxLanes)
		}
		held.Done(nil) // its lane was in use
		for i, target := range targets {
			want := []string{"one", "two"}
			if i == 0 {
				want = want[1:]
			}
			if got := texts(t, p.Lane(target), len(want), nil); !slices.Equal(got, want) {
				t.Errorf("%s got %q, want %q", target, got, want)
			}
		}
		if left, err := p.Targets(t.Context()); len(left) > 0 || err != nil {
			t.Errorf("owed still to %q, %v", left, err)
		}
	})
}

// A gateway's word that an event came from the world may come after the event.
func TestWithdraw(t *testing.T) {
	w := newWorld(t)
	w.holding["lora"], w.holding["nostr"] = true, true
	e := w.sign("ana", "from afar", []string{"t=alerts"})
	if err := w.hub.Port("gossip").Receive(t.Context(), e, mesh.Origin{Topic: "alerts"}); err != nil {
		t.Fatal(err)
	}
	w.hub.Withdraw(e.ID())
	for _, o := range w.hub.outboxes {
		if d, _, err := o.tryNext(t.Context(), nil); d != nil || err != nil {
			t.Errorf("%s is owed %v, %v still", o.carrier, d, err)
		}
		if owed, err := w.store.Owed(t.Context(), o.carrier, 0); len(owed) > 0 || err != nil {
			t.Errorf("%s: the store owes %v, %v", o.carrier, owed, err)
		}
	}
}

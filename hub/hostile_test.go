package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"drey/mesh"
)

// A target that has no room for days keeps nothing from the others, and least
// of all what is urgent: what rests for one of them takes no other's place.
func TestOneFullTargetStarvesNoOther(t *testing.T) {
	w := newWorld(t)
	o := w.hub.outboxes[1]
	ana := w.key("ana").PubKey()
	owe := func(text string, p mesh.Priority) {
		e, err := mesh.NewEvent(ana, mesh.Signature{}, mesh.Draft{Kind: mesh.KindNote, Content: text})
		if err != nil {
			t.Fatal(err)
		}
		r := &mesh.Record{Event: e, Topic: "alerts"}
		var owed []mesh.Owed
		for _, target := range []string{"down", "up"} {
			owed = append(owed, mesh.Owed{Key: mesh.Key{ID: e.ID(), Carrier: "lora", Target: target}, Priority: p})
		}
		if err := w.store.Save(t.Context(), r, owed, false); err != nil {
			t.Fatal(err)
		}
		for _, k := range owed {
			k.Seq = r.Seq
			o.push(k, nil)
		}
	}
	came := 0
	work := func() {
		for {
			d, _, err := o.tryNext(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if d == nil {
				return
			}
			if d.Target == "down" {
				d.Done(mesh.ErrBusy)
				continue
			}
			d.Done(nil)
			came++
		}
	}
	const chats = 3 * maxQueued
	for i := range chats {
		owe(fmt.Sprint(i), mesh.Chat)
	}
	work()
	if came != chats {
		t.Errorf("%d of %d came to the target that has room", came, chats)
	}
	const more = 2 * maxQueued // more than may rest in memory
	for i := range more {
		owe(fmt.Sprint("more ", i), mesh.Chat)
		work()
		if n := o.mu.line.waiting(); n > (1+resting)*maxQueued {
			t.Fatalf("%d wait in memory", n)
		}
	}
	if came != chats+more {
		t.Errorf("%d of %d came to the target that has room, one by one", came, chats+more)
	}
	owe("fire", mesh.Emergency)
	work()
	if came != chats+more+1 {
		t.Error("an emergency waits behind what one target has no room for")
	}
}

// What waits for an author's admission waits in peace: it is neither counted
// as refused again with every tick, nor does it grow young by that and push out
// those who came later.
func TestWaitingCostsNothing(t *testing.T) {
	w := newWorld(t)
	mail := w.sign("nobody", "sealed", []string{"kind=1059", "to=zoe"})
	if err := w.hub.Port("gossip").Receive(t.Context(), mail, mesh.Origin{Topic: "mail"}); !errors.Is(err, mesh.ErrUnknownAuthor) {
		t.Fatalf("Receive = %v", err)
	}
	began := w.now()
	for range 240 {
		w.clock.add(tickEvery)
		w.hub.retry(t.Context(), false)
	}
	if n := w.hub.Refused()[whyStranger]; n != 1 {
		t.Errorf("one message was counted as refused %d times within an hour", n)
	}
	if a := w.hub.mu.strangers.by[mail.ID()]; a == nil || !a.since.Equal(began) {
		t.Errorf("it waits since %+v, want since it came", a)
	}
	w.roster.set(w.key("zoe").PubKey(), mesh.Person)
	w.hub.retry(t.Context(), true)
	if _, err := w.store.Record(t.Context(), mail.ID(), mesh.Self); err != nil {
		t.Errorf("it was not taken when its reader was admitted: %v", err)
	}
}

// Nothing remembers ephemeral events for long, so an old one may be one that
// somebody kept to say it again.
func TestEphemeralsDoNotComeAgain(t *testing.T) {
	w := newWorld(t)
	p := w.hub.Port("gossip")
	e := w.sign("ana", "typing", []string{"kind=20001"})
	for _, c := range []struct {
		after time.Duration
		taken bool
	}{{0, true}, {time.Hour, false}, {time.Hour + time.Minute, false}, {30 * 24 * time.Hour, false}} {
		w.clock.add(c.after)
		if err := p.Receive(t.Context(), e, mesh.Origin{Topic: "commons"}); (err == nil) != c.taken {
			t.Errorf("%v later: Receive = %v, taken should be %v", c.after, err, c.taken)
		}
	}
}

// Whoever puts an event into an envelope where it cannot be does not spoil it
// for those who bring it as it should be, and is known by that.
func TestWrongEnvelopeIsItsSendersFault(t *testing.T) {
	w := newWorld(t)
	p := w.hub.Port("gossip")
	mail := w.sign("nobody", "sealed", []string{"kind=1059", "to=ana"})
	if err := p.Receive(t.Context(), mail, mesh.Origin{Topic: "commons"}); !errors.Is(err, mesh.ErrInvalid) {
		t.Errorf("mail in commons: Receive = %v, want %v", err, mesh.ErrInvalid)
	}
	if err := p.Receive(t.Context(), mail, mesh.Origin{Topic: "mail"}); err != nil {
		t.Errorf("mail in mail: Receive = %v", err)
	}
}

// One member cannot use up all the topics that there can be.
func TestOneAuthorLeavesTopicsToOthers(t *testing.T) {
	w := newWorld(t)
	register := func(author, topic string) error {
		return w.hub.Port("gossip").Receive(t.Context(), w.sign(author, "", []string{"kind=33739", "d=" + topic, "as=" + topic}), mesh.Origin{Topic: "registry"})
	}
	for i := range maxTopics {
		if err := register("ana", fmt.Sprint("ana/", i)); (err == nil) != (i < authorTopics) {
			t.Fatalf("topic %d of one author: %v", i+1, err)
		}
	}
	if err := register("ben", "water"); err != nil {
		t.Errorf("another author's first: %v", err)
	}
	w.start()
	if err := register("ana", "one-more"); !errors.Is(err, mesh.ErrRefused) {
		t.Errorf("after a restart: %v", err)
	}
	if err := register("ben", "roads"); err != nil {
		t.Errorf("after a restart, another author's: %v", err)
	}
	if err := register("ben", "ana/1"); err != nil {
		t.Errorf("what exists, said again by another: %v", err)
	}
}

// floored is a store that has forgotten what it pruned before a time.
type floored struct {
	Store
	floor mesh.Unix
}

func (f floored) Floor(context.Context) (mesh.Unix, error) { return f.floor, nil }

// What is dated where the store has forgotten may have been said, and deleted,
// long ago: it is kept, but no radio says it as news.
func TestForgottenIsNoNews(t *testing.T) {
	w := newWorld(t)
	w.store.Store = floored{w.store.Store, mesh.UnixOf(w.now().Add(-30 * 24 * time.Hour))}
	for _, c := range []struct {
		text  string
		age   string
		owing int
	}{{"lately", "age=700h", 1}, {"long ago", "age=800h", 0}} {
		e := w.sign("ana", c.text, []string{c.age})
		if err := w.hub.Port("gossip").Receive(t.Context(), e, mesh.Origin{Topic: "alerts"}); err != nil {
			t.Fatalf("%s: Receive = %v", c.text, err)
		}
		owed, err := w.store.Owed(t.Context(), "lora", 0)
		if err != nil {
			t.Fatal(err)
		}
		owed = slices.DeleteFunc(owed, func(o mesh.Owed) bool { return o.ID != e.ID() })
		if len(owed) != c.owing {
			t.Errorf("%s: the radio is owed %d, want %d", c.text, len(owed), c.owing)
		}
	}
}

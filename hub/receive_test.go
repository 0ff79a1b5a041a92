package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"drey/mesh"
)

// slowStore lets a test hold Known, which is where the first of several equal
// arrivals can be caught.
type slowStore struct {
	Store
	gate  chan struct{}
	calls atomic.Int32
}

func (s *slowStore) Known(ctx context.Context, id mesh.EventID) (mesh.Reason, bool, error) {
	s.calls.Add(1)
	select {
	case <-s.gate:
	case <-ctx.Done():
		return 0, false, ctx.Err()
	}
	return s.Store.Known(ctx, id)
}

// However many bring an event at once, one checks it and the others learn that
// it is known.
func TestEqualArrivalsAreCheckedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		slow := &slowStore{Store: w.store, gate: make(chan struct{})}
		w.hub.store = slow
		e := w.sign("ana", "hello", nil)
		answers := make(chan error, 10)
		for i := range 10 {
			go func() {
				answers <- w.hub.Port("gossip").Receive(t.Context(), e, mesh.Origin{Topic: "commons", Durable: i%2 == 0})
			}()
		}
		synctest.Wait()
		if n := slow.calls.Load(); n != 1 {
			t.Errorf("the store was asked %d times, want once", n)
		}
		close(slow.gate)
		taken := 0
		for range 10 {
			if err := <-answers; err == nil {
				taken++
			} else if !errors.Is(err, mesh.ErrDuplicate) {
				t.Errorf("Receive = %v", err)
			}
		}
		if taken != 1 {
			t.Errorf("%d were told that it was new, want 1", taken)
		}
	})
}

// When the first gives up, one of those who waited for it goes on.
func TestEqualArrivalsOutliveTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		slow := &slowStore{Store: w.store, gate: make(chan struct{})}
		w.hub.store = slow
		e := w.sign("ana", "hello", nil)
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- w.hub.Port("gossip").Receive(ctx, e, mesh.Origin{Topic: "commons"}) }()
		synctest.Wait()
		go func() { second <- w.hub.Port("gossip").Receive(t.Context(), e, mesh.Origin{Topic: "commons"}) }()
		synctest.Wait()
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the first was answered %v", err)
		}
		close(slow.gate)
		if err := <-second; err != nil {
			t.Errorf("the second was answered %v", err)
		}
	})
}

// A forger who is quicker than the author's own event gets nowhere.
func TestForgedCopyDoesNotBlockTheTrueOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		slow := &slowStore{Store: w.store, gate: make(chan struct{})}
		w.hub.store = slow
		forged, genuine := w.sign("ana", "hello", []string{"forged"}), w.sign("ana", "hello", nil)
		if forged.ID() != genuine.ID() {
			t.Fatal("the forgery has another id")
		}
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- w.hub.Port("gossip").Receive(t.Context(), forged, mesh.Origin{Topic: "commons"}) }()
		synctest.Wait()
		go func() { second <- w.hub.Port("gossip").Receive(t.Context(), genuine, mesh.Origin{Topic: "commons"}) }()
		synctest.Wait()
		close(slow.gate)
		if err := <-first; !errors.Is(err, mesh.ErrInvalid) {
			t.Errorf("the forged copy was answered %v", err)
		}
		if err := <-second; err != nil {
			t.Errorf("the true one was answered %v", err)
		}
		if n := w.hub.Refused()[whySignature]; n != 1 {
			t.Errorf("%d signatures were refused, want 1", n)
		}
	})
}

// A store without room is told as such, and the event is taken when it comes
// again; an emergency is not counted twice for that.
func TestBusyRemembersNothing(t *testing.T) {
	w := newWorld(t)
	p := w.hub.Port("gossip")
	for i := range 3 {
		e := w.sign("ana", fmt.Sprintf("fire %d", i), []string{"urgent"})
		w.store.busy.Store(true)
		for range 3 {
			if err := p.Receive(t.Context(), e, mesh.Origin{Topic: "alerts"}); !errors.Is(err, mesh.ErrBusy) {
				t.Fatalf("Receive = %v, want ErrBusy", err)
			}
		}
		w.store.busy.Store(false)
		if err := p.Receive(t.Context(), e, mesh.Origin{Topic: "alerts"}); err != nil {
			t.Fatalf("Receive = %v", err)
		}
		r, err := w.store.Record(t.Context(), e.ID(), mesh.Self)
		if err != nil || r.Flags&mesh.FlagEmergency == 0 {
			t.Errorf("emergency %d is no emergency: %v, %v", i, r, err)
		}
	}
	if n := w.hub.Refused()[whyBusy]; n != 9 {
		t.Errorf("busy was counted %d times, want 9", n)
	}
}

// Ephemeral events are passed on once and kept nowhere.
func TestEphemeral(t *testing.T) {
	w := newWorld(t)
	e := w.sign("ana", "typing", []string{"kind=20001"})
	if err := w.hub.Port("nostr").Receive(t.Context(), e, mesh.Origin{Durable: true}); err != nil {
		t.Fatal(err)
	}
	for _, durable := range []bool{false, true} {
		if err := w.hub.Port("gossip").Receive(t.Context(), e, mesh.Origin{Durable: durable}); !errors.Is(err, mesh.ErrDuplicate) {
			t.Errorf("again, durable %v: %v", durable, err)
		}
	}
	d, _, err := w.hub.outboxes[0].tryNext(t.Context(), nil)
	if err != nil || d == nil || d.Event.ID() != e.ID() {
		t.Fatalf("gossip is owed %v, %v", d, err)
	}
	d.Done(nil)
	if d, _, _ = w.hub.outboxes[0].tryNext(t.Context(), nil); d != nil {
		t.Error("gossip is owed it again")
	}
}

func TestPublish(t *testing.T) {
	w := newWorld(t)
	note := func(text string) mesh.Draft { return mesh.Draft{Kind: mesh.KindNote, Content: text} }
	changed := w.hub.TopicsChanged()
	r, err := w.hub.Publish(t.Context(), "town/market", note("apples"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	default:
		t.Error("the new topic was not announced")
	}
	if got, _ := r.Event.Tag("t"); got != "town/market" || r.Topic != "town/market" || r.Seq == 0 || r.Carrier != "" {
		t.Errorf("record %+v with t tag %q", r, got)
	}
	again, err := w.hub.Publish(t.Context(), "town/market", note("apples"), Options{})
	if err != nil || again.Event.ID() == r.Event.ID() {
		t.Errorf("the same words within a second: %v, %v", again, err)
	}
	reply, err := w.hub.Publish(t.Context(), "town/market", note("how much?"), Options{ReplyTo: r.Event.ID()})
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.hub.Publish(t.Context(), "town/market", note("two"), Options{ReplyTo: reply.Event.ID()})
	if err != nil {
		t.Fatal(err)
	}
	root := []string{"e", r.Event.ID().String(), "", "root"}
	if got := fmt.Sprint(second.Event.Tags()); got != fmt.Sprint([][]string{
		{"t", "town/market"}, root, {"e", reply.Event.ID().String(), "", "reply"}, {"p", reply.Event.Author().String()},
	}) {
		t.Errorf("tags of a reply to a reply: %s", got)
	}
	if _, err := w.hub.Publish(t.Context(), "commons", note("?"), Options{ReplyTo: numbered(9)}); !errors.Is(err, errNotHeld) {
		t.Errorf("a reply to nothing: %v", err)
	}
	if _, err := w.hub.Publish(t.Context(), "Not A Topic", note("?"), Options{}); err == nil {
		t.Error("an impossible topic was taken")
	}
	profile, err := w.hub.Publish(t.Context(), "", mesh.Draft{Kind: mesh.KindProfile, Content: "{}"}, Options{})
	if err != nil || profile.Topic != mesh.TopicPeople || len(profile.Event.Tags()) != 0 {
		t.Errorf("a profile: %+v, %v", profile, err)
	}
	if _, err := w.hub.Publish(t.Context(), "alerts", mesh.Draft{Kind: mesh.KindProfile, Content: "{ }"}, Options{}); !errors.Is(err, mesh.ErrRefused) {
		t.Errorf("a profile in alerts: %v", err)
	}
	w.store.full.Store(true)
	if _, err := w.hub.Publish(t.Context(), "commons", note("saved?"), Options{}); !errors.Is(err, errDiskFull) || !errors.Is(err, mesh.ErrBusy) {
		t.Errorf("with a full disk: %v, want both the cause and ErrBusy", err)
	}
}

// Many bring the same events at once: each is stored once.
func TestReceiveFromManyAtOnce(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	for i := range 8 {
		events := make([]*mesh.Event, 50)
		for j := range events {
			events[j] = w.sign("ana", fmt.Sprint(j), []string{fmt.Sprintf("age=%ds", j)})
		}
		wg.Go(func() {
			for _, e := range events {
				err := w.hub.Port([]string{"gossip", "lora"}[i%2]).Receive(context.Background(), e, mesh.Origin{Topic: "alerts"})
				if err != nil && !errors.Is(err, mesh.ErrDuplicate) {
					t.Errorf("Receive = %v", err)
				}
			}
		})
	}
	wg.Wait()
	n := 0
	for _, err := range w.store.Records(t.Context(), mesh.Filter{}, mesh.Self) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 50 {
		t.Errorf("%d events are stored, want 50", n)
	}
}

package radio

import (
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
)

// TestNearOnly has a gateway not hear what its colleague says, of which gossip
// tells it: it says both notes once more in one frame, to its neighbours only,
// and nothing when it heard them.
func TestNearOnly(t *testing.T) {
	for _, deaf := range []bool{true, false} {
		inTown(t, 2, radiotest.Config{Seed: 5}, private(), signedForm, func(t *testing.T, w *town) {
			time.Sleep(3 * time.Minute) // they meet
			began := time.Now()
			if deaf {
				w.air.Link(func(from, to *radiotest.Radio) bool { return false })
			}
			first := w.hubs[0].say(t, "alerts", "water is back")
			time.Sleep(4 * time.Second)
			second := w.hubs[1].say(t, "alerts", "thank you")
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			var far, near []radiotest.Sent
			for _, s := range w.air.Sent() {
				switch {
				case s.Port != meshtastic.PortPrivate || s.Repeat || s.At.Before(began) || s.Payload[0]>>4 == 5:
				case s.Hops == 0:
					near = append(near, s)
				default:
					far = append(far, s)
				}
			}
			if len(far) != 1 {
				t.Fatalf("deaf %v: %d frames go far, want 1", deaf, len(far))
			}
			want := 0
			if deaf {
				want = 1
			}
			if len(near) != want || deaf && (near[0].By == far[0].By || near[0].Payload[0]>>4&3 != 1) {
				t.Errorf("deaf %v: to neighbours only %+v, want %d frame of two events by the other gateway", deaf, near, want)
			}
			for _, h := range w.hubs {
				if a, b := h.historyOf(first), h.historyOf(second); len(a) != 1 || len(b) != 1 {
					t.Errorf("deaf %v: told %q and %q, want a line each", deaf, a, b)
				}
				if g := h.radio.Status().Gateways; g != 1 {
					t.Errorf("deaf %v: a gateway counts on %d colleagues, want 1", deaf, g)
				}
			}
		})
	}
}

// TestRiderGoesFar has a frame of two notes come back from a radio that was away,
// and a colleague vouch for one of them: the other still goes as far as any.
func TestRiderGoesFar(t *testing.T) {
	now := time.Unix(1_780_000_000, 0)
	h := newFakeHub(t, "a")
	b := newTestOutbox()
	b.num, b.live, b.free = 1, true, 16
	b.meet(now, 2, true)
	b.offers = map[meshtastic.NodeNum]offer{2: {3, 100}} // it has the first turn
	vouched := map[*outgoing]bool{}
	b.aired = func(o *outgoing) (meshtastic.NodeNum, bool) { return 2, vouched[o] }
	b.pack = func(o *outgoing, others []*outgoing) ([]byte, []*outgoing, error) {
		return []byte(o.event.Content()), others, nil
	}
	said := map[string]uint32{}
	note := func(text string) *outgoing {
		e, err := h.signer.Sign(mesh.Draft{CreatedAt: mesh.UnixOf(now), Kind: mesh.KindNote, Content: text})
		if err != nil {
			t.Fatal(err)
		}
		o := &outgoing{
			d: &mesh.Delivery{Event: e, Ledger: h}, event: e, topic: "alerts", priority: mesh.Chat, signed: true,
			said: make([]bool, 1), attempt: 1, rank: 1, due: now,
		}
		b.hold(o)
		return o
	}
	first, second := note("first"), note("second")
	if p, _ := b.next(now); p == nil || len(b.held) > 0 || len(first.frame.riders) != 1 {
		t.Fatalf("the first frame: %+v", p)
	}
	b.lost(now)
	vouched[first] = true
	b.up(now)
	for i := range 2 {
		now = now.Add(5 * time.Minute)
		b.free = 16
		p, _ := b.next(now)
		if p == nil {
			t.Fatalf("nothing is said, %d times before", i)
		}
		said[string(p.Data.Payload)] = p.HopLimit
		b.answer(now, &meshtastic.QueueStatus{ID: p.ID})
		b.out(now, b.flying[0])
	}
	if said["first"] != 0 || said["second"] != hopsDense || first.near == second.near {
		t.Errorf("hop limits %v, want 0 for what a colleague said and %d for the other", said, hopsDense)
	}
}

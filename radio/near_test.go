package radio

import (
	"testing"
	"testing/synctest"
	"time"

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

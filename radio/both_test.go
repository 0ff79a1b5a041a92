package radio

import (
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/radio/air"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
)

// TestBothForms has a topic go over the air in both forms: a handheld shows the
// text once, a gateway gets the event and takes nobody's text for a stranger's.
func TestBothForms(t *testing.T) {
	both := func(c *Config) { signedForm(c); c.Maps[0].Form = FormBoth }
	inTown(t, 2, radiotest.Config{Seed: 4}, private(), both, func(t *testing.T, w *town) {
		islands(w)
		hand := w.air.NewHandheld("bob", private())
		time.Sleep(2 * time.Minute)
		e := w.hubs[0].say(t, "alerts", "water is back")
		w.hubs[1].await(t, "the event", time.Minute, func() bool { return w.hubs[1].holds(e.ID()) })
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := (<-hand.Heard()).Text; got != "ana: water is back" || len(hand.Heard()) != 0 {
			t.Errorf("the handheld shows %q and %d more", got, len(hand.Heard()))
		}
		if s := w.hubs[1].radio.Status(); s.Translated != 0 || len(w.hubs[1].notes("alerts")) != 1 {
			t.Errorf("%d translations, %d notes", s.Translated, len(w.hubs[1].notes("alerts")))
		}
	})
}

// TestIslandsWithOtherTopics has two gateways heal the topic that both carry.
func TestIslandsWithOtherTopics(t *testing.T) {
	made := 0
	forms := func(c *Config) {
		signedForm(c)
		if made++; made == 1 {
			c.Maps = append(c.Maps, TopicMap{Topic: "market", Channel: 0, Form: FormSigned})
		} else {
			c.Maps = append(c.Maps, TopicMap{Topic: "school", Channel: 0, Form: FormSigned})
		}
	}
	inTown(t, 2, radiotest.Config{Seed: 5}, private(), forms, func(t *testing.T, w *town) {
		islands(w)
		e := w.hubs[0].past(t, "alerts", "the bridge is closed")
		for began := time.Now(); !w.hubs[1].holds(e.ID()) && time.Since(began) < 6*time.Hour; {
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		if !w.hubs[1].holds(e.ID()) {
			t.Errorf("not healed: %+v", w.hubs[1].radio.Status().Signed)
		}
	})
}

// TestRotation has one gateway know a newer secret already: both understand each
// other's control frames while it holds the older too, and events pass both ways.
func TestRotation(t *testing.T) {
	made := 0
	older, newer := mesh.Secret{1}, mesh.Secret{2}
	forms := func(c *Config) {
		signedForm(c)
		known := []mesh.Secret{newer, older}
		if made++; made == 2 {
			known = known[1:]
		}
		c.Secrets = func() []mesh.Secret { return known }
	}
	inTown(t, 2, radiotest.Config{Seed: 5}, private(), forms, func(t *testing.T, w *town) {
		islands(w)
		time.Sleep(5 * time.Minute)
		for i, h := range w.hubs {
			e := h.say(t, "alerts", "water is back")
			w.hubs[1-i].await(t, "the event", time.Minute, func() bool { return w.hubs[1-i].holds(e.ID()) })
		}
		forged := [2]uint64{w.hubs[0].radio.Status().Signed.Refused["forged"], w.hubs[1].radio.Status().Signed.Refused["forged"]}
		met := [2]int{w.hubs[0].radio.Status().Gateways, w.hubs[1].radio.Status().Gateways}
		if forged != [2]uint64{} || met != [2]int{1, 1} {
			t.Errorf("refused as forged: %v, colleagues known: %v; want none and one each", forged, met)
		}
	})
}

// TestEmergencyIsConfirmed has a gateway that hears an emergency say so: the
// author's history tells.
func TestEmergencyIsConfirmed(t *testing.T) {
	inTown(t, 2, radiotest.Config{Seed: 6}, private(), signedForm, func(t *testing.T, w *town) {
		islands(w)
		time.Sleep(2 * time.Minute)
		e := w.hubs[0].say(t, "alerts", "fire at the school", mesh.LabelTags(mesh.LabelEmergency)...)
		want := "heard by " + w.gear[1].Num().String()
		w.hubs[0].await(t, want, time.Minute, func() bool {
			h := w.hubs[0].historyOf(e)
			return len(h) == 2 && h[0] == "on air" && h[1] == want
		})
	})
}

// TestStrangerCannotSilence has a radio with the channel's key, but without the
// community's secret, claim that an event was said: nobody believes it.
func TestStrangerCannotSilence(t *testing.T) {
	for name, secret := range map[string]mesh.Secret{"stranger": {9}, "colleague": {1, 2, 3}} {
		inTown(t, 1, radiotest.Config{Seed: 7}, private(), signedForm, func(t *testing.T, w *town) {
			lost := w.air.NewRadio("lost", radiotest.RadioConfig{Channels: []meshtastic.Channel{private()}})
			listener := newListener(t, w, "far")
			time.Sleep(2 * time.Minute)
			e := w.hubs[0].say(t, "alerts", "the bridge is closed")
			payload, err := air.NewDoor([]mesh.Secret{secret}).Seal(uint32(lost.Num()), 1, air.Overheard{Said: []air.Short{air.ShortOf(e.ID())}})
			if err != nil {
				t.Fatal(err)
			}
			if err := lost.Send(&meshtastic.Packet{To: meshtastic.Broadcast, Data: &meshtastic.Data{Port: meshtastic.PortPrivate, Payload: payload}}); err != 0 {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Minute)
			synctest.Wait()
			if got, want := listener.count(e.ID()), map[string]int{"stranger": 1, "colleague": 0}[name]; got != want {
				t.Errorf("after a %s's word the event was said %d times, want %d", name, got, want)
			}
		})
	}
}

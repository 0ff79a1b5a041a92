package radio

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
)

// signedForm maps the topic alerts in signed form, as a member of a community.
func signedForm(c *Config) {
	c.Maps = []TopicMap{{Topic: "alerts", Channel: 0, Form: FormSigned}}
	c.Secrets = func() []mesh.Secret { return []mesh.Secret{{1, 2, 3}} }
}

// islands cuts the gossip between all hubs: only the radio joins them.
func islands(w *town) {
	for _, h := range w.hubs {
		h.peers = nil
	}
}

// frames counts the frames of a port that a radio said first-hand.
func (w *town) frames(port meshtastic.PortNum, by *radiotest.Radio) int {
	n := 0
	for _, s := range w.air.Sent() {
		if s.Port == port && !s.Repeat && (by == nil || s.By == by) {
			n++
		}
	}
	return n
}

func (h *fakeHub) holds(id mesh.EventID) bool {
	return slices.ContainsFunc(h.notes("alerts"), func(e *mesh.Event) bool { return e.ID() == id })
}

// TestSignedBothWays has two islands hear each other's events bit for bit.
func TestSignedBothWays(t *testing.T) {
	inTown(t, 2, radiotest.Config{Seed: 1}, private(), signedForm, func(t *testing.T, w *town) {
		islands(w)
		time.Sleep(30 * time.Second)
		for i, h := range w.hubs {
			other := w.hubs[1-i]
			e := h.say(t, "alerts", fmt.Sprintf("water is back, says %d", i))
			other.await(t, "the event", time.Minute, func() bool { return other.holds(e.ID()) })
			for _, got := range other.notes("alerts") {
				if got.ID() == e.ID() && (got.Sig() != e.Sig() || got.Verify() != nil) {
					t.Errorf("rebuilt with signature %x, want %x", got.Sig(), e.Sig())
				}
			}
			h.await(t, "history", time.Minute, func() bool { return strings.Join(h.historyOf(e), "|") == "on air" })
		}
	})
}

// TestSignedOnce has three gateways hold the same events and say each once
// between them, whoever of them is there.
func TestSignedOnce(t *testing.T) {
	inTown(t, 3, radiotest.Config{Seed: 5, Collisions: true}, private(), signedForm, func(t *testing.T, w *town) {
		listener := newListener(t, w, "far")
		time.Sleep(2 * time.Minute) // the gateways hear each other's sketches
		const n = 40
		var events []*mesh.Event
		for i := range n {
			events = append(events, w.hubs[i%3].say(t, "alerts", fmt.Sprintf("event %d", i)))
			time.Sleep(150 * time.Second)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for i, e := range events {
			if got := listener.count(e.ID()); got != 1 {
				t.Errorf("event %d was heard %d times", i, got)
			}
		}
		speakers := 0
		for _, g := range w.gear {
			if w.frames(meshtastic.PortPrivate, g) > 5 {
				speakers++
			}
		}
		if speakers < 2 {
			t.Errorf("%d gateways led in %d minutes, want several", speakers, n*150/60)
		}
	})
}

// TestGather has chat wait for company and share frames; an emergency goes at
// once.
func TestGather(t *testing.T) {
	inTown(t, 1, radiotest.Config{Seed: 6}, private(), signedForm, func(t *testing.T, w *town) {
		listener := newListener(t, w, "far")
		time.Sleep(2 * time.Minute)
		before := w.frames(meshtastic.PortPrivate, w.gear[0])
		for i := range 4 {
			w.hubs[0].say(t, "alerts", fmt.Sprintf("line %d", i))
			time.Sleep(2 * time.Second)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := w.frames(meshtastic.PortPrivate, w.gear[0]) - before; got > 2 {
			t.Errorf("4 lines took %d frames, want 2", got)
		}
		if got := len(listener.times); got != 4 {
			t.Errorf("%d of 4 lines were heard", got)
		}
		began := time.Now()
		e := w.hubs[0].say(t, "alerts", "fire at the school", mesh.LabelTags(mesh.LabelEmergency)...)
		for listener.count(e.ID()) == 0 && time.Since(began) < time.Minute {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
		}
		if d := time.Since(began); d > 6*time.Second {
			t.Errorf("an emergency took %v", d)
		}
	})
}

// TestLeaderKilled stops the gateway that leads in the middle of its work: the
// others say what it did not, once, within a minute.
func TestLeaderKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := newTown(t, ctx, 3, radiotest.Config{Seed: 7}, private(), signedForm)
		go w.air.Run(ctx)
		var kill [3]context.CancelFunc
		for i, h := range w.hubs {
			each, stop := context.WithCancel(ctx)
			kill[i] = stop
			go h.radio.Run(each, h)
		}
		listener := newListener(t, w, "far")
		time.Sleep(3 * time.Minute)
		lot := voice(mesh.UnixOf(time.Now()))
		first := 0
		for i, g := range w.gear {
			if turn(lot, g.Num()) < turn(lot, w.gear[first].Num()) {
				first = i
			}
		}
		var events []*mesh.Event
		for i := range 6 {
			events = append(events, w.hubs[(first+1)%3].say(t, "alerts", fmt.Sprintf("event %d %s", i, strings.Repeat("x", 90))))
		}
		heard := func() (n int) {
			for _, e := range events {
				n += min(listener.count(e.ID()), 1)
			}
			return n
		}
		for heard() == 0 {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
		}
		kill[first]()
		died := time.Now()
		others := func() int {
			return w.frames(meshtastic.PortPrivate, nil) - w.frames(meshtastic.PortPrivate, w.gear[first])
		}
		already, before := heard(), others()
		for others() == before && time.Since(died) < 5*time.Minute {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
		}
		t.Logf("replaced after %v; %d of %d had been said", time.Since(died), already, len(events))
		if d := time.Since(died); d > time.Minute || already == len(events) {
			t.Errorf("replaced after %v, when %d of %d events had been said", d, already, len(events))
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		for i, e := range events {
			if got := listener.count(e.ID()); got != 1 {
				t.Errorf("event %d was heard %d times", i, got)
			}
		}
		cancel()
		synctest.Wait()
	})
}

// TestRegistryOnTheAir maps the topic of the gateways' own words: one message
// makes one frame, not a frame about each frame.
func TestRegistryOnTheAir(t *testing.T) {
	forms := func(c *Config) {
		signedForm(c)
		c.Maps = append(c.Maps, TopicMap{Topic: mesh.TopicRegistry, Channel: 0, Form: FormSigned})
	}
	inTown(t, 2, radiotest.Config{Seed: 3}, private(), forms, func(t *testing.T, w *town) {
		time.Sleep(5 * time.Minute)
		before := w.frames(meshtastic.PortPrivate, nil)
		w.hubs[0].say(t, "alerts", "water is back")
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if got := w.frames(meshtastic.PortPrivate, nil) - before; got > 10 {
			t.Errorf("%d frames for one message and half an hour of sketches", got)
		}
	})
}

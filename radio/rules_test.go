package radio

import (
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

// learn lets the gateways meet: each has to be heard once before they take
// turns.
func learn(t *testing.T, w *town) {
	t.Helper()
	for i := 0; i < 20; i++ {
		w.hubs[i%len(w.hubs)].say(t, "alerts", fmt.Sprintf("hello %d", i))
		time.Sleep(time.Minute) // of fake time: everything about one message is over
		synctest.Wait()
	}
}

func countOf(list []string, s string) int {
	n := 0
	for _, v := range list {
		if v == s {
			n++
		}
	}
	return n
}

// TestEachEventAirsOnce has three gateways hold the same events and say each
// once between them, over a secret key and over the public one.
func TestEachEventAirsOnce(t *testing.T) {
	for name, channel := range map[string]meshtastic.Channel{"secret": private(), "public": radiotest.PublicChannel()} {
		t.Run(name, func(t *testing.T) {
			inTown(t, 3, radiotest.Config{Seed: 5, Collisions: true}, channel, nil, func(t *testing.T, w *town) {
				hand := w.air.NewHandheld("bob", channel)
				learn(t, w)
				const n = 40
				for i := range n {
					w.hubs[i%3].say(t, "alerts", fmt.Sprintf("event %d", i))
					time.Sleep(2 * time.Minute)
				}
				synctest.Wait()
				texts, twice := w.texts(), 0
				for i := range n {
					switch c := countOf(texts, fmt.Sprintf("ana: event %d", i)); c {
					case 0:
						t.Errorf("event %d was not said", i)
					case 1:
					default:
						twice += c - 1
					}
				}
				if twice > 0 {
					t.Errorf("%d of %d events were said more than once", twice, n)
				}
				shown := map[string]int{}
				for range len(hand.Heard()) {
					shown[(<-hand.Heard()).Text]++
				}
				for text, c := range shown {
					if c > 1 && strings.Contains(text, "event") {
						t.Errorf("the handheld shows %q %d times", text, c)
					}
				}
				said := map[*radiotest.Radio]int{}
				for _, s := range w.air.Sent() {
					if s.Port == meshtastic.PortText && !s.Repeat {
						said[s.By]++
					}
				}
				if len(said) != 3 {
					t.Errorf("%d gateways spoke, want all 3 to take turns", len(said))
				}
				for _, h := range w.hubs {
					if got := len(h.notes("alerts")); got != 20+n {
						t.Errorf("hub %s holds %d notes, want %d: a text of ours was translated", h.name, got, 20+n)
					}
				}
			})
		})
	}
}

// TestEachTextBecomesOneEvent has three gateways hear every handheld text and
// the community hold one event for each.
func TestEachTextBecomesOneEvent(t *testing.T) {
	inTown(t, 3, radiotest.Config{Seed: 6, Loss: 0.1}, private(), nil, func(t *testing.T, w *town) {
		hand := w.air.NewHandheld("bob", private())
		const n = 30
		made := 0
		for i := range n {
			hand.Send(fmt.Sprintf("text %d", i))
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		for _, h := range w.hubs {
			got := map[string]int{}
			for _, e := range h.notes("alerts") {
				got[e.Content()]++
			}
			for i := range n {
				if c := got[fmt.Sprintf("text %d", i)]; c != 1 {
					t.Errorf("hub %s holds %d events for text %d", h.name, c, i)
				}
			}
			if len(got) != n {
				t.Errorf("hub %s holds %d texts, want %d: %v", h.name, len(got), n, got)
			}
			made += int(h.radio.Status().Translated)
		}
		t.Logf("%d translations were made for %d texts", made, n)
		if made > n+n/5 {
			t.Errorf("%d translations were made for %d texts: gateways do not wait for each other", made, n)
		}
		for _, text := range w.texts() {
			if strings.Contains(text, "~bob") {
				t.Errorf("%q was said again where its origin was heard", text)
			}
		}
	})
}

// TestOriginalBeatsTranslation has a gateway hear a colleague's text long
// before gossip brings the event: its translation is taken back.
func TestOriginalBeatsTranslation(t *testing.T) {
	inTown(t, 2, radiotest.Config{Seed: 8}, private(), nil, func(t *testing.T, w *town) {
		for _, h := range w.hubs {
			h.delay = 10 * time.Minute
		}
		e := w.hubs[0].say(t, "alerts", "the bridge is closed")
		w.hubs[1].await(t, "translation", 5*time.Minute, func() bool { return len(w.hubs[1].notes("alerts")) == 1 })
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		for _, h := range w.hubs {
			notes := h.notes("alerts")
			if len(notes) != 1 || notes[0].ID() != e.ID() {
				t.Errorf("hub %s holds %d notes, want only the original", h.name, len(notes))
			}
		}
		if got := countOf(w.texts(), "ana: the bridge is closed"); got != 1 {
			t.Errorf("said %d times", got)
		}
	})
}

// TestForgerOnlyDelays has a stranger on the public channel say a gateway's
// words first, under their packet id: the gateway waits at most twice.
func TestForgerOnlyDelays(t *testing.T) {
	for _, c := range []struct {
		channel meshtastic.Channel
		want    int
	}{{radiotest.PublicChannel(), 1}, {private(), 0}} {
		inTown(t, 1, radiotest.Config{Seed: 9}, c.channel, nil, func(t *testing.T, w *town) {
			forger := w.air.NewRadio("forger", radiotest.RadioConfig{Channels: []meshtastic.Channel{c.channel}})
			line := forger.Conn()
			defer line.Close()
			h := w.hubs[0]
			h.await(t, "live", time.Minute, func() bool { return true })
			time.Sleep(time.Minute)
			e := h.say(t, "alerts", "the bridge is closed")
			for attempt := 1; attempt <= 4; attempt++ {
				b := meshtastic.AppendToRadio(nil, &meshtastic.ToRadio{Packet: &meshtastic.Packet{
					To: meshtastic.Broadcast, ID: PacketID(e.ID(), 1, attempt),
					Data: &meshtastic.Data{Port: meshtastic.PortText, Payload: []byte("ana: the bridge is closed")},
				}})
				if _, err := line.Write(meshtastic.AppendFrame(nil, b)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(3 * time.Second)
			}
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			got := 0
			for _, s := range w.air.Sent() {
				if s.By == w.gear[0] && s.From == w.gear[0].Num() && !s.Repeat {
					got++
				}
			}
			if got != c.want {
				t.Errorf("public %v: the gateway spoke %d times, want %d: %q", c.want == 1, got, c.want, h.historyOf(e))
			}
		})
	}
}

// TestEmergencyFirst has an emergency overtake twenty lines of chat.
func TestEmergencyFirst(t *testing.T) {
	inTown(t, 1, radiotest.Config{Seed: 10}, private(), nil, func(t *testing.T, w *town) {
		hand := w.air.NewHandheld("bob", private())
		h := w.hubs[0]
		for i := range 20 {
			h.say(t, "alerts", fmt.Sprintf("chat %d", i))
		}
		<-hand.Heard()
		h.say(t, "alerts", "fire at the school", mesh.LabelTags(mesh.LabelEmergency)...)
		var order []string
		for range 3 {
			order = append(order, (<-hand.Heard()).Text)
		}
		if !slices.Contains(order[:2], "ana: fire at the school") {
			t.Errorf("after the first chat line came %q", order)
		}
	})
}

// TestBurstIsNotLost has more texts than the firmware's queue and rate limit
// can bear at once: all are heard, in order, once.
func TestBurstIsNotLost(t *testing.T) {
	inTown(t, 1, radiotest.Config{Seed: 11}, private(), func(c *Config) { c.AirtimeShare = -1 }, func(t *testing.T, w *town) {
		hand := w.air.NewHandheld("bob", private())
		const n = 50
		for i := range n {
			w.hubs[0].say(t, "alerts", fmt.Sprintf("line %d", i))
		}
		for i := range n {
			if got := (<-hand.Heard()).Text; got != fmt.Sprintf("ana: line %d", i) {
				t.Fatalf("text %d is %q", i, got)
			}
		}
		time.Sleep(time.Minute)
		if extra := len(hand.Heard()); extra != 0 {
			t.Errorf("%d texts too many", extra)
		}
		if d := w.gear[0].Dropped(); d != 0 {
			t.Errorf("the radio dropped %d packets", d)
		}
	})
}

// TestDutyCycleIsObeyed fills a European hour: the radio's refusal is told in
// the history, and everything goes out when the law allows it.
func TestDutyCycleIsObeyed(t *testing.T) {
	inTown(t, 1, radiotest.Config{Seed: 12, Region: meshtastic.RegionEU868}, private(), func(c *Config) { c.AirtimeShare = -1 }, func(t *testing.T, w *town) {
		hand := w.air.NewHandheld("bob", private())
		long := strings.Repeat("x", 180)
		var events []*mesh.Event
		for i := range 220 { // 1.9 s each, 6 min an hour allowed
			events = append(events, w.hubs[0].say(t, "alerts", fmt.Sprintf("%03d %s", i, long)))
		}
		for i := range events {
			if got := (<-hand.Heard()).Text; !strings.HasPrefix(got, fmt.Sprintf("ana: %03d ", i)) {
				t.Fatalf("text %d is %q", i, got)
			}
		}
		waited := 0
		for _, e := range events {
			for _, state := range w.hubs[0].historyOf(e) {
				if strings.HasPrefix(state, "waiting: airtime (legal limit), about ") {
					waited++
				}
			}
		}
		if waited == 0 {
			t.Error("no history says that the legal limit was met")
		}
	})
}

// TestBudget has a gateway stop at its own share of the air and tell so.
func TestBudget(t *testing.T) {
	inTown(t, 1, radiotest.Config{Seed: 13}, private(), nil, func(t *testing.T, w *town) {
		h := w.hubs[0]
		var events []*mesh.Event
		for i := range 120 {
			events = append(events, h.say(t, "alerts", fmt.Sprintf("%03d %s", i, strings.Repeat("x", 180))))
		}
		time.Sleep(time.Hour)
		var spent time.Duration
		for _, s := range w.air.Sent() {
			if s.By == w.gear[0] {
				spent += s.Airtime
			}
		}
		// A full bucket and what an hour refills, at 2 %; nobody repeats here, so
		// the radio tries the first texts three times.
		if limit := 150 * time.Second; spent > limit {
			t.Errorf("%v on the air in an hour, want at most %v", spent, limit)
		}
		found := false
		for _, e := range events {
			found = found || slices.ContainsFunc(h.historyOf(e), func(s string) bool { return strings.HasPrefix(s, "waiting: airtime, about ") })
		}
		if !found {
			t.Error("no history says that airtime is waited for")
		}
	})
}

// TestOriginal checks which translations an event is the original of.
func TestOriginal(t *testing.T) {
	c := New(Config{NameOf: func(mesh.PubKey) string { return "ana" }})
	h := newFakeHub(t, "a")
	sign := func(content string, tags ...[]string) *mesh.Event {
		e, err := h.signer.Sign(mesh.Draft{Kind: mesh.KindNote, Tags: tags, Content: content})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := sign("water is back")
	proxy := func(id uint32) []string {
		return []string{"proxy", heardText{From: 7, ID: id}.proxy(), protocol}
	}
	short := shortNPub(h.signer.PubKey())
	for _, x := range []struct {
		name string
		t    *mesh.Event
		want bool
	}{
		{"said", sign("ana: water is back", proxy(PacketID(e.ID(), 1, 1))), true},
		{"said at the third attempt", sign("ana: water is back", proxy(PacketID(e.ID(), 1, 3))), true},
		{"said by a gateway that does not know ana", sign(short+": water is back", proxy(PacketID(e.ID(), 1, 1))), true},
		{"other words", sign("ana: water is gone", proxy(PacketID(e.ID(), 1, 1))), false},
		{"another packet", sign("ana: water is back", proxy(1)), false},
		{"no translation", sign("ana: water is back"), false},
		{"another network", sign("ana: water is back", []string{"proxy", "x:" + fmt.Sprintf("%08x", PacketID(e.ID(), 1, 1)), "aprs"}), false},
	} {
		if got := c.Original(e)(x.t); got != x.want {
			t.Errorf("%s: %v, want %v", x.name, got, x.want)
		}
	}
	if c.Original(sign("x", proxy(1))) != nil {
		t.Error("a translation is taken for an original")
	}
}

// TestTwoEthers has a handheld's text cross from one ether to another: heard
// by a gateway, gossiped, said by the gateway there, once.
func TestTwoEthers(t *testing.T) {
	inTown(t, 2, radiotest.Config{Seed: 14}, private(), nil, func(t *testing.T, w *town) {
		near, far := w.air.NewHandheld("near", private()), w.air.NewHandheld("far", private())
		here := map[*radiotest.Radio]bool{w.gear[0]: true, near.Radio: true}
		w.air.Link(func(a, b *radiotest.Radio) bool { return here[a] == here[b] })
		near.Send("the bridge is closed")
		if got := (<-far.Heard()).Text; got != "~near: the bridge is closed" {
			t.Errorf("the far handheld shows %q", got)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := len(far.Heard()) + len(near.Heard()); n != 0 {
			t.Errorf("%d texts too many were shown", n)
		}
		for _, h := range w.hubs {
			if n := len(h.notes("alerts")); n != 1 {
				t.Errorf("hub %s holds %d notes, want 1", h.name, n)
			}
		}
	})
}

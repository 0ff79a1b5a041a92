package radio

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
)

// A town is an ether with gateways and handhelds on a private channel 0.
type town struct {
	air  *radiotest.Air
	hubs []*fakeHub
	gear []*radiotest.Radio

	mu struct {
		sync.Mutex
		extra []mesh.PubKey // members beside the gateways
		blind *fakeHub      // does not know of them
	}
}

func newTown(t *testing.T, ctx context.Context, gateways int, cfg radiotest.Config, channel meshtastic.Channel, change func(*Config)) *town {
	t.Helper()
	w := &town{air: radiotest.NewAir(cfg)}
	for i := range gateways {
		name := string(rune('a' + i))
		h := newFakeHub(t, name)
		r := w.air.NewRadio("gate-"+name, radiotest.RadioConfig{Channels: []meshtastic.Channel{channel}})
		c := Config{
			Device: "sim", Dial: func(context.Context) (io.ReadWriteCloser, error) { return r.Conn(), nil },
			Maps:    []TopicMap{{Topic: "alerts", Channel: 0, Form: FormText}},
			Archive: h, Shelf: h, Signer: h.signer, Seed: cfg.Seed + uint64(i) + 1,
			NameOf: func(k mesh.PubKey) string { return "ana" }, Members: w.members(h),
		}
		if change != nil {
			change(&c)
		}
		h.radio = New(c)
		w.hubs, w.gear = append(w.hubs, h), append(w.gear, r)
	}
	for _, h := range w.hubs {
		for _, p := range w.hubs {
			if p != h {
				h.peers = append(h.peers, p)
			}
		}
	}
	return w
}

// members is the roster as a gateway knows it: the gateways' own keys, and
// more.
func (w *town) members(h *fakeHub) func() []mesh.PubKey {
	return func() []mesh.PubKey {
		w.mu.Lock()
		defer w.mu.Unlock()
		var keys []mesh.PubKey
		for _, each := range w.hubs {
			keys = append(keys, each.signer.PubKey())
		}
		if h != w.mu.blind {
			keys = append(keys, w.mu.extra...)
		}
		return keys
	}
}

func (w *town) run(ctx context.Context) {
	go w.air.Run(ctx)
	for _, h := range w.hubs {
		go h.radio.Run(ctx, h)
	}
}

func live(c *Carrier) bool { return c.Status().State == StateLive }

// texts returns the texts that gateways and handhelds said first-hand.
func (w *town) texts() []string {
	var list []string
	for _, s := range w.air.Sent() {
		if s.Port == meshtastic.PortText && !s.Repeat {
			list = append(list, s.Text)
		}
	}
	return list
}

func private() meshtastic.Channel { return radiotest.PrivateChannel("town") }

// townDay is when towns play. The clock of a bubble begins in the year 2000,
// whose dates the shortest frames cannot tell.
var townDay = time.Date(2026, time.June, 1, 12, 0, 0, 0, time.UTC)

// inTown runs f in a bubble of fake time and shuts the town down at the end.
func inTown(t *testing.T, gateways int, cfg radiotest.Config, channel meshtastic.Channel, change func(*Config), f func(t *testing.T, w *town)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(townDay))
		runTown(t, gateways, cfg, channel, change, f)
	})
}

// runTown is inTown for who is in a bubble already.
func runTown(t *testing.T, gateways int, cfg radiotest.Config, channel meshtastic.Channel, change func(*Config), f func(t *testing.T, w *town)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := newTown(t, ctx, gateways, cfg, channel, change)
	w.run(ctx)
	f(t, w)
	cancel()
	synctest.Wait()
}

func TestTextBothWays(t *testing.T) {
	inTown(t, 1, radiotest.Config{Seed: 1}, private(), nil, func(t *testing.T, w *town) {
		hand := w.air.NewHandheld("Bob T-Beam", private())
		h := w.hubs[0]
		e := h.say(t, "alerts", "water is back")
		got := <-hand.Heard()
		if got.Text != "ana: water is back" {
			t.Errorf("handheld shows %q", got.Text)
		}
		if want := PacketID(e.ID(), 1, 1); got.ID != want {
			t.Errorf("packet id %08x, want %08x", got.ID, want)
		}
		h.await(t, "echo", time.Minute, func() bool {
			return strings.Join(h.historyOf(e), "|") == "on air|heard"
		})
		id := hand.Send("thanks: from the hill")
		h.await(t, "translation", time.Minute, func() bool { return len(h.notes("alerts")) == 2 })
		n := h.notes("alerts")[1]
		if n.Content() != "thanks: from the hill" || n.Author() != h.signer.PubKey() || !mesh.Labelled(n, mesh.LabelUnsignedRadio) {
			t.Errorf("translation is %v %q by %s", n.Tags(), n.Content(), n.Author())
		}
		want := heardText{From: hand.Num(), ID: id}.proxy()
		if p, ok := mesh.ProxyOf(n); !ok || p.ID != want || p.Protocol != "meshtastic" {
			t.Errorf("proxy is %v, want %s", p, want)
		}
	})
}

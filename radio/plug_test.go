package radio

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
)

// TestReplugged pulls a real pseudo-terminal's plug in the middle of a frame
// that the carrier writes, and plugs the radio in again under another name,
// with its memory (it has a battery) and without. Real time: terminals know no
// other.
func TestReplugged(t *testing.T) {
	for _, c := range []struct {
		name   string
		reboot bool
		after  int // bytes that the carrier may still write
	}{
		{"battery, in the middle of a text", false, 30},
		{"battery, after a text", false, 75},
		{"power lost, in the middle of a text", true, 30},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const tempo = 10
			ctx, cancel := context.WithCancel(t.Context())
			var work sync.WaitGroup
			defer work.Wait()
			defer cancel()
			air := radiotest.NewAir(radiotest.Config{Seed: 4, Tempo: tempo})
			work.Go(func() { air.Run(ctx) })
			gear := air.NewRadio("gate", radiotest.RadioConfig{Channels: []meshtastic.Channel{private()}})
			hand := air.NewHandheld("bob", private())
			dir := t.TempDir()
			gone := make(chan error, 1)
			work.Go(func() { gone <- gear.ServePTY(ctx, filepath.Join(dir, "usb-radio-port0")) })

			h := newFakeHub(t, "a")
			carrier := New(Config{
				Device: deviceAuto, SerialDir: dir, Tempo: tempo, AirtimeShare: -1,
				Maps:    []TopicMap{{Topic: "alerts", Channel: 0, Form: FormText}},
				Archive: h, Shelf: h, Signer: h.signer, NameOf: func(mesh.PubKey) string { return "ana" },
			})
			h.radio = carrier
			work.Go(func() { carrier.Run(ctx, h) })
			h.say(t, "alerts", "before")
			if got := (<-hand.Heard()).Text; got != "ana: before" {
				t.Fatalf("heard %q", got)
			}

			gear.UnplugAfter(c.after)
			const n = 5
			var events []*mesh.Event
			for i := range n {
				events = append(events, h.say(t, "alerts", fmt.Sprintf("text %d", i)))
			}
			if err := <-gone; err != nil {
				t.Fatalf("unplugged: %v", err)
			}
			if c.reboot {
				gear.Reboot(0)
			}
			began := time.Now()
			work.Go(func() { _ = gear.ServePTY(ctx, filepath.Join(dir, "usb-radio-renamed-port1")) })
			for i := range n {
				if got, want := (<-hand.Heard()).Text, fmt.Sprintf("ana: text %d", i); got != want {
					t.Fatalf("heard %q, want %q (%d swallowed) %q", got, want, gear.Swallowed(), h.historyOf(events[i]))
				}
				// The first may have been heard before the plug was out.
				if d := time.Since(began); i == 1 && d > 10*time.Second {
					t.Errorf("back on the air after %v, want 10 s", d)
				}
			}
			h.await(t, "all said", 2*time.Minute, func() bool {
				for _, e := range events {
					if !strings.Contains(strings.Join(h.historyOf(e), "|"), "on air") {
						return false
					}
				}
				return true
			})
			if extra := len(hand.Heard()); extra != 0 {
				t.Errorf("%d texts were shown twice", extra)
			}
			if got := carrier.Status().Device; !strings.HasSuffix(got, "renamed-port1") {
				t.Errorf("device is %s", got)
			}
		})
	}
}

// TestRebooted restarts the radio behind a serial line that stays open: its
// log text gives it away long before the next heartbeat.
func TestRebooted(t *testing.T) {
	for name, serial := range map[string]bool{"serial": true, "TCP": false} {
		t.Run(name, func(t *testing.T) {
			testLine(t, serial, func(t *testing.T, h *fakeHub, gear *radiotest.Radio, hand *radiotest.Handheld) {
				h.say(t, "alerts", "before")
				<-hand.Heard()
				time.Sleep(7 * time.Second)
				gear.Reboot(4 * time.Second)
				began := time.Now()
				h.say(t, "alerts", "after")
				if got := (<-hand.Heard()).Text; got != "ana: after" {
					t.Errorf("heard %q", got)
				}
				if d := time.Since(began); d > 25*time.Second {
					t.Errorf("back on the air after %v", d)
				}
				time.Sleep(time.Minute)
				if extra := len(hand.Heard()); extra != 0 {
					t.Errorf("%d texts were shown twice", extra)
				}
			})
		})
	}
}

// TestSilentRadio has the radio hang without a word: the heartbeat finds out.
func TestSilentRadio(t *testing.T) {
	testLine(t, true, func(t *testing.T, h *fakeHub, gear *radiotest.Radio, hand *radiotest.Handheld) {
		time.Sleep(5 * time.Second)
		if !live(h.radio) {
			t.Fatalf("radio is %+v", h.radio.Status())
		}
		gear.Reboot(24 * time.Hour) // no text: it never comes up
		began := time.Now()
		for live(h.radio) {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		time.Sleep(time.Minute) // it is tried again and does not answer
		synctest.Wait()
		if d := time.Since(began) - time.Minute; d > heartbeatEvery+heartbeatWait+time.Second {
			t.Errorf("found out after %v", d)
		}
		if s := h.radio.Status(); s.Problem == "" {
			t.Errorf("no problem is told: %+v", s)
		}
	})
}

// testLine runs f with one gateway on a line in memory, in fake time.
func testLine(t *testing.T, serial bool, f func(*testing.T, *fakeHub, *radiotest.Radio, *radiotest.Handheld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		air := radiotest.NewAir(radiotest.Config{Seed: 2})
		go air.Run(ctx)
		gear := air.NewRadio("gate", radiotest.RadioConfig{Channels: []meshtastic.Channel{private()}})
		hand := air.NewHandheld("bob", private())
		h := newFakeHub(t, "a")
		h.radio = New(Config{
			Device: "sim", Dial: func(context.Context) (io.ReadWriteCloser, error) {
				if serial {
					return gear.Line(), nil
				}
				return gear.Conn(), nil
			},
			Maps:    []TopicMap{{Topic: "alerts", Channel: 0, Form: FormText}},
			Archive: h, Shelf: h, Signer: h.signer, NameOf: func(mesh.PubKey) string { return "ana" }, Seed: 1,
		})
		go h.radio.Run(ctx, h)
		f(t, h, gear, hand)
		cancel()
		synctest.Wait()
	})
}

// TestCrash stops the carrier between giving a text to the radio and hearing
// that it went out. The next run makes a new attempt, under a new packet id.
func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		air := radiotest.NewAir(radiotest.Config{Seed: 2})
		go air.Run(ctx)
		gear := air.NewRadio("gate", radiotest.RadioConfig{Channels: []meshtastic.Channel{private()}})
		h := newFakeHub(t, "a")
		h.radio = New(Config{
			Device: "sim", Dial: func(context.Context) (io.ReadWriteCloser, error) { return gear.Conn(), nil },
			Maps:    []TopicMap{{Topic: "alerts", Channel: 0, Form: FormText}},
			Archive: h, Shelf: h, Signer: h.signer, NameOf: func(mesh.PubKey) string { return "ana" }, Seed: 1,
		})
		first, crash := context.WithCancel(ctx)
		stopped := make(chan error)
		go func() { stopped <- h.radio.Run(first, h) }()
		e := h.say(t, "alerts", "text")
		for len(air.Sent()) == 0 {
			time.Sleep(50 * time.Millisecond)
		}
		crash()
		<-stopped
		go h.radio.Run(ctx, h)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		ids := map[uint32]bool{}
		for _, s := range air.Sent() {
			ids[s.ID] = true
		}
		if !ids[PacketID(e.ID(), 1, 1)] || !ids[PacketID(e.ID(), 1, 2)] || len(ids) != 2 {
			t.Errorf("%d packet ids on the air, want those of attempts 1 and 2: %v", len(ids), ids)
		}
		cancel()
		synctest.Wait()
	})
}

// TestNewestClientWins has a second program take the radio away, and leave.
func TestNewestClientWins(t *testing.T) {
	testLine(t, false, func(t *testing.T, h *fakeHub, gear *radiotest.Radio, hand *radiotest.Handheld) {
		time.Sleep(5 * time.Second)
		other := gear.Conn()
		time.Sleep(time.Second)
		if _, err := other.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the carrier did not take the radio back: %v", err)
		}
		h.say(t, "alerts", "text")
		if got := (<-hand.Heard()).Text; got != "ana: text" {
			t.Errorf("heard %q", got)
		}
	})
}

package radio

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
)

// onState is a log handler that calls a function when the radio's state changes.
type onState struct {
	slog.Handler
	f func()
}

// Enabled implements slog.Handler.
func (onState) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (h onState) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "radio state" {
		h.f()
	}
	return nil
}

// TestLiveTellsAll looks at the very moment at which the radio is called ready:
// who waited for that finds its account, its problem, and what goes on the air.
func TestLiveTellsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		secret := mesh.Secret{1}
		psk := secret.RadioPSK()
		air := radiotest.NewAir(radiotest.Config{Seed: 1})
		gear := air.NewRadio("gate", radiotest.RadioConfig{
			NoRegion: true, Channels: []meshtastic.Channel{private(), {Name: ChannelName, PSK: psk[:]}},
		})
		h, times := newFakeHub(t, "a"), 0
		decision := &mesh.Record{Event: h.decision(t, 0, 0), Topic: mesh.TopicRegistry, Received: time.Now()}
		look := func() {
			s := h.radio.Status()
			if s.State != StateLive {
				return
			}
			times++
			if s.Node != gear.Num().String() || s.Name != "gate" || len(s.Channels) != 2 || s.Signed.Channel != 1 || s.Code != CodeRegion {
				t.Errorf("ready, and it knows %+v", s)
			}
			if targets := h.radio.Targets(decision); len(targets) != 1 {
				t.Errorf("ready, and a decision is owed to %q", targets)
			}
		}
		h.radio = New(Config{
			Device: "sim", Dial: func(context.Context) (io.ReadWriteCloser, error) { return gear.Conn(), nil },
			Archive: h, Shelf: h, Signer: h.signer, Seed: 1, Secrets: func() []mesh.Secret { return []mesh.Secret{secret} },
			Log: slog.New(onState{slog.DiscardHandler, look}),
		})
		go air.Run(ctx)
		go h.radio.Run(ctx, h)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if times != 1 {
			t.Errorf("the radio was ready %d times, want once", times)
		}
		cancel()
		synctest.Wait()
	})
}

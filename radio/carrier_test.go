package radio

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"drey/mesh"
	"drey/mesh/carriertest"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
)

// TestCarrier runs every carrier's conformance suite for both forms: two
// gateways on one ether, in real time, on which everything goes many times as fast
// as life.
func TestCarrier(t *testing.T) {
	for _, form := range []string{FormText, FormSigned} {
		t.Run(form, func(t *testing.T) { testCarrier(t, form) })
	}
}

func testCarrier(t *testing.T, form string) {
	tempo := 20.0
	if form == FormSigned { // which waits for company
		tempo = 80
	}
	m := carriertest.Medium{
		New: func(t *testing.T) (a, b mesh.Carrier) {
			air := radiotest.NewAir(radiotest.Config{Seed: 7, Tempo: tempo})
			ctx, cancel := context.WithCancel(context.Background())
			ran := make(chan error, 1)
			go func() { ran <- air.Run(ctx) }()
			t.Cleanup(func() {
				cancel()
				<-ran
			})
			end := func(name string) mesh.Carrier {
				h := newFakeHub(t, name) // only for its archive and shelf
				r := air.NewRadio(name, radiotest.RadioConfig{Channels: []meshtastic.Channel{private()}})
				return New(Config{
					Device: "sim", Dial: func(context.Context) (io.ReadWriteCloser, error) { return r.Conn(), nil },
					Maps:    []TopicMap{{Topic: mesh.TopicAlerts, Channel: 0, Form: form}},
					Archive: h, Shelf: h, Signer: h.signer, Tempo: tempo, AirtimeShare: -1,
				})
			}
			return end("left"), end("right")
		},
		Topics:   []mesh.Topic{mesh.TopicAlerts},
		Target:   func(mesh.Topic) string { return "0" },
		Matches:  func(sent, got *mesh.Event) bool { return strings.HasSuffix(got.Content(), ": "+sent.Content()) },
		Retopics: true, Ordered: true, Lossy: true,
		Events: 4, Patience: 2 * time.Minute,
		Ready: func(ctx context.Context, a, b mesh.Carrier) error {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for !live(a.(*Carrier)) || !live(b.(*Carrier)) {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-tick.C:
				}
			}
			return nil
		},
	}
	if form == FormSigned { // the event itself arrives, in the topic that it was sent in
		m.Target = func(mesh.Topic) string { return targetSigned }
		m.Matches, m.Retopics = nil, false
	}
	carriertest.Run(t, m)
}

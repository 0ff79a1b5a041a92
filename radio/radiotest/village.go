package radiotest

import (
	"context"
	"io"
	"strings"

	"drey/radio/meshtastic"
)

// A Village is what "--radio sim" runs: an ether with one radio for the node
// and two handhelds on the same channels. Maria answers questions.
type Village struct {
	Air    *Air
	Radio  *Radio
	Maria  *Handheld
	Samuel *Handheld
}

// NewVillage makes a village. Without channels its radios have the public one.
func NewVillage(cfg Config, channels ...meshtastic.Channel) *Village {
	a := NewAir(cfg)
	v := &Village{
		Air: a, Radio: a.NewRadio("simulated radio", RadioConfig{Channels: channels}),
		Maria: a.NewHandheld("Maria", channels...), Samuel: a.NewHandheld("Samuel", channels...),
	}
	v.Maria.Answer(func(t Text) string {
		if !strings.HasSuffix(t.Text, "?") {
			return ""
		}
		return "Maria hears you: " + quoted(t.Text)
	})
	return v
}

// quoted shortens a text so that an answer to it fits.
func quoted(s string) string {
	const most = 60
	for i := range s {
		if i > most {
			return s[:i] + "…"
		}
	}
	return s
}

// Run makes the village live until ctx ends.
func (v *Village) Run(ctx context.Context) error { return v.Air.Run(ctx) }

// Dial opens a line to the node's radio.
func (v *Village) Dial(context.Context) (io.ReadWriteCloser, error) { return v.Radio.Conn(), nil }

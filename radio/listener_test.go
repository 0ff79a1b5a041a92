package radio

import (
	"context"
	"io"
	"sync"
	"testing"

	"drey/mesh"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
)

// A listener is a node with a radio that says nothing of its own: it counts
// how often each event comes in by air. Without the community's secret it
// sends no sign of life either.
type listener struct {
	mu    sync.Mutex
	times map[mesh.EventID]int
	hub   *fakeHub
	radio *radiotest.Radio
}

// counted is a port that counts.
type counted struct {
	*fakeHub
	l *listener
}

func (c counted) Receive(ctx context.Context, e *mesh.Event, from mesh.Origin) error {
	c.l.mu.Lock()
	c.l.times[e.ID()]++
	c.l.mu.Unlock()
	return c.fakeHub.Receive(ctx, e, from)
}

// count is how often an event came in.
func (l *listener) count(id mesh.EventID) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.times[id]
}

func newListener(t *testing.T, w *town, name string) *listener {
	t.Helper()
	h := newFakeHub(t, name)
	l := &listener{times: make(map[mesh.EventID]int), hub: h}
	l.radio = w.air.NewRadio(name, radiotest.RadioConfig{Channels: []meshtastic.Channel{private()}})
	c := Config{
		Device: "sim", Dial: func(context.Context) (io.ReadWriteCloser, error) { return l.radio.Conn(), nil },
		Archive: h, Shelf: h, Signer: h.signer, Seed: 99, Members: w.members(h),
	}
	c.Maps = []TopicMap{{Topic: "nothing", Channel: 0, Form: FormSigned}}
	h.radio = New(c)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go h.radio.Run(ctx, counted{h, l})
	return l
}

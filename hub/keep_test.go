package hub

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
)

// unplugged is a carrier whose medium is gone.
type unplugged struct{ runs int }

func (u *unplugged) Name() string        { return "unplugged" }
func (u *unplugged) Limits() mesh.Limits { return mesh.Limits{} }
func (u *unplugged) Run(context.Context, mesh.Port) error {
	u.runs++
	return errors.New("no such device")
}

func TestKeepRunningBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		radio := &unplugged{}
		keepRunning(ctx, slog.New(slog.DiscardHandler), radio, nil)
		if radio.runs != 4 { // at 0 s, 1 s, 3 s and 7 s
			t.Errorf("Run was called %d times in 10 s, want 4", radio.runs)
		}
	})
}

// flaky runs for a while, then fails.
type flaky struct {
	unplugged
	lasts time.Duration
	began []time.Time
}

func (f *flaky) Run(ctx context.Context, _ mesh.Port) error {
	f.began = append(f.began, time.Now())
	select {
	case <-time.After(f.lasts):
	case <-ctx.Done():
	}
	return errors.New("line broke")
}

// A carrier that had run for long is tried again at once, not after the pause
// that earlier failures had grown to.
func TestKeepRunningForgetsOldFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		f := &flaky{lasts: 6 * time.Minute}
		keepRunning(ctx, slog.New(slog.DiscardHandler), f, nil)
		for i := 1; i < len(f.began); i++ {
			if pause := f.began[i].Sub(f.began[i-1]) - f.lasts; pause > 2*time.Second {
				t.Errorf("pause %d lasted %v, want about a second", i, pause)
			}
		}
		if len(f.began) < 9 {
			t.Errorf("Run was called %d times in an hour, want 10", len(f.began))
		}
	})
}

// A careless carrier returns without ending what it took.
type careless struct {
	unplugged
	took chan *mesh.Delivery
}

func (c *careless) Run(ctx context.Context, p mesh.Port) error {
	d, err := p.Next(ctx)
	if err != nil {
		return err
	}
	c.took <- d
	return errors.New("line broke")
}

func TestWhatACarrierDroppedIsOwedAgain(t *testing.T) {
	synctest.Test(t, testWhatACarrierDropped)
}

func testWhatACarrierDropped(t *testing.T) {
	w := newWorld(t)
	c := &careless{took: make(chan *mesh.Delivery, 8)}
	h, err := New(Config{Store: w.store, Roster: w.roster, Signer: w.key("school"), Routes: []Route{{Carrier: c}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Publish(t.Context(), "commons", mesh.Draft{Kind: mesh.KindNote, Content: "hello"}, Options{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- h.Run(ctx) }()
	first := <-c.took
	second := <-c.took // keepRunning tried again after a second
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
	if first.Event.ID() != second.Event.ID() || second.Attempt != 2 {
		t.Errorf("the second time it was event %s, attempt %d; want %s, 2", second.Event.ID(), second.Attempt, first.Event.ID())
	}
	first.Done(nil) // too late: this delivery has been taken back
	if s := h.Stats().Outboxes[0]; s.Queued != 1 || s.Out != 0 {
		t.Errorf("after the stop %d wait and %d are out, want 1 and 0", s.Queued, s.Out)
	}
}

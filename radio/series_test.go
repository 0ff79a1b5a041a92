package radio

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/radio/air"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
)

// noise is text that nothing compresses.
func noise(n int) string {
	random := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < n {
		b.WriteByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ."[random.IntN(64)])
	}
	return b.String()
}

// TestLongEvent sends what no frame holds over a channel that loses a fifth.
func TestLongEvent(t *testing.T) {
	for _, size := range []int{300, 900, 1900} {
		inTown(t, 2, radiotest.Config{Seed: 3, Loss: 0.2}, private(), signedForm, func(t *testing.T, w *town) {
			islands(w)
			time.Sleep(2 * time.Minute)
			e := w.hubs[0].say(t, "alerts", noise(size))
			began := time.Now()
			w.hubs[1].await(t, "the long event", time.Hour, func() bool { return w.hubs[1].holds(e.ID()) })
			t.Logf("%d bytes after %v in %d frames; %q", size, time.Since(began), w.frames(meshtastic.PortPrivate, w.gear[0]), w.hubs[0].historyOf(e))
		})
	}
}

// TestNeverFits refuses at once what can never go, and says why.
func TestNeverFits(t *testing.T) {
	inTown(t, 1, radiotest.Config{Seed: 4}, private(), signedForm, func(t *testing.T, w *town) {
		h := w.hubs[0]
		time.Sleep(10 * time.Second)
		began := time.Now()
		e := h.say(t, "alerts", noise(4000))
		h.await(t, "refusal", 5*time.Second, func() bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.mu.failed[e.ID()] != nil
		})
		if d := time.Since(began); d > time.Second {
			t.Errorf("refused after %v", d)
		}
		if got := h.mu.failed[e.ID()].Error(); !strings.Contains(got, TooLong) {
			t.Errorf("refused with %q", got)
		}
	})
}

// TestRadioRebootsInASet restarts the sender's radio, then the receiver's, then
// either node, in the middle of a set of fragments: it goes on where it was.
func TestRadioRebootsInASet(t *testing.T) {
	for _, c := range []struct {
		name string
		who  int
		node bool // the node restarts, not the radio
	}{{"sender's radio", 0, false}, {"receiver's radio", 1, false}, {"sender", 0, true}, {"receiver", 1, true}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				w := newTown(t, ctx, 2, radiotest.Config{Seed: 3}, private(), signedForm)
				islands(w)
				go w.air.Run(ctx)
				stopped := make(chan error, 2)
				var stop [2]context.CancelFunc
				start := func(i int) {
					each, cancel := context.WithCancel(ctx)
					stop[i] = cancel
					go func() { stopped <- w.hubs[i].radio.Run(each, w.hubs[i]) }()
				}
				start(0)
				start(1)
				time.Sleep(2 * time.Minute)
				before := w.frames(meshtastic.PortPrivate, w.gear[0])
				e := w.hubs[0].say(t, "alerts", noise(1500))
				for w.frames(meshtastic.PortPrivate, w.gear[0]) < before+4 {
					time.Sleep(100 * time.Millisecond)
					synctest.Wait()
				}
				if c.node {
					stop[c.who]()
					<-stopped
					time.Sleep(3 * time.Second)
					start(c.who)
				} else {
					w.gear[c.who].Reboot(5 * time.Second)
				}
				w.hubs[1].await(t, "the long event", 30*time.Minute, func() bool { return w.hubs[1].holds(e.ID()) })
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				// Seven fragments carry the event, one repairs; a restart may cost
				// what was on its way, and a receiver what it did not hear.
				if got := w.frames(meshtastic.PortPrivate, w.gear[0]) - before; got > 15 {
					t.Errorf("it took %d frames: the set began anew", got)
				} else {
					t.Logf("%d frames", got)
				}
				cancel()
				synctest.Wait()
			})
		})
	}
}

// fragmentsOf counts the fragments that a radio was given.
func (w *town) fragmentsOf(by *radiotest.Radio) int {
	n := 0
	for _, s := range w.air.Sent() {
		if s.By == by && !s.Repeat && air.FormOf(s.Payload) == air.FormFragment {
			n++
		}
	}
	return n
}

// TestSeriesLeaderKilled has a follower go on with the set that the leader was
// sending when it died, from where it stopped.
func TestSeriesLeaderKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := newTown(t, ctx, 2, radiotest.Config{Seed: 9}, private(), signedForm)
		go w.air.Run(ctx)
		var kill [2]context.CancelFunc
		for i, h := range w.hubs {
			each, stop := context.WithCancel(ctx)
			kill[i] = stop
			go h.radio.Run(each, h)
		}
		listener := newListener(t, w, "far")
		time.Sleep(3 * time.Minute)
		lot := voice(mesh.UnixOf(time.Now()))
		first := 0
		if turn(lot, w.gear[1].Num()) < turn(lot, w.gear[0].Num()) {
			first = 1
		}
		before := w.frames(meshtastic.PortPrivate, w.gear[first])
		e := w.hubs[1-first].say(t, "alerts", noise(1500))
		for w.frames(meshtastic.PortPrivate, w.gear[first]) < before+4 {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
		}
		kill[first]()
		died, said := time.Now(), w.fragmentsOf(w.gear[1-first])
		for listener.count(e.ID()) == 0 && time.Since(died) < 10*time.Minute {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if listener.count(e.ID()) != 1 {
			t.Fatalf("heard %d times after %v", listener.count(e.ID()), time.Since(died))
		}
		if got := w.fragmentsOf(w.gear[1-first]) - said; got > 6 {
			t.Errorf("the follower sent %d fragments, want the last few: %q %+v", got, w.hubs[1-first].historyOf(e), w.hubs[1-first].radio.Status().Signed)
		}
		cancel()
		synctest.Wait()
	})
}

package sim

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
)

// TestThreeDaysAway lets a machine come back after three days in which the
// others, and it alone, went on. Everybody gets everything, once.
func TestThreeDaysAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			machines = 6
			days     = 3
			every    = 3 * time.Minute
		)
		w := newTown(t, machines)
		ctx, cancel := context.WithCancel(t.Context())
		defer w.close()
		defer cancel()

		// While it is away nothing runs: what the others told each other in
		// that time is put into their stores, and what it wrote alone into its.
		away, rest := w.machines[0], w.machines[1:]
		n := 0
		var all []mesh.EventID
		for range days * 24 * time.Hour / every {
			time.Sleep(every)
			n++
			e := unsigned(n, time.Now())
			all = append(all, e.ID())
			if n%20 == 0 {
				away.Keep(mesh.TopicCommons, e)
				continue
			}
			for _, m := range rest {
				m.Keep(mesh.TopicAlerts, e)
			}
		}
		w.run(ctx, w.machines...)
		for i := 2; i < machines; i++ { // the others in a ring
			w.connect(ctx, i, i-1)
		}
		w.connect(ctx, 1, machines-1)
		time.Sleep(10 * time.Second)

		for _, j := range []int{1, 2, 3} {
			w.connect(ctx, 0, j)
		}
		time.Sleep(5 * time.Second)
		for i, m := range w.machines {
			missing := 0
			for _, id := range all {
				if !m.Holds(id) {
					missing++
				}
			}
			if missing > 0 {
				t.Errorf("5 s after the return machine %d lacks %d of %d events", i, missing, len(all))
			}
		}
		if got, want := away.Calls.Load(), uint64(n-n/20); got != want {
			t.Errorf("%d events were brought to the machine that returned, want %d, each once", got, want)
		}
		if away.Doubles.Load() > 0 {
			t.Errorf("%d of them twice", away.Doubles.Load())
		}
		for _, s := range away.carrier.Status().Sync {
			t.Logf("with %s: %d missing, %d received, %d sent, %d windows, %d ms", s.Peer[44:], s.Missing, s.Received, s.Sent, s.Windows, s.TookMS)
		}
	})
}

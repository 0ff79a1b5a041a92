package sim

import (
	"context"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
)

// nodes is how many machines the town has. Under the race detector everything
// costs ten times as much, so the town is smaller there; DREY_SIM_NODES sets
// another number.
func nodes(t testing.TB) int {
	if v, err := strconv.Atoi(os.Getenv("DREY_SIM_NODES")); err == nil {
		return v
	}
	if testing.Short() || raceEnabled {
		return 30
	}
	return 200
}

// TestTownGossipsWithChurn lets a tenth of a town come and go for 10 s at a
// time while the others talk. Who is there hears everything, 99 % of it within
// 150 ms; who comes back has what it missed within 5 s.
func TestTownGossipsWithChurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			dials    = 6
			messages = 60
			gap      = 300 * time.Millisecond
			away     = 10 * time.Second
			back     = 5 * time.Second
		)
		n := nodes(t)
		churning := n / 10
		w := newTown(t, n)
		ctx, cancel := context.WithCancel(t.Context())
		defer w.close()
		defer cancel()

		type arrival struct {
			node int
			id   mesh.EventID
		}
		var mu sync.Mutex
		sent := map[mesh.EventID]time.Time{}
		took := map[arrival]time.Duration{}
		for i, m := range w.machines {
			m.Arrived = func(e *mesh.Event, _ mesh.Origin) {
				mu.Lock()
				defer mu.Unlock()
				took[arrival{i, e.ID()}] = time.Since(sent[e.ID()])
			}
		}
		w.run(ctx, w.machines...)
		for i := range w.machines {
			w.dial(ctx, i, min(dials, n-1))
		}
		time.Sleep(5 * time.Second) // virtual: meshes form

		// Each of the churning machines goes and comes back, out of step.
		type absence struct{ from, to time.Time }
		absences := make([][]absence, n)
		var churn sync.WaitGroup
		stop := make(chan struct{})
		pause := func(d time.Duration) bool {
			select {
			case <-stop:
				return false
			case <-time.After(d):
				return true
			}
		}
		late := 0
		for i := range churning {
			phase := time.Duration(w.draw(int(away)))
			churn.Go(func() {
				for ok := pause(phase); ok; ok = pause(away) {
					gone := time.Now()
					w.cut(i)
					ok := pause(away)
					mu.Lock()
					absences[i] = append(absences[i], absence{gone, time.Now()})
					known := make([]mesh.EventID, 0, len(sent))
					for id := range sent {
						known = append(known, id)
					}
					mu.Unlock()
					w.dial(ctx, i, min(dials, n-1))
					if !ok || !pause(back) {
						return
					}
					missing := 0
					for _, id := range known {
						if !w.machines[i].Holds(id) {
							missing++
						}
					}
					if missing > 0 {
						mu.Lock()
						late++
						mu.Unlock()
						t.Errorf("machine %d was back for %v and still lacked %d of %d events", i, back, missing, len(known))
					}
				}
			})
		}
		for m := range messages {
			e := unsigned(m, time.Now())
			from := w.machines[churning+w.draw(n-churning)]
			mu.Lock()
			sent[e.ID()] = time.Now()
			mu.Unlock()
			from.Publish(mesh.TopicCommons, e)
			time.Sleep(gap)
		}
		time.Sleep(away + back) // the last ones come back
		close(stop)
		churn.Wait()

		mu.Lock()
		defer mu.Unlock()
		var latencies []time.Duration
		lost, returns := 0, 0
		for i, m := range w.machines {
			returns += len(absences[i])
			for id, at := range sent {
				if !m.Holds(id) {
					lost++
					continue
				}
				d, received := took[arrival{i, id}]
				absent := slices.ContainsFunc(absences[i], func(a absence) bool {
					return at.After(a.from.Add(-time.Second)) && at.Before(a.to.Add(time.Second))
				})
				if received && !absent {
					latencies = append(latencies, d)
				}
			}
		}
		slices.Sort(latencies)
		q := func(f float64) time.Duration { return latencies[int(f*float64(len(latencies)-1))] }
		doubles := uint64(0)
		for _, m := range w.machines {
			doubles += m.Doubles.Load()
		}
		t.Logf("%d nodes, %d messages: p50 %v, p95 %v, p99 %v, most %v; %d of %d deliveries lost; %d returns, %d of them late; %d doubles",
			n, messages, q(.5), q(.95), q(.99), q(1), lost, n*messages, returns, late, doubles)
		if got := q(.99); got > 150*time.Millisecond {
			t.Errorf("99 %% of deliveries took up to %v, want 150 ms", got)
		}
		if lost > 0 {
			t.Errorf("%d of %d deliveries never came", lost, n*messages)
		}
		if returns == 0 {
			t.Error("nobody came back, so this test shows nothing")
		}
	})
}

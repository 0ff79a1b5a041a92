package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"drey/hub"
	"drey/mesh"
	"drey/web"
)

// shifted is a clock that runs as it should, from another time on.
func shifted(to time.Time) func() time.Time {
	by := time.Until(to)
	return func() time.Time { return time.Now().Add(by) }
}

// at gives a node a clock that no time service keeps.
func at(year int) func(*setup) {
	return func(s *setup) {
		s.clock, s.kept = shifted(time.Date(year, 1, 2, 3, 4, 5, 0, time.UTC)), func() bool { return false }
	}
}

// by gives a node a right clock, which a time service keeps or not.
func by(service bool) func(*setup) {
	return func(s *setup) { s.kept = func() bool { return service } }
}

// TestWrongClocksLoseNothing runs whole nodes of which one believes it is 1970
// and one 2040, where nobody knows better and where most do. Everything
// arrives everywhere, in the order in which it was said; odd dates are shown;
// and the nodes with a wrong clock say so themselves.
func TestWrongClocksLoseNothing(t *testing.T) {
	for _, tt := range []struct {
		name  string
		right []func(*setup) // the clocks of those who are right
		// stamped tells whether the wrong clocks gave way to the others', so that
		// nothing is dated oddly.
		stamped bool
	}{
		{"where nobody knows the time", []func(*setup){by(false)}, false},
		{"where most know the time", []func(*setup){by(true), by(true)}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithTimeout(t.Context(), awaitPatience)
			defer stop()
			var town []*resident
			settle := func(name string, change func(*setup)) {
				var first *resident
				if len(town) > 0 {
					first = town[0]
				}
				town = append(town, settleNode(t, name, first, change))
			}
			for i, change := range tt.right {
				settle(fmt.Sprintf("right%d", i), change)
			}
			settle("past", at(1970))
			settle("future", at(2040))
			past, future := town[len(town)-2], town[len(town)-1]
			for _, r := range town {
				for len(r.clocks.look().Peers) < len(town)-1 {
					if !pause(ctx, 10*time.Millisecond) {
						t.Fatalf("%s has compared its clock with %d of %d others", r.name, len(r.clocks.look().Peers), len(town)-1)
					}
				}
			}

			var said []string
			for round := range 2 {
				for _, from := range town {
					text := fmt.Sprintf("%s says %d", from.name, round)
					if _, err := (api{from.parts}).Publish(ctx, web.Post{Topic: mesh.TopicCommons, Text: text}); err != nil {
						t.Fatal(err)
					}
					for _, to := range town {
						if err := to.waits(ctx, text); err != nil {
							t.Fatal(err)
						}
					}
					said = append(said, text)
				}
			}
			for _, r := range town {
				var shown []string
				for rec, err := range r.store.Records(ctx, mesh.Filter{Kinds: []mesh.Kind{mesh.KindNote}, Order: mesh.ReceiptFirst}, mesh.Self) {
					if err != nil {
						t.Fatal(err)
					}
					shown = append(shown, rec.Event.Content())
					line := messageLine(rec, &names{}, rec.Received)
					odd := strings.Contains(line, "(dated 2040-01-02)") || strings.Contains(line, "ahead)")
					fromFuture := strings.HasPrefix(rec.Event.Content(), "future") && r != future
					if tt.stamped && time.Until(rec.Event.CreatedAt().Time()).Abs() > time.Hour {
						t.Errorf("%s got %q with the date %v", r.name, rec.Event.Content(), rec.Event.CreatedAt().Time())
					}
					if !tt.stamped && fromFuture && !odd {
						t.Errorf("%s shows %q", r.name, line)
					}
				}
				if !slices.Equal(shown, said) {
					t.Errorf("%s shows\n%q, said was\n%q", r.name, shown, said)
				}
				// The name that the node of 2040 gave itself before it met anybody
				// is replaceable, so it waits until it is due or is refused.
				// What comes before its author's admission waits for that, and is
				// counted; that all of it arrived is asserted above.
				refused := r.hub.Refused()
				delete(refused, "unknown author")
				delete(refused, "not due yet")
				delete(refused, "future date")
				if len(refused) > 0 {
					t.Errorf("%s refused %v", r.name, refused)
				}
			}
			for _, r := range []*resident{past, future} {
				st, err := api{r.parts}.Status(ctx)
				if err != nil {
					t.Fatal(err)
				}
				i := slices.IndexFunc(st.Problems, func(p web.Problem) bool { return p.Code == "clock-wrong" })
				if i < 0 {
					t.Fatalf("%s names the problems %+v", r.name, st.Problems)
				}
				t.Logf("%s: %s; %s", r.name, st.Problems[i].What, st.Problems[i].Why)
			}
			for _, r := range slices.Backward(town) {
				if err := r.end(); err != nil {
					t.Errorf("%s ended with %v", r.name, err)
				}
			}
		})
	}
}

func TestCompareClocks(t *testing.T) {
	for _, tt := range []struct {
		known hub.Clocks
		says  string // "" for no problem
	}{
		{hub.Clocks{}, ""},
		{hub.Clocks{Peers: []time.Duration{time.Minute}}, ""},
		{hub.Clocks{Peers: []time.Duration{-time.Hour}}, "60 min ahead of the neighbours'"},
		{hub.Clocks{Peers: []time.Duration{72 * time.Hour}}, "3 days behind the neighbours'"},
		{hub.Clocks{Synced: true, Peers: []time.Duration{72 * time.Hour}}, ""},
		{hub.Clocks{Peers: []time.Duration{-72 * time.Hour, 0, time.Second}}, ""},
	} {
		c, differs := compareClocks(tt.known)
		if differs != (tt.says != "") || differs && !strings.Contains(c.Problem.What, tt.says) {
			t.Errorf("%+v: %v %+v, want %q", tt.known, differs, c.Problem, tt.says)
		}
	}
}

package sim

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"drey/mesh"
	"drey/radio"
)

// Flags of the airtime benchmark, after -args.
var (
	loraSeeds   = flag.String("seeds", "", "seeds of the airtime benchmark's topologies, separated by commas")
	loraMinutes = flag.Int("minutes", 40, "how long each topology of the airtime benchmark lives")
	loraOnly    = flag.String("rows", "", "regular expression of the airtime benchmark's rows to run")
)

// loraSecret is the simulated community's.
var loraSecret = mesh.Secret{0x5f, 0x10, 0x4a}

// loraBaselines are what people use today.
var loraBaselines = []schemeOf{
	{name: "A  three naive text bridges", open: openNaive(3, false)},
	{name: "A1 one naive text bridge", open: openNaive(1, false)},
	{name: "B  three gateways, equal packet ids", open: openNaive(3, true)},
}

// TestLoraAirtime is the airtime benchmark:
//
//	go test -v -run LoraAirtime -timeout 60m ./sim -args -seeds 1,2,3,4,5,6,7,8,9,10
//
// Without seeds it does nothing.
func TestLoraAirtime(t *testing.T) {
	if *loraSeeds == "" {
		t.Skip("no -seeds given")
	}
	seeds := loraSeedList(t)
	only, err := regexp.Compile(*loraOnly)
	if err != nil {
		t.Fatal(err)
	}
	var rows []schemeOf
	for _, sc := range loraRows() {
		if only.MatchString(sc.name) {
			rows = append(rows, sc)
		}
	}
	length := time.Duration(*loraMinutes) * time.Minute
	for _, d := range []density{dense, sparse} {
		loraTable(t, d, rows, loraScores(t, d, seeds, length, rows))
	}
}

// loraSeedList reads -seeds.
func loraSeedList(t *testing.T) (seeds []uint64) {
	for s := range strings.SplitSeq(*loraSeeds, ",") {
		seed, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
		if err != nil {
			t.Fatalf("seed %q: %v", s, err)
		}
		seeds = append(seeds, seed)
	}
	return seeds
}

// TestLoraSpares runs a small part of the benchmark. It leaves room for chance:
// the figures to reach are measured over ten topologies.
func TestLoraSpares(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("simulates hours of sixty radios")
	}
	rows := []schemeOf{loraBaselines[0], loraBaselines[2], {"drey, signed events", true, openSigned(nil)}}
	for _, c := range []struct {
		density
		ofA, ofB float64
	}{{dense, 0.46, 1.12}, {sparse, 0.68, 1.15}} {
		scores := loraScores(t, c.density, []uint64{1, 2}, 20*time.Minute, rows)
		a, b, drey := &scores[0], &scores[1], &scores[2]
		t.Logf("%s: airtime %.2f of A, %.2f of B; %.1f %% delivered, B %.1f %%; shown %.2f times, A %.2f",
			c.name, drey.cost()/a.cost(), drey.cost()/b.cost(), 100*drey.rate(), 100*b.rate(), drey.shownEach(), a.shownEach())
		if drey.cost() > c.ofA*a.cost() || drey.cost() > c.ofB*b.cost() {
			t.Errorf("%s: %.3f s of airtime for each delivery, A %.3f, B %.3f; want at most %.2f and %.2f of them",
				c.name, drey.cost(), a.cost(), b.cost(), c.ofA, c.ofB)
		}
		if drey.rate() < b.rate()-0.03 {
			t.Errorf("%s: %.1f %% delivered, B %.1f %%", c.name, 100*drey.rate(), 100*b.rate())
		}
		if drey.shown != drey.delivered {
			t.Errorf("%s: %d deliveries are shown %d times", c.name, drey.delivered, drey.shown)
		}
	}
}

// loraScores runs every scheme on every topology, as many at once as go test
// was told (-parallel).
func loraScores(t *testing.T, d density, seeds []uint64, length time.Duration, rows []schemeOf) []loraScore {
	scores := make([]loraScore, len(rows))
	var mu sync.Mutex
	t.Run(d.name, func(t *testing.T) {
		for _, seed := range seeds {
			for i, sc := range rows {
				t.Run(fmt.Sprintf("%d/%s", seed, sc.name), func(t *testing.T) {
					t.Parallel()
					score := loraRun(t, seed, d, length, sc)
					mu.Lock()
					defer mu.Unlock()
					scores[i].add(score)
				})
			}
		}
	})
	return scores
}

// loraTable prints a table: A and B are the first rows that are called so.
func loraTable(t *testing.T, d density, rows []schemeOf, scores []loraScore) {
	t.Helper()
	costOf := func(name string) float64 {
		for i := range rows {
			if strings.HasPrefix(rows[i].name, name) {
				return scores[i].cost()
			}
		}
		return 0
	}
	a, b := costOf("A "), costOf("B ")
	fmt.Printf("\n%s: %.1f neighbours a node, %d messages to %d nodes, %.1f h\n", d.name,
		scores[0].neighbours(), scores[0].messages, loraNodes-loraGateways, scores[0].simulated.Hours())
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tairtime s/delivered\tof A\tof B\tdelivered %\tp50 s\tp95 s\tshown\tcopies\tpackets/message\tbusy %\t")
	for i := range rows {
		s := &scores[i]
		fmt.Fprintf(w, "%-40s\t%.3f\t%.2f\t%.2f\t%.1f\t%.1f\t%.1f\t%.2f\t%.2f\t%.1f\t%.1f\t\n", rows[i].name, s.cost(), s.cost()/a, s.cost()/b,
			100*s.rate(), s.delay(0.5).Seconds(), s.delay(0.95).Seconds(), s.shownEach(), s.copiesEach(),
			float64(s.packets)/float64(max(s.messages, 1)), 100*s.utilization())
	}
	_ = w.Flush()
}

// loraRows are the baselines, the gateways as they are, and the same with one
// measure left out at a time.
func loraRows() []schemeOf {
	return append(slices.Clone(loraBaselines),
		schemeOf{"drey, signed events", true, openSigned(nil)},
		schemeOf{"  every gateway for itself", true, openSigned(func(c *radio.Config) { c.Without.Turns = true })},
		schemeOf{"  leaders by lot", true, openSigned(func(c *radio.Config) { c.Without.Choice = true })},
		schemeOf{"  nothing again for neighbours", true, openSigned(func(c *radio.Config) { c.Without.Near = true })},
		schemeOf{"  no coalescing", true, openSigned(func(c *radio.Config) { c.Without.Gathering = true })},
		schemeOf{"  no compression", true, openSigned(func(c *radio.Config) { c.Text = nil })},
		schemeOf{"  hop limit always 3", true, openSigned(func(c *radio.Config) { c.HopLimit = 3 })},
		schemeOf{"  hop limit always 5", true, openSigned(func(c *radio.Config) { c.HopLimit = 5 })},
	)
}

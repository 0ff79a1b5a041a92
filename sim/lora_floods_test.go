package sim

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"drey/radio"
	"drey/radio/meshtastic"
)

// mostBetween is how many radios lie between two at most that count apart.
const mostBetween = 7

// A loraFlood counts what became of one gateway's frames, by how many radios
// lie between it and another.
type loraFlood struct {
	wanted, came, passed, repeats [mostBetween + 1]int
}

// TestLoraFloods measures what the carrier's hop limit and lead follow from, one
// gateway at a time:
//
//	go test -v -run LoraFloods -timeout 60m ./sim -args -seeds 1,2,3,4,5,6,7,8,9,10
//
// Without seeds it does nothing.
func TestLoraFloods(t *testing.T) {
	if *loraSeeds == "" {
		t.Skip("no -seeds given")
	}
	for _, d := range []density{dense, sparse} {
		var mu sync.Mutex
		var sums [6]loraFlood // by hop limit
		t.Run(d.name, func(t *testing.T) {
			for _, seed := range loraSeedList(t) {
				for place := range loraGateways {
					for hops := 2; hops < len(sums); hops++ {
						t.Run(fmt.Sprintf("%d/%d/%d", seed, place, hops), func(t *testing.T) {
							t.Parallel()
							var w *loraWorld
							loraRun(t, seed, d, time.Duration(*loraMinutes)*time.Minute, schemeOf{"one gateway", true, func(x *loraWorld) scheme {
								w = x
								return openSignedAt(x, []int{place}, func(c *radio.Config) { c.HopLimit = hops })
							}})
							mu.Lock()
							defer mu.Unlock()
							sums[hops].add(w, place)
						})
					}
				}
			}
		})
		fmt.Printf("\n%s: the chance that a radio gets a message, and how often it passes a frame on, by how many lie in between\n", d.name)
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
		for hops := 2; hops < len(sums); hops++ {
			s := &sums[hops]
			for _, row := range []struct {
				name     string
				part, of *[mostBetween + 1]int
			}{{"arrives", &s.came, &s.wanted}, {"repeats", &s.repeats, &s.passed}} {
				fmt.Fprintf(w, "hop limit %d\t%s\t", hops, row.name)
				for k := range mostBetween + 1 {
					fmt.Fprintf(w, "%.2f\t", float64(row.part[k])/float64(max(row.of[k], 1)))
				}
				fmt.Fprintln(w)
			}
		}
		_ = w.Flush()
	}
}

// add counts what became of the frames of the gateway at a place.
func (f *loraFlood) add(w *loraWorld, place int) {
	between := w.between(place)
	frames := 0
	for _, x := range w.air.Sent() {
		switch by := w.index[x.By]; {
		case x.Port != meshtastic.PortPrivate || x.At.Before(w.began.Add(loraWarm)):
		case x.Repeat:
			f.repeats[between[by]]++
		default:
			frames++
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for node := range w.radios {
		if node == place {
			continue
		}
		f.passed[between[node]] += frames
		for m, msg := range w.messages {
			if msg.born < loraWarm {
				continue
			}
			f.wanted[between[node]]++
			if _, ok := w.mu.first[m][node]; ok {
				f.came[between[node]]++
			}
		}
	}
}

// between counts the radios that lie between one and each other, by the shortest
// way, mostBetween at most.
func (w *loraWorld) between(from int) map[int]int {
	between := map[int]int{from: -1}
	for edge := []int{from}; len(edge) > 0; edge = edge[1:] {
		for to := range w.radios {
			if _, known := between[to]; !known && w.terrain.Joins(w.radios[edge[0]], w.radios[to]) {
				between[to] = min(between[edge[0]]+1, mostBetween)
				edge = append(edge, to)
			}
		}
	}
	return between
}

package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"drey/radio/meshtastic"
	"drey/radio/radiotest"
)

// What every run of the airtime benchmark has in common.
const (
	loraNodes    = 60
	loraGateways = 3                // the first of the nodes
	loraGap      = 30 * time.Second // between messages, on average
	loraWarm     = 6 * time.Minute  // neither messages nor airtime count so long
	loraDrain    = 3 * time.Minute  // for the last messages to arrive; airtime counts
)

// loraDay is when the benchmark plays. The clock of a bubble begins in the year
// 2000, whose dates the shortest frames cannot tell.
var loraDay = time.Date(2026, time.June, 1, 12, 0, 0, 0, time.UTC)

// Channels of the nodes' radios.
const (
	loraPublic  = 0 // handhelds' texts
	loraPrivate = 1 // the community's signed frames
)

// A density is how far apart the nodes of a terrain stand.
type density struct {
	name string
	side float64 // metres
}

var (
	dense  = density{"dense", 14_000}
	sparse = density{"sparse", 22_000}
)

// A loraMessage is one line that somebody on the fast side wrote.
type loraMessage struct {
	text string
	born time.Duration // since the start
}

// loraMessages is the same workload for every scheme of a seed. A text comes
// again only when all others have been said.
func loraMessages(seed uint64, length time.Duration) []loraMessage {
	random := rand.New(rand.NewPCG(seed, 5))
	var list []loraMessage
	var turn []int
	for at := 10 * time.Second; at < loraWarm+length; at += time.Duration(random.ExpFloat64() * float64(loraGap)) {
		if len(turn) == 0 {
			turn = random.Perm(len(loraTexts))
		}
		list = append(list, loraMessage{loraTexts[turn[0]], at})
		turn = turn[1:]
	}
	return list
}

// A scheme is one way for three gateways to put messages on the air.
type scheme interface {
	// say hands message m to the gateways.
	say(m int)
	// read tells which messages a packet brings to a node. It must not call
	// the ether.
	read(r radiotest.Reception) []int
	// run lives as long as the ether does.
	run(ctx context.Context)
}

// A schemeOf is a scheme that is still to be set up in a world.
type schemeOf struct {
	name string
	once bool // nodes show a message once, however many packets bring it
	open func(w *loraWorld) scheme
}

// A loraWorld is 60 radios on one terrain, and what became of every message.
type loraWorld struct {
	t        testing.TB
	seed     uint64
	length   time.Duration
	air      *radiotest.Air
	terrain  *radiotest.Terrain
	radios   []*radiotest.Radio
	index    map[*radiotest.Radio]int
	messages []loraMessage
	began    time.Time
	scheme   scheme

	mu struct {
		sync.Mutex
		first  []map[int]time.Duration // by message and node: how long it took
		copies []map[int]int           // by message and node: packets that brought it
	}
}

func newLoraWorld(t testing.TB, seed uint64, d density, length time.Duration) *loraWorld {
	w := &loraWorld{
		t: t, seed: seed, length: length, began: time.Now(), index: map[*radiotest.Radio]int{},
		terrain:  radiotest.NewTerrain(seed, loraNodes, loraGateways, d.side),
		messages: loraMessages(seed, length),
	}
	for range w.messages {
		w.mu.first = append(w.mu.first, map[int]time.Duration{})
		w.mu.copies = append(w.mu.copies, map[int]int{})
	}
	w.air = radiotest.NewAir(radiotest.Config{Seed: seed, Collisions: true, SNR: w.terrain.SNR, Taken: w.took})
	for i := range loraNodes {
		r := w.air.NewRadio(fmt.Sprintf("node %d", i), radiotest.RadioConfig{
			Channels: []meshtastic.Channel{radiotest.PublicChannel(), loraChannel()},
		})
		w.radios = append(w.radios, r)
		w.index[r] = i
	}
	return w
}

// took notes what a packet brought to a node.
func (w *loraWorld) took(r radiotest.Reception) {
	brought := w.scheme.read(r)
	node := w.index[r.By]
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range brought {
		w.mu.copies[m][node]++
		if _, ok := w.mu.first[m][node]; !ok {
			w.mu.first[m][node] = r.At.Sub(w.began.Add(w.messages[m].born))
		}
	}
}

// loraRun lets a scheme carry a workload for length.
func loraRun(t *testing.T, seed uint64, d density, length time.Duration, sc schemeOf) (score loraScore) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(loraDay))
		ctx, cancel := context.WithCancel(t.Context())
		w := newLoraWorld(t, seed, d, length)
		w.scheme = sc.open(w)
		var work sync.WaitGroup
		work.Go(func() { _ = w.air.Run(ctx) })
		work.Go(func() { w.scheme.run(ctx) })
		for m, msg := range w.messages {
			time.Sleep(time.Until(w.began.Add(msg.born)))
			w.scheme.say(m)
		}
		time.Sleep(time.Until(w.began.Add(loraWarm + length + loraDrain)))
		score = w.score(sc.once)
		cancel()
		work.Wait()
	})
	return score
}

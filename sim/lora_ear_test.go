package sim

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/radio"
	"drey/radio/air"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
)

// An ear rebuilds the events in frames as the nodes of a community do, each
// with its own memory of fragments.
type ear struct {
	codec *air.Codec
	sets  map[*radiotest.Radio]*air.Assembly
	known map[string][]mesh.EventID // by payload
	wrong int                       // frames with events that nobody can rebuild
}

func newEar(people []*mesh.SecretKey) *ear {
	return &ear{
		codec: &air.Codec{Text: loraText(), Directory: everybody(people), Near: aboutNow},
		sets:  make(map[*radiotest.Radio]*air.Assembly), known: make(map[string][]mesh.EventID),
	}
}

// hear returns the events that a packet completes at a node.
func (e *ear) hear(r radiotest.Reception) []mesh.EventID {
	if r.Port != meshtastic.PortPrivate {
		return nil
	}
	switch air.FormOf(r.Payload) {
	case air.FormEvents:
		return e.rebuild(r.Payload, e.codec.Unpack)
	case air.FormFragment:
		a := e.sets[r.By]
		if a == nil {
			a = air.NewAssembly(rand.New(rand.NewPCG(1, 1)))
			e.sets[r.By] = a
		}
		if whole, err := a.Add(r.Payload, r.At); err == nil && whole != nil {
			return e.rebuild(whole, e.codec.UnpackWhole)
		}
	}
	return nil
}

// rebuild is done once for all nodes: they know the same people.
func (e *ear) rebuild(payload []byte, unpack func([]byte) (*air.Result, error)) []mesh.EventID {
	if ids, ok := e.known[string(payload)]; ok {
		return ids
	}
	result, err := unpack(payload)
	if err != nil || len(result.Missing) > 0 {
		e.wrong++
		return nil
	}
	var ids []mesh.EventID
	for _, it := range result.Items {
		ids = append(ids, it.Event.ID())
	}
	e.known[string(payload)] = ids
	return ids
}

// aboutNow is when events are dated that are on the air.
func aboutNow() []mesh.Unix { return []mesh.Unix{mesh.UnixOf(time.Now())} }

// everybody is a directory of people.
type everybody []*mesh.SecretKey

// Authors implements air.Directory.
func (p everybody) Authors(begin []byte) (keys []mesh.PubKey) {
	for _, k := range p {
		if key := k.PubKey(); bytes.HasPrefix(key[:], begin) {
			keys = append(keys, key)
		}
	}
	return keys
}

// Travelled implements air.Directory.
func (everybody) Travelled(air.Prefix) []air.Reference { return nil }

// A village is gates and listening nodes on one ether.
type village struct {
	t      testing.TB
	ctx    context.Context
	air    *radiotest.Air
	gates  []*gate
	nodes  []*radiotest.Radio // without a gate
	people []*mesh.SecretKey
	events []*mesh.Event

	mu struct {
		sync.Mutex
		ear   *ear
		first map[mesh.EventID]map[*radiotest.Radio]time.Time
		shown map[string]map[*radiotest.Radio]int // texts on the public channel
	}
}

// inVillage runs f in a bubble with so many gates in one form, and so many
// other nodes, and shuts everything down at the end.
func inVillage(t *testing.T, gates, nodes int, form string, cfg radiotest.Config, change func(i int, c *radio.Config), f func(t *testing.T, v *village)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		v := &village{t: t, ctx: ctx}
		for i := range 5 {
			v.people = append(v.people, loraKey(t, fmt.Sprintf("person %d", i)))
		}
		v.mu.ear = newEar(v.people)
		v.mu.first = make(map[mesh.EventID]map[*radiotest.Radio]time.Time)
		v.mu.shown = make(map[string]map[*radiotest.Radio]int)
		cfg.Taken = v.took
		v.air = radiotest.NewAir(cfg)
		channels := radiotest.RadioConfig{Channels: []meshtastic.Channel{radiotest.PublicChannel(), loraChannel()}}
		for i := range gates {
			device := v.air.NewRadio(fmt.Sprintf("gate %d", i), channels)
			v.gates = append(v.gates, newGate(t, fmt.Sprintf("gate %d", i), device, form, v.people, func(c *radio.Config) {
				if change != nil {
					change(i, c)
				}
			}))
		}
		for i := range nodes {
			v.nodes = append(v.nodes, v.air.NewRadio(fmt.Sprintf("node %d", i), channels))
		}
		var ether sync.WaitGroup
		ether.Go(func() { _ = v.air.Run(ctx) })
		for _, g := range v.gates {
			g.start(ctx)
		}
		f(t, v)
		cancel()
		for _, g := range v.gates {
			<-g.done
		}
		ether.Wait()
	})
}

func (v *village) took(r radiotest.Reception) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if r.Port == meshtastic.PortText {
		if v.mu.shown[string(r.Payload)] == nil {
			v.mu.shown[string(r.Payload)] = make(map[*radiotest.Radio]int)
		}
		v.mu.shown[string(r.Payload)][r.By]++
	}
	for _, id := range v.mu.ear.hear(r) {
		if v.mu.first[id] == nil {
			v.mu.first[id] = make(map[*radiotest.Radio]time.Time)
		}
		if _, again := v.mu.first[id][r.By]; !again {
			v.mu.first[id][r.By] = r.At
		}
	}
}

// say publishes a note at a gate.
func (v *village) say(gate int, format string, args ...any) *mesh.Event {
	v.t.Helper()
	e := v.gates[gate].publish(v.t, v.people[len(v.events)%len(v.people)], fmt.Sprintf(format, args...))
	v.events = append(v.events, e)
	return e
}

// firstAt returns when a node first had an event, zero when it did not.
func (v *village) firstAt(id mesh.EventID, node *radiotest.Radio) time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.mu.first[id][node]
}

// frames counts the transmissions of frames that carry an event since a moment,
// by their authors: repeats do not count.
func (v *village) frames(id mesh.EventID, since time.Time) (n int) {
	sent := v.air.Sent()
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range sent {
		if !s.Repeat && !s.At.Before(since) && slices.Contains(v.mu.ear.known[string(s.Payload)], id) {
			n++
		}
	}
	return n
}

// speaker returns the gate that said most frames with events since a moment,
// first-hand, or -1.
func (v *village) speaker(since time.Time) int {
	said := make([]int, len(v.gates))
	for _, s := range v.air.Sent() {
		for i, g := range v.gates {
			if s.By == g.device && !s.Repeat && !s.At.Before(since) &&
				(s.Port == meshtastic.PortText || s.Port == meshtastic.PortPrivate && air.FormOf(s.Payload) == air.FormEvents) {
				said[i]++
			}
		}
	}
	best := -1
	for i, n := range said {
		if n > 0 && (best < 0 || n > said[best]) {
			best = i
		}
	}
	return best
}

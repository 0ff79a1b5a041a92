package sim

import (
	"context"
	"fmt"
	"sync"

	"drey/mesh"
	"drey/radio"
	"drey/radio/air"
	"drey/radio/radiotest"
)

// loraPeople write the benchmark's messages.
const loraPeople = 20

// Signed gateways are real nodes: hub, radio carrier, governor as it comes. The
// nodes that listen rebuild every frame, signatures and all.
type signed struct {
	w      *loraWorld
	gates  []*gate
	people []*mesh.SecretKey
	ear    *ear // under the ether's lock

	mu struct {
		sync.Mutex
		byEvent map[mesh.EventID]int
	}
}

func openSigned(change func(*radio.Config)) func(*loraWorld) scheme {
	return func(w *loraWorld) scheme { return openSignedAt(w, []int{0, 1, 2}, change) }
}

// openSignedAt puts gateways at these of the radios.
func openSignedAt(w *loraWorld, places []int, change func(*radio.Config)) scheme {
	s := &signed{w: w}
	s.mu.byEvent = make(map[mesh.EventID]int)
	for i := range loraPeople {
		s.people = append(s.people, loraKey(w.t, fmt.Sprintf("person %d", i)))
	}
	for i, place := range places {
		s.gates = append(s.gates, newGate(w.t, fmt.Sprintf("gate %d", i), w.radios[place], radio.FormSigned, s.people, change))
	}
	join(s.gates...)
	s.ear = newEar(s.people)
	if s.ear.codec.Text = s.gates[0].config.Text; s.ear.codec.Text == nil {
		s.ear.codec.Text = air.Plain{}
	}
	return s
}

func (s *signed) run(ctx context.Context) {
	for _, g := range s.gates {
		g.start(ctx)
	}
	for _, g := range s.gates {
		<-g.done
	}
}

// say hands a message to one gate after the other, in turn; the wire brings it
// to the rest.
func (s *signed) say(m int) {
	e := s.gates[m%len(s.gates)].publish(s.w.t, s.people[m%loraPeople], s.w.messages[m].text)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.byEvent[e.ID()] = m
}

func (s *signed) read(r radiotest.Reception) (list []int) {
	ids := s.ear.hear(r)
	if s.ear.wrong == 1 {
		s.ear.wrong++ // say it once
		s.w.t.Errorf("frame %x cannot be rebuilt", r.Payload)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if m, ok := s.mu.byEvent[id]; ok {
			list = append(list, m)
		}
	}
	return list
}

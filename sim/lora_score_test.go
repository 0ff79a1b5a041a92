package sim

import (
	"slices"
	"time"

	"drey/radio/meshtastic"
)

// A loraScore is what a scheme cost and brought, over one terrain or several.
type loraScore struct {
	messages, packets int
	delivered, wanted int // of messages to the nodes that are no gateways
	shown, copies     int
	airtime           time.Duration // of every radio
	sent              time.Duration // of that, by gateways and first-hand
	simulated         time.Duration
	busy              time.Duration // that each node heard the channel in use, summed
	delays            []time.Duration
	near              float64 // neighbours a node, times simulated hours
}

func (s *loraScore) add(o loraScore) {
	s.messages += o.messages
	s.packets += o.packets
	s.delivered += o.delivered
	s.wanted += o.wanted
	s.shown += o.shown
	s.copies += o.copies
	s.airtime += o.airtime
	s.sent += o.sent
	s.simulated += o.simulated
	s.busy += o.busy
	s.delays = append(s.delays, o.delays...)
	s.near += o.near
}

// cost is seconds of airtime for each message that one node got.
func (s *loraScore) cost() float64 { return s.airtime.Seconds() / float64(max(s.delivered, 1)) }

func (s *loraScore) rate() float64       { return float64(s.delivered) / float64(max(s.wanted, 1)) }
func (s *loraScore) shownEach() float64  { return float64(s.shown) / float64(max(s.delivered, 1)) }
func (s *loraScore) copiesEach() float64 { return float64(s.copies) / float64(max(s.delivered, 1)) }
func (s *loraScore) neighbours() float64 { return s.near / s.simulated.Hours() }

// utilization is the share of time that a node hears the channel in use.
func (s *loraScore) utilization() float64 {
	return s.busy.Seconds() / loraNodes / s.simulated.Seconds()
}

func (s *loraScore) delay(part float64) time.Duration {
	if len(s.delays) == 0 {
		return 0
	}
	slices.Sort(s.delays)
	return s.delays[int(part*float64(len(s.delays)-1))]
}

// score counts what happened after the warming up.
func (w *loraWorld) score(once bool) loraScore {
	s := loraScore{simulated: w.length + loraDrain}
	s.near = w.terrain.Neighbours() * s.simulated.Hours()
	for _, x := range w.air.Sent() {
		if x.At.Before(w.began.Add(loraWarm)) {
			continue
		}
		s.packets++
		s.airtime += x.Airtime
		s.busy += time.Duration(float64(x.Airtime) * (1 + w.terrain.Neighbours()))
		if w.index[x.By] < loraGateways && !x.Repeat {
			s.sent += x.Airtime
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for m, msg := range w.messages {
		if msg.born < loraWarm {
			continue
		}
		s.messages++
		s.wanted += loraNodes - loraGateways
		for node, after := range w.mu.first[m] {
			if node < loraGateways {
				continue
			}
			s.delivered++
			s.delays = append(s.delays, after)
			s.copies += w.mu.copies[m][node]
			if once {
				s.shown++
			} else {
				s.shown += w.mu.copies[m][node]
			}
		}
	}
	return s
}

// loraChannel is the community's channel on every radio.
func loraChannel() meshtastic.Channel {
	psk := loraSecret.RadioPSK()
	return meshtastic.Channel{Name: "drey", PSK: psk[:]}
}

package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"drey/radio/meshtastic"
	"drey/radio/radiotest"
)

// A sketch is a gateway's policy on the drawing-board: frames of the right size
// with nothing in them but the numbers of messages.
type sketch struct {
	ratio    float64 // of compression
	over     int     // bytes a message beside its text
	coalesce time.Duration
	rank     time.Duration
	hops     uint32
	epoch    time.Duration
	early    int
	central  bool // the leader is the gateway with most neighbours
	gossip   bool // colleagues learn over the fast side what was said
	fixed int
	order    []int

	w      *loraWorld
	random *rand.Rand
	news   [loraGateways]chan int
	mu     sync.Mutex
	heard  [loraGateways]map[int]bool
}

func openSketch(s *sketch) func(*loraWorld) scheme {
	return func(w *loraWorld) scheme {
		c := &sketch{ratio: s.ratio, over: s.over, coalesce: s.coalesce, rank: s.rank, hops: s.hops, epoch: s.epoch, central: s.central, early: s.early, gossip: s.gossip, fixed: s.fixed}
		c.w = w
		c.random = rand.New(rand.NewPCG(w.seed, 11))
		degree := make([]int, loraGateways)
		for g := range degree {
			for _, r := range w.radios {
				if r != w.radios[g] && w.terrain.SNR(r, w.radios[g]) > -17.5 {
					degree[g]++
				}
			}
		}
		c.order = make([]int, loraGateways)
		for g := range degree {
			for o := range degree {
				if degree[o] > degree[g] || degree[o] == degree[g] && o < g {
					c.order[g]++
				}
			}
		}
		for i := range c.news {
			c.news[i] = make(chan int, 100)
			c.heard[i] = map[int]bool{}
		}
		return c
	}
}

func (s *sketch) say(m int) {
	for i := range s.news {
		s.news[i] <- m
	}
}

func (s *sketch) rankOf(g int, now time.Time) int {
	if s.fixed > 0 {
		return (g - s.fixed + 1 + 3) % 3
	}
	if s.central {
		return s.order[g]
	}
	return (g + int(now.Sub(s.w.began)/s.epoch)) % loraGateways
}

func (s *sketch) known(g, m int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard[g][m]
}

func (s *sketch) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for g := range loraGateways {
		all.Go(func() { s.gateway(ctx, g) })
	}
}

func (s *sketch) size(m int) int {
	return int(float64(len(s.w.messages[m].text))*s.ratio+0.5) + s.over
}

type heldMessage struct {
	m   int
	due time.Time
}

func (s *sketch) gateway(ctx context.Context, g int) {
	var held []heldMessage
	timer := time.NewTimer(time.Hour)
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-s.news[g]:
			rank := s.rankOf(g, time.Now())
			due := time.Now().Add(s.coalesce + 500*time.Millisecond + time.Duration(rank)*(s.rank+s.coalesce))
			held = append(held, heldMessage{m, due})
			size := 5
			for _, h := range held {
				size += s.size(h.m)
			}
			if s.coalesce > 0 && size > 231-s.early && rank == 0 {
				held[0].due = time.Now()
			}
		case <-timer.C:
		}
		for len(held) > 0 && !held[0].due.After(time.Now()) {
			held = s.frame(g, held)
		}
		if len(held) > 0 {
			timer.Reset(time.Until(held[0].due))
		}
	}
}

func (s *sketch) frame(g int, held []heldMessage) (rest []heldMessage) {
	size := 5
	var in []int
	rank := s.rankOf(g, time.Now())
	for _, h := range held {
		if s.known(g, h.m) {
			continue
		}
		if b := s.size(h.m); size+b <= 231 && (rank == 0 || !h.due.After(time.Now())) {
			size += b
			in = append(in, h.m)
			continue
		}
		rest = append(rest, h)
	}
	if len(in) == 0 {
		return rest
	}
	payload := make([]byte, max(size, 1+2*len(in)))
	payload[0] = byte(len(in))
	for i, m := range in {
		binary.BigEndian.PutUint16(payload[1+2*i:], uint16(m))
	}
	if s.gossip {
		s.mu.Lock()
		for o := range s.heard {
			for _, m := range in {
				s.heard[o][m] = true
			}
		}
		s.mu.Unlock()
	}
	s.w.radios[g].Send(&meshtastic.Packet{
		To: meshtastic.Broadcast, Channel: loraPrivate, HopLimit: s.hops, Priority: 10,
		Data: &meshtastic.Data{Port: meshtastic.PortPrivate, Payload: payload},
	})
	return rest
}

func (s *sketch) read(r radiotest.Reception) []int {
	if r.Port != meshtastic.PortPrivate {
		return nil
	}
	var list []int
	for i := range int(r.Payload[0]) {
		list = append(list, int(binary.BigEndian.Uint16(r.Payload[1+2*i:])))
	}
	if g := s.w.index[r.By]; g < loraGateways {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, m := range list {
			s.heard[g][m] = true
		}
	}
	return list
}

var loraSketches = func() (rows []schemeOf) {
	for _, coalesce := range []int{20, 30} {
		for _, hops := range []uint32{2, 3, 4} {
			for _, central := range []bool{false, true} {
				for _, gossip := range []bool{false, true} {
					rows = append(rows, schemeOf{fmt.Sprintf("signed c%d h%d central %v gossip %v", coalesce, hops, central, gossip), true, openSketch(&sketch{
						ratio: 0.40, over: 72, coalesce: time.Duration(coalesce) * time.Second, rank: 15 * time.Second, hops: hops,
						epoch: 5 * time.Minute, central: central, gossip: gossip,
					})})
				}
			}
		}
	}
	return rows
}()

package sim

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"drey/radio/meshtastic"
	"drey/radio/radiotest"
)

// The baselines put a message on the air as text, after what the internet takes
// to bring it to each gateway. Handhelds show every packet.

// newsDelay is the most that gossip or MQTT take to bring a message.
const newsDelay = time.Second

// A naive bridge is what people run today: its own text, under its own name,
// as soon as it has it.
type naive struct {
	w        *loraWorld
	gateways int
	sameID   bool // MQTT: one packet, wherever it comes from
	random   *rand.Rand
	later    sync.WaitGroup
}

func openNaive(gateways int, sameID bool) func(*loraWorld) scheme {
	return func(w *loraWorld) scheme {
		return &naive{w: w, gateways: gateways, sameID: sameID, random: rand.New(rand.NewPCG(w.seed, 9))}
	}
}

func (n *naive) run(ctx context.Context) { <-ctx.Done(); n.later.Wait() }

// loraAuthor is who the texts are by; bridges put it in front.
const loraAuthor = "Anneliese: "

func (n *naive) text(m int) string { return loraAuthor + n.w.messages[m].text }

func (n *naive) say(m int) {
	const hops = 3
	id := n.random.Uint32() | 1
	for i := range n.gateways {
		r, pause := n.w.radios[i], time.Duration(n.random.Int64N(int64(newsDelay)))
		n.later.Go(func() {
			time.Sleep(pause)
			if n.sameID {
				r.Downlink(0xfeedbee5, id, loraPublic, hops, n.text(m))
				return
			}
			r.Send(&meshtastic.Packet{
				To: meshtastic.Broadcast, Channel: loraPublic, HopLimit: hops,
				Data: &meshtastic.Data{Port: meshtastic.PortText, Payload: []byte(n.text(m))},
			})
		})
	}
}

// read finds the message by its text and time: it is the latest of that text
// that had been written.
func (n *naive) read(r radiotest.Reception) []int {
	if r.Port != meshtastic.PortText {
		return nil
	}
	text := strings.TrimPrefix(string(r.Payload), loraAuthor)
	for m := len(n.w.messages) - 1; m >= 0; m-- {
		msg := n.w.messages[m]
		if msg.text == text && !r.At.Before(n.w.began.Add(msg.born)) {
			return []int{m}
		}
	}
	return nil
}

package radio

import (
	"errors"
	"strings"
	"time"

	"drey/mesh"
	"drey/radio/air"
)

// An Estimate says what it would cost to say an event on the air, as things
// are now. What others say meanwhile is not in it.
type Estimate struct {
	Packets int           // in all forms together
	Airtime time.Duration // of all packets, each sent once
	Wait    time.Duration // until the last may go; 0 when nothing hinders
	Why     string        // of the wait
	TooLong bool          // the air carries no text of this length, or only its beginning
}

// A price is what is known of the cost of packets; see owner.publish.
type price struct {
	modulation air.Modulation
	signs      bool
}

func (c *Carrier) setPrice(p price) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.price = p
}

// cost is the airtime of one packet with so many bytes.
func (p price) cost(size int) time.Duration {
	if p.modulation.Bandwidth == 0 {
		usual, _ := air.PresetOf(0)
		return usual.Time(air.FrameSize(size, true))
	}
	return p.modulation.Time(air.FrameSize(size, p.signs))
}

// Estimate tells what saying r would cost; false when the configuration does
// not send it out by radio. r need not be kept anywhere, but signed.
func (c *Carrier) Estimate(r *mesh.Record, p mesh.Priority) (Estimate, bool) {
	targets := c.Targets(r)
	if len(targets) == 0 {
		return Estimate{}, false
	}
	c.mu.Lock()
	status, price := c.mu.status, c.mu.price
	c.mu.Unlock()
	var e Estimate
	for _, target := range targets {
		if target == targetSigned {
			e.addSigned(c, r, price)
			continue
		}
		name, _ := c.namesOf(r.Event)
		parts := render(name, r.Event.Content())
		if n := len(parts); n == maxParts && strings.HasSuffix(parts[n-1], "…") && !strings.HasSuffix(r.Event.Content(), "…") {
			e.TooLong = true // the end is cut off
		}
		for _, part := range parts {
			e.Packets++
			e.Airtime += price.cost(len(part))
		}
	}
	e.Wait, e.Why = status.Airtime.until(p, e.Airtime, price.cost(maxText))
	return e, true
}

// addSigned counts the packets of the signed form.
func (e *Estimate) addSigned(c *Carrier, r *mesh.Record, p price) {
	codec := &air.Codec{Text: c.text}
	payload, _, err := codec.Pack([]air.Item{{Event: r.Event, Topic: r.Topic}}, 0, false)
	if _, long := errors.AsType[*air.TooLongError](err); long {
		set, err := codec.Split(air.Item{Event: r.Event, Topic: r.Topic})
		if err != nil {
			e.TooLong = true
			return
		}
		set.Begin(0)
		e.Packets += set.Owed()
		e.Airtime += time.Duration(set.Owed()) * p.cost(set.Size())
		return
	}
	if err != nil {
		e.TooLong = true
		return
	}
	e.Packets++
	e.Airtime += p.cost(len(payload))
}

// until tells how long so much airtime must wait behind what waits already,
// each of which is taken for one long packet.
func (s AirtimeStatus) until(p mesh.Priority, need, each time.Duration) (time.Duration, string) {
	if int(p) >= len(s.Shares) {
		return 0, ""
	}
	share := s.Shares[p]
	need += time.Duration(share.Waiting) * each
	wait, why := time.Duration(share.NextInMS)*time.Millisecond, share.Why
	left := time.Duration(share.LeftMS) * time.Millisecond
	if share.LeftMS >= 0 && share.BudgetMS > 0 && need > left {
		short := float64(need-left) / float64(time.Duration(share.BudgetMS)*time.Millisecond)
		if due := time.Duration(short * float64(time.Hour)); due > wait {
			wait, why = due, whyAirtime
		}
	}
	return wait, why
}

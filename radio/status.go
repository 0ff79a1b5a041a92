package radio

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"drey/mesh"
	"drey/radio/air"
	"drey/radio/meshtastic"
)

// States of the radio.
const (
	StateNone        = "none"        // there is to be no radio
	StateClosed      = "unplugged"   // not found, or away for now
	StateWaking      = "connecting"  // the line is open
	StateConfiguring = "configuring" // it tells about itself
	StateLive        = "ready"
)

// A Status is what is known of the radio, for people and programs.
type Status struct {
	State    string          `json:"state"`
	Device   string          `json:"device"`
	Node     string          `json:"node,omitempty"` // "!a1b2c3d4"
	Name     string          `json:"name,omitempty"`
	Firmware string          `json:"firmware,omitempty"`
	Region   string          `json:"region,omitempty"`
	Preset   string          `json:"preset,omitempty"`
	Channels []ChannelStatus `json:"channels,omitempty"`
	Nodes    int             `json:"nodes"`    // radios that it knows
	Heard    int             `json:"heard"`    // of these, heard in the last two hours
	Gateways int             `json:"gateways"` // colleagues on this ether

	Queue   int           `json:"queue"`     // deliveries waiting here
	Flying  int           `json:"in_flight"` // packets in the radio's queue
	Free    int           `json:"radio_free"`
	Airtime AirtimeStatus `json:"airtime"`

	Sent       uint64 `json:"sent"`       // packets put on the air
	Translated uint64 `json:"translated"` // texts that became events here
	Recognised uint64 `json:"recognised"` // texts that were our community's own events
	Dropped    uint64 `json:"dropped"`    // lost to full queues or refused by the hub
	Junk       uint64 `json:"junk_bytes"` // on the line
	Reopened   uint64 `json:"reopened"`   // times the line was opened again

	Problem string `json:"problem,omitempty"` // why it is not live or cannot send
	Fix     string `json:"fix,omitempty"`
}

// A ChannelStatus is one channel in use.
type ChannelStatus struct {
	Index  int          `json:"index"`
	Name   string       `json:"name"`
	Public bool         `json:"public"` // its key is known to everybody
	Topics []mesh.Topic `json:"topics"`
}

// An AirtimeStatus is the state of the airtime budget, in milliseconds.
type AirtimeStatus struct {
	SpentMS     int64   `json:"spent_ms"`  // not yet forgiven
	BudgetMS    int64   `json:"budget_ms"` // of a full bucket; 0 is no limit
	TotalMS     int64   `json:"total_ms"`  // since the start
	NextInMS    int64   `json:"next_in_ms"`
	Utilization float32 `json:"channel_utilization"` // per cent, as the radio measures it
}

// Status returns what is known of the radio now.
func (c *Carrier) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.mu.status
	s.Channels = slices.Clone(s.Channels)
	return s
}

func (c *Carrier) count(f func(*Status)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.mu.status)
}

// setState moves the state machine; it is the only place that does.
func (c *Carrier) setState(state string, err error) {
	c.count(func(s *Status) {
		if state == StateWaking && s.State == StateClosed {
			s.Reopened++
		}
		s.State = state
		switch { // what went wrong last is told until it goes well again
		case err != nil:
			s.Problem, s.Fix = err.Error(), hintOf(err)
		case state == StateLive:
			s.Problem, s.Fix = "", ""
		}
	})
}

func (c *Carrier) setDevice(device string) {
	c.count(func(s *Status) { s.Device = device })
}

// heardLately is how long a radio counts as heard after a packet from it.
const heardLately = 2 * time.Hour

// publish shows the owner's state to others.
func (o *owner) publish(now time.Time) {
	preset, _ := modulationOf(o.lora)
	wall := o.c.cfg.Clock()
	heard := 0
	for _, n := range o.nodes {
		if !n.at.IsZero() && now.Sub(n.at) < heardLately {
			heard++
		}
	}
	var channels []ChannelStatus
	for i, ch := range o.channels {
		if ch.Role == meshtastic.RoleDisabled {
			continue
		}
		_, public := ch.Key()
		cs := ChannelStatus{Index: i, Name: ch.Name, Public: public, Topics: []mesh.Topic{}}
		if cs.Name == "" {
			cs.Name = preset
		}
		for _, m := range o.c.cfg.Maps {
			if m.Channel == i && m.text() {
				cs.Topics = append(cs.Topics, m.Topic)
			}
		}
		channels = append(channels, cs)
	}
	o.c.count(func(s *Status) {
		s.Node, s.Name, s.Firmware = o.myNum.String(), o.nameOf(o.myNum), o.firmware
		s.Region, s.Preset, s.Channels = o.lora.Region.String(), preset, channels
		s.Nodes, s.Heard, s.Gateways = len(o.nodes), heard, len(o.out.colleagues)
		s.Queue, s.Flying, s.Free = len(o.out.held), len(o.out.flying), max(o.out.free, 0)
		s.Sent = o.out.sent
		s.Airtime.NextInMS = o.budget.wait(wall, o.out.airtime(maxText)).Milliseconds()
		s.Airtime.SpentMS = o.budget.spent.Milliseconds()
		s.Airtime.BudgetMS = o.budget.size().Milliseconds()
		s.Airtime.TotalMS = o.budget.total.Milliseconds()
		s.Airtime.Utilization = o.metrics.ChannelUtilization
		if s.State == StateLive {
			s.Problem, s.Fix = o.problem()
		}
	})
}

// problem tells why a radio that answers cannot send.
func (o *owner) problem() (what, fix string) {
	switch {
	case o.lora.Region == meshtastic.RegionUnset:
		return "the radio has no region and does not transmit", "choose the region in the Meshtastic app"
	case !o.lora.TXEnabled:
		return "the radio's transmitter is switched off", "switch it on in the Meshtastic app: LoRa, transmit enabled"
	}
	for _, m := range o.c.cfg.Maps {
		if m.Channel < 0 || m.Channel >= meshtastic.MaxChannels || o.channels[m.Channel].Role == meshtastic.RoleDisabled {
			return fmt.Sprintf("topic %q is mapped to channel %d, which the radio does not have", m.Topic, m.Channel),
				"set that channel up in the Meshtastic app, or change [[radio.topic]]"
		}
	}
	return "", ""
}

// modulationOf returns how a radio sends, and what people call it.
func modulationOf(l meshtastic.LoRa) (string, air.Modulation) {
	if l.UsePreset || l.Bandwidth == 0 || l.SpreadFactor == 0 {
		p, _ := air.PresetOf(l.Preset)
		return p.Name, p.Modulation
	}
	bandwidth := int(l.Bandwidth) * 1000
	switch l.Bandwidth { // whole numbers stand for these
	case 31:
		bandwidth = 31_250
	case 62:
		bandwidth = 62_500
	}
	m := air.Modulation{
		Spread: min(max(int(l.SpreadFactor), 5), 12), Bandwidth: bandwidth, Coding: min(max(int(l.CodingRate), 5), 8),
	}
	return "Custom", m
}

// toUTF8 makes a text from the air fit for an event.
func toUTF8(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

package radio

import (
	"errors"
	"fmt"
	"maps"
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

	Signed SignedStatus `json:"signed"`

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

	Code    string `json:"code,omitempty"`    // of the problem; see Codes
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

// A SignedStatus counts what went on in signed form since the start.
type SignedStatus struct {
	Channel     int               `json:"channel"` // -1: the radio has no private channel
	Hops        int               `json:"hops"`    // hop limit of the next frame
	Frames      uint64            `json:"frames"`  // put on the air
	Heard       uint64            `json:"heard"`   // events
	Checks      uint64            `json:"checks"`  // signatures
	Series      uint64            `json:"series"`  // long events put together from fragments
	Nacks       uint64            `json:"nacks"`   // fragments asked for
	Sketches    uint64            `json:"sketches"`
	Differences uint64            `json:"differences"` // found by comparing sketches
	Healed      uint64            `json:"healed"`      // events sent because another lacked them
	Flooded     uint64            `json:"flooded"`     // frames not looked at: too many at once
	Refused     map[string]uint64 `json:"refused,omitempty"`
}

// An AirtimeStatus is the state of the airtime's governor, in milliseconds.
type AirtimeStatus struct {
	SpentMS     int64   `json:"spent_ms"`  // not yet forgiven
	BudgetMS    int64   `json:"budget_ms"` // of a full bucket; 0 is no limit
	TotalMS     int64   `json:"total_ms"`  // since the start
	NextInMS    int64   `json:"next_in_ms"`
	Utilization float32 `json:"channel_utilization"` // per cent, as the radio measured it lately; -1 where it did not
	measured    time.Time

	HourMS   int64         `json:"hour_ms"`          // sent in the last hour
	LegalMS  int64         `json:"legal_ms"`         // allowed in an hour by law; 0 is no limit
	LeftMS   int64         `json:"left_ms"`          // of the budget; -1 is no limit
	Paused   string        `json:"paused,omitempty"` // why nothing at all is sent now
	PausedMS int64         `json:"paused_ms,omitempty"`
	Shares   []ShareStatus `json:"shares"`
}

// A ShareStatus is what one priority has of the airtime, in milliseconds.
type ShareStatus struct {
	Name     string `json:"name"`      // "emergency", "direct", "chat", "sync", "beacon"
	BudgetMS int64  `json:"budget_ms"` // of its own in an hour; 0 is no limit but the law's
	SpentMS  int64  `json:"spent_ms"`  // not yet forgiven
	LeftMS   int64  `json:"left_ms"`   // of its own; -1 is no limit
	Waiting  int    `json:"waiting"`   // things that wait
	NextInMS int64  `json:"next_in_ms"`
	Why      string `json:"why,omitempty"` // of the wait
}

// Status returns what is known of the radio now.
func (c *Carrier) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.mu.status
	s.Channels = slices.Clone(s.Channels)
	if at := s.Airtime.measured; at.IsZero() || time.Since(at) > useFor {
		s.Airtime.Utilization = -1 // the governor does not reckon with it either
	}
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
		if err != nil { // told until the radio answers again
			s.Code, s.Problem, s.Fix = CodeMissing, err.Error(), hintOf(err)
		}
	})
}

// refuse counts a frame that was not understood, by reason.
func (c *Carrier) refuse(err error) {
	why := "form"
	for _, r := range []struct {
		err  error
		name string
	}{{air.ErrForged, "forged"}, {air.ErrReplay, "replay"}, {air.ErrUnknown, "version"}, {air.ErrWork, "work"}, {air.ErrComplete, "repeated"}} {
		if errors.Is(err, r.err) {
			why = r.name
		}
	}
	c.count(func(s *Status) {
		refused := maps.Clone(s.Signed.Refused)
		if refused == nil {
			refused = make(map[string]uint64)
		}
		refused[why]++
		s.Signed.Refused = refused
	})
}

// airtimeStatus shows the governor's books.
func (o *owner) airtimeStatus(now, wall time.Time) AirtimeStatus {
	g := o.governor
	size := o.out.airtime(maxText)
	next, _ := g.wait(wall, mesh.Chat, size)
	s := AirtimeStatus{
		SpentMS: g.owed().Milliseconds(), BudgetMS: g.budget().Milliseconds(), TotalMS: g.total.Milliseconds(),
		HourMS: g.law.sum().Milliseconds(), LeftMS: -1, NextInMS: next.Milliseconds(),
	}
	if !g.useAt.IsZero() {
		s.Utilization, s.measured = float32(100*g.use), now.Add(g.useAt.Sub(wall))
	}
	if g.legal > 0 && g.legal < 1 {
		s.LegalMS = int64(g.legal * float64(window.Milliseconds()))
	}
	left := float64(g.budget())
	if g.share > 0 {
		s.LeftMS = max(0, time.Duration(left)-g.owed()).Milliseconds()
	}
	if now.Before(o.out.pausedUntil) {
		s.Paused, s.PausedMS = o.out.pausedFor, o.out.pausedUntil.Sub(now).Milliseconds()
	}
	for p := mesh.Emergency; p <= mesh.Beacon; p++ {
		d, why := g.wait(wall, p, size)
		share := ShareStatus{Name: p.String(), SpentMS: g.debts[p].Milliseconds(), LeftMS: -1, NextInMS: max(d.Milliseconds(), s.PausedMS), Why: why}
		if s.PausedMS > d.Milliseconds() {
			share.Why = s.Paused
		}
		if g.share > 0 && p != mesh.Emergency {
			share.BudgetMS = int64(shareOf[p] * float64(g.budget().Milliseconds()))
			share.LeftMS = max(0, time.Duration(shareOf[p]*left)-g.debts[p]).Milliseconds()
		}
		for _, w := range o.out.held {
			if w.priority == p {
				share.Waiting++
			}
		}
		s.Shares = append(s.Shares, share)
	}
	return s
}

func (c *Carrier) setDevice(device string) {
	c.count(func(s *Status) { s.Device = device })
}

// heardLately is how long a radio counts as heard after a packet from it.
const heardLately = 2 * time.Hour

// publish shows the owner's state to others, where the radio answers.
func (o *owner) publish(now time.Time) {
	o.rechannel() // the secrets may have changed
	if b := o.c.day.due(o.c.cfg.Clock()); b != nil {
		o.keeper.put(dayKey, b)
	}
	preset, _ := modulationOf(o.lora)
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
			if m.Channel == i && m.text() || m.signed() && i == o.signedChannel() {
				cs.Topics = append(cs.Topics, m.Topic)
			}
		}
		channels = append(channels, cs)
	}
	o.c.setPrice(price{o.out.modulation, o.out.signs})
	o.c.count(func(s *Status) {
		s.Node, s.Name, s.Firmware = o.myNum.String(), o.nameOf(o.myNum), o.firmware
		s.Region, s.Preset, s.Channels = o.lora.Region.String(), preset, channels
		s.Nodes, s.Heard, s.Gateways = len(o.nodes), heard, len(o.out.present())
		s.Queue, s.Flying, s.Free = len(o.out.held), len(o.out.flying), max(o.out.free, 0)
		s.Sent = o.out.sent
		s.Airtime = o.airtimeStatus(now, o.out.books())
		s.Signed.Channel, s.Signed.Hops, s.Signed.Frames = o.signedChannel(), int(o.reach(now)), o.out.frames
		s.Code, s.Problem, s.Fix = o.problem()
	})
}

// problem tells why a radio that answers cannot send, or what will keep it from
// sending, with the code that 'drey help' explains; "" where all is well.
func (o *owner) problem() (code, what, fix string) {
	if code, what, fix = o.problemOfRadio(); code != "" {
		return code, what, fix
	}
	for _, m := range o.c.cfg.Maps {
		if !m.text() {
			continue
		}
		if m.Channel < 0 || m.Channel >= meshtastic.MaxChannels || o.channels[m.Channel].Role == meshtastic.RoleDisabled {
			return CodeChannel, m.lacking(), fixChannel
		}
	}
	switch {
	case slices.ContainsFunc(o.c.cfg.Maps, TopicMap.signed) && o.signedChannel() < 0:
		return CodeChannel, "the radio has no private channel for topics in signed form", "run 'drey radio setup', which makes one"
	case o.staleKey():
		return CodeKey, "the radio's private channel still has the key of an older secret of the community",
			"run 'drey radio setup' here, and on every other machine with a radio"
	}
	return "", "", ""
}

// lacking says that the radio does not have the map's channel.
func (m TopicMap) lacking() string {
	return fmt.Sprintf("topic %q is mapped to channel %d, which the radio does not have", m.Topic, m.Channel)
}

// fixChannel is what to do about a channel that the radio does not have.
const fixChannel = "set that channel up in the Meshtastic app, or change the topic's 'channel' in [[radio.topic]]"

// problemOfRadio is a problem that keeps everything from the air.
func (o *owner) problemOfRadio() (code, what, fix string) {
	switch {
	case o.lora.Region == meshtastic.RegionUnset:
		return CodeRegion, "the radio has no region and does not transmit", "choose it with 'drey radio setup --region REGION', or in the Meshtastic app"
	case !o.lora.TXEnabled:
		return CodeTransmit, "the radio's transmitter is switched off", "'drey radio setup' switches it on, or the Meshtastic app: LoRa, transmit enabled"
	}
	return "", "", ""
}

// Codes of problems; 'drey help CODE' explains them.
const (
	CodeMissing  = "radio-missing"    // it does not answer
	CodeRegion   = "radio-region"     // nobody has chosen a region
	CodeTransmit = "radio-transmit"   // the transmitter is switched off
	CodeChannel  = "radio-channel"    // a topic is mapped to a channel that is not there
	CodeKey      = "radio-key"        // its private channel has the key of an older secret
	CodeShare    = "radio-not-shared" // other programs cannot connect
)

// modulationOf returns how a radio sends, and what people call it.
func modulationOf(l meshtastic.LoRa) (string, air.Modulation) {
	if l.UsePreset || l.Bandwidth == 0 || l.SpreadFactor == 0 {
		p, _ := air.PresetOf(l.Preset)
		return p.Name, p.Modulation
	}
	bandwidth := int(min(l.Bandwidth, 2000)) * 1000 // no radio has more
	switch l.Bandwidth {                            // whole numbers stand for these
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

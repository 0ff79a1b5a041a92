package radio

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"drey/radio/meshtastic"
)

// A Wish is what an operator wants of a radio. Zero values want nothing.
type Wish struct {
	Region meshtastic.Region
	PSK    []byte // of the community's private channel, 32 bytes
	// Old are keys of that channel that others may still use, because the
	// secret was rotated: a channel with one of them stays beside the new one.
	Old [][]byte
}

// A Plan is what a radio's settings will become. It changes nothing by itself.
type Plan struct {
	Node    string
	Steps   []string // in words, without keys
	Notes   []string // what is left as it is, and why
	Channel int      // of the community; −1 where the plan is about something else
	was     *Settings
	will    *Settings
}

// Nothing reports whether everything is as it is wished already.
func (p *Plan) Nothing() bool { return len(p.Steps) == 0 }

// Was returns the settings before the plan.
func (p *Plan) Was() *Settings { return p.was }

// Errors of a plan.
var (
	ErrNoRegion = errors.New("the radio has no region, and none was named")
	ErrNoPlace  = errors.New("all secondary channels of the radio are taken")
)

// PlanSetup says how a wish is fulfilled. Channel 0 is never touched.
func PlanSetup(was *Settings, w Wish) (*Plan, error) {
	lora, err := was.lora()
	if err != nil {
		return nil, err
	}
	will := *was
	p := &Plan{Node: was.Node, Channel: -1, was: was, will: &will}
	if lora.Region == meshtastic.RegionUnset && w.Region == meshtastic.RegionUnset {
		return nil, ErrNoRegion
	}
	if w.Region != meshtastic.RegionUnset && w.Region != lora.Region {
		p.Steps = append(p.Steps, fmt.Sprintf("region %s becomes %s", lora.Region, w.Region))
		if will.LoRa, err = meshtastic.WithNumber(will.LoRa, 7, uint64(w.Region)); err != nil {
			return nil, err
		}
	}
	if !lora.TXEnabled {
		p.Steps = append(p.Steps, "the transmitter is switched on")
		if will.LoRa, err = meshtastic.WithNumber(will.LoRa, 9, 1); err != nil {
			return nil, err
		}
	}
	if w.PSK == nil {
		return p, nil
	}
	i, held := was.placeFor(w.PSK, w.Old)
	if i < 0 {
		return nil, ErrNoPlace
	}
	p.Channel = i
	p.retire(w, i)
	if held {
		return p, nil
	}
	step := fmt.Sprintf("channel %d, not in use, becomes the community's private channel %q", i, ChannelName)
	if was.channel(i).Role != meshtastic.RoleDisabled {
		step = fmt.Sprintf("channel %d, %q, gets the community's new key", i, ChannelName)
	}
	p.Steps = append(p.Steps, step)
	will.Channels[i] = meshtastic.AppendChannel(nil, &meshtastic.Channel{
		Index: int32(i), Name: ChannelName, PSK: w.PSK, Role: meshtastic.RoleSecondary,
	})
	return p, nil
}

// retire takes the community's channels out of use whose keys nobody uses any
// more, but for the one at keep.
func (p *Plan) retire(w Wish, keep int) {
	for i := 1; i < meshtastic.MaxChannels; i++ {
		c := p.was.channel(i)
		if i == keep || !madeBySetup(*c) || slices.ContainsFunc(w.Old, func(old []byte) bool { return bytes.Equal(old, c.PSK) }) {
			continue
		}
		p.Steps = append(p.Steps, fmt.Sprintf("channel %d, %q, had an older key of the community and goes out of use", i, ChannelName))
		p.will.Channels[i] = meshtastic.AppendChannel(nil, &meshtastic.Channel{Index: int32(i), Role: meshtastic.RoleDisabled})
	}
}

// placeFor returns the secondary channel for a key: the one that has it, the
// one of our name whose key is not among old, the first that is not in use, or
// the one with an old key; −1 when there is none.
func (s *Settings) placeFor(psk []byte, old [][]byte) (i int, held bool) {
	named, free, aged := -1, -1, -1
	for i := 1; i < meshtastic.MaxChannels; i++ {
		c := s.channel(i)
		switch {
		case c.Role == meshtastic.RoleDisabled:
			if free < 0 {
				free = i
			}
		case bytes.Equal(c.PSK, psk):
			return i, true
		case c.Name == ChannelName && slices.ContainsFunc(old, func(k []byte) bool { return bytes.Equal(k, c.PSK) }):
			aged = i
		case c.Name == ChannelName && named < 0:
			named = i
		}
	}
	for _, i := range []int{named, free} {
		if i >= 0 {
			return i, false
		}
	}
	return aged, false
}

// PlanRestore says how saved settings come back. Channel 0 stays as it is: setup
// has not touched it.
func PlanRestore(was, saved *Settings) (*Plan, error) {
	now, err := was.lora()
	if err != nil {
		return nil, err
	}
	then, err := saved.lora()
	if err != nil {
		return nil, err
	}
	will := *was
	p := &Plan{Node: was.Node, Channel: -1, was: was, will: &will}
	if *now != *then || !bytes.Equal(was.LoRa, saved.LoRa) {
		will.LoRa = saved.LoRa
		step := "the settings for the air become those that were saved"
		if now.Region != then.Region {
			step += fmt.Sprintf(": region %s becomes %s", now.Region, then.Region)
		}
		p.Steps = append(p.Steps, step)
	}
	for i := range meshtastic.MaxChannels {
		if sameChannel(was.channel(i), saved.channel(i)) {
			continue
		}
		if i == 0 {
			p.Notes = append(p.Notes, "channel 0 differs from the saved one and stays as it is")
			continue
		}
		will.Channels[i] = saved.Channels[i]
		p.Steps = append(p.Steps, fmt.Sprintf("channel %d, %s, becomes %s", i, channelWords(was.channel(i)), channelWords(saved.channel(i))))
	}
	if saved.Node != was.Node {
		p.Notes = append(p.Notes, fmt.Sprintf("the settings were saved from %s, this is %s", saved.Node, was.Node))
	}
	return p, nil
}

func sameChannel(a, b *meshtastic.Channel) bool {
	if a.Role == meshtastic.RoleDisabled && b.Role == meshtastic.RoleDisabled {
		return true
	}
	return a.Role == b.Role && a.Name == b.Name && bytes.Equal(a.PSK, b.PSK)
}

func channelWords(c *meshtastic.Channel) string {
	if c.Role == meshtastic.RoleDisabled {
		return "not in use"
	}
	return fmt.Sprintf("%q", c.Name)
}

// orders are the ADMIN messages that make was into will.
func (p *Plan) orders() []meshtastic.Admin {
	var list []meshtastic.Admin
	for i := 1; i < meshtastic.MaxChannels; i++ {
		if !bytes.Equal(p.was.Channels[i], p.will.Channels[i]) {
			list = append(list, meshtastic.Admin{Variant: meshtastic.AdminSetChannel, Bytes: p.will.Channels[i]})
		}
	}
	if !bytes.Equal(p.was.LoRa, p.will.LoRa) { // last: it may restart the radio
		list = append(list, meshtastic.Admin{Variant: meshtastic.AdminSetConfig, Bytes: loraSection(p.will.LoRa)})
	}
	return list
}

// holds reports whether a radio's settings are what the plan wanted.
func (p *Plan) holds(s *Settings) bool {
	want, err := p.will.lora()
	got, err2 := s.lora()
	if err != nil || err2 != nil || *want != *got {
		return false
	}
	for i := 1; i < meshtastic.MaxChannels; i++ {
		if !sameChannel(p.will.channel(i), s.channel(i)) {
			return false
		}
	}
	return true
}

package radio

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"drey/radio/meshtastic"
)

// ChannelName is what the community's private channel is called on a radio.
const ChannelName = "drey"

// Settings are what setup may change on a radio, whole and in the radio's own
// bytes. They hold the keys of its channels: a file of them is for its owner's
// eyes only.
type Settings struct {
	Node     string
	Firmware string
	LoRa     []byte                         // the section, with fields unknown here
	Channels [meshtastic.MaxChannels][]byte // each a Channel message
}

// settingsFile is the form of saved settings: JSON, bytes in hexadecimal.
type settingsFile struct {
	Version  int      `json:"v"`
	Node     string   `json:"node"`
	Firmware string   `json:"firmware,omitempty"`
	LoRa     string   `json:"lora"`
	Channels []string `json:"channels"`
}

const settingsVersion = 1

// maxSettings bounds a file of settings.
const maxSettings = 16 << 10

// Marshal returns the bytes of a file of settings.
func (s *Settings) Marshal() ([]byte, error) {
	f := settingsFile{Version: settingsVersion, Node: s.Node, Firmware: s.Firmware, LoRa: hex.EncodeToString(s.LoRa)}
	for _, c := range s.Channels {
		f.Channels = append(f.Channels, hex.EncodeToString(c))
	}
	b, err := json.MarshalIndent(f, "", "  ")
	return append(b, '\n'), err
}

// ParseSettings reads what Marshal wrote.
func ParseSettings(b []byte) (*Settings, error) {
	if len(b) > maxSettings {
		return nil, fmt.Errorf("radio settings: %d bytes, limit %d", len(b), maxSettings)
	}
	var f settingsFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("radio settings: %w", err)
	}
	if f.Version != settingsVersion || len(f.Channels) != meshtastic.MaxChannels {
		return nil, fmt.Errorf("radio settings: version %d with %d channels, known is version %d with %d", f.Version, len(f.Channels), settingsVersion, meshtastic.MaxChannels)
	}
	s := &Settings{Node: f.Node, Firmware: f.Firmware}
	var err error
	if s.LoRa, err = hex.DecodeString(f.LoRa); err != nil {
		return nil, errors.New("radio settings: lora is not hexadecimal")
	}
	for i, c := range f.Channels {
		if s.Channels[i], err = hex.DecodeString(c); err != nil { // the cause would quote a key
			return nil, fmt.Errorf("radio settings: channel %d is not hexadecimal", i)
		}
		parsed, err := meshtastic.ParseChannel(s.Channels[i])
		if err != nil || parsed.Index != int32(i) {
			return nil, fmt.Errorf("radio settings: channel %d is malformed", i)
		}
	}
	if _, err := s.lora(); err != nil {
		return nil, fmt.Errorf("radio settings: %w", err)
	}
	return s, nil
}

// String hides the keys.
func (s *Settings) String() string { return "settings of " + s.Node }

func (s *Settings) lora() (*meshtastic.LoRa, error) {
	c, err := meshtastic.ParseConfig(loraSection(s.LoRa))
	if err != nil {
		return nil, err
	}
	return c.LoRa, nil
}

// loraSection wraps the LoRa settings into a section.
func loraSection(lora []byte) []byte {
	if lora == nil {
		lora = []byte{}
	}
	b, _ := meshtastic.WithBytes(nil, meshtastic.SectionLoRa, lora)
	return b
}

func (s *Settings) channel(i int) *meshtastic.Channel {
	c, err := meshtastic.ParseChannel(s.Channels[i])
	if err != nil {
		return &meshtastic.Channel{Index: int32(i)}
	}
	return c
}

// A Wish is what an operator wants of a radio. Zero values want nothing.
type Wish struct {
	Region meshtastic.Region
	PSK    []byte // of the community's private channel, 32 bytes
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
	i, held := was.placeFor(w.PSK)
	if i < 0 {
		return nil, ErrNoPlace
	}
	p.Channel = i
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

// placeFor returns the secondary channel for a key: the one that has it, the
// one of our name, or the first that is not in use; −1 when there is none.
func (s *Settings) placeFor(psk []byte) (i int, held bool) {
	named, free := -1, -1
	for i := 1; i < meshtastic.MaxChannels; i++ {
		c := s.channel(i)
		switch {
		case c.Role == meshtastic.RoleDisabled:
			if free < 0 {
				free = i
			}
		case bytes.Equal(c.PSK, psk):
			return i, true
		case c.Name == ChannelName && named < 0:
			named = i
		}
	}
	if named >= 0 {
		return named, false
	}
	return free, false
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

// Times of a change of settings.
const (
	askWait     = 20 * time.Second // for all answers
	settleWait  = 2 * time.Minute  // for the radio to restart and tell its settings
	settleEvery = 2 * time.Second
	restartWait = 12 * time.Second // a radio restarts 7 s after the air's settings changed
)

// A Setup carries plans out. It remembers the passkey that the radio's answers
// bring.
type Setup struct {
	c       *Carrier
	passkey []byte
}

// NewSetup returns a Setup for the radio at the line.
func (c *Carrier) NewSetup() *Setup { return &Setup{c: c} }

// Read asks the radio for its settings.
func (s *Setup) Read(ctx context.Context) (*Settings, error) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	status := s.c.Status()
	out := &Settings{Node: status.Node, Firmware: status.Firmware}
	section, err := s.ask(ctx, meshtastic.AdminGetConfig, meshtastic.SectionLoRa-1, meshtastic.AdminConfig)
	if err != nil {
		return nil, fmt.Errorf("ask the radio how it uses the air: %w", err)
	}
	lora, ok, err := meshtastic.Inner(section, meshtastic.SectionLoRa)
	if err != nil || !ok {
		return nil, errors.New("ask the radio how it uses the air: the answer is about something else")
	}
	out.LoRa = lora
	for i := range meshtastic.MaxChannels {
		if out.Channels[i], err = s.ask(ctx, meshtastic.AdminGetChannel, uint64(i)+1, meshtastic.AdminChannel); err != nil {
			return nil, fmt.Errorf("ask the radio for channel %d: %w", i, err)
		}
		if c, err := meshtastic.ParseChannel(out.Channels[i]); err != nil || c.Index != int32(i) {
			return nil, fmt.Errorf("ask the radio for channel %d: the answer is about another", i)
		}
	}
	return out, nil
}

// ask asks one question and returns the bytes of the answer.
func (s *Setup) ask(ctx context.Context, question uint32, number uint64, answer uint32) ([]byte, error) {
	n, err := s.c.ask(ctx, s.message(meshtastic.Admin{Variant: question, Number: number}, true))
	if err != nil {
		return nil, err
	}
	if n.packet == nil || n.packet.Data.Port != meshtastic.PortAdmin {
		return nil, errNoReply
	}
	a, err := meshtastic.ParseAdmin(n.packet.Data.Payload)
	if err != nil {
		return nil, err
	}
	if len(a.Passkey) > 0 {
		s.passkey = a.Passkey
	}
	if a.Variant != answer {
		return nil, fmt.Errorf("the radio answered with %d, not with %d", a.Variant, answer)
	}
	if a.Bytes == nil {
		return []byte{}, nil
	}
	return a.Bytes, nil
}

func (s *Setup) message(a meshtastic.Admin, answer bool) meshtastic.Packet {
	a.Passkey = s.passkey
	return meshtastic.Packet{
		To: s.c.self(), WantAck: !answer,
		Data: &meshtastic.Data{Port: meshtastic.PortAdmin, Payload: meshtastic.AppendAdmin(nil, &a), WantResponse: answer},
	}
}

// Apply writes what a plan wants, waits for the radio to restart where it does,
// and reads back whether it holds.
func (s *Setup) Apply(ctx context.Context, p *Plan) error {
	if p.Nothing() {
		return nil
	}
	orders := append([]meshtastic.Admin{{Variant: meshtastic.AdminBeginEdit, Number: 1}}, p.orders()...)
	orders = append(orders, meshtastic.Admin{Variant: meshtastic.AdminCommitEdit, Number: 1})
	for _, a := range orders {
		if err := s.order(ctx, a); err != nil {
			return fmt.Errorf("the radio did not take the settings: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	first := settleEvery
	if !bytes.Equal(p.was.LoRa, p.will.LoRa) {
		first = restartWait
	}
	timer := time.NewTimer(first)
	defer timer.Stop()
	var last error
	for {
		select {
		case <-ctx.Done():
			if last == nil {
				last = ctx.Err()
			}
			return fmt.Errorf("the radio does not show the settings it was given: %w", last)
		case <-timer.C:
		}
		now, err := s.Read(ctx)
		switch {
		case err != nil:
			last = err
		case p.holds(now):
			return nil
		default:
			last = errors.New("it has other ones")
		}
		timer.Reset(settleEvery)
	}
}

// order gives one order. A radio that is told to restart may not answer any
// more, so silence is not a refusal: what holds is read back.
func (s *Setup) order(ctx context.Context, a meshtastic.Admin) error {
	_, err := s.c.ask(ctx, s.message(a, false))
	if errors.Is(err, errNoReply) {
		return nil
	}
	return err
}

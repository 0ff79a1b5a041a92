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

package radiotest

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"time"

	"drey/radio/meshtastic"
)

// How the firmware takes orders.
const (
	rebootAfter = 5 * time.Second // after a change of how the air is used
	rebootTakes = 4 * time.Second
	passkeySize = 8
)

// settings are what a radio keeps through a reboot.
type settings struct {
	channels []meshtastic.Channel
	lora     meshtastic.LoRa
	sections map[uint32][]byte // of the other sections, as they were written
}

func (s settings) clone() settings {
	s.channels = slices.Clone(s.channels)
	sections := make(map[uint32][]byte, len(s.sections))
	for n, v := range s.sections {
		sections[n] = v
	}
	s.sections = sections
	return s
}

// Key returns the radio's public key. Encryption is played: what is meant for
// one radio alone, only that one opens.
func (r *Radio) Key() []byte {
	sum := sha256.Sum256([]byte("radiotest key/" + r.name))
	return sum[:]
}

// Channels returns the radio's channels as they are now.
func (r *Radio) Channels() []meshtastic.Channel {
	r.air.mu.Lock()
	defer r.air.mu.Unlock()
	return slices.Clone(r.channels)
}

// LoRa returns how the radio uses the air now.
func (r *Radio) LoRa() meshtastic.LoRa {
	r.air.mu.Lock()
	defer r.air.mu.Unlock()
	return r.lora
}

// Switch turns the transmitter on or off, as its owner may in an app.
func (r *Radio) Switch(on bool) {
	r.air.mu.Lock()
	defer r.air.mu.Unlock()
	r.lora.TXEnabled = on
	r.mu.saved.lora.TXEnabled = on
}

// adminLocked answers what the program at the line asks or orders.
func (r *Radio) adminLocked(p *meshtastic.Packet) meshtastic.RoutingError {
	a, err := meshtastic.ParseAdmin(p.Data.Payload)
	if err != nil {
		r.nakLocked(p.ID, meshtastic.ErrorBadRequest)
		return meshtastic.ErrorNone
	}
	if a.Asks() {
		if answer := r.answerLocked(a); answer != nil {
			answer.Passkey = r.mu.passkey
			r.toPhoneLocked(&meshtastic.FromRadio{Packet: &meshtastic.Packet{
				From: r.num, To: r.num, ID: r.newIDLocked(), RxTime: uint32(time.Now().Unix()), Priority: 70,
				Data: &meshtastic.Data{Port: meshtastic.PortAdmin, Payload: meshtastic.AppendAdmin(nil, answer), RequestID: p.ID},
			}})
			return meshtastic.ErrorNone
		}
		r.nakLocked(p.ID, meshtastic.ErrorBadRequest)
		return meshtastic.ErrorNone
	}
	if r.wantsKey && !bytes.Equal(a.Passkey, r.mu.passkey) {
		r.nakLocked(p.ID, meshtastic.ErrorBadPasskey)
		return meshtastic.ErrorNone
	}
	r.orderLocked(a)
	if p.WantAck || p.Data.WantResponse {
		r.nakLocked(p.ID, meshtastic.ErrorNone)
	}
	return meshtastic.ErrorNone
}

// answerLocked answers a question; nil where there is no such thing.
func (r *Radio) answerLocked(a *meshtastic.Admin) *meshtastic.Admin {
	switch a.Variant {
	case meshtastic.AdminGetChannel:
		if a.Number < 1 || a.Number > meshtastic.MaxChannels {
			return nil
		}
		c := r.channelLocked(int(a.Number) - 1)
		return &meshtastic.Admin{Variant: meshtastic.AdminChannel, Bytes: meshtastic.AppendChannel([]byte{}, &c)}
	case meshtastic.AdminGetOwner:
		return &meshtastic.Admin{Variant: meshtastic.AdminOwner, Bytes: meshtastic.AppendUser([]byte{}, r.user())}
	case meshtastic.AdminGetConfig:
		c := r.sectionLocked(uint32(a.Number) + 1)
		return &meshtastic.Admin{Variant: meshtastic.AdminConfig, Bytes: meshtastic.AppendConfig([]byte{}, &c)}
	}
	return nil
}

func (r *Radio) channelLocked(i int) meshtastic.Channel {
	if i < len(r.channels) {
		return r.channels[i]
	}
	return meshtastic.Channel{Index: int32(i)}
}

func (r *Radio) sectionLocked(n uint32) meshtastic.Config {
	if n == meshtastic.SectionLoRa {
		lora := r.lora
		return meshtastic.Config{Section: n, LoRa: &lora}
	}
	return meshtastic.Config{Section: n, Raw: r.mu.sections[n]}
}

// orderLocked changes settings. Between begin and commit the changes hold, but
// a reboot forgets them.
func (r *Radio) orderLocked(a *meshtastic.Admin) {
	switch a.Variant {
	case meshtastic.AdminBeginEdit:
		r.mu.editing = true
		return
	case meshtastic.AdminCommitEdit:
		r.mu.editing = false
	case meshtastic.AdminSetChannel:
		c, err := meshtastic.ParseChannel(a.Bytes)
		if err != nil || c.Index < 0 || c.Index >= meshtastic.MaxChannels {
			return
		}
		for int(c.Index) >= len(r.channels) {
			r.channels = append(r.channels, meshtastic.Channel{Index: int32(len(r.channels))})
		}
		r.channels[c.Index] = *c
	case meshtastic.AdminSetConfig:
		c, err := meshtastic.ParseConfig(a.Bytes)
		if err != nil {
			return
		}
		if c.LoRa != nil {
			r.lora = *c.LoRa
		} else {
			r.mu.sections[c.Section] = c.Raw
		}
	}
	if !r.mu.editing {
		r.saveLocked()
	}
}

// saveLocked makes the settings last; a change of how the air is used takes a
// reboot.
func (r *Radio) saveLocked() {
	restart := r.lora != r.mu.saved.lora
	r.mu.saved = settings{r.channels, r.lora, r.mu.sections}.clone()
	if restart {
		r.air.afterLocked(rebootAfter, func() { r.rebootLocked(rebootTakes) })
	}
}

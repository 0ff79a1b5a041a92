package share

import (
	"bytes"
	"slices"

	"drey/radio/meshtastic"
)

// withoutSecrets returns a message as clients from the network may see it. A
// channel's secret key becomes as many zeros: the channel is shown as the
// secret one that it is, and whoever copies the key from there gets a channel
// of his own, not an open one.
func withoutSecrets(m *meshtastic.FromRadio) *meshtastic.FromRadio {
	out := *m
	switch {
	case m.Channel != nil:
		out.Channel = masked(m.Channel)
	case m.Config != nil && secretSection(m.Config.Section):
		out.Config = &meshtastic.Config{Section: m.Config.Section, Raw: []byte{}}
	case m.Other != nil && m.Other.Field == meshtastic.FieldModuleConfig:
		if _, ok, err := meshtastic.Inner(m.Other.Bytes, moduleMQTT); ok || err != nil {
			inner, _ := meshtastic.WithBytes(nil, moduleMQTT, []byte{})
			out.Other = &meshtastic.Other{Field: meshtastic.FieldModuleConfig, Bytes: inner}
		}
	case m.Packet != nil && m.Packet.Data != nil && m.Packet.Data.Port == meshtastic.PortAdmin:
		out.Packet = adminWithoutSecrets(m.Packet)
	}
	return &out
}

const moduleMQTT = 1 // knows a password

func secretSection(section uint32) bool {
	return slices.Contains([]uint32{meshtastic.SectionNetwork, meshtastic.SectionBluetooth, meshtastic.SectionSecurity, 9}, section)
}

func masked(c *meshtastic.Channel) *meshtastic.Channel {
	if _, public := c.Key(); public {
		return c
	}
	hidden := *c
	hidden.PSK = make([]byte, len(c.PSK))
	return &hidden
}

// adminWithoutSecrets is withoutSecrets for an answer on the ADMIN port. What
// cannot be read is emptied.
func adminWithoutSecrets(p *meshtastic.Packet) *meshtastic.Packet {
	out, data := *p, *p.Data
	out.Data = &data
	data.Payload = nil
	a, err := meshtastic.ParseAdmin(p.Data.Payload)
	if err != nil {
		return &out
	}
	clean := meshtastic.Admin{Variant: a.Variant, Number: a.Number, Bytes: bytes.Clone(a.Bytes)}
	switch a.Variant {
	case meshtastic.AdminChannel:
		c, err := meshtastic.ParseChannel(a.Bytes)
		if err != nil {
			return &out
		}
		clean.Bytes = meshtastic.AppendChannel([]byte{}, masked(c))
	case meshtastic.AdminOwner, meshtastic.AdminMetadata:
	case meshtastic.AdminConfig:
		c, err := meshtastic.ParseConfig(a.Bytes)
		if err != nil || secretSection(c.Section) {
			return &out
		}
	default:
		return &out
	}
	data.Payload = meshtastic.AppendAdmin(nil, &clean)
	return &out
}

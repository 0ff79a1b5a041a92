package meshtastic

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// A Config is one section of the radio's settings. LoRa is read; of the others
// only the number is known.
type Config struct {
	Section uint32 // 1 device … 6 LoRa … 10 screen
	LoRa    *LoRa  // with Section 6
	Raw     []byte // of the other sections
}

// Sections of the settings that are looked into here.
const (
	SectionNetwork   = 4 // knows the wireless network's password
	SectionLoRa      = 6
	SectionBluetooth = 7 // knows the pairing code
	SectionSecurity  = 8 // knows the radio's private key
)

const sectionLoRa = SectionLoRa

func (c *Config) append(b []byte) []byte {
	if c.LoRa != nil {
		return appendMessage(b, sectionLoRa, c.LoRa.append(nil))
	}
	if c.Section == 0 {
		return b
	}
	return appendMessage(b, protoNum(c.Section), c.Raw)
}

func parseConfig(b []byte) (*Config, error) {
	c := new(Config)
	return c, eachField(b, func(f field) error {
		if f.typ != protowire.BytesType {
			return nil
		}
		*c = Config{Section: uint32(f.num)}
		if f.num == sectionLoRa {
			return message(f, parseLoRa, &c.LoRa)
		}
		return f.copyBytes(&c.Raw)
	})
}

// LoRa is how a radio uses the air.
type LoRa struct {
	UsePreset       bool
	Preset          uint32 // see air.Presets
	Bandwidth       uint32 // kHz, without a preset
	SpreadFactor    uint32
	CodingRate      uint32 // denominator: 5 to 8
	Region          Region
	HopLimit        uint32
	TXEnabled       bool
	TXPower         int32 // dBm
	Slot            uint32
	OverrideDuty    bool
	IgnoreMQTT      bool
	ConfigOKToMQTT  bool
	OverrideFreqMHz float32
}

func (l *LoRa) append(b []byte) []byte {
	b = appendBool(b, 1, l.UsePreset)
	b = appendUint(b, 2, uint64(l.Preset))
	b = appendUint(b, 3, uint64(l.Bandwidth))
	b = appendUint(b, 4, uint64(l.SpreadFactor))
	b = appendUint(b, 5, uint64(l.CodingRate))
	b = appendUint(b, 7, uint64(l.Region))
	b = appendUint(b, 8, uint64(l.HopLimit))
	b = appendBool(b, 9, l.TXEnabled)
	b = appendInt(b, 10, l.TXPower)
	b = appendUint(b, 11, uint64(l.Slot))
	b = appendBool(b, 12, l.OverrideDuty)
	b = appendFloat(b, 14, l.OverrideFreqMHz)
	b = appendBool(b, 104, l.IgnoreMQTT)
	return appendBool(b, 105, l.ConfigOKToMQTT)
}

func parseLoRa(b []byte) (*LoRa, error) {
	l := new(LoRa)
	return l, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.bool(&l.UsePreset)
		case 2:
			return f.uint32(&l.Preset)
		case 3:
			return f.uint32(&l.Bandwidth)
		case 4:
			return f.uint32(&l.SpreadFactor)
		case 5:
			return f.uint32(&l.CodingRate)
		case 7:
			return f.uint32((*uint32)(&l.Region))
		case 8:
			return f.uint32(&l.HopLimit)
		case 9:
			return f.bool(&l.TXEnabled)
		case 10:
			return f.int32(&l.TXPower)
		case 11:
			return f.uint32(&l.Slot)
		case 12:
			return f.bool(&l.OverrideDuty)
		case 14:
			return f.float(&l.OverrideFreqMHz)
		case 104:
			return f.bool(&l.IgnoreMQTT)
		case 105:
			return f.bool(&l.ConfigOKToMQTT)
		}
		return nil
	})
}

// A Region is a country's rules for the air. A radio without one does not
// transmit.
type Region uint32

// The regions whose rules are known here.
const (
	RegionUnset Region = 0
	RegionUS    Region = 1
	RegionEU433 Region = 2
	RegionEU868 Region = 3
)

var regionNames = [...]string{
	"UNSET", "US", "EU_433", "EU_868", "CN", "JP", "ANZ", "KR", "TW", "RU", "IN", "NZ_865", "TH", "LORA_24",
	"UA_433", "UA_868", "MY_433", "MY_919", "SG_923", "PH_433", "PH_868", "PH_915", "ANZ_433", "KZ_433",
	"KZ_863", "NP_865", "BR_902",
}

// ParseRegion reads a region's usual name, in any case, with "-" for "_" or with
// neither.
func ParseRegion(s string) (Region, bool) {
	bare := func(s string) string { return strings.NewReplacer("-", "", "_", "").Replace(strings.ToUpper(s)) }
	s = bare(strings.TrimSpace(s))
	i := slices.IndexFunc(regionNames[:], func(name string) bool { return bare(name) == s })
	return Region(max(i, 0)), i >= 0
}

// Regions lists the names of the regions that can be chosen.
func Regions() []string { return slices.Clone(regionNames[1:]) }

// String returns the region's usual name.
func (r Region) String() string {
	if int(r) < len(regionNames) {
		return regionNames[r]
	}
	return fmt.Sprintf("region %d", uint32(r))
}

// A Role says whether a channel is in use.
type Role uint32

// The roles. A radio has one primary channel, with index 0.
const (
	RoleDisabled Role = iota
	RolePrimary
	RoleSecondary
)

// MaxChannels is how many channels a radio has.
const MaxChannels = 8

// A Channel is a name and a key. Radios that share both hear each other.
type Channel struct {
	Index int32 // 0 to 7
	Name  string
	PSK   []byte // empty: none; 1 byte: a well-known key; 16 or 32: secret
	Role  Role
}

func (c *Channel) append(b []byte) []byte {
	b = appendInt(b, 1, c.Index)
	settings := appendBytes(nil, 2, c.PSK)
	settings = appendString(settings, 3, c.Name)
	b = appendMessage(b, 2, settings)
	return appendUint(b, 3, uint64(c.Role))
}

func parseChannel(b []byte) (*Channel, error) {
	c := new(Channel)
	return c, eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.int32(&c.Index)
		case 2:
			if err := f.want(protowire.BytesType); err != nil {
				return err
			}
			return eachField(f.bytes, func(f field) error {
				switch f.num {
				case 2:
					return f.copyBytes(&c.PSK)
				case 3:
					return f.string(&c.Name)
				}
				return nil
			})
		case 3:
			return f.uint32((*uint32)(&c.Role))
		}
		return nil
	})
}

// defaultKey is the key that every radio has: it keeps nothing secret.
var defaultKey = []byte{
	0xd4, 0xf1, 0xbb, 0x3a, 0x20, 0x29, 0x07, 0x59, 0xf0, 0xbc, 0xff, 0xab, 0xcf, 0x4e, 0x69, 0x01,
}

// Key returns the key that a PSK stands for: one byte n is the well-known key
// whose last byte is raised by n−1, and 0 is none. It also tells whether the
// key is public, that is, anybody may write on the channel.
func (c *Channel) Key() (key []byte, public bool) {
	switch {
	case len(c.PSK) == 0, len(c.PSK) == 1 && c.PSK[0] == 0:
		return nil, true
	case len(c.PSK) == 1:
		key = bytes.Clone(defaultKey)
		key[len(key)-1] += c.PSK[0] - 1
		return key, true
	case bytes.Equal(c.PSK, defaultKey):
		return defaultKey, true
	}
	return c.PSK, false
}

// Hash is what a packet on the air says of its channel: radios try the
// channels whose hash fits. preset names a channel without a name.
func (c *Channel) Hash(preset string) byte {
	name := c.Name
	if name == "" {
		name = preset
	}
	key, _ := c.Key()
	var h byte
	for i := range len(name) {
		h ^= name[i]
	}
	for _, k := range key {
		h ^= k
	}
	return h
}

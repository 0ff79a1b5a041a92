// Package air turns events and the machines' own talk into payloads for a LoRa
// channel, and computes what they cost there. It is pure: no radio, no
// goroutine, no clock; times and chance are arguments.
//
// A payload is at most 231 bytes of a Meshtastic packet on PRIVATE_APP (port
// 256), broadcast on the community's private channel. Its first byte tells its
// form:
//
//	0x00–0x2f  events, packed   Codec.Pack, Codec.Unpack     packed.go
//	0x40–0x4f  an event, raw    the same                     raw.go
//	0x50–0x5f  control frame    Door.Seal, Door.Open         door.go, message.go, sketch.go
//	0x60–0x69  fragment         Set, Assembly, UnpackWhole   fragment.go
//	0x80–0xaf  events, cut      as packed                    packed.go, cut.go
//	0xc0–0xef  notes, cut       the same                     date.go
//	the rest   later versions   refused
//
// Events are authenticated by their signatures alone, control frames by the
// community's secret. Integers are big endian; a uvarint is that of
// encoding/binary and minimal.
package air

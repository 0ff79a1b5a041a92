package overlay

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"drey/mesh"
)

// A beacon is Yggdrasil's multicast packet: it tells the local network who is
// there and on which TCP port of the sender's link-local address it answers
// links over TLS.
//
//	major, minor uint16     0, 5; everything is big endian
//	key          [32]byte
//	port         uint16
//	hash length  uint16     64
//	hash         [64]byte   BLAKE2b-512(key), keyed by the multicast password: none
type beacon struct {
	key  mesh.NodeKey
	port uint16
}

const beaconHead = 2 + 2 + 32 + 2 + 2

// appendBeacon appends a beacon packet.
func appendBeacon(b []byte, m beacon) ([]byte, error) {
	hash, err := metaDigest(m.key, "")
	if err != nil {
		return nil, err
	}
	b = binary.BigEndian.AppendUint16(b, metaMajor)
	b = binary.BigEndian.AppendUint16(b, metaMinor)
	b = append(b, m.key[:]...)
	b = binary.BigEndian.AppendUint16(b, m.port)
	b = binary.BigEndian.AppendUint16(b, uint16(len(hash)))
	return append(b, hash...), nil
}

// parseBeacon parses a beacon of a node that uses no multicast password.
// Bytes after it are for later versions.
func parseBeacon(b []byte) (beacon, error) {
	if len(b) < beaconHead {
		return beacon{}, fmt.Errorf("beacon of %d bytes, want at least %d", len(b), beaconHead)
	}
	major, minor := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	if major != metaMajor || minor != metaMinor {
		return beacon{}, fmt.Errorf("beacon of version %d.%d, want %d.%d", major, minor, metaMajor, metaMinor)
	}
	m := beacon{key: mesh.NodeKey(b[4:36]), port: binary.BigEndian.Uint16(b[36:])}
	if m.port == 0 {
		return beacon{}, fmt.Errorf("beacon without a port")
	}
	want, err := metaDigest(m.key, "")
	if err != nil {
		return beacon{}, err
	}
	if size := int(binary.BigEndian.Uint16(b[38:])); size != len(want) || len(b) < beaconHead+size {
		return beacon{}, fmt.Errorf("beacon hash of %d bytes, want %d", size, len(want))
	}
	if !bytes.Equal(b[beaconHead:beaconHead+len(want)], want) {
		return beacon{}, fmt.Errorf("beacon of another multicast password")
	}
	return m, nil
}

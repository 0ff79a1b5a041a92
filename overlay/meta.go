package overlay

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/blake2b"

	"drey/mesh"
)

// A meta frame opens every Yggdrasil 0.5 link, in both directions at once:
//
//	magic  [4]byte   "meta"
//	length uint16    of what follows, big endian
//	fields           op uint16, length uint16, value; unknown ops are skipped
//	sig    [64]byte  Ed25519 over BLAKE2b-512(public key), keyed by the password
//
// The signature does not cover a challenge, so a meta frame can be replayed:
// it names the peer but does not prove it. Links over TLS between two nodes of
// ours add that proof, see neighbour.
type meta struct {
	major, minor uint16
	key          mesh.NodeKey
	priority     uint8
	neighbour    bool // speaks neighbour frames; only offered over TLS
}

// The ops of a meta frame. opNeighbour is ours; every other Yggdrasil skips it.
const (
	opMajor     = 0
	opMinor     = 1
	opKey       = 2
	opPriority  = 3
	opNeighbour = 0xd3e7 // value: one byte, the version of the neighbour frames, 1
)

const (
	metaMajor     = 0
	metaMinor     = 5
	maxMeta       = 1024 // bytes after the length field that this node reads
	maxPassword   = blake2b.Size
	neighbourV1   = 1
	metaHeaderLen = 6
)

var errNotYggdrasil = errors.New("the other side does not speak Yggdrasil 0.5")

// appendMeta appends a signed meta frame of this node.
func appendMeta(b []byte, m meta, private ed25519.PrivateKey, password string) ([]byte, error) {
	digest, err := metaDigest(m.key, password)
	if err != nil {
		return nil, err
	}
	start := len(b)
	b = append(b, 'm', 'e', 't', 'a', 0, 0)
	b = appendField(b, opMajor, byte(m.major>>8), byte(m.major))
	b = appendField(b, opMinor, byte(m.minor>>8), byte(m.minor))
	b = appendField(b, opKey, m.key[:]...)
	b = appendField(b, opPriority, m.priority)
	if m.neighbour {
		b = appendField(b, opNeighbour, neighbourV1)
	}
	b = append(b, ed25519.Sign(private, digest)...)
	binary.BigEndian.PutUint16(b[start+4:], uint16(len(b)-start-metaHeaderLen))
	return b, nil
}

func appendField(b []byte, op uint16, value ...byte) []byte {
	b = binary.BigEndian.AppendUint16(b, op)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

// readMeta reads exactly one meta frame from r and checks its signature.
func readMeta(r io.Reader, password string) (meta, error) {
	var head [metaHeaderLen]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return meta{}, fmt.Errorf("read handshake: %w", err)
	}
	if string(head[:4]) != "meta" {
		return meta{}, errNotYggdrasil
	}
	n := int(binary.BigEndian.Uint16(head[4:]))
	if n > maxMeta {
		return meta{}, fmt.Errorf("handshake of %d bytes, limit %d", n, maxMeta)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return meta{}, fmt.Errorf("read handshake: %w", err)
	}
	return parseMeta(body, password)
}

// parseMeta parses what follows the length field.
func parseMeta(b []byte, password string) (meta, error) {
	if len(b) < ed25519.SignatureSize {
		return meta{}, fmt.Errorf("handshake of %d bytes, want at least %d", len(b), ed25519.SignatureSize)
	}
	var m meta
	keyed := false
	fields, sig := b[:len(b)-ed25519.SignatureSize], b[len(b)-ed25519.SignatureSize:]
	for len(fields) > 0 {
		if len(fields) < 4 {
			return meta{}, fmt.Errorf("handshake field of %d bytes, want at least 4", len(fields))
		}
		op, size := binary.BigEndian.Uint16(fields), int(binary.BigEndian.Uint16(fields[2:]))
		fields = fields[4:]
		if size > len(fields) {
			return meta{}, fmt.Errorf("handshake field %d of %d bytes, %d are left", op, size, len(fields))
		}
		value := fields[:size]
		fields = fields[size:]
		want, known := metaSize(op)
		if !known {
			continue
		}
		if size != want {
			return meta{}, fmt.Errorf("handshake field %d of %d bytes, want %d", op, size, want)
		}
		switch op {
		case opMajor:
			m.major = binary.BigEndian.Uint16(value)
		case opMinor:
			m.minor = binary.BigEndian.Uint16(value)
		case opKey:
			m.key, keyed = mesh.NodeKey(value), true
		case opPriority:
			m.priority = value[0]
		case opNeighbour:
			m.neighbour = value[0] >= neighbourV1
		}
	}
	if m.major != metaMajor || m.minor != metaMinor {
		return meta{}, fmt.Errorf("%w: version %d.%d, want %d.%d", errNotYggdrasil, m.major, m.minor, metaMajor, metaMinor)
	}
	if !keyed {
		return meta{}, fmt.Errorf("%w: no public key", errNotYggdrasil)
	}
	digest, err := metaDigest(m.key, password)
	if err != nil {
		return meta{}, err
	}
	if !ed25519.Verify(m.key[:], digest, sig) {
		return meta{}, errors.New("handshake signature does not match: another password?")
	}
	return m, nil
}

// metaSize returns the only length that a known field may have.
func metaSize(op uint16) (size int, known bool) {
	switch op {
	case opMajor, opMinor:
		return 2, true
	case opKey:
		return ed25519.PublicKeySize, true
	case opPriority, opNeighbour:
		return 1, true
	}
	return 0, false
}

func metaDigest(key mesh.NodeKey, password string) ([]byte, error) {
	if len(password) > maxPassword {
		return nil, fmt.Errorf("link password of %d bytes, limit %d", len(password), maxPassword)
	}
	h, err := blake2b.New512([]byte(password))
	if err != nil {
		return nil, err
	}
	h.Write(key[:])
	return h.Sum(nil), nil
}

// Package mesh holds the words every other package speaks: the checked event,
// its topic and priority, the carriers that move it and the archive that keeps
// it. It does no I/O, starts no goroutine and never reads the clock: times are
// arguments.
package mesh

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// An EventID is the SHA-256 of an event's canonical bytes (NIP-01). It is the
// same on every carrier, so two bridges that carry one event agree on its name.
type EventID [32]byte

// String returns the id as 64 lower-case hexadecimal digits.
func (id EventID) String() string { return hex.EncodeToString(id[:]) }

// ParseEventID reads 64 lower-case hexadecimal digits.
func ParseEventID(s string) (EventID, error) {
	var id EventID
	err := unhex(id[:], s)
	return id, err
}

// A PubKey is the x coordinate of a secp256k1 point: the author of an event
// (BIP-340).
type PubKey [32]byte

// String returns the key as 64 lower-case hexadecimal digits.
func (k PubKey) String() string { return hex.EncodeToString(k[:]) }

// ParsePubKey reads 64 lower-case hexadecimal digits. It does not check that
// the point lies on the curve; Event.Verify does.
func ParsePubKey(s string) (PubKey, error) {
	var k PubKey
	err := unhex(k[:], s)
	return k, err
}

// A Signature is a BIP-340 Schnorr signature over an event's id.
type Signature [64]byte

// String returns the signature as 128 lower-case hexadecimal digits.
func (s Signature) String() string { return hex.EncodeToString(s[:]) }

// A NodeKey is a machine's Ed25519 public key. Its Yggdrasil address and its
// libp2p peer ID both follow from it.
type NodeKey [32]byte

// String returns the key as 64 lower-case hexadecimal digits.
func (k NodeKey) String() string { return hex.EncodeToString(k[:]) }

// ParseNodeKey reads 64 lower-case hexadecimal digits.
func ParseNodeKey(s string) (NodeKey, error) {
	var k NodeKey
	err := unhex(k[:], s)
	return k, err
}

// Unix is a time as events carry it: whole seconds since 1970 UTC, from 0 to
// 2³²−1 (the year 2106).
type Unix uint32

// UnixOf clamps t to the range that an event can carry.
func UnixOf(t time.Time) Unix {
	return Unix(min(max(t.Unix(), 0), 1<<32-1))
}

// Time returns u as a time in UTC.
func (u Unix) Time() time.Time { return time.Unix(int64(u), 0).UTC() }

// ErrHex reports text that is not lower-case hexadecimal of the exact length.
var ErrHex = errors.New("not lower-case hexadecimal of the right length")

// unhex fills d from s, refusing upper case, other lengths and other letters:
// two spellings of one id would be two names for one event.
func unhex(d []byte, s string) error {
	if len(s) != 2*len(d) {
		return fmt.Errorf("%w: %d digits, want %d", ErrHex, len(s), 2*len(d))
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("%w: %q at digit %d", ErrHex, c, i)
		}
	}
	_, err := hex.Decode(d, []byte(s))
	return err
}

package mesh

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"io"
)

// A RadioKey is a key that follows from a community's secret and is used on
// the air. It prints as "secret", never as itself.
type RadioKey [32]byte

// Format hides the key, whatever the verb.
func (RadioKey) Format(f fmt.State, _ rune) { io.WriteString(f, "secret") }

// MarshalText hides the key.
func (RadioKey) MarshalText() ([]byte, error) { return []byte("secret"), nil }

// RadioPSK derives the AES-256 key of the community's private radio channel:
// HKDF-SHA256 (RFC 5869) of the secret, no salt, info "drey/1/radio-psk".
func (s Secret) RadioPSK() RadioKey { return s.radioKey("drey/1/radio-psk") }

// RadioMAC derives the key that control frames on that channel are
// authenticated with, info "drey/1/radio-mac". Who has the channel's key alone,
// because a radio was lost, cannot make such frames.
func (s Secret) RadioMAC() RadioKey { return s.radioKey("drey/1/radio-mac") }

func (s Secret) radioKey(info string) RadioKey {
	k, err := hkdf.Key(sha256.New, s[:], nil, info, len(RadioKey{}))
	if err != nil {
		panic(err) // only a longer key than 255 hashes, or FIPS mode with a short secret
	}
	return RadioKey(k)
}

package mesh

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"

	"filippo.io/edwards25519"
)

// Exchange returns a node's key in its X25519 form (RFC 7748), to which others
// can seal. It fails for bytes that are no point of the curve, and for the few
// points of low order, which are nobody's key: everybody can sign for some.
func (k NodeKey) Exchange() (*ecdh.PublicKey, error) {
	p, err := new(edwards25519.Point).SetBytes(k[:])
	if err != nil {
		return nil, fmt.Errorf("node key %s: not a point of the curve", k)
	}
	if new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return nil, fmt.Errorf("node key %s: a point of low order", k)
	}
	return ecdh.X25519().NewPublicKey(p.BytesMontgomery())
}

// ExchangeKey returns a node's own key in its X25519 form: the first half of
// SHA-512 of the Ed25519 seed, which X25519 clamps.
func ExchangeKey(k ed25519.PrivateKey) (*ecdh.PrivateKey, error) {
	h := sha512.Sum512(k.Seed())
	return ecdh.X25519().NewPrivateKey(h[:32])
}

// A SecretID names a secret without giving it away: the first 16 bytes of
// SHA-256("drey/1/secret-id" ‖ 0 ‖ secret).
type SecretID [16]byte

// ID names the secret.
func (s Secret) ID() SecretID {
	h := sha256.New()
	h.Write([]byte("drey/1/secret-id\x00"))
	h.Write(s[:])
	return SecretID(h.Sum(nil))
}

// String returns 32 hexadecimal digits.
func (i SecretID) String() string { return hex.EncodeToString(i[:]) }

// ParseSecretID reads 32 lower-case hexadecimal digits.
func ParseSecretID(s string) (i SecretID, err error) {
	if err := unhex(i[:], s); err != nil {
		return SecretID{}, fmt.Errorf("secret's name: %w", err)
	}
	return i, nil
}

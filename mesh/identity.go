package mesh

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
)

// A Seed is the one secret of a node; everything it is follows from it. It
// prints as "secret", never as itself.
type Seed [32]byte

// NewSeed draws a seed from the system's random source.
func NewSeed() Seed {
	var s Seed
	rand.Read(s[:]) // never fails since Go 1.24
	return s
}

// String hides the seed.
func (Seed) String() string { return "secret" }

// GoString hides the seed.
func (Seed) GoString() string { return "secret" }

// LogValue hides the seed from logs.
func (Seed) LogValue() slog.Value { return slog.StringValue("secret") }

// An Identity is what a node derives from its seed: one key for the overlay
// and libp2p, so that a peer ID proves an address, and one for what it says.
type Identity struct {
	Node   ed25519.PrivateKey
	Author *SecretKey
}

// Identity derives the node's keys with HKDF-SHA256 (RFC 5869): no salt, and
// the info strings "drey/1/node" and "drey/1/author".
func (s Seed) Identity() (*Identity, error) {
	node, err := hkdf.Key(sha256.New, s[:], nil, "drey/1/node", ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("derive node key: %w", err)
	}
	author, err := hkdf.Key(sha256.New, s[:], nil, "drey/1/author", 32)
	if err != nil {
		return nil, fmt.Errorf("derive author key: %w", err)
	}
	key, err := NewSecretKey([32]byte(author))
	if err != nil {
		return nil, fmt.Errorf("derive author key: %w", err)
	}
	return &Identity{Node: ed25519.NewKeyFromSeed(node), Author: key}, nil
}

// NodeKey returns the public half of the node's overlay key.
func (i *Identity) NodeKey() NodeKey {
	return NodeKey(i.Node.Public().(ed25519.PublicKey))
}

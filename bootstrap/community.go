package bootstrap

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"drey/mesh"
)

// Found makes a new community with one secret. The founder's key is the author
// key of the founding node.
func Found(founder mesh.PubKey, name string) (*mesh.Membership, error) {
	if err := mesh.CheckName(name); err != nil {
		return nil, fmt.Errorf("community: %w", err)
	}
	m := &mesh.Membership{Epochs: []mesh.Epoch{{Number: 1}}}
	rand.Read(m.Nonce[:]) // never fails since Go 1.24
	rand.Read(m.Epochs[0].Secret[:])
	m.Community = mesh.Found(founder, name, m.Nonce)
	return m, nil
}

// Open returns the membership of everybody who knows an open community's name:
// its secret is HKDF-SHA256 of the name, without salt, with the info
// "drey/1/open-secret".
func Open(name string) (*mesh.Membership, error) {
	if err := mesh.CheckName(name); err != nil {
		return nil, fmt.Errorf("community: %w", err)
	}
	secret, err := hkdf.Key(sha256.New, []byte(name), nil, "drey/1/open-secret", 32)
	if err != nil {
		return nil, fmt.Errorf("derive secret: %w", err)
	}
	return &mesh.Membership{
		Community: mesh.OpenCommunity(name),
		Epochs:    []mesh.Epoch{{Number: 1, Secret: mesh.Secret(secret)}},
	}, nil
}

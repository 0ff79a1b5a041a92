package main

import (
	"net/netip"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"drey/mesh"
)

// peerID returns the libp2p name of a node.
func peerID(k mesh.NodeKey) string {
	key, err := crypto.UnmarshalEd25519PublicKey(k[:])
	if err != nil {
		return ""
	}
	id, err := peer.IDFromPublicKey(key)
	if err != nil {
		return ""
	}
	return id.String()
}

func ipString(b []byte) string {
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return ""
	}
	return a.String()
}

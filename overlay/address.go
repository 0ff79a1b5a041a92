package overlay

import (
	"crypto/ed25519"
	"fmt"
	"net/netip"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/yggdrasil-network/yggdrasil-go/src/address"

	"drey/mesh"
)

// Port is the TCP port on which a node's libp2p host listens at its own
// overlay address. It is part of the protocol: a key alone tells where to dial.
const Port = 3739

// overlayPrefix holds every Yggdrasil address and subnet. Underlay links to
// addresses inside it are refused: an overlay must not run over itself.
var overlayPrefix = netip.MustParsePrefix("200::/7")

// AddressOf returns the overlay address that belongs to a node's key, in
// 200::/8. About 112 bits of the key are visible in it.
func AddressOf(key mesh.NodeKey) netip.Addr {
	return netip.AddrFrom16(*address.AddrForKey(ed25519.PublicKey(key[:])))
}

// PeerOf returns the libp2p peer ID that belongs to a node's key.
func PeerOf(key mesh.NodeKey) (peer.ID, error) {
	public, err := crypto.UnmarshalEd25519PublicKey(key[:])
	if err != nil {
		return "", fmt.Errorf("node key: %w", err)
	}
	return peer.IDFromPublicKey(public)
}

// KeyOf returns the node key inside a peer ID. Peer IDs of other key types
// name nobody here.
func KeyOf(id peer.ID) (mesh.NodeKey, error) {
	public, err := id.ExtractPublicKey()
	if err != nil {
		return mesh.NodeKey{}, fmt.Errorf("peer ID holds no key: %w", err)
	}
	raw, err := public.Raw()
	if err != nil {
		return mesh.NodeKey{}, fmt.Errorf("peer ID: %w", err)
	}
	if _, ok := public.(*crypto.Ed25519PublicKey); !ok || len(raw) != ed25519.PublicKeySize {
		return mesh.NodeKey{}, fmt.Errorf("peer ID is of key type %s, want Ed25519", public.Type())
	}
	return mesh.NodeKey(raw), nil
}

// dialAddr returns where the host of key is dialled: always its own overlay
// address and Port.
func dialAddr(key mesh.NodeKey) ma.Multiaddr {
	return ma.StringCast(fmt.Sprintf("/ip6/%s/tcp/%d", AddressOf(key), Port))
}

// InfoOf returns what libp2p needs to connect to a node.
func InfoOf(key mesh.NodeKey) (peer.AddrInfo, error) {
	id, err := PeerOf(key)
	if err != nil {
		return peer.AddrInfo{}, err
	}
	return peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{dialAddr(key)}}, nil
}

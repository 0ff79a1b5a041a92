package mainline

import (
	"crypto/sha1"
	"encoding/binary"
	"net/netip"
)

// An id is a place in the table: of a node, or of an item.
type id [20]byte

// nearer reports whether a is nearer to target than b.
func nearer(target, a, b id) bool {
	for i := range target {
		if x, y := a[i]^target[i], b[i]^target[i]; x != y {
			return x < y
		}
	}
	return false
}

// place returns where the item of a key and a salt is (BEP 44).
func place(key [32]byte, salt string) id {
	h := sha1.New()
	h.Write(key[:])
	h.Write([]byte(salt))
	return id(h.Sum(nil))
}

// A node is one of the table, as another tells of it.
type node struct {
	id    id
	named bool // id is known
	addr  netip.AddrPort
}

const (
	compact4 = 20 + 4 + 2
	compact6 = 20 + 16 + 2
	maxTold  = 16 // nodes taken from one answer
)

// parseNodes reads the compact nodes of an answer from a node at from. Ones
// that cannot be called are left out, and so are private addresses that a node
// on the internet tells: nobody there may point this node at its neighbours.
func parseNodes(s string, size int, from netip.Addr) []node {
	var all []node
	for ; len(s) >= size && len(all) < maxTold; s = s[size:] {
		a, _ := netip.AddrFromSlice([]byte(s[20 : size-2]))
		a = a.Unmap()
		port := binary.BigEndian.Uint16([]byte(s[size-2:]))
		if port == 0 || a.IsUnspecified() || a.IsMulticast() || near(a) && !near(from) {
			continue
		}
		all = append(all, node{id: id([]byte(s[:20])), named: true, addr: netip.AddrPortFrom(a, port)})
	}
	return all
}

// near reports whether an address leads nowhere on the internet.
func near(a netip.Addr) bool { return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() }

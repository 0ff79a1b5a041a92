package mesh

import "crypto/sha256"

// Found names a new community after its founder, its name and 32 random bytes.
func Found(founder PubKey, name string, nonce [32]byte) Community {
	h := sha256.New()
	h.Write(founder[:])
	h.Write([]byte(name))
	h.Write(nonce[:])
	return Community{ID: [32]byte(h.Sum(nil)), Name: name, Founder: founder}
}

// OpenCommunity is the community of everybody who knows the name.
func OpenCommunity(name string) Community {
	return Community{ID: sha256.Sum256([]byte("drey/1/open/" + name)), Name: name, Open: true}
}

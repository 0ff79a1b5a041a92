package mesh

import (
	"encoding/hex"
	"testing"
)

// The keys of low order (RFC 7748, section 6.1; Ed25519's eight points): anybody
// can make signatures for the first, and nothing can be sealed to any. On a
// roster such a machine would be everybody's, and no secret could be rotated.
func TestKeysOfLowOrderAreNobodys(t *testing.T) {
	for _, text := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		r := &PeerRecord{Node: NodeKey(b)}
		r.Signature[0] = 1 // R is the neutral element, S is 0: good for every message under the first key
		if err := r.Verify(); err == nil {
			t.Errorf("a record of key %s is taken for signed", r.Node)
		}
		if _, err := r.Node.Exchange(); err == nil {
			t.Errorf("key %s can be sealed to", r.Node)
		}
	}
}

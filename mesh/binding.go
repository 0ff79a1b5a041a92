package mesh

import (
	"crypto/sha256"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"
)

// A peer record proves that a node's key names an author. The other half is a
// binding: the author names the node, for one community. Both together prove
// that one machine holds both keys and wants to belong; the roster keeps them.

// Bind signs, with the author's key, that this node is the author's, for the
// community whose id starts with these bytes. The signature is BIP-340 over
// SHA-256("drey/1/bind" ‖ 0 ‖ node ‖ author ‖ community).
func (i *Identity) Bind(community [8]byte) (Signature, error) {
	m := bindingMessage(i.NodeKey(), i.Author.PubKey(), community)
	sig, err := schnorr.Sign(i.Author.private, m[:])
	if err != nil {
		return Signature{}, fmt.Errorf("sign binding: %w", err)
	}
	return Signature(sig.Serialize()), nil
}

// VerifyBinding reports whether both keys of a record agree that they belong
// together: the record's own signature and the author's binding.
func VerifyBinding(r *PeerRecord, binding Signature) error {
	if err := r.Verify(); err != nil {
		return err
	}
	key, err := schnorr.ParsePubKey(r.Author[:])
	if err != nil {
		return fmt.Errorf("binding of %s: author: %w", r.Node, err)
	}
	sig, err := schnorr.ParseSignature(binding[:])
	if err != nil {
		return fmt.Errorf("binding of %s: signature: %w", r.Node, err)
	}
	m := bindingMessage(r.Node, r.Author, r.Community)
	if !sig.Verify(m[:], key) {
		return fmt.Errorf("binding of %s: the author's signature does not match", r.Node)
	}
	return nil
}

func bindingMessage(node NodeKey, author PubKey, community [8]byte) [32]byte {
	m := []byte("drey/1/bind\x00")
	m = append(m, node[:]...)
	m = append(m, author[:]...)
	return sha256.Sum256(append(m, community[:]...))
}

package mesh

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
)

// Kinds of ours for private messages. Receipts and parts of bundles are never on
// their own: they travel inside gift wraps and letters.
const (
	KindLetter  Kind = 3742 // a private message between two machines, small enough for the air
	KindReceipt Kind = 3743 // inside a wrap: its recipient has opened a message
	KindTaken   Kind = 3744 // a recipient tells those who hold mail which wraps it has
	KindBundle  Kind = 3745 // inside a wrap: a part of an opaque payload
	KindOutward Kind = 3746 // a member asks gateways to carry a wrap to somebody outside of the community

	KindFileMessage Kind = 15 // inside a wrap: a file's address and key (NIP-17)
)

// Sealed reports whether events of this kind are mail: only nodes that hold mail
// and its recipients may know that they exist.
func (k Kind) Sealed() bool {
	return k == KindGiftWrap || k == KindLetter || k == KindTaken || k == KindOutward
}

// MailOnly reports whether events of this kind belong inside others that are
// sealed, never on their own.
func (k Kind) MailOnly() bool {
	return k == KindSeal || k == KindPrivateNote || k == KindFileMessage || k == KindReceipt || k == KindBundle
}

// A Conversation is what two authors' keys have in common and nobody else knows:
// NIP-44's conversation key. It prints as "secret", never as itself.
type Conversation [32]byte

// String hides the secret.
func (Conversation) String() string { return "secret" }

// GoString hides the secret.
func (Conversation) GoString() string { return "secret" }

// Conversation returns what k and another author's key have in common: HKDF-Extract
// with the salt "nip44-v2" of the x coordinate of their shared point (NIP-44). It
// fails where other is no point of the curve.
func (k *SecretKey) Conversation(other PubKey) (Conversation, error) {
	point, err := schnorr.ParsePubKey(other[:])
	if err != nil {
		return Conversation{}, fmt.Errorf("conversation with %s: not a point of the curve", other)
	}
	shared := btcec.GenerateSharedSecret(k.private, point)
	key, err := hkdf.Extract(sha256.New, shared, []byte("nip44-v2"))
	if err != nil {
		return Conversation{}, fmt.Errorf("conversation with %s: %w", other, err)
	}
	return Conversation(key), nil
}

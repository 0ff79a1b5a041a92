package mesh

import (
	"fmt"
	"log/slog"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
)

// A Signer signs events in one author's name.
type Signer interface {
	PubKey() PubKey
	Sign(d Draft) (*Event, error)
}

// A SecretKey signs events (BIP-340). It prints as "secret", never as itself.
type SecretKey struct {
	private *btcec.PrivateKey
	public  PubKey
}

// NewSecretKey makes a key from 32 secret bytes, which must be a number from 1
// to the order of secp256k1 less one.
func NewSecretKey(b [32]byte) (*SecretKey, error) {
	var n btcec.ModNScalar
	if overflow := n.SetBytes(&b); overflow != 0 || n.IsZero() {
		return nil, fmt.Errorf("secret key is not in the range of secp256k1")
	}
	private := btcec.PrivKeyFromScalar(&n)
	return &SecretKey{private, PubKey(schnorr.SerializePubKey(private.PubKey()))}, nil
}

// PubKey returns the author this key signs for.
func (k *SecretKey) PubKey() PubKey { return k.public }

// Sign names and signs a draft.
func (k *SecretKey) Sign(d Draft) (*Event, error) {
	e, err := NewEvent(k.public, Signature{}, d)
	if err != nil {
		return nil, err
	}
	sig, err := schnorr.Sign(k.private, e.id[:])
	if err != nil {
		return nil, fmt.Errorf("sign event: %w", err)
	}
	e.sig = Signature(sig.Serialize())
	return e, nil
}

// String hides the key.
func (k *SecretKey) String() string { return "secret" }

// GoString hides the key.
func (k *SecretKey) GoString() string { return "secret" }

// LogValue hides the key from logs.
func (k *SecretKey) LogValue() slog.Value { return slog.StringValue("secret") }

// Verify reports whether the author signed the event. It costs about 200 µs on
// a small machine, so ask cheaper questions first.
func (e *Event) Verify() error {
	key, err := schnorr.ParsePubKey(e.author[:])
	if err != nil {
		return fmt.Errorf("%w: author: %w", ErrInvalid, err)
	}
	sig, err := schnorr.ParseSignature(e.sig[:])
	if err != nil {
		return fmt.Errorf("%w: signature: %w", ErrInvalid, err)
	}
	if !sig.Verify(e.id[:], key) {
		return fmt.Errorf("%w: signature does not match", ErrInvalid)
	}
	return nil
}

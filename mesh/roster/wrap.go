package roster

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"drey/mesh"
)

// The content of a rotation is, in base64url without padding,
//
//	version byte      1
//	key     [32]byte  an X25519 key drawn for this event alone
//	slots             1 to 800, each
//	  node   [8]byte  the first bytes of a machine's node key
//	  sealed [48]byte ChaCha20-Poly1305 (RFC 8439) of the secret, nonce zero
//
// The key of a slot is HKDF-SHA256 of the X25519 of both keys, with the drawn
// key and the machine's as salt and "drey/1/rotate" ‖ 0 ‖ the secret's name ‖
// epoch as info: it seals one secret for one machine and is used once.
const (
	wrapVersion = 1
	wrapHead    = 1 + 32
	slotName    = 8
	slotSize    = slotName + 32 + chacha20poly1305.Overhead
	maxSlots    = 800
	// fewSlots is how many machines share an event in a small community: such
	// an event still goes over a slow radio.
	fewSlots = 16
	// someParts is how many events a rotation takes before they grow.
	someParts = 8
)

// wrapped is the content of a rotation, checked in form.
type wrapped struct {
	key   [32]byte
	slots []byte // of slotSize each
}

// wrap seals a secret for machines.
func wrap(s mesh.Secret, epoch uint32, to []mesh.NodeKey) (string, error) {
	own, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return "", fmt.Errorf("draw a key: %w", err)
	}
	b := append([]byte{wrapVersion}, own.PublicKey().Bytes()...)
	for _, node := range to {
		public, err := node.Exchange()
		if err != nil {
			return "", err
		}
		shared, err := own.ECDH(public)
		if err != nil {
			return "", fmt.Errorf("seal for %s: %w", node, err)
		}
		key, err := slotKey(shared, own.PublicKey().Bytes(), public.Bytes(), s.ID(), epoch)
		if err != nil {
			return "", err
		}
		b = append(b, node[:slotName]...)
		b = seal(b, key, s)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

func seal(b, key []byte, s mesh.Secret) []byte {
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		panic(err) // the key has its length
	}
	return aead.Seal(b, make([]byte, chacha20poly1305.NonceSize), s[:], nil)
}

func slotKey(shared, drawn, machine []byte, name mesh.SecretID, epoch uint32) ([]byte, error) {
	info := append([]byte("drey/1/rotate\x00"), name[:]...)
	info = binary.BigEndian.AppendUint32(info, epoch)
	return hkdf.Key(sha256.New, shared, append(bytes.Clone(drawn), machine...), string(info), chacha20poly1305.KeySize)
}

// parseWrapped reads the content of a rotation.
func parseWrapped(content string) (*wrapped, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(content)
	if err != nil {
		return nil, fmt.Errorf("rotation: %w", err)
	}
	if len(b) < wrapHead+slotSize || (len(b)-wrapHead)%slotSize != 0 || len(b) > wrapHead+maxSlots*slotSize {
		return nil, fmt.Errorf("rotation of %d bytes, want %d and 1 to %d times %d", len(b), wrapHead, maxSlots, slotSize)
	}
	if b[0] != wrapVersion {
		return nil, fmt.Errorf("rotation of version %d, known is %d", b[0], wrapVersion)
	}
	return &wrapped{key: [32]byte(b[1:wrapHead]), slots: b[wrapHead:]}, nil
}

// names reports whether a slot is for a machine.
func (w *wrapped) names(node mesh.NodeKey) bool {
	_, ok := w.slot(node)
	return ok
}

func (w *wrapped) slot(node mesh.NodeKey) (sealed []byte, ok bool) {
	for s := w.slots; len(s) > 0; s = s[slotSize:] {
		if bytes.Equal(s[:slotName], node[:slotName]) {
			return s[slotName:slotSize], true
		}
	}
	return nil, false
}

// open returns the secret that is sealed for a machine.
func (w *wrapped) open(id *mesh.Identity, name mesh.SecretID, epoch uint32) (mesh.Secret, bool) {
	sealed, ok := w.slot(id.NodeKey())
	if !ok {
		return mesh.Secret{}, false
	}
	own, err := mesh.ExchangeKey(id.Node)
	if err != nil {
		return mesh.Secret{}, false
	}
	drawn, err := ecdh.X25519().NewPublicKey(w.key[:])
	if err != nil {
		return mesh.Secret{}, false
	}
	shared, err := own.ECDH(drawn) // fails for a key of low order
	if err != nil {
		return mesh.Secret{}, false
	}
	key, err := slotKey(shared, w.key[:], own.PublicKey().Bytes(), name, epoch)
	if err != nil {
		return mesh.Secret{}, false
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return mesh.Secret{}, false
	}
	plain, err := aead.Open(nil, make([]byte, chacha20poly1305.NonceSize), sealed, nil)
	if err != nil {
		return mesh.Secret{}, false
	}
	s := mesh.Secret(plain)
	return s, s.ID() == name // an admin may have sealed another one
}

package bootstrap

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/flynn/noise"

	"drey/mesh"
)

// Limits of the exchange, in bytes.
const (
	maxRequest = 2 << 10
	maxAnswer  = 4 << 20
	maxFrame   = 32 << 10 // plain bytes of one transport message
)

const (
	requestVersion = 1
	requestHead    = 1 + 32 + 16 // what stands before the Noise message
	prologue       = "drey/1/join"
)

// errSeal reports bytes that the keys at hand do not open.
var errSeal = errors.New("the seal does not open")

// An inviteID names an invite without giving its token away.
type inviteID [16]byte

func idOf(t mesh.InviteToken) inviteID {
	return inviteID(digest("drey/1/invite-id", t))
}

func pskOf(t mesh.InviteToken) [32]byte {
	return [32]byte(digest("drey/1/invite-psk", t))
}

// keysOf returns what a request with a token goes under. The zero token stands
// for none.
func keysOf(t mesh.InviteToken) (inviteID, [32]byte) {
	if t == (mesh.InviteToken{}) {
		return inviteID{}, [32]byte(digest("drey/1/ask-psk", t))
	}
	return idOf(t), pskOf(t)
}

// digest hashes a token for one use.
func digest(use string, t mesh.InviteToken) []byte {
	h := sha256.New()
	h.Write([]byte(use))
	h.Write([]byte{0})
	h.Write(t[:])
	return h.Sum(nil)
}

// exchangeKey returns an Ed25519 key in its X25519 form.
func exchangeKey(k mesh.NodeKey) ([32]byte, error) {
	p, err := k.Exchange()
	if err != nil {
		return [32]byte{}, err
	}
	return [32]byte(p.Bytes()), nil
}

// keypair returns a node's own key in its X25519 form.
func keypair(k ed25519.PrivateKey) (noise.DHKey, error) {
	own, err := mesh.ExchangeKey(k)
	if err != nil {
		return noise.DHKey{}, err
	}
	return noise.DHKey{Private: own.Bytes(), Public: own.PublicKey().Bytes()}, nil
}

// handshake begins one side of the exchange. head is what stands before the
// first message; peer is nil on the inviter's side.
func handshake(own ed25519.PrivateKey, peer []byte, psk [32]byte, head []byte) (*noise.HandshakeState, error) {
	static, err := keypair(own)
	if err != nil {
		return nil, err
	}
	return noise.NewHandshakeState(noise.Config{
		CipherSuite:   noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256),
		Pattern:       noise.HandshakeIK,
		Initiator:     peer != nil,
		Prologue:      append([]byte(prologue), head...),
		StaticKeypair: static,
		PeerStatic:    peer,
		PresharedKey:  psk[:],
	})
}

// appendRequest seals what a joiner asks and returns the handshake with which
// to open the answer.
func appendRequest(b []byte, own ed25519.PrivateKey, v *mesh.Invite, q *request) ([]byte, *noise.HandshakeState, error) {
	peer, err := exchangeKey(v.Node)
	if err != nil {
		return nil, nil, err
	}
	id, psk := keysOf(v.Token)
	head := append([]byte{requestVersion}, v.Node[:]...)
	head = append(head, id[:]...)
	hs, err := handshake(own, peer[:], psk, head)
	if err != nil {
		return nil, nil, err
	}
	message, _, _, err := hs.WriteMessage(nil, appendPayload(nil, q))
	if err != nil {
		return nil, nil, fmt.Errorf("seal request: %w", err)
	}
	b = append(b, head...)
	return append(b, message...), hs, nil
}

// splitRequest takes the clear part off a request.
func splitRequest(b []byte) (node mesh.NodeKey, id inviteID, message []byte, err error) {
	if len(b) < requestHead {
		return node, id, nil, fmt.Errorf("request of %d bytes, at least %d needed", len(b), requestHead)
	}
	if b[0] != requestVersion {
		return node, id, nil, fmt.Errorf("request of version %d, known is %d", b[0], requestVersion)
	}
	return mesh.NodeKey(b[1:33]), inviteID(b[33:requestHead]), b[requestHead:], nil
}

// openRequest opens a joiner's message. head is the clear part before it; key
// is the joiner's static key, proved.
func openRequest(own ed25519.PrivateKey, psk [32]byte, head, message []byte) (hs *noise.HandshakeState, key [32]byte, q *request, err error) {
	hs, err = handshake(own, nil, psk, head)
	if err != nil {
		return nil, key, nil, err
	}
	payload, _, _, err := hs.ReadMessage(nil, message)
	if err != nil {
		return nil, key, nil, errSeal
	}
	q, err = parsePayload(payload)
	return hs, [32]byte(hs.PeerStatic()), q, err
}

// writeAnswer seals the inviter's answer.
func writeAnswer(w io.Writer, hs *noise.HandshakeState, plain []byte) error {
	length := binary.BigEndian.AppendUint32(nil, uint32(len(plain)))
	b, _, out, err := hs.WriteMessage(nil, length)
	if err != nil {
		return fmt.Errorf("seal answer: %w", err)
	}
	for len(plain) > 0 {
		n := min(len(plain), maxFrame)
		b = binary.BigEndian.AppendUint16(b, uint16(n+16))
		if b, err = out.Encrypt(b, nil, plain[:n]); err != nil {
			return fmt.Errorf("seal answer: %w", err)
		}
		plain = plain[n:]
	}
	_, err = w.Write(b)
	return err
}

// answerHead is the size of the handshake's second message: an ephemeral key
// and four sealed bytes.
const answerHead = 32 + 4 + 16

// readAnswer opens the inviter's answer. Bytes that were changed, left out or
// added on the way give errSeal.
func readAnswer(r io.Reader, hs *noise.HandshakeState) ([]byte, error) {
	head := make([]byte, answerHead)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, fmt.Errorf("answer cut off: %w", err)
	}
	length, _, in, err := hs.ReadMessage(nil, head)
	if err != nil || len(length) != 4 {
		return nil, errSeal
	}
	size := binary.BigEndian.Uint32(length)
	if size > maxAnswer {
		return nil, fmt.Errorf("answer of %d bytes, limit %d", size, maxAnswer)
	}
	var plain []byte
	for uint32(len(plain)) < size {
		var prefix [2]byte
		if _, err := io.ReadFull(r, prefix[:]); err != nil {
			return nil, fmt.Errorf("answer cut off: %w", err)
		}
		frame := make([]byte, binary.BigEndian.Uint16(prefix[:]))
		if _, err := io.ReadFull(r, frame); err != nil {
			return nil, fmt.Errorf("answer cut off: %w", err)
		}
		before := len(plain)
		if plain, err = in.Decrypt(plain, nil, frame); err != nil || len(plain) == before {
			return nil, errSeal
		}
	}
	if uint32(len(plain)) != size {
		return nil, errSeal
	}
	if n, _ := r.Read(make([]byte, 1)); n != 0 {
		return nil, errSeal
	}
	return plain, nil
}

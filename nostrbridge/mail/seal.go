package mail

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"drey/mesh"
)

const (
	// maxRumor bounds a rumor's JSON, in bytes: what is padded, sealed and
	// written in base64 twice must fit into an event.
	maxRumor = 28672
	// backdated is how far into the past the dates of seals and wraps go (NIP-59).
	// Never into the future: relays refuse that.
	backdated = 48 * time.Hour
)

// ErrTooLong reports a message that no wrap can hold.
var ErrTooLong = errors.New("the message is too long")

// Errors of Unwrap. Errors that say more wrap them.
var (
	ErrNotForUs = errors.New("not sealed for this key")
	ErrForged   = errors.New("the seal does not prove the message")
)

// Wrap seals a rumor in its author's name and wraps it for one reader (NIP-59):
// the seal has no tags, the wrap is signed by a key made for it alone, and the
// dates of both say nothing.
func Wrap(author *mesh.SecretKey, r *mesh.Rumor, to mesh.PubKey, now time.Time) (*mesh.Event, error) {
	if r.Author() != author.PubKey() {
		return nil, fmt.Errorf("wrap a message of %s: the key is of %s", r.Author(), author.PubKey())
	}
	plain := r.AppendJSON(nil)
	if len(plain) > maxRumor {
		return nil, fmt.Errorf("%w: %d bytes with its tags, at most %d", ErrTooLong, len(plain), maxRumor)
	}
	seal, err := sealUp(author, mesh.Draft{CreatedAt: past(now), Kind: mesh.KindSeal}, string(plain), to)
	if err != nil {
		return nil, err
	}
	once, err := mesh.NewSecretKey(random32())
	if err != nil {
		return nil, err // one number in 2¹²⁸
	}
	d := mesh.Draft{CreatedAt: past(now), Kind: mesh.KindGiftWrap, Tags: [][]string{{"p", to.String()}}}
	return sealUp(once, d, string(seal.AppendJSON(nil)), to)
}

// sealUp signs a draft whose content is a text for one reader.
func sealUp(key *mesh.SecretKey, d mesh.Draft, plain string, to mesh.PubKey) (*mesh.Event, error) {
	conversation, err := key.Conversation(to)
	if err != nil {
		return nil, err
	}
	if d.Content, err = encrypt(plain, conversation, random32()); err != nil {
		return nil, err
	}
	return key.Sign(d)
}

// Unwrap opens a gift wrap for the holder of key. It takes nothing on trust: the
// signatures of wrap and seal, a seal of kind 13 without tags, one author of seal
// and rumor, the rumor's id. A wrap for somebody else is ErrNotForUs; what proves
// nothing is ErrForged.
func Unwrap(key *mesh.SecretKey, wrap *mesh.Event) (*mesh.Rumor, error) {
	if wrap.Kind() != mesh.KindGiftWrap {
		return nil, fmt.Errorf("%w: kind %d is no gift wrap", ErrForged, wrap.Kind())
	}
	if err := wrap.Verify(); err != nil {
		return nil, fmt.Errorf("%w: wrap: %w", ErrForged, err)
	}
	plain, err := open(key, wrap)
	if err != nil {
		return nil, fmt.Errorf("%w: wrap: %w", ErrNotForUs, err)
	}
	seal, err := mesh.ParseJSON([]byte(plain))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: seal: %w", ErrForged, err)
	case seal.Kind() != mesh.KindSeal:
		return nil, fmt.Errorf("%w: the seal is of kind %d, not %d", ErrForged, seal.Kind(), mesh.KindSeal)
	case len(seal.Tags()) != 0:
		return nil, fmt.Errorf("%w: the seal has %d tags, allowed are none", ErrForged, len(seal.Tags()))
	}
	if err := seal.Verify(); err != nil {
		return nil, fmt.Errorf("%w: seal: %w", ErrForged, err)
	}
	if plain, err = open(key, seal); err != nil {
		return nil, fmt.Errorf("%w: seal: %w", ErrForged, err)
	}
	r, err := mesh.ParseRumor([]byte(plain))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForged, err)
	}
	if r.Author() != seal.Author() {
		return nil, fmt.Errorf("%w: %s sealed what %s is to have said", ErrForged, seal.Author(), r.Author())
	}
	return r, nil
}

// open decrypts the content of an event whose author sealed it for key.
func open(key *mesh.SecretKey, e *mesh.Event) (string, error) {
	conversation, err := key.Conversation(e.Author())
	if err != nil {
		return "", err
	}
	return decrypt(e.Content(), conversation)
}

// past returns a second within the last two days, none likelier than another.
func past(now time.Time) mesh.Unix {
	const span = uint64(backdated / time.Second)
	r := random32()
	return mesh.UnixOf(now.Add(-time.Duration(binary.BigEndian.Uint64(r[:])%span) * time.Second))
}

func random32() (b [32]byte) {
	rand.Read(b[:]) // never fails since Go 1.24
	return b
}

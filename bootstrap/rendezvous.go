package bootstrap

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"drey/mesh"
)

// Where a community meets on a medium that everybody reads changes with each
// day of UTC and with each secret. A day travels as a big-endian uint32 that
// counts days since 1970. Everything follows from the secret:
//
//	name  HMAC-SHA256(secret, "rdv" ‖ day)[:16], in 32 hexadecimal digits
//	key   HKDF-SHA256(secret), no salt, info "drey/1/announce-seal" ‖ 0 ‖ day
//
// and what is told there is, in 223 bytes that look the same for every node:
//
//	nonce   [12]byte  random
//	sealed            ChaCha20-Poly1305 under key of: the record's length as one
//	                  byte, the record in clear, zeros up to 195 bytes
//
// The additional data is who says so, as the medium names him: nobody can copy
// an announcement under a name of his own, or to another day.
const (
	paperSize  = 1 + RecordBudget + 4 // before it is sealed; some room for later versions
	noticeSize = chacha20poly1305.NonceSize + paperSize + chacha20poly1305.Overhead
)

// A rendezvous is where a community meets on one day.
type rendezvous struct {
	day    uint32
	secret mesh.Secret
}

// secretsMost bounds how many secrets are looked under: the newest, and those
// that a rotation has just replaced.
const secretsMost = 2

// dayOf returns the day of a time.
func dayOf(now time.Time) uint32 { return uint32(now.Unix() / (24 * 60 * 60)) }

// rendezvousOf returns where to look now: around today, since clocks differ and
// announcements last, under each secret, the likeliest first.
func rendezvousOf(secrets []mesh.Secret, now time.Time) []rendezvous {
	today := dayOf(now)
	var all []rendezvous
	for _, day := range []uint32{today, today - 1, today + 1} {
		for _, s := range secrets[:min(len(secrets), secretsMost)] {
			all = append(all, rendezvous{day, s})
		}
	}
	return all
}

// name returns what the rendezvous is called where everybody reads.
func (r rendezvous) name() string {
	mac := hmac.New(sha256.New, r.secret[:])
	mac.Write(binary.BigEndian.AppendUint32([]byte("rdv"), r.day))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// derive returns a key that follows from a secret for one use on the day.
func (r rendezvous) derive(secret []byte, use string) []byte {
	info := binary.BigEndian.AppendUint32(append([]byte(use), 0), r.day)
	key, err := hkdf.Key(sha256.New, secret, nil, string(info), 32)
	if err != nil {
		panic("bootstrap: HKDF of 32 bytes: " + err.Error()) // only a length beyond its limit fails
	}
	return key
}

func (r rendezvous) aead() cipher.AEAD {
	a, err := chacha20poly1305.New(r.derive(r.secret[:], "drey/1/announce-seal"))
	if err != nil {
		panic("bootstrap: ChaCha20-Poly1305 with 32 bytes: " + err.Error())
	}
	return a
}

// seal returns a record in the form in which it is told, by whom.
func (r rendezvous) seal(record *mesh.PeerRecord, by []byte) ([]byte, error) {
	b := record.AppendBinary(nil)
	if len(b) > paperSize-1 {
		return nil, fmt.Errorf("peer record of %d bytes, at most %d can be announced", len(b), paperSize-1)
	}
	paper := make([]byte, paperSize)
	paper[0] = byte(len(b))
	copy(paper[1:], b)
	nonce := make([]byte, chacha20poly1305.NonceSize, noticeSize)
	rand.Read(nonce) // never fails since Go 1.24
	return r.aead().Seal(nonce, nonce, paper, by), nil
}

// errNotice reports an announcement that does not have the right form.
var errNotice = errors.New("not an announcement")

// open returns the bytes of the record in an announcement by somebody:
// mesh.ErrSealed when it was not made for this rendezvous, errNotice when
// whoever made it holds the secret and still wrote nonsense.
func (r rendezvous) open(notice, by []byte) ([]byte, error) {
	if len(notice) != noticeSize {
		return nil, fmt.Errorf("%w: %d bytes, want %d", errNotice, len(notice), noticeSize)
	}
	nonce := notice[:chacha20poly1305.NonceSize]
	paper, err := r.aead().Open(nil, nonce, notice[len(nonce):], by)
	if err != nil {
		return nil, mesh.ErrSealed
	}
	n := int(paper[0])
	if n > len(paper)-1 || slices.ContainsFunc(paper[1+n:], func(b byte) bool { return b != 0 }) {
		return nil, fmt.Errorf("%w: a record of %d bytes in %d", errNotice, n, len(paper)-1)
	}
	return paper[1 : 1+n], nil
}

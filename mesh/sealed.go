package mesh

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// A sealed record is a peer record that only the community can read: where
// strangers listen, it shows neither the node's key nor whom it belongs to. On
// the wire:
//
//	form    byte      2; a record in clear begins with its version, 1
//	nonce   [12]byte  random
//	sealed            ChaCha20-Poly1305 (RFC 8439) of the record's wire form,
//	                  the form byte as additional data
//
// The key is HKDF-SHA256 of the community's secret, without salt, with the
// info "drey/1/record-seal". It is 29 bytes longer than the record.
const (
	sealedForm     = 2
	sealedHead     = 1 + chacha20poly1305.NonceSize
	sealedOverhead = sealedHead + chacha20poly1305.Overhead

	// MaxSealedRecord bounds a record in either form, in bytes.
	MaxSealedRecord = MaxPeerRecord + sealedOverhead
)

// ErrSealed reports a record that is sealed for somebody else.
var ErrSealed = errors.New("the record is sealed under a secret that is not known here")

// SealRecord returns r sealed under a community's secret. The nonce must be
// random: never the same for two records.
func SealRecord(r *PeerRecord, s Secret, nonce [chacha20poly1305.NonceSize]byte) []byte {
	b := append([]byte{sealedForm}, nonce[:]...)
	return sealer(s).Seal(b, nonce[:], r.AppendBinary(nil), b[:1])
}

// OpenRecord reads a record in clear or one sealed under any of the secrets,
// tried in their order. It reports whether it was sealed. The signature is not
// checked; see PeerRecord.Verify.
func OpenRecord(b []byte, secrets []Secret) (r *PeerRecord, sealed bool, err error) {
	if len(b) > MaxSealedRecord {
		return nil, false, fmt.Errorf("peer record: %d bytes, allowed are up to %d", len(b), MaxSealedRecord)
	}
	if len(b) == 0 || b[0] != sealedForm {
		r, err = ParsePeerRecord(b)
		return r, false, err
	}
	if len(b) < sealedOverhead+recordHead {
		return nil, true, fmt.Errorf("sealed peer record: %d bytes, at least %d are needed", len(b), sealedOverhead+recordHead)
	}
	for _, s := range secrets {
		plain, err := sealer(s).Open(nil, b[1:sealedHead], b[sealedHead:], b[:1])
		if err != nil {
			continue
		}
		r, err := ParsePeerRecord(plain)
		return r, true, err
	}
	return nil, true, ErrSealed
}

func sealer(s Secret) cipher.AEAD {
	key, err := hkdf.Key(sha256.New, s[:], nil, "drey/1/record-seal", chacha20poly1305.KeySize)
	if err != nil {
		panic("mesh: HKDF of 32 bytes: " + err.Error()) // only a length beyond its limit fails
	}
	a, err := chacha20poly1305.New(key)
	if err != nil {
		panic("mesh: ChaCha20-Poly1305 with 32 bytes: " + err.Error())
	}
	return a
}

// recordText begins a record, in either form, where it stands in text: in a
// file, a mail, a DNS zone. Unpadded base64url of its bytes follows.
const recordText = "drey1:"

// RecordText writes a record's bytes as text.
func RecordText(b []byte) string { return recordText + base64.RawURLEncoding.EncodeToString(b) }

// ParseRecordText reads what RecordText wrote; white space around it does not
// count. The bytes may be anything of a record's size.
func ParseRecordText(s string) ([]byte, error) {
	s = strings.TrimSpace(s)
	rest, ok := strings.CutPrefix(s, recordText)
	if !ok {
		return nil, fmt.Errorf("record text: %.20q does not begin with %s", s, recordText)
	}
	if n := base64.RawURLEncoding.DecodedLen(len(rest)); n > MaxSealedRecord {
		return nil, fmt.Errorf("record text: %d bytes, allowed are up to %d", n, MaxSealedRecord)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	if err != nil || strings.ContainsAny(rest, "\r\n") { // the decoder would skip line ends
		return nil, errors.New("record text: not unpadded base64url")
	}
	return b, nil
}

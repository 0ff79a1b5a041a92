package mail

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"golang.org/x/crypto/chacha20"

	"drey/mesh"
)

// Encryption of one text for one reader (NIP-44, version 2). Before base64:
//
//	version  byte      2
//	nonce    [32]byte  random
//	sealed             ChaCha20 of a length in two bytes, the text, and zeros up
//	                   to a size that tells little of the text's
//	mac      [32]byte  HMAC-SHA256 of nonce and sealed
//
// Keys and ChaCha20's nonce are HKDF-Expand of the conversation key, with the
// nonce as info.
const (
	nip44Version = 2
	nip44Nonce   = 32
	nip44MAC     = 32
	maxPlain     = 65535
	minPayload   = 1 + nip44Nonce + 2 + 32 + nip44MAC
	maxPayload   = 1 + nip44Nonce + 2 + 65536 + nip44MAC
)

// errSealed reports a text that was not sealed under this key, or was changed.
var errSealed = errors.New("not sealed for this key, or changed on the way")

// encrypt seals 1 to 65535 bytes under a conversation's key. The nonce must be
// random: never the same for two texts.
func encrypt(plain string, key mesh.Conversation, nonce [nip44Nonce]byte) (string, error) {
	if len(plain) < 1 || len(plain) > maxPlain {
		return "", fmt.Errorf("seal %d bytes: allowed are 1 to %d", len(plain), maxPlain)
	}
	padded := make([]byte, 2+paddedSize(len(plain)))
	binary.BigEndian.PutUint16(padded, uint16(len(plain)))
	copy(padded[2:], plain)
	stream, mac := messageKeys(key, nonce)
	stream.XORKeyStream(padded, padded)
	b := make([]byte, 0, 1+nip44Nonce+len(padded)+nip44MAC)
	b = append(b, nip44Version)
	b = append(b, nonce[:]...)
	b = append(b, padded...)
	b = append(b, nip44Sum(mac, nonce, padded)...)
	return base64.StdEncoding.EncodeToString(b), nil
}

// decrypt opens what encrypt sealed. It takes one spelling only.
func decrypt(payload string, key mesh.Conversation) (string, error) {
	if len(payload) > 0 && payload[0] == '#' {
		return "", errors.New("sealed in a version that is not known here")
	}
	if n := len(payload); n < base64.StdEncoding.EncodedLen(minPayload) || n > base64.StdEncoding.EncodedLen(maxPayload) {
		return "", fmt.Errorf("sealed text of %d letters: allowed are %d to %d", n,
			base64.StdEncoding.EncodedLen(minPayload), base64.StdEncoding.EncodedLen(maxPayload))
	}
	b, err := fromBase64(payload)
	if err != nil {
		return "", fmt.Errorf("sealed text: %w", err)
	}
	if len(b) < minPayload || len(b) > maxPayload {
		return "", fmt.Errorf("sealed text of %d bytes: allowed are %d to %d", len(b), minPayload, maxPayload)
	}
	if b[0] != nip44Version {
		return "", fmt.Errorf("sealed in version %d, known is %d", b[0], nip44Version)
	}
	nonce, padded, sum := [nip44Nonce]byte(b[1:33]), b[33:len(b)-nip44MAC], b[len(b)-nip44MAC:]
	stream, mac := messageKeys(key, nonce)
	if !hmac.Equal(sum, nip44Sum(mac, nonce, padded)) {
		return "", errSealed
	}
	stream.XORKeyStream(padded, padded)
	n := int(binary.BigEndian.Uint16(padded))
	if n < 1 || len(padded) != 2+paddedSize(n) {
		return "", fmt.Errorf("sealed text: %d bytes padded to %d", n, len(padded)-2)
	}
	return string(padded[2 : 2+n]), nil
}

// fromBase64 reads padded base64 in its one spelling; the library's reader skips
// line ends.
func fromBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("line ends in base64")
	}
	return base64.StdEncoding.Strict().DecodeString(s)
}

// messageKeys derives the stream and the key of the mac for one nonce.
func messageKeys(key mesh.Conversation, nonce [nip44Nonce]byte) (*chacha20.Cipher, []byte) {
	k, err := hkdf.Expand(sha256.New, key[:], string(nonce[:]), 32+12+32)
	if err != nil {
		panic("mail: HKDF of 76 bytes: " + err.Error()) // only a length beyond its limit fails
	}
	return streamOf(k[:32], k[32:44]), k[44:]
}

func streamOf(key, nonce []byte) *chacha20.Cipher {
	c, err := chacha20.NewUnauthenticatedCipher(key, nonce)
	if err != nil {
		panic("mail: ChaCha20 with 32 and 12 bytes: " + err.Error())
	}
	return c
}

func nip44Sum(key []byte, nonce [nip44Nonce]byte, sealed []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(nonce[:])
	h.Write(sealed)
	return h.Sum(nil)
}

// paddedSize is the size to which n bytes are filled up.
func paddedSize(n int) int {
	if n <= 32 {
		return 32
	}
	chunk := max(32, (1<<bits.Len(uint(n-1)))/8)
	return chunk * ((n-1)/chunk + 1)
}

package mesh

import (
	"fmt"
	"strings"
)

// NPub returns the key as Nostr apps show it (NIP-19): "npub1" and 58 letters
// of bech32.
func (k PubKey) NPub() string { return encodeBech32("npub", k[:]) }

// ParseAuthor reads a key as people hand it over: an npub, or 64 hexadecimal
// digits.
func ParseAuthor(s string) (PubKey, error) {
	if !strings.HasPrefix(strings.ToLower(s), "npub1") {
		return ParsePubKey(s)
	}
	b, err := decodeBech32("npub", s)
	if err != nil {
		return PubKey{}, fmt.Errorf("npub: %w", err)
	}
	if len(b) != len(PubKey{}) {
		return PubKey{}, fmt.Errorf("npub: holds %d bytes, want %d", len(b), len(PubKey{}))
	}
	return PubKey(b), nil
}

// Bech32 (BIP-173): five bits a letter and a checksum of six letters.
const bech32Letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// bech32Sum feeds values of five bits to the checksum.
func bech32Sum(sum uint32, values ...byte) uint32 {
	generator := [...]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3}
	for _, v := range values {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ uint32(v)
		for i, g := range generator {
			if top>>i&1 == 1 {
				sum ^= g
			}
		}
	}
	return sum
}

// bech32Prefix returns the checksum's state after the human-readable part.
func bech32Prefix(prefix string) uint32 {
	sum := uint32(1)
	for _, c := range []byte(prefix) {
		sum = bech32Sum(sum, c>>5)
	}
	sum = bech32Sum(sum, 0)
	for _, c := range []byte(prefix) {
		sum = bech32Sum(sum, c&31)
	}
	return sum
}

func encodeBech32(prefix string, data []byte) string {
	values := regroup(data, 8, 5)
	sum := bech32Sum(bech32Sum(bech32Prefix(prefix), values...), 0, 0, 0, 0, 0, 0) ^ 1
	for i := range 6 {
		values = append(values, byte(sum>>(5*(5-i))&31))
	}
	b := []byte(prefix + "1")
	for _, v := range values {
		b = append(b, bech32Letters[v])
	}
	return string(b)
}

func decodeBech32(prefix, s string) ([]byte, error) {
	low := strings.ToLower(s)
	if low != s && strings.ToUpper(s) != s {
		return nil, fmt.Errorf("mixes upper and lower case")
	}
	rest, ok := strings.CutPrefix(low, prefix+"1")
	if !ok || len(rest) < 6 {
		return nil, fmt.Errorf("does not begin with %s1, or is cut off", prefix)
	}
	values := make([]byte, len(rest))
	for i := range len(rest) {
		v := strings.IndexByte(bech32Letters, rest[i])
		if v < 0 {
			return nil, fmt.Errorf("%q is not a letter of bech32", rest[i])
		}
		values[i] = byte(v)
	}
	if bech32Sum(bech32Prefix(prefix), values...) != 1 {
		return nil, fmt.Errorf("the checksum does not match: a letter is wrong or missing")
	}
	data := values[:len(values)-6]
	b := regroup(data, 5, 8)
	n := len(data) * 5 / 8
	if encodeBech32(prefix, b[:n]) != low {
		return nil, fmt.Errorf("the bits at its end are not zero")
	}
	return b[:n], nil
}

// regroup splits values of from bits into values of to bits, the first bit
// first, and fills the last with zeros.
func regroup(values []byte, from, to int) []byte {
	out := make([]byte, 0, len(values)*from/to+1)
	bits, n := 0, 0
	for _, v := range values {
		bits, n = bits<<from|int(v), n+from
		for n >= to {
			n -= to
			out = append(out, byte(bits>>n&(1<<to-1)))
		}
		bits &= 1<<n - 1
	}
	if n > 0 {
		out = append(out, byte(bits<<(to-n)&(1<<to-1)))
	}
	return out
}

package mesh

import (
	"strings"
	"testing"
)

func TestNPub(t *testing.T) {
	// The examples of NIP-19.
	for hex, npub := range map[string]string{
		"3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d": "npub180cvv07tjdrrgpa0j7j7tmnyl2yr6yr7l8j4s3evf6u64th6gkwsyjh6w6",
		"7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e": "npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg",
	} {
		k, err := ParsePubKey(hex)
		if err != nil {
			t.Fatal(err)
		}
		if got := k.NPub(); got != npub {
			t.Errorf("NPub of %s = %s, want %s", hex, got, npub)
		}
		for _, s := range []string{npub, strings.ToUpper(npub), hex} {
			if got, err := ParseAuthor(s); err != nil || got != k {
				t.Errorf("ParseAuthor(%s) = %s, %v, want %s", s, got, err, k)
			}
		}
	}
}

func FuzzParseAuthor(f *testing.F) {
	f.Add("npub180cvv07tjdrrgpa0j7j7tmnyl2yr6yr7l8j4s3evf6u64th6gkwsyjh6w6")
	f.Add("npub1q")
	f.Add("3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := ParseAuthor(s)
		if err != nil {
			return
		}
		if back := k.NPub(); back != strings.ToLower(s) && k.String() != s {
			t.Errorf("%q was read as %s and written as %q", s, k, back)
		}
	})
}

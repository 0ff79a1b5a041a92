package mesh

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"
)

// TestRadioKeys pins the derivations of docs/PROTOCOL.md. The expected bytes
// were made with Python's hmac and hashlib.
func TestRadioKeys(t *testing.T) {
	var s Secret
	for i := range s {
		s[i] = byte(i)
	}
	for _, c := range []struct {
		name string
		key  RadioKey
		want string
	}{
		{"psk", s.RadioPSK(), "348d37c833e35d27315d4d40fddef63a824979d70cc0cf234113f98adcda128f"},
		{"mac", s.RadioMAC(), "1dfad8a634b2903e6fd6f3f8120b13f993d0482f98184eb0ef7003a0e277b06f"},
	} {
		if got := hex.EncodeToString(c.key[:]); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		j, err := json.Marshal(c.key)
		if err != nil || string(j) != `"secret"` || fmt.Sprintf("%x %v %s", c.key, c.key, c.key) != "secret secret secret" {
			t.Errorf("%s: it shows itself: %s, %x, %v", c.name, j, c.key, err)
		}
	}
}

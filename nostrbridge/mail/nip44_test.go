package mail

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"drey/mesh"
)

// vectors are the official ones; their source stands in the file.
type vectors struct {
	EncryptDecrypt [][6]string `json:"encrypt_decrypt"`  // keys, conversation key, nonce, text, payload
	EncryptLong    [][6]any    `json:"encrypt_long"`     // conversation key, nonce, pattern, times, SHA-256 of text and payload
	Conversation   [][3]string `json:"conversation_key"` // key, other's, conversation key
	NoConversation [][3]string `json:"invalid_conversation_key"`
	NoDecrypt      [][4]string `json:"invalid_decrypt"` // conversation key, text, payload, why
	MessageKeys    [][5]string `json:"message_keys"`    // conversation key, nonce, ChaCha20's key and nonce, mac's key
	Padded         [][2]int    `json:"padded"`
}

func loadVectors(t *testing.T) *vectors {
	t.Helper()
	b, err := os.ReadFile("testdata/nip44.json")
	if err != nil {
		t.Fatal(err)
	}
	v := new(vectors)
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string][2]int{
		"encrypt_decrypt": {len(v.EncryptDecrypt), 11}, "encrypt_long": {len(v.EncryptLong), 3}, "conversation_key": {len(v.Conversation), 35},
		"invalid_conversation_key": {len(v.NoConversation), 8}, "invalid_decrypt": {len(v.NoDecrypt), 12}, "message_keys": {len(v.MessageKeys), 32}, "padded": {len(v.Padded), 24},
	} {
		if n[0] != n[1] {
			t.Fatalf("%d vectors %s, want %d", n[0], name, n[1])
		}
	}
	return v
}

func key32(t *testing.T, s string) (k [32]byte) {
	t.Helper()
	if n, err := hex.Decode(k[:], []byte(s)); err != nil || n != 32 {
		t.Fatalf("%q is no key: %v", s, err)
	}
	return k
}

func secret(t *testing.T, s string) *mesh.SecretKey {
	t.Helper()
	k, err := mesh.NewSecretKey(key32(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestVectorsOfNIP44(t *testing.T) {
	v := loadVectors(t)
	for i, row := range v.EncryptDecrypt {
		key, err := secret(t, row[0]).Conversation(secret(t, row[1]).PubKey())
		if err != nil || key != mesh.Conversation(key32(t, row[2])) {
			t.Errorf("%d: conversation key %x (%v), want %s", i, key[:], err, row[2])
		}
		if got, err := encrypt(row[4], key, key32(t, row[3])); err != nil || got != row[5] {
			t.Errorf("%d: encrypt(%q) = %s (%v), want %s", i, row[4], got, err, row[5])
		}
		if got, err := decrypt(row[5], key); err != nil || got != row[4] {
			t.Errorf("%d: decrypt(%s) = %q (%v), want %q", i, row[5], got, err, row[4])
		}
	}
	for i, row := range v.EncryptLong {
		text := strings.Repeat(row[2].(string), int(row[3].(float64)))
		if got := hex.EncodeToString(sum(text)); got != row[4] {
			t.Errorf("long %d: text %s, want %s", i, got, row[4])
		}
		got, err := encrypt(text, key32(t, row[0].(string)), key32(t, row[1].(string)))
		if err != nil || hex.EncodeToString(sum(got)) != row[5] {
			t.Errorf("long %d: payload %x (%v), want %s", i, sum(got), err, row[5])
		}
	}
	for i, row := range v.Conversation {
		got, err := secret(t, row[0]).Conversation(mesh.PubKey(key32(t, row[1])))
		if err != nil || got != key32(t, row[2]) {
			t.Errorf("conversation %d: %x (%v), want %s", i, got[:], err, row[2])
		}
	}
	for i, row := range v.MessageKeys {
		key, nonce := key32(t, row[0]), key32(t, row[1])
		stream, mac := messageKeys(key, nonce)
		want := make([]byte, 64)
		chacha, _ := hex.DecodeString(row[2])
		salt, _ := hex.DecodeString(row[3])
		streamOf(chacha, salt).XORKeyStream(want, want)
		got := make([]byte, 64)
		stream.XORKeyStream(got, got)
		if string(got) != string(want) || hex.EncodeToString(mac) != row[4] {
			t.Errorf("message keys %d differ", i)
		}
	}
	for _, row := range v.Padded {
		if got := paddedSize(row[0]); got != row[1] {
			t.Errorf("paddedSize(%d) = %d, want %d", row[0], got, row[1])
		}
	}
}

func TestInvalidVectorsOfNIP44(t *testing.T) {
	v := loadVectors(t)
	for i, row := range v.NoConversation {
		key, err := mesh.NewSecretKey(key32(t, row[0]))
		if err == nil {
			_, err = key.Conversation(mesh.PubKey(key32(t, row[1])))
		}
		if err == nil {
			t.Errorf("conversation %d (%s) was made", i, row[2])
		}
	}
	for i, row := range v.NoDecrypt {
		if got, err := decrypt(row[2], key32(t, row[0])); err == nil {
			t.Errorf("payload %d (%s) was opened: %q", i, row[3], got)
		}
	}
	for _, n := range []int{0, maxPlain + 1} {
		if _, err := encrypt(strings.Repeat("x", n), mesh.Conversation{}, [32]byte{}); err == nil {
			t.Errorf("%d bytes were sealed", n)
		}
	}
}

// Line ends decode to nothing at all, which some readers do not expect; and with
// them a text would have many spellings.
func TestDecryptRefusesLineEnds(t *testing.T) {
	good, err := encrypt("hello", mesh.Conversation{}, [32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{strings.Repeat("\n", 132), strings.Repeat("\r\n", 500), good[:60] + "\n" + good[60:], good + "\n"} {
		if got, err := decrypt(s, mesh.Conversation{}); err == nil {
			t.Errorf("line ends were opened: %q", got)
		}
	}
}

func FuzzDecrypt(f *testing.F) {
	key := mesh.Conversation{1}
	good, err := encrypt("hello", key, [32]byte{2})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(strings.Repeat("\n", 132))
	f.Add(strings.Repeat("A", 132))
	f.Fuzz(func(t *testing.T, s string) {
		plain, err := decrypt(s, key)
		if err == nil && s != good {
			t.Errorf("%q was opened: %q", s, plain)
		}
	})
}

func sum(s string) []byte {
	h := sha256.Sum256([]byte(s))
	return h[:]
}

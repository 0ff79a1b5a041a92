package mail

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"drey/mesh"
)

var update = flag.Bool("update", false, "write testdata/letters.json anew")

// asIs leaves texts as they are.
type asIs struct{}

func (asIs) Encode(b []byte) []byte { return b }
func (asIs) Decode(b []byte, limit int) ([]byte, error) {
	if len(b) > limit {
		return nil, errors.New("too long")
	}
	return bytes.Clone(b), nil
}

func opened(t *testing.T, e *mesh.Event, reader *mesh.SecretKey) (*letter, error) {
	t.Helper()
	c, err := reader.Conversation(e.Author())
	if err != nil {
		t.Fatal(err)
	}
	return openLetter(e, c, reader.PubKey(), asIs{})
}

// letters are messages of every form.
func letters(t testing.TB, ann, bob, cid *mesh.SecretKey) []mesh.Draft {
	parent := newRumor(t, bob, note(ann.PubKey(), "first")).ID().String()
	p := []string{"p", bob.PubKey().String()}
	at := mesh.UnixOf(noon)
	return []mesh.Draft{
		note(bob.PubKey(), "the bridge is closed"),
		note(bob.PubKey(), ""),
		{CreatedAt: at, Kind: mesh.KindPrivateNote, Tags: [][]string{p, {"e", parent}, {"subject", "bridge"}}, Content: "why?"},
		{CreatedAt: at, Kind: mesh.KindPrivateNote, Tags: [][]string{p, {"p", cid.PubKey().String()}}, Content: "both of you"},
		{CreatedAt: at, Kind: mesh.KindReaction, Tags: [][]string{p, {"e", parent}, {}, {""}}, Content: "+"},
	}
}

func TestLetterKeepsTheMessagesName(t *testing.T) {
	ann, bob, cid := newKey(t, 1), newKey(t, 2), newKey(t, 3)
	for _, d := range letters(t, ann, bob, cid) {
		for _, later := range []time.Duration{0, 90 * time.Second, 26 * time.Hour} {
			want := newRumor(t, ann, d)
			e, err := writeLetter(ann, want, bob.PubKey(), asIs{}, noon.Add(later), [4]byte{1})
			if err != nil {
				t.Fatal(err)
			}
			got, err := opened(t, e, bob)
			if err != nil || got.rumor.ID() != want.ID() {
				t.Errorf("%v after %v came out as %v (%v)", d, later, got, err)
			}
			if _, err := opened(t, e, cid); !errors.Is(err, ErrNotForUs) {
				t.Errorf("another machine: %v, want ErrNotForUs", err)
			}
			if s := string(e.AppendJSON(nil)); strings.Contains(s, bob.PubKey().String()) || e.Verify() != nil {
				t.Errorf("the letter names its reader, or is not signed: %s", s)
			}
		}
	}
}

func TestLetterOfReceipts(t *testing.T) {
	ann, bob := newKey(t, 1), newKey(t, 2)
	first, second := newRumor(t, ann, note(bob.PubKey(), "one")), newRumor(t, ann, note(bob.PubKey(), "two"))
	r := newRumor(t, bob, receiptDraft(ann.PubKey(), []mesh.EventID{first.ID(), second.ID()}, noon))
	e, err := writeLetter(bob, r, ann.PubKey(), asIs{}, noon, [4]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	got, err := opened(t, e, ann)
	if err != nil || got.rumor != nil || len(got.receipts) != 2 || got.receipts[0] != shortOf(first.ID()) || got.receipts[1] != shortOf(second.ID()) {
		t.Errorf("receipts came out as %v (%v)", got, err)
	}
}

func TestLettersHideTheirLengthALittle(t *testing.T) {
	ann, bob := newKey(t, 1), newKey(t, 2)
	sizes := make(map[int]bool)
	for n := range 16 {
		e, err := writeLetter(ann, newRumor(t, ann, note(bob.PubKey(), strings.Repeat("x", n))), bob.PubKey(), asIs{}, noon, [4]byte{1})
		if err != nil {
			t.Fatal(err)
		}
		sizes[len(e.Content())] = true
	}
	if len(sizes) > 5 {
		t.Errorf("texts of 0 to 15 bytes have %d sizes, want 5 at most", len(sizes))
	}
}

func TestLetterRefusesWhatIsTooLong(t *testing.T) {
	ann, bob := newKey(t, 1), newKey(t, 2)
	for _, n := range []int{maxLetter, maxLetterText + 1} {
		if _, err := writeLetter(ann, newRumor(t, ann, note(bob.PubKey(), strings.Repeat("x", n))), bob.PubKey(), asIs{}, noon, [4]byte{}); !errors.Is(err, ErrTooLong) {
			t.Errorf("%d bytes: %v, want ErrTooLong", n, err)
		}
	}
}

// A letter whose bytes were changed, or that somebody else signed, is nobody's.
func TestLetterIsAuthenticated(t *testing.T) {
	ann, bob, eve := newKey(t, 1), newKey(t, 2), newKey(t, 3)
	e, err := writeLetter(ann, newRumor(t, ann, note(bob.PubKey(), "hello")), bob.PubKey(), asIs{}, noon, [4]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := base64.StdEncoding.DecodeString(e.Content())
	for i := range raw {
		b := bytes.Clone(raw)
		b[i] ^= 1
		d := e.Draft()
		d.Content = base64.StdEncoding.EncodeToString(b)
		changed, err := ann.Sign(d)
		if err != nil {
			t.Fatal(err)
		}
		if l, err := opened(t, changed, bob); !errors.Is(err, ErrNotForUs) {
			t.Errorf("byte %d changed: %v (%v), want ErrNotForUs", i, l, err)
		}
	}
	stolen, err := eve.Sign(e.Draft())
	if err != nil {
		t.Fatal(err)
	}
	if l, err := opened(t, stolen, bob); !errors.Is(err, ErrNotForUs) {
		t.Errorf("signed by another: %v (%v), want ErrNotForUs", l, err)
	}
	later := e.Draft()
	later.CreatedAt++
	again, err := ann.Sign(later)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := opened(t, again, bob); !errors.Is(err, ErrNotForUs) {
		t.Errorf("dated anew: %v (%v), want ErrNotForUs", l, err)
	}
}

// A vector is a letter as docs/PROTOCOL.md describes it, with its texts as they
// are.
type vector struct {
	Author  string          `json:"author"` // secret key
	Reader  string          `json:"reader"` // secret key
	Nonce   string          `json:"nonce"`
	Rumor   json.RawMessage `json:"rumor"`
	Created mesh.Unix       `json:"created_at"`
	Content string          `json:"content"`
}

func TestLetterVectors(t *testing.T) {
	ann, bob, cid := newKey(t, 1), newKey(t, 2), newKey(t, 3)
	var made []vector
	for i, d := range letters(t, ann, bob, cid) {
		r := newRumor(t, ann, d)
		e, err := writeLetter(ann, r, bob.PubKey(), asIs{}, noon.Add(time.Duration(i)*time.Hour), [4]byte{byte(i)})
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, vector{
			strings.Repeat("0", 63) + "1", strings.Repeat("0", 63) + "2", fmt.Sprintf("%02x000000", i),
			r.AppendJSON(nil), e.CreatedAt(), e.Content(),
		})
	}
	got, err := json.MarshalIndent(made, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile("testdata/letters.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/letters.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("letters are written otherwise than in testdata/letters.json:\n%s", got)
	}
}

// FuzzLetterBody reads bodies as they are after decryption.
func FuzzLetterBody(f *testing.F) {
	ann, bob, cid := newKey(f, 1), newKey(f, 2), newKey(f, 3)
	for _, d := range letters(f, ann, bob, cid) {
		r := newRumor(f, ann, d)
		body := append([]byte{formOther, 0}, appendHead(nil, r)...)
		f.Add(append(body, r.Content()...))
	}
	f.Add([]byte{formNote, 0, 'h', 'i'})
	f.Add([]byte{formReceipt | 2<<4, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < letterBlock {
			return
		}
		e, err := mesh.NewEvent(ann.PubKey(), mesh.Signature{}, mesh.Draft{CreatedAt: mesh.UnixOf(noon), Kind: mesh.KindLetter})
		if err != nil {
			t.Fatal(err)
		}
		l, err := parseLetter(e, bytes.Clone(b), bob.PubKey(), asIs{})
		if err != nil || l.rumor == nil || l.rumor.Kind() == mesh.KindReceipt {
			return
		}
		again, err := writeLetter(ann, l.rumor, bob.PubKey(), asIs{}, noon, [4]byte{})
		if errors.Is(err, ErrTooLong) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		c, _ := bob.Conversation(ann.PubKey())
		back, err := openLetter(again, c, bob.PubKey(), asIs{})
		if err != nil || back.rumor.ID() != l.rumor.ID() {
			t.Errorf("%x: written again it is %v (%v)", b, back, err)
		}
	})
}

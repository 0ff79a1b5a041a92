package mail

import (
	"strings"
	"testing"

	"drey/mesh"
)

func BenchmarkWrap(b *testing.B) {
	ann, bob := newKey(b, 1), newKey(b, 2)
	r := newRumor(b, ann, note(bob.PubKey(), strings.Repeat("x", 200)))
	size := 0
	for b.Loop() {
		e, err := Wrap(ann, r, bob.PubKey(), noon)
		if err != nil {
			b.Fatal(err)
		}
		size = len(e.AppendJSON(nil))
	}
	b.ReportMetric(float64(size), "JSON-bytes")
}

func BenchmarkUnwrap(b *testing.B) {
	ann, bob := newKey(b, 1), newKey(b, 2)
	e, err := Wrap(ann, newRumor(b, ann, note(bob.PubKey(), strings.Repeat("x", 200))), bob.PubKey(), noon)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Unwrap(bob, e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerify is the yardstick: one signature checked.
func BenchmarkVerify(b *testing.B) {
	e, err := newKey(b, 1).Sign(mesh.Draft{Kind: mesh.KindNote, Content: "x"})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := e.Verify(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkForeignLetter is what another machine's letter costs everybody who is
// not its reader.
func BenchmarkForeignLetter(b *testing.B) {
	ann, bob, cid := newKey(b, 1), newKey(b, 2), newKey(b, 3)
	e, err := writeLetter(ann, newRumor(b, ann, note(bob.PubKey(), "hello")), bob.PubKey(), asIs{}, noon, [4]byte{1})
	if err != nil {
		b.Fatal(err)
	}
	keys := newConversations(cid)
	for b.Loop() {
		c, err := keys.with(ann.PubKey())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := openLetter(e, c, cid.PubKey(), asIs{}); err == nil {
			b.Fatal("it opened")
		}
	}
}

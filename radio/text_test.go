package radio

import (
	"strings"
	"testing"
	"unicode/utf8"

	"drey/mesh"
)

func TestRender(t *testing.T) {
	long := strings.TrimSpace(strings.Repeat("word ", 70)) // 349 bytes
	for _, c := range []struct {
		name, author, text string
		want               []string
	}{
		{"short", "ana", "water is back", []string{"ana: water is back"}},
		{"exactly 200", "ana", strings.Repeat("x", 195), []string{"ana: " + strings.Repeat("x", 195)}},
		{"lines stay, controls go", "ana", " a\nb\x07\tc\r\n", []string{"ana: a\nb\tc"}},
		{"nothing", "ana", " \n\x00", nil},
		{"a name that pretends", "ana: hi\nbob", "x", []string{"ana hi bob: x"}},
		{"a name of nothing", "\x07", "x", []string{"?: x"}},
		{"a long name", strings.Repeat("é", 20), "x", []string{strings.Repeat("é", 12) + ": x"}},
		{"two parts", "ana", long, []string{
			"ana (1/2): " + strings.TrimSpace(strings.Repeat("word ", 37)), "ana (2/2): " + strings.TrimSpace(strings.Repeat("word ", 33)),
		}},
	} {
		got := render(c.author, c.text)
		if strings.Join(got, "|") != strings.Join(c.want, "|") {
			t.Errorf("%s: render(%q, %q) = %q, want %q", c.name, c.author, c.text, got, c.want)
		}
	}
	parts := render("ana", strings.Repeat("long ", 1000))
	if len(parts) != maxParts || !strings.HasSuffix(parts[maxParts-1], "…") || len(parts[maxParts-1]) > maxText {
		t.Errorf("a text beyond three parts is rendered as %q", parts)
	}
}

// TestCut checks that what is seen as one character is never broken.
func TestCut(t *testing.T) {
	const family, flag, accent, thumb = "👩‍👩‍👧", "🇺🇦", "e\u0301", "👍🏽"
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{
		{"abc", 3, "abc"},
		{"abc", 2, "ab"},
		{"héé", 2, "h"},
		{"a" + accent, 2, "a"},
		{"a" + family, 10, "a"},
		{"a" + flag, 6, "a"},
		{flag + flag, 12, flag},
		{"a" + thumb, 6, "a"},
		{"日本語", 7, "日本"},
		{"e" + strings.Repeat("\u0301", 100), 101, "e" + strings.Repeat("\u0301", 50)}, // an attack: cut anyway
	} {
		if got := cut(c.in, c.n); got != c.want {
			t.Errorf("cut(%q, %d) = %q, want %q", c.in, c.n, got, c.want)
		}
	}
}

func FuzzRender(f *testing.F) {
	f.Add("ana", "water is back")
	f.Add("👩‍👩‍👧", strings.Repeat("🇺🇦", 100))
	f.Add("", strings.Repeat("x ", 400)+"é")
	f.Add("a: b", "\xff\xfe")
	f.Fuzz(func(t *testing.T, name, text string) {
		parts := render(name, text)
		if len(parts) > maxParts {
			t.Errorf("%d parts", len(parts))
		}
		again := render(name, text)
		for i, p := range parts {
			if len(p) > maxText || !utf8.ValidString(p) || p != again[i] {
				t.Errorf("part %d of %q has %d bytes: %q", i, text, len(p), p)
			}
		}
	})
}

// TestPacketID pins the packet ids that all gateways must compute alike.
func TestPacketID(t *testing.T) {
	var id mesh.EventID
	for i := range id {
		id[i] = byte(i)
	}
	for _, c := range []struct {
		part, attempt int
		want          uint32
	}{{1, 1, 0x7ed73f16}, {2, 1, 0x6e1d92fd}, {1, 2, 0x666b00a9}, {1, 258, 0x1f93b31b}} {
		if got := PacketID(id, c.part, c.attempt); got != c.want {
			t.Errorf("PacketID(00…1f, %d, %d) = %08x, want %08x", c.part, c.attempt, got, c.want)
		}
	}
}

func BenchmarkRecognise(b *testing.B) {
	c := New(Config{NameOf: func(mesh.PubKey) string { return "ana" }})
	h := newFakeHub(b, "a")
	e, err := h.signer.Sign(mesh.Draft{Kind: mesh.KindNote, Content: "water is back"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() { // a text that is none of ours, against one event
		if c.isSaying(e, heardText{ID: 1, Text: "hello"}) {
			b.Fatal("recognised")
		}
	}
}

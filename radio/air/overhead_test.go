package air

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"
	"testing"

	"drey/mesh"
)

// An overheadCase is a row of the table: events, and what their texts alone
// take when they are compressed.
type overheadCase struct {
	name  string
	known *village
	items []Item
	text  int // bytes that count as text; −1: the contents, compressed
	most  int // overhead that the frame may have
}

// overheadCases are those of the measurements that the format was drawn up by.
func overheadCases(t testing.TB) []overheadCase {
	const text = "Power is back on in the lower town. Charging station open at the library until 9."
	const short = "ok thanks, see you tomorrow"
	root := say(t, 2, 1, noon-900, "Is the water at the north well safe to drink today?", []string{"t", "alerts"})
	parent := say(t, 3, 1, noon-300, "They tested it on Monday", []string{"e", root.ID().String(), "", "root"})
	plain, travelled, nobody := newVillage(), newVillage(root, parent), &village{}
	ids := func(e *mesh.Event) string { return e.ID().String() }
	one := func(i int, kind mesh.Kind, text string, tags ...[]string) []Item {
		return []Item{{say(t, i, kind, noon, text, tags...), "alerts"}}
	}
	thread := one(1, 1, short, []string{"e", ids(root), "", "root"}, []string{"e", ids(parent), "", "reply"}, []string{"p", pub(2)}, []string{"p", pub(3)})
	direct := one(1, 1, short, []string{"e", ids(root), "", "root"}, []string{"p", pub(2)})
	thumb := one(1, 7, "👍", []string{"e", ids(parent), "", pub(3)}, []string{"p", pub(3)}, []string{"k", "1"})
	record := bytes.Repeat([]byte{0xa7, 0x5c, 0x03, 0xee}, 30)[:118]
	beacon := one(1, 30078, base64.StdEncoding.EncodeToString(record), []string{"d", "drey/peer/v1/20413"}, []string{"expiration", fmt.Sprint(noon + 48*3600)})
	beacon[0].Topic = mesh.TopicRegistry
	wrapped := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xa7, 0x5c, 0x03}, 20))
	mail := []Item{{say(t, 1, mesh.KindGiftWrap, noon, wrapped, []string{"p", pub(5)}), mesh.TopicMail}}
	chat := func(i int, at mesh.Unix, text string) Item {
		return Item{say(t, i, 1, at, text, []string{"t", "commons"}), "commons"}
	}
	two := []Item{chat(1, noon, "Is anybody driving to the market tomorrow morning?"), chat(2, noon+4, "Yes, at seven, I have two seats.")}
	same := []Item{chat(1, noon, "Is anybody driving to the market tomorrow morning?"), chat(1, noon+4, "I have two bags of flour.")}
	heard := one(6, 1, "bridge is closed", []string{"t", "alerts"}, []string{"proxy", "!a1b2c3d4:9f3c21aa", "meshtastic"}, []string{"L", "drey"},
		[]string{"l", "unsigned-radio", "drey"}, []string{"sender", "!a1b2c3d4", "Maria"}, []string{"gateway", "!b2c3d4e5", "0f"})
	return []overheadCase{
		{"note, known topic", plain, one(1, 1, text, []string{"t", "alerts"}), -1, 78},
		{"note, author unknown (full key)", nobody, one(1, 1, text, []string{"t", "alerts"}), -1, 106},
		{"note, topic without a code", plain, []Item{{say(t, 1, 1, noon, text, []string{"t", "solar-panels"}), "solar-panels"}}, -1, 90},
		{"reply root+reply+2p, full ids", plain, thread, -1, 160},
		{"reply root+reply+2p, prefixes", travelled, thread, -1, 98},
		{"reply 1e+1p, full id", plain, direct, -1, 118},
		{"reply 1e+1p, prefix", travelled, direct, -1, 88},
		{"reaction kind 7, full id", plain, thumb, -1, 120},
		{"reaction kind 7, prefix", travelled, thumb, -1, 90},
		{"kind 30078 with a record of 118 bytes", plain, beacon, 118, 127},
		{"gift wrap's shell, 60 bytes within", plain, mail, 60, 90},
		{"two lines of two authors", plain, two, -1, 152},
		{"two lines of one author", plain, same, -1, 148},
		{"translation of a handheld's text", plain, heard, -1, 120},
	}
}

// jsonSize is what the events take as NIP-01 JSON.
func jsonSize(items []Item) (n int) {
	for _, it := range items {
		n += len(it.Event.AppendJSON(nil))
	}
	return n
}

// TestOverhead prints what frames cost beside their compressed text.
func TestOverhead(t *testing.T) {
	t.Logf("%-40s %6s %6s %6s %9s", "case", "JSON", "frame", "text", "overhead")
	for _, c := range overheadCases(t) {
		codec := &Codec{Text: texts(), Directory: c.known, Near: at(noon)}
		frame := codec.encode(c.items, false)
		if len(frame) <= MaxPayload {
			frame = carry(t, codec, c.items...)
		}
		text := c.text
		if text < 0 {
			text = 0
			for _, it := range c.items {
				text += len(texts().Encode([]byte(it.Event.Content())))
			}
		}
		over := len(frame) - text
		mark := ""
		if len(frame) > MaxPayload {
			mark = " (too long for one payload)"
		}
		t.Logf("%-40s %6d %6d %6d %9d%s", c.name, jsonSize(c.items), len(frame), text, over, mark)
		if over > c.most {
			t.Errorf("%s: %d bytes beside the text, want at most %d", c.name, over, c.most)
		}
	}
}

// TestFit prints how much text goes into one signed payload, and that it comes
// back: a note of held-out lines, one after the other.
func TestFit(t *testing.T) {
	for _, lang := range []string{"en", "es", "uk", "ar", "my"} {
		b, err := os.ReadFile("coder/testdata/heldout/" + lang + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		codec := &Codec{Text: texts(), Directory: newVillage(), Verify: trusting}
		letters, size := 0, 0
		const samples = 1
		for i := range samples {
			from := i * len(lines) / samples
			all := []rune(strings.Join(append(slices.Clone(lines[from:]), lines[:from]...), " "))
			all = all[:min(len(all), 640)]
			note := func(n int) Item {
				return Item{write(t, 1, 1, noon, string(all[:n]), []string{"t", "alerts"}), "alerts"}
			}
			const step = 10
			fits := step * (sort.Search(len(all)/step, func(n int) bool {
				return len(codec.encode([]Item{note(step * n)}, false)) > MaxPayload
			}) - 1)
			carry(t, codec, note(fits))
			letters += fits
			size += len(string(all[:fits]))
		}
		t.Logf("%s: %d characters (%d bytes) in one signed payload; uncompressed %d bytes", lang, letters/samples, size/samples, MaxPayload-76)
		if size/samples <= MaxPayload-76 {
			t.Errorf("%s: compression gains nothing", lang)
		}
	}
}

func BenchmarkCodec(b *testing.B) {
	for _, c := range overheadCases(b)[:9] {
		codec := &Codec{Text: texts(), Directory: c.known, Near: at(noon)}
		frame, _, err := codec.Pack(c.items, 0, false)
		if err != nil {
			continue // too long for one payload
		}
		b.Run("pack/"+c.name, func(b *testing.B) {
			b.ReportMetric(float64(len(frame)), "B/frame")
			for b.Loop() {
				if _, _, err := codec.Pack(c.items, 0, false); err != nil {
					b.Fatal(err)
				}
			}
		})
		for _, verify := range []bool{true, false} {
			name := "unpack/"
			reader := &Codec{Text: texts(), Directory: c.known, Near: at(noon)}
			if !verify {
				name = "unpack without signature/"
				reader.Verify = func(*mesh.Event) error { return nil }
			}
			b.Run(name+c.name, func(b *testing.B) {
				for b.Loop() {
					if _, err := reader.Unpack(frame); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

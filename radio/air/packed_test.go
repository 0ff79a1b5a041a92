package air

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"drey/mesh"
)

// nasty are texts that careless codecs change.
var nasty = []string{"", "\"", "\\", "a\nb\r\n\tc", "\b\f", "\x00", "\x01\x02\x1f", "\x7f", "\u2028\u2029", "</script>&<>",
	"👩‍👩‍👧‍👦🇺🇦", "\ufeffbom", "\uffff\ufffe", "\ufffd", "e\u0301 é", "\U0010ffff", "trailing space ", "\n", "\n\n\n", "[0,\"x\"]", "ÿ",
	"https://x/y?a=b&c=%22", strings.Repeat("\"", 40), strings.Repeat("\n", 30)}

// nastyTags are tags that careless codecs change, s among them.
func nastyTags(s string) [][][]string {
	p1, p2, p3 := pub(1), pub(2), pub(3)
	many := []string{"x"}
	for i := range 60 {
		many = append(many, fmt.Sprint(i))
	}
	var crowd [][]string
	for i := range mesh.MaxTags {
		crowd = append(crowd, []string{"k", fmt.Sprint(i)})
	}
	return [][][]string{
		nil, {{}}, {{""}}, {{"t"}}, {{"t", ""}}, {{"t", "alerts", "x"}}, {{"e", s}}, {{s, s, s}}, {many}, crowd,
		{{"p", p1}, {"e", p2}, {"e", p2, "", ""}, {"e", p2, "", "mention"}, {"e", p2, s, "root", ""}, {"q", p2, "x"}},
		{{"expiration", "007"}, {"expiration", "-5"}, {"expiration", "18446744073709551615"}, {"k", "+1"}, {"k", "1"}, {"k", ""}},
		{{"a", "30078:" + p1 + ":"}, {"a", "030078:" + p1 + ":x"}, {"a", "1:" + p1}, {"a", "30023:" + p3 + ":" + s + ":y"}},
		{{"e", strings.ToUpper(p2)}, {"p", strings.ToUpper(p2)}, {"x", "AbCd00112233445566778899"}, {"x", "deadbeef0"}, {"x", "deadbeef01"},
			{"x", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="}, {"x", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVp="}, {"x", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWV0"}},
		{{"L", "drey"}, {"l", "emergency", "drey"}, {"L", "drey"}, {"l", "guest"}, {"L", "drey"}, {"l", "guest", "drey"}, {"L", "drey"}},
		{{"proxy", "!a1b2c3d4:9f3c21aa", "meshtastic"}, {"sender", "!A1b2c3d4", s}, {"gateway", "!b2c3d4e5", "0f"}, {"x", "!b2c3d4e5:"}, {"x", "!b2c3d4e5x"}},
		{{"d", s}, {"h", s}, {"t", s}, {"t", "water"}, {"relay", s, "x"}, {"p", p1, s}, {"p", p2, "", s}},
	}
}

// nastyItems are events with all of that. Those that NIP-01 cannot carry do
// not exist.
func nastyItems(t testing.TB) []Item {
	var items []Item
	for i, s := range nasty {
		for j, tags := range nastyTags(s) {
			topic := []mesh.Topic{mesh.TopicAlerts, "town/upper-well", "power"}[j%3]
			if j%2 == 0 {
				tags = append([][]string{{"t", string(topic)}}, tags...)
			}
			if len(tags) > mesh.MaxTags {
				tags = tags[:mesh.MaxTags]
			}
			items = append(items, Item{write(t, 1, mesh.Kind(i*37%65536), noon+mesh.Unix(i), s, tags...), topic})
		}
	}
	return items
}

// TestNasty carries every nasty event as a whole, most of them too long for
// one payload, and in a payload where it fits.
func TestNasty(t *testing.T) {
	c := &Codec{Text: Plain{}, Directory: newVillage(), Verify: trusting}
	packed, fit := 0, 0
	items := nastyItems(t)
	for _, it := range items {
		whole, err := c.packWhole(it)
		if err != nil {
			t.Fatalf("%q: %v", it.Event.Tags(), err)
		}
		if whole[0]&0xf0 != headRaw {
			packed++
		}
		res, err := c.UnpackWhole(whole)
		if err != nil || len(res.Items) != 1 || !equal(res.Items[0], it) {
			t.Fatalf("%q %q: rebuilt as %v, %v", it.Event.Tags(), it.Event.Content(), res, err)
		}
		b, _, err := c.Pack([]Item{it}, 0, false)
		var long *TooLongError
		if errors.As(err, &long) && len(whole) > MaxPayload {
			continue
		}
		if err != nil {
			t.Fatalf("%d bytes in full: %v", len(whole), err)
		}
		fit++
		if res, err := c.Unpack(b); err != nil || !equal(res.Items[0], it) {
			t.Fatalf("%q: rebuilt as %v, %v", it.Event.Tags(), res, err)
		}
	}
	t.Logf("%d events, %d packed, %d in one payload", len(items), packed, fit)
	if packed != len(items) {
		t.Errorf("%d of %d events had to go raw", len(items)-packed, len(items))
	}
}

// TestForeignNasty carries the 312 nasty events that other programs wrote, every
// sixth with the coder that is on the air.
func TestForeignNasty(t *testing.T) {
	b, err := os.ReadFile("../../mesh/testdata/nasty.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	c := &Codec{Text: Plain{}, Directory: newVillage(), Verify: trusting}
	compressing := &Codec{Text: texts(), Directory: newVillage()}
	n := 0
	for line := range bytes.Lines(b) {
		e, err := mesh.ParseJSON(line)
		if err != nil {
			t.Fatal(err)
		}
		it := Item{e, mesh.TopicCommons}
		c := c
		if n%6 == 0 {
			c = compressing
		}
		whole, err := c.packWhole(it)
		if err != nil || whole[0]&0xf0 == headRaw {
			t.Fatalf("%s: %.8x, %v", line, whole, err)
		}
		res, err := c.UnpackWhole(whole)
		if err != nil || len(res.Items) != 1 || !equal(res.Items[0], it) {
			t.Fatalf("%s: rebuilt as %v, %v", line, res, err)
		}
		n++
	}
	if n != 312 {
		t.Errorf("%d events, want 312", n)
	}
}

// TestEveryCharacter carries the whole Basic Multilingual Plane.
func TestEveryCharacter(t *testing.T) {
	c := &Codec{Text: Plain{}, Directory: newVillage(), Verify: trusting}
	for from := rune(0); from < 0x10000; from += 40 {
		var s strings.Builder
		for r := from; r < min(from+40, 0x10000); r++ {
			if r < 0xd800 || r > 0xdfff {
				s.WriteRune(r)
			}
		}
		carry(t, c, Item{write(t, 1, 1, noon, s.String()), mesh.TopicCommons})
	}
}

// TestOneFrameManyEvents carries several events together: of one author, of
// several, with other topics, and an answer beside what it answers.
func TestOneFrameManyEvents(t *testing.T) {
	c := &Codec{Text: Plain{}, Directory: newVillage()}
	note := func(i int, at mesh.Unix, topic mesh.Topic, text string) Item {
		return Item{say(t, i, 1, at, text, []string{"t", string(topic)}), topic}
	}
	question := note(2, noon, "water", "Is it\nsafe?")
	answer := Item{say(t, 3, 1, noon+9, "yes", []string{"e", question.Event.ID().String(), "", "root"}, []string{"p", pub(2)}), "water"}
	for _, items := range [][]Item{
		{note(1, noon, "commons", "a"), note(1, noon+4, "commons", "b"), note(1, noon-9, "commons", "c")},
		{note(1, noon, "commons", ""), note(2, noon+4, "alerts", "b\n\n"), note(3, 0, "alerts", "")},
		{note(1, 1<<32-1, "quay/north", "x"), note(2, 0, "quay/north", "y")},
		{note(1, noon, "quay/north", "x"), note(2, noon, "quay/south", "y")},
		{question, answer},
	} {
		carry(t, c, items...)
	}
	b := carry(t, c, question, answer)
	alone, _, err := c.Pack([]Item{answer}, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("question and answer: %d bytes together; the answer alone %d", len(b), len(alone))
}

// TestPackTakesWhatFits takes from the front as many as go into the limit.
func TestPackTakesWhatFits(t *testing.T) {
	c := &Codec{Text: Plain{}, Directory: newVillage()}
	var items []Item
	for i := range 5 {
		items = append(items, Item{say(t, i, 1, noon, "ok", []string{"t", "commons"}), "commons"})
	}
	size := func(n int) int {
		b := carry(t, c, items[:n]...)
		return len(b)
	}
	one, two, three := size(1), size(2), size(3)
	for _, x := range []struct{ limit, want int }{
		{0, 3}, {three, 3}, {three - 1, 2}, {two, 2}, {two - 1, 1}, {one, 1}, {one - 1, 0},
	} {
		b, n, err := c.Pack(items, x.limit, false)
		var long *TooLongError
		if n != x.want || (n == 0) != errors.As(err, &long) || x.limit > 0 && len(b) > x.limit {
			t.Errorf("limit %d: %d events in %d bytes, %v; want %d", x.limit, n, len(b), err, x.want)
		}
	}
}

// A liar is a text coder that loses its last byte now and then.
type liar struct{ Plain }

func (liar) Encode(text []byte) []byte { return text[:max(len(text)-1, 0)] }

// TestEncoderChecksItself sends the raw form where the packed one would not
// come back as it was.
func TestEncoderChecksItself(t *testing.T) {
	c := &Codec{Text: liar{}, Directory: newVillage()}
	it := Item{say(t, 1, 1, noon, "the bridge is closed", []string{"t", "alerts"}), "alerts"}
	b := carry(t, c, it)
	if b[0] != headRaw|1 {
		t.Errorf("payload begins with %#x, want a raw frame", b[0])
	}
}

// TestFullNeedsNoDirectory rebuilds at a node that knows nobody what was packed
// in full.
func TestFullNeedsNoDirectory(t *testing.T) {
	root := say(t, 2, 1, noon-900, "root")
	c := &Codec{Text: Plain{}, Directory: newVillage(root)}
	it := Item{say(t, 1, 1, noon, "yes", []string{"e", root.ID().String(), "", "root"}, []string{"p", pub(2)}), "alerts"}
	b, _, err := c.Pack([]Item{it}, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&Codec{Text: Plain{}}).Unpack(b)
	if err != nil || len(res.Items) != 1 || !equal(res.Items[0], it) {
		t.Errorf("rebuilt as %v, %v", res, err)
	}
}

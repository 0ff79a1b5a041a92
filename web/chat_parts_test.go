package web

import (
	"slices"
	"strings"
	"testing"
	"time"

	"drey/mesh"
	"drey/web/lang"
)

func english(t testing.TB) *lang.Catalogue {
	t.Helper()
	set, err := lang.Load()
	if err != nil {
		t.Fatal(err)
	}
	c, _ := set.Lookup("en")
	return c
}

// TestSummarise: how far a message came, and what hinders it only while it
// does; a broadcast is never called delivered.
func TestSummarise(t *testing.T) {
	words := english(t)
	for _, c := range []struct {
		name  string
		steps string // carrier/state, separated by |
		want  string
		class string
	}{
		{"nothing is known", "", "", ""},
		{"alone", "/saved|gossip/no neighbour now: history sync will bring it", "saved, goes on when a machine is in contact", "good"},
		{"alone but on air", "/saved|gossip/no neighbour now: history sync will bring it|radio/on air", "saved, on air", "good"},
		{"all the way", "/saved|gossip/gossiped to 1|gossip/gossiped to 3|nostr/on 2 of 3 relays|radio/on air|radio/heard", "saved, passed on to 3 machines, on 2 of 3 relays, on air, heard by at least one radio", "good"},
		{"acknowledged", "/saved|radio/on air|radio/acknowledged by Maria", "saved, on air, acknowledged by Maria", "good"},
		{"it waits", "/saved|radio/waiting: airtime, about 4 min", "saved, waiting: airtime, about 4 min", "waiting"},
		{"it waited", "/saved|radio/waiting: airtime, about 4 min|radio/on air", "saved, on air", "good"},
		{"it failed in one way", "/saved|gossip/gossiped to 2|radio/failed: too old for the air", "saved, passed on to 2 machines, failed: too old for the air", "bad"},
		{"parts", "/saved|radio/part 2 of 3 on its way", "saved, part 2 of 3 on air", "good"},
		{"nobody repeated it", "/saved|radio/on air|radio/on air, but no radio repeated it", "saved, on air, but no radio repeated it", "good"},
		{"remarks are left out", "/saved|/something new", "saved", "good"},
	} {
		var steps []mesh.Step
		for part := range strings.SplitSeq(c.steps, "|") {
			if carrier, state, ok := strings.Cut(part, "/"); ok {
				steps = append(steps, mesh.Step{Carrier: carrier, State: state})
			}
		}
		d := summarise(words, steps)
		if got := strings.Join(d.Words, ", "); got != c.want || d.Class != c.class {
			t.Errorf("%s: %q %q, want %q %q", c.name, got, d.Class, c.want, c.class)
		}
	}
}

// FuzzUnderstand: every line of a history is said, and none of them empty.
func FuzzUnderstand(f *testing.F) {
	words := english(f)
	for _, s := range states {
		f.Add(s.prefix + "7")
	}
	f.Add("on 2 of 3 relays")
	f.Add("waiting: airtime, about 4 min")
	f.Add("waiting: , about x y")
	f.Add("fragment 1 of 99999999999999999999 on its way")
	f.Fuzz(func(t *testing.T, state string) {
		said := understand(state).say(words)
		if said == "" && state != "" {
			t.Errorf("%q is said with no word", state)
		}
		summarise(words, []mesh.Step{{State: state}, {Carrier: "radio", State: state}})
	})
}

func TestMarks(t *testing.T) {
	at := time.Unix(1_800_000_000, 0).Truncate(time.Minute)
	marks := look(nil, "commons", 10, at)
	marks = look(marks, "town/alerts", 12, at)
	marks = look(marks, "commons", 20, at.Add(time.Minute)) // the same visit
	marks = look(marks, "commons", 15, at.Add(2*time.Minute))
	if m := markOf(marks, "commons"); m.read != 20 || m.since != 0 || marks[0].topic != "commons" || len(marks) != 2 {
		t.Errorf("one visit: %+v", marks)
	}
	marks = look(marks, "commons", 30, at.Add(time.Hour))
	if m := markOf(marks, "commons"); m.read != 30 || m.since != 20 {
		t.Errorf("the next visit: %+v", m)
	}
	if got := parseMarks(spellMarks(marks)); !slices.Equal(got, marks) {
		t.Errorf("written and read back: %+v, want %+v", got, marks)
	}
	for i := range 200 {
		marks = look(marks, mesh.Topic(strings.Repeat("t", 50)+string(rune('a'+i%26))+string(rune('a'+i/26))), 1<<62, at)
	}
	if n := len(spellMarks(marks)); n > mostRead {
		t.Errorf("the cookie has %d bytes", n)
	}
}

// FuzzMarks: what a browser sends back can be anything; what is kept of it is
// written back the same.
func FuzzMarks(f *testing.F) {
	f.Add("commons:20:10:30000000.town/alerts:12:0:30000000")
	f.Add("commons:1:2:3.commons:::.:::")
	f.Add("a:18446744073709551616:0:0")
	f.Fuzz(func(t *testing.T, s string) {
		marks := parseMarks(s)
		spelt := spellMarks(marks)
		if len(s) <= mostRead && !slices.Equal(parseMarks(spelt), marks) {
			t.Errorf("%q became %q", s, spelt)
		}
		if strings.ContainsAny(spelt, " ;,\"\\") {
			t.Errorf("%q is no value of a cookie", spelt)
		}
	})
}

// FuzzParts: the parts of a text make it up, and addresses lead only to web
// pages.
func FuzzParts(f *testing.F) {
	f.Add("see https://example.org/a?b=1, or http://x.example.")
	f.Add("http://http://a http:// https://user:pass@host/ javascript:alert(1)")
	f.Add(strings.Repeat("http://a ", 60))
	f.Fuzz(func(t *testing.T, s string) {
		var all strings.Builder
		for _, p := range partsOf(s) {
			all.WriteString(p.Text)
			if p.Link && !strings.HasPrefix(p.Text, "http://") && !strings.HasPrefix(p.Text, "https://") {
				t.Errorf("%q leads to %q", s, p.Text)
			}
		}
		if all.String() != s {
			t.Errorf("%q became %q", s, all.String())
		}
	})
}

func TestFirstLetters(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"short", "short"}, {"two\nlines", "two lines"}, {"abcdefghijk", "abcdefghi…"}, {"ёжикёжикёжик", "ёжикёжикё…"}, {"", ""},
	} {
		if got := firstLetters(c.in, 10); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}

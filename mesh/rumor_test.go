package mesh

import (
	"strings"
	"testing"
)

func testRumor(t testing.TB) *Rumor {
	t.Helper()
	r, err := NewRumor(PubKey{1}, Draft{CreatedAt: 1_795_000_000, Kind: KindPrivateNote, Tags: [][]string{{"p", strings.Repeat("02", 32)}, {"subject", "water \u2028"}}, Content: "hello \"you\"\n"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRumorKeepsItsName(t *testing.T) {
	r := testRumor(t)
	got, err := ParseRumor(r.AppendJSON(nil))
	if err != nil || got.ID() != r.ID() || got.Content() != r.Content() || got.Kind() != r.Kind() || got.CreatedAt() != r.CreatedAt() || got.Author() != r.Author() || len(got.Tags()) != 2 {
		t.Errorf("%s was read as %+v (%v)", r.AppendJSON(nil), got, err)
	}
	e, err := NewEvent(r.Author(), Signature{}, Draft{r.CreatedAt(), r.Kind(), r.Tags(), r.Content()})
	if err != nil || e.ID() != r.ID() {
		t.Errorf("as an event it would be %v (%v), want %v", e, err, r.ID())
	}
}

func TestParseRumor(t *testing.T) {
	whole := string(testRumor(t).AppendJSON(nil))
	id := `"id":"` + testRumor(t).ID().String() + `",`
	for _, c := range []struct {
		name, json string
		ok         bool
	}{
		{"whole", whole, true},
		{"without its id", strings.Replace(whole, id, "", 1), true},
		{"with an empty signature", strings.Replace(whole, "{", `{"sig":"",`, 1), true},
		{"signed", strings.Replace(whole, "{", `{"sig":"`+strings.Repeat("0", 128)+`",`, 1), false},
		{"another's id", strings.Replace(whole, id, `"id":"`+strings.Repeat("0", 64)+`",`, 1), false},
		{"changed", strings.Replace(whole, "hello", "hallo", 1), false},
		{"without a date", strings.Replace(whole, "created_at", "created", 1), false},
		{"no object", `[]`, false},
		{"more behind it", whole + "{}", false},
	} {
		_, err := ParseRumor([]byte(c.json))
		if (err == nil) != c.ok {
			t.Errorf("%s: %v, want it taken: %v", c.name, err, c.ok)
		}
	}
}

func FuzzParseRumor(f *testing.F) {
	f.Add(testRumor(f).AppendJSON(nil))
	f.Add([]byte(`{"pubkey":"` + strings.Repeat("01", 32) + `","created_at":0,"kind":0,"tags":[[]],"content":"\u2028"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRumor(b)
		if err != nil {
			return
		}
		again, err := ParseRumor(r.AppendJSON(nil))
		if err != nil || again.ID() != r.ID() {
			t.Errorf("%q was written as %q (%v)", b, r.AppendJSON(nil), err)
		}
	})
}

// Mail is for its readers and for nodes that keep it; what names no reader, or
// tells who got what, for such nodes alone.
func TestMailIsVisibleToItsReaders(t *testing.T) {
	ana, ben := PubKey{1}, PubKey{2}
	viewers := map[string]Viewer{
		"stranger": {}, "guest of mail": {Topics: []Topic{TopicMail}}, "member": {Member: true}, "ana": {Member: true, Keys: []PubKey{ana}},
		"ben": {Keys: []PubKey{ben}}, "node": {Node: true}, "self": Self,
	}
	for _, c := range []struct {
		kind Kind
		want string // who sees it
	}{
		{KindGiftWrap, "ben node self"}, {KindLetter, "node self"}, {KindTaken, "node self"}, {KindOutward, "node self"},
	} {
		e, err := NewEvent(PubKey{9}, Signature{}, Draft{Kind: c.kind, Tags: [][]string{{"p", ben.String()}}})
		if err != nil {
			t.Fatal(err)
		}
		for name, v := range viewers {
			if got := Visible(e, TopicMail, v); got != strings.Contains(" "+c.want+" ", " "+name+" ") {
				t.Errorf("kind %d is visible to %s: %v", c.kind, name, got)
			}
		}
	}
}

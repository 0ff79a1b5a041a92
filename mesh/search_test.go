package mesh

import (
	"strings"
	"testing"
)

func TestSearch(t *testing.T) {
	for _, c := range []struct {
		search, text string
		want         bool
	}{
		{"", "anything", true},
		{"bread", "Fresh BREAD at the mill", true},
		{"mill bread", "Fresh BREAD at the mill", true},
		{"bread butter", "Fresh BREAD at the mill", false},
		{"rea", "Fresh BREAD at the mill", true},
		{`"bread,"`, "bread", true},
		{"wifi-password", "the Wifi-Password is new", true},
		{"cafe", "Café", true},
		{"CAFÉ", "a cafe", true},
		{"muller", "Müller's", true},
		{"strasse", "Straße", true},
		{"елка", "Ёлка", true},
		{"йод", "йод", true},
		{"хлеб", "Свежий ХЛЕБ", true},
		{"خبز", "الخُبْزُ طازج", true},
		{"λόγος", "ΛΟΓΟΣ", true},
		{"面包", "今天有面包吗", true},
		{"パン", "焼きたてのパンです", true},
		{"မုန့်", "ပေါင်မုန့်ရှိတယ်", true},
		{"ပန်", "ပေါင်မုန့်ရှိတယ်", false}, // other vowel signs make another word
		{"🍞", "fresh 🍞", true},
		{"...", "bread ...", false},
		{"bre*", "bread", true},
		{"ＢＲＥＡＤ", "bread", true},
		{strings.Repeat("a", MaxSearch+1), strings.Repeat("a", MaxSearch+1), false},
		{"\xff", "bread", false},
	} {
		if got := ParseSearch(c.search).In(Fold(c.text)); got != c.want {
			t.Errorf("ParseSearch(%q).In(Fold(%q)) = %v, want %v; words %q", c.search, c.text, got, c.want, ParseSearch(c.search).Words())
		}
	}
}

func TestFilterSearchLooksAtTextsForAll(t *testing.T) {
	draft := func(k Kind, tags ...[]string) *Record {
		e, err := NewEvent(PubKey{1}, Signature{}, Draft{Kind: k, Content: "Bread", Tags: tags})
		if err != nil {
			t.Fatal(err)
		}
		return &Record{Event: e}
	}
	f := Filter{Search: "bread"}
	for k, want := range map[Kind]bool{KindProfile: true, KindNote: true, 42: true, 30023: true, KindTopic: true, KindGiftWrap: false, KindReaction: false, KindDeletion: false, KindRoster: false} {
		if got := f.Matches(draft(k)); got != want {
			t.Errorf("kind %d: %v, want %v", k, got, want)
		}
	}
	titled := draft(30023, []string{"title", "The Mill"}, []string{"t", "secret"})
	for search, want := range map[string]bool{"mill bread": true, "secret": false, "breadthe": false} {
		if got := (&Filter{Search: search}).Matches(titled); got != want {
			t.Errorf("%q in a titled article: %v, want %v", search, got, want)
		}
	}
}

// FuzzFold checks that folding settles, and that every part of a text that is
// a word finds the text.
func FuzzFold(f *testing.F) {
	for _, s := range []string{"Bread", "ÇAFÉ ß İ K", "ΣΊΣΥΦΟΣ", "ёж Й", "أهلاً", "မုန့်", "面包", "🍞", "a\x00b", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := Fold(s)
		if again := Fold(once); again != once {
			t.Errorf("Fold(%q) = %q, and folded again %q", s, once, again)
		}
		q := ParseSearch(s)
		if !q.Empty() && !q.In(once) {
			t.Errorf("%q does not find itself; words %q, text %q", s, q.Words(), once)
		}
	})
}

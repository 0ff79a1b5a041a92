package mesh

import (
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func key(t testing.TB, n byte) *SecretKey {
	t.Helper()
	k, err := NewSecretKey([32]byte{31: n})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, k *SecretKey, d Draft) *Event {
	t.Helper()
	e, err := k.Sign(d)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// The public key of secret 3 is the first vector of BIP-340.
func TestSecretKeyMatchesBIP340(t *testing.T) {
	k := key(t, 3)
	want := strings.ToLower("F9308A019258C31049344F85F89D5229B531C845836F99B08601F113BCE036F9")
	if got := k.PubKey().String(); got != want {
		t.Errorf("public key of 3 is %s, want %s", got, want)
	}
	if err := sign(t, k, Draft{Content: "hello"}).Verify(); err != nil {
		t.Errorf("own signature: %v", err)
	}
	for _, bad := range []string{strings.Repeat("00", 32), strings.Repeat("ff", 32)} {
		b, _ := hex.DecodeString(bad)
		if _, err := NewSecretKey([32]byte(b)); err == nil {
			t.Errorf("secret key %s was taken", bad)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	seed := NewSeed()
	id, err := seed.Identity()
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "seed", seed, "key", id.Author)
	printed := fmt.Sprintf("%v %+v %#v %s %x %v %+v %#v", seed, seed, seed, seed, seed, id.Author, id.Author, id.Author) + log.String()
	for _, part := range []string{hex.EncodeToString(seed[:]), fmt.Sprint(seed[:]), fmt.Sprintf("%#v", seed[:])} {
		if strings.Contains(printed, part) {
			t.Errorf("the seed shows in %q", printed)
		}
	}
}

func TestIdentityIsStable(t *testing.T) {
	id, err := Seed{1}.Identity()
	if err != nil {
		t.Fatal(err)
	}
	// Computed by another implementation of HKDF, Ed25519 and secp256k1. A change
	// here would give every machine a new address and a new name.
	if got, want := id.NodeKey().String(), "fe33239728bc2271c4927133b184f975dba574dda8424d0833cc6498c71eb157"; got != want {
		t.Errorf("node key = %s, want %s", got, want)
	}
	if got, want := id.Author.PubKey().String(), "d11c94d8dcdcfff76bcda3dc0b8148bf3d3897e9e8bf11d9ec55afa92cd853c2"; got != want {
		t.Errorf("author = %s, want %s", got, want)
	}
}

func TestParseTopic(t *testing.T) {
	for _, good := range []string{"a", "town/alerts", "mesh-1", strings.Repeat("x", 64)} {
		if got, err := ParseTopic(good); err != nil || string(got) != good {
			t.Errorf("ParseTopic(%q) = %q, %v", good, got, err)
		}
	}
	for _, bad := range []string{"", "Town", "a b", "ä", "a_b", strings.Repeat("x", 65), "a\n"} {
		if _, err := ParseTopic(bad); err == nil {
			t.Errorf("ParseTopic(%q) was taken", bad)
		}
	}
}

func TestTopicFor(t *testing.T) {
	k := key(t, 1)
	parent := sign(t, k, Draft{Content: "parent"})
	registered := func(t Topic) bool { return t == "water" || t == "town/alerts" }
	known := func(id EventID) (Topic, bool) { return "water", id == parent.ID() }
	elsewhere := strings.Repeat("ab", 32)
	for _, c := range []struct {
		name   string
		d      Draft
		want   Topic
		orphan bool
	}{
		{"no tag", Draft{Kind: KindNote}, TopicCommons, false},
		{"first registered t", Draft{Kind: KindNote, Tags: [][]string{{"t", "cats"}, {"t", "town/alerts"}, {"t", "water"}}}, "town/alerts", false},
		{"label only", Draft{Kind: KindNote, Tags: [][]string{{"t", "cats"}}}, TopicCommons, false},
		{"known parent", Draft{Kind: KindReaction, Tags: [][]string{{"e", parent.ID().String()}}}, "water", false},
		{"unknown parent", Draft{Kind: KindReaction, Tags: [][]string{{"e", elsewhere}}}, TopicCommons, true},
		{"t beats parent", Draft{Kind: KindNote, Tags: [][]string{{"e", elsewhere}, {"t", "water"}}}, "water", false},
		{"profile", Draft{Kind: KindProfile, Tags: [][]string{{"t", "water"}}}, TopicPeople, false},
		{"list", Draft{Kind: KindRelayList}, TopicPeople, false},
		{"mail", Draft{Kind: KindGiftWrap}, TopicMail, false},
		{"roster", Draft{Kind: KindRoster}, TopicRegistry, false},
		{"bad reference", Draft{Kind: KindNote, Tags: [][]string{{"e", "zz"}}}, TopicCommons, false},
	} {
		got, orphan := TopicFor(sign(t, k, c.d), registered, known)
		if got != c.want || orphan != c.orphan {
			t.Errorf("%s: TopicFor = %s, %v, want %s, %v", c.name, got, orphan, c.want, c.orphan)
		}
	}
}

func TestPriorityOf(t *testing.T) {
	k := key(t, 1)
	urgent := LabelTags(LabelEmergency)
	translated := append([][]string{{"proxy", "!a1b2c3d4:9f3c21aa", "meshtastic"}}, urgent...)
	for _, c := range []struct {
		name string
		d    Draft
		want Priority
	}{
		{"note", Draft{Kind: KindNote}, Chat},
		{"urgent", Draft{Kind: KindNote, Tags: urgent}, Emergency},
		{"a translation is never urgent", Draft{Kind: KindNote, Tags: translated}, Chat},
		{"another label space", Draft{Kind: KindNote, Tags: [][]string{{"l", "emergency", "other"}}}, Chat},
		{"gift wrap", Draft{Kind: KindGiftWrap}, Direct},
		{"peer record", Draft{Kind: KindPeerRecord}, Beacon},
	} {
		if got := PriorityOf(sign(t, k, c.d)); got != c.want {
			t.Errorf("%s: PriorityOf = %s, want %s", c.name, got, c.want)
		}
	}
}

func TestSupersedes(t *testing.T) {
	a, b := key(t, 1), key(t, 2)
	d := func(kind Kind, at Unix, tags ...[]string) Draft { return Draft{CreatedAt: at, Kind: kind, Tags: tags} }
	for _, c := range []struct {
		name     string
		new, old *Event
		want     bool
	}{
		{"newer profile", sign(t, a, d(0, 2)), sign(t, a, d(0, 1)), true},
		{"older profile", sign(t, a, d(0, 1)), sign(t, a, d(0, 2)), false},
		{"another author", sign(t, b, d(0, 2)), sign(t, a, d(0, 1)), false},
		{"notes stay", sign(t, a, d(1, 2)), sign(t, a, d(1, 1)), false},
		{"roster stays", sign(t, a, d(KindRoster, 2)), sign(t, a, d(KindRoster, 1)), false},
		{"same address", sign(t, a, d(30078, 2, []string{"d", "x"})), sign(t, a, d(30078, 1, []string{"d", "x"})), true},
		{"another address", sign(t, a, d(30078, 2, []string{"d", "x"})), sign(t, a, d(30078, 1, []string{"d", "y"})), false},
		{"d without a value is the empty address", sign(t, a, d(30078, 2, []string{"d"})), sign(t, a, d(30078, 1)), true},
	} {
		if got := c.new.Supersedes(c.old); got != c.want {
			t.Errorf("%s: Supersedes = %v, want %v", c.name, got, c.want)
		}
	}
	x, y := sign(t, a, d(0, 1, []string{"x"})), sign(t, a, d(0, 1, []string{"y"}))
	if x.Supersedes(y) == y.Supersedes(x) {
		t.Error("of two profiles of one second, exactly one must win")
	}
}

func TestVisible(t *testing.T) {
	author, reader := key(t, 1), key(t, 2)
	wrap := sign(t, author, Draft{Kind: KindGiftWrap, Tags: [][]string{{"p", reader.PubKey().String()}}})
	note := sign(t, author, Draft{Kind: KindNote})
	protected := sign(t, author, Draft{Kind: KindNote, Tags: [][]string{{"-"}}})
	viewers := []struct {
		name                  string
		v                     Viewer
		wrap, note, protected bool
	}{
		{"self", Self, true, true, true},
		{"node", Viewer{Node: true}, true, true, true},
		{"member", Viewer{Member: true}, false, true, true},
		{"recipient from outside", Viewer{Keys: []PubKey{reader.PubKey()}}, true, false, false},
		{"the author is no recipient", Viewer{Member: true, Keys: []PubKey{author.PubKey()}}, false, true, true},
		{"guest", Viewer{Topics: []Topic{TopicCommons}}, false, true, false},
		{"guest of another topic", Viewer{Topics: []Topic{"water"}}, false, false, false},
		{"stranger", Viewer{}, false, false, false},
	}
	for _, c := range viewers {
		if got := Visible(wrap, TopicMail, c.v); got != c.wrap {
			t.Errorf("%s sees a gift wrap: %v, want %v", c.name, got, c.wrap)
		}
		if got := Visible(note, TopicCommons, c.v); got != c.note {
			t.Errorf("%s sees a note: %v, want %v", c.name, got, c.note)
		}
		if got := Visible(protected, TopicCommons, c.v); got != c.protected {
			t.Errorf("%s sees a protected note: %v, want %v", c.name, got, c.protected)
		}
	}
}

func TestUnixClamps(t *testing.T) {
	for _, c := range []struct {
		t    time.Time
		want Unix
	}{
		{time.Unix(-1, 0), 0},
		{time.Unix(5, 999), 5},
		{time.Unix(1<<32, 0), 1<<32 - 1},
		{time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC), 0},
	} {
		if got := UnixOf(c.t); got != c.want {
			t.Errorf("UnixOf(%v) = %d, want %d", c.t, got, c.want)
		}
	}
}

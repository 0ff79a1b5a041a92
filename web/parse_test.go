package web

import (
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"drey/mesh"
)

var testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestParseSince(t *testing.T) {
	id := strings.Repeat("ab", 32)
	for _, c := range []struct {
		in   string
		from time.Time
	}{
		{"1h", testTime.Add(-time.Hour)},
		{"90s", testTime.Add(-90 * time.Second)},
		{"1h30m", testTime.Add(-90 * time.Minute)},
		{"3d", testTime.AddDate(0, 0, -3)},
		{"2w", testTime.AddDate(0, 0, -14)},
		{"0", time.Unix(0, 0)},
		{"1772366400", time.Unix(1772366400, 0)},
		{"2026-02-28", time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC)},
		{"2026-02-28T08:00:00Z", time.Date(2026, 2, 28, 8, 0, 0, 0, time.UTC)},
	} {
		if got, err := parseSince(c.in, testTime); err != nil || !got.from.Equal(c.from) || got.isID || got.all {
			t.Errorf("parseSince(%q) = %+v, %v, want %v", c.in, got, err, c.from)
		}
	}
	if got, err := parseSince(id, testTime); err != nil || !got.isID || got.id.String() != id {
		t.Errorf("parseSince of an id = %+v, %v", got, err)
	}
	if got, err := parseSince("all", testTime); err != nil || !got.all {
		t.Errorf("parseSince(all) = %+v, %v", got, err)
	}
	for _, bad := range []string{"", "-1h", "-5", "1x", "d", "w", "-1d", "yesterday", "99999999999999999999", "4294967296", "876001h", "65536d", "60000w",
		strings.Repeat("AB", 32), strings.Repeat("zz", 32), "1h\n", "2026-13-01"} {
		if got, err := parseSince(bad, testTime); err == nil {
			t.Errorf("parseSince(%q) was taken as %+v", bad, got)
		}
	}
}

func TestParseQueryRefuses(t *testing.T) {
	for _, bad := range []string{"limit=0", "limit=-1", "limit=10001", "limit=x", "after=-1", "after=x", "after=1&since=1h", "follow=perhaps", "form=xml",
		"topic=Town", "topic=", "kind=65536", "kind=-1", "author=ab", "sicne=1h"} {
		v, err := url.ParseQuery(bad)
		if err != nil {
			t.Fatal(err)
		}
		if q, err := parseQuery(v, testTime); err == nil {
			t.Errorf("%s was taken as %+v", bad, q)
		}
	}
}

func FuzzSince(f *testing.F) {
	for _, s := range []string{"1h", "3d", "2w", "all", "0", "1772366400", "2026-02-28", "2026-02-28T08:00:00Z", strings.Repeat("0f", 32), "-1h", "1e9h", "99999999999999d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseSince(s, testTime)
		if err != nil {
			return
		}
		kinds := 0
		for _, is := range []bool{got.all, got.isID, !got.from.IsZero()} {
			if is {
				kinds++
			}
		}
		if kinds > 1 {
			t.Errorf("parseSince(%q) = %+v is two things at once", s, got)
		}
		if d, ok := parseSpan(s); ok && got.from.After(testTime) && len(s) > 0 && (s[len(s)-1] > '9') {
			t.Errorf("the span %q of %v lies in the future: %v", s, d, got.from)
		}
		if got.isID && got.id.String() != s {
			t.Errorf("id %q became %s", s, got.id)
		}
	})
}

func FuzzQuery(f *testing.F) {
	f.Add("since=1h&limit=10&follow&form=record&topic=alerts&topic=town/x&kind=1")
	f.Add("after=12&author=" + strings.Repeat("0f", 32))
	f.Add("topic=*&follow=0")
	f.Add("%gh&&=&limit=1&limit=99999999999999999999")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := url.ParseQuery(s)
		if err != nil {
			return
		}
		q, err := parseQuery(v, testTime)
		if err != nil {
			return
		}
		if q.limit < 0 || q.limit > mostLimit {
			t.Errorf("%q gave limit %d", s, q.limit)
		}
		for _, topic := range q.filter.Topics {
			if _, err := mesh.ParseTopic(string(topic)); err != nil {
				t.Errorf("%q gave topic %q", s, topic)
			}
		}
	})
}

func FuzzParcel(f *testing.F) {
	f.Add("text/plain", "", []byte("bridge closed"))
	f.Add("", "urgent=1&reply_to="+strings.Repeat("0f", 32), []byte("yes"))
	f.Add("application/json", "", []byte(`{"text":"a\u2028<b>","urgent":true,"reply_to":"","name":"Ana"}`))
	f.Add("application/json; charset=utf-8", "", []byte(`{"id":"","pubkey":"","created_at":1,"kind":1,"tags":[],"content":"","sig":""}`))
	f.Add("application/json", "", []byte(`{"text":"a"}{"text":"b"}`))
	f.Add("application/x-www-form-urlencoded", "", []byte("\xff\xfe"))
	f.Fuzz(func(t *testing.T, contentType, query string, body []byte) {
		v, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		p, err := parseParcel(contentType, v, body)
		if err != nil {
			return
		}
		if p.event != nil {
			return // mesh.ParseJSON is fuzzed where it lives
		}
		if !utf8.ValidString(p.text) || strings.TrimSpace(p.text) == "" || len(p.text) > mesh.MaxEventSize {
			t.Errorf("%q became the text %q", body, p.text)
		}
		if p.replyTo != "" {
			if _, err := mesh.ParseEventID(p.replyTo); err != nil {
				t.Errorf("reply_to %q was taken", p.replyTo)
			}
		}
	})
}

// TestNameThatNobodySees has names of nothing but signs that leave no mark, or
// need a letter to stand on, be as good as none.
func TestNameThatNobodySees(t *testing.T) {
	for s, want := range map[string]string{
		"\u200b\u200d": guestName, "\u3164": guestName, "\u2800 \u2800": guestName, "\u0301\u0302": guestName, "\ufe0f": guestName, "\u00ad": guestName,
		"👩\u200d👧": "👩\u200d👧", "مي\u200cخ": "مي\u200cخ", "é": "é", "7": "7", "…": "…",
	} {
		if got, err := parseGuestName(s); err != nil || got != want {
			t.Errorf("%q became %q (%v), want %q", s, got, err, want)
		}
	}
}

func FuzzGuestName(f *testing.F) {
	for _, s := range []string{"", "Ana", "  Ana ", "مريم", "👩‍👩‍👧", "a\u202eb", "a\nb", strings.Repeat("x", 33), "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := parseGuestName(s)
		if err != nil {
			return
		}
		again, err := parseGuestName(name)
		if err != nil || again != name || name == "" || !utf8.ValidString(name) || strings.ContainsAny(name, "\n\r\x00\u202e\u2028") {
			t.Errorf("name %q became %q, then %q, %v", s, name, again, err)
		}
	})
}

func FuzzImportLine(f *testing.F) {
	f.Add([]byte(`{"topic":"alerts","event":{}}`))
	f.Add([]byte(`{"id":"00","sig":""}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, topic, err := parseImport(b)
		if err != nil {
			return
		}
		if e == nil {
			t.Fatalf("%q gave neither event nor error", b)
		}
		if _, err := mesh.ParseTopic(string(topic)); topic != "" && err != nil {
			t.Errorf("%q gave topic %q", b, topic)
		}
	})
}

func FuzzOnce(f *testing.F) {
	o := &once{name: onceName{1, 2}, body: [32]byte{3}, at: testTime}
	f.Add(o.shelfKey(), o.body[:])
	f.Add("once/xx/yy", []byte{})
	f.Fuzz(func(t *testing.T, key string, body []byte) {
		o, err := parseOnce(key, body)
		if err != nil || !strings.HasPrefix(key, onceShelf) {
			return
		}
		if got := o.shelfKey(); !strings.EqualFold(got, key) {
			t.Errorf("shelf key %q was written back as %q", key, got)
		}
	})
}

package radio

import (
	"strings"
	"testing"
	"time"

	"drey/mesh"
)

// TestUntil: how long a message waits behind what waits already.
func TestUntil(t *testing.T) {
	hour := func(s ShareStatus) AirtimeStatus {
		return AirtimeStatus{Shares: []ShareStatus{{LeftMS: -1}, {LeftMS: -1}, s}}
	}
	for _, c := range []struct {
		name   string
		status AirtimeStatus
		need   time.Duration
		want   time.Duration
		why    string
	}{
		{"nothing is known yet", AirtimeStatus{}, time.Second, 0, ""},
		{"no limit", hour(ShareStatus{LeftMS: -1}), time.Minute, 0, ""},
		{"within what is left", hour(ShareStatus{BudgetMS: 36_000, LeftMS: 5_000}), 5 * time.Second, 0, ""},
		{"a second too much, at ten in an hour", hour(ShareStatus{BudgetMS: 36_000, LeftMS: 4_000}), 5 * time.Second, 100 * time.Second, whyAirtime},
		{"behind two others of two seconds", hour(ShareStatus{BudgetMS: 36_000, LeftMS: 5_000, Waiting: 2}), 2 * time.Second, 100 * time.Second, whyAirtime},
		{"the channel is busy", hour(ShareStatus{BudgetMS: 36_000, LeftMS: 36_000, NextInMS: 10_000, Why: whyBusy}), time.Second, 10 * time.Second, whyBusy},
	} {
		if got, why := c.status.until(mesh.Chat, c.need, 2*time.Second); got != c.want || why != c.why {
			t.Errorf("%s: %s %q, want %s %q", c.name, got, why, c.want, c.why)
		}
	}
}

// TestEstimate: a text costs what its packets cost, whether or not a radio is
// there; the signed form is one packet or several.
func TestEstimate(t *testing.T) {
	key, err := mesh.NewSecretKey([32]byte{31: 7})
	if err != nil {
		t.Fatal(err)
	}
	c := New(Config{
		Device: "none", NameOf: func(mesh.PubKey) string { return "Ana" },
		Maps: []TopicMap{{Topic: "alerts", Form: FormText}, {Topic: "news", Form: FormSigned}, {Topic: "both", Form: FormBoth}},
	})
	for _, c2 := range []struct {
		topic   mesh.Topic
		text    string
		packets int
		long    bool
		radio   bool
	}{
		{"commons", "hello", 0, false, false},
		{"alerts", "hello", 1, false, true},
		{"alerts", strings.Repeat("a long story ", 25), 2, false, true},
		{"alerts", strings.Repeat("a long story ", 100), 3, true, true},
		{"news", "hello", 1, false, true},
		{"both", "hello", 2, false, true},
	} {
		e, err := key.Sign(mesh.Draft{CreatedAt: 1_800_000_000, Kind: mesh.KindNote, Tags: [][]string{{"t", string(c2.topic)}}, Content: c2.text})
		if err != nil {
			t.Fatal(err)
		}
		got, ok := c.Estimate(&mesh.Record{Event: e, Topic: c2.topic}, mesh.Chat)
		if ok != c2.radio || got.Packets != c2.packets || got.TooLong != c2.long {
			t.Errorf("%s %.10q: %+v %v, want %d packets, too long %v", c2.topic, c2.text, got, ok, c2.packets, c2.long)
		}
		if least := time.Duration(got.Packets) * 200 * time.Millisecond; ok && (got.Airtime < least || got.Airtime > 12*time.Second) {
			t.Errorf("%s %.10q: %s on the air", c2.topic, c2.text, got.Airtime)
		}
	}
}

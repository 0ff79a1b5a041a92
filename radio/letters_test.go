package radio

import (
	"slices"
	"testing"
	"time"

	"drey/mesh"
)

func TestTargetsOfMail(t *testing.T) {
	key, err := mesh.NewSecretKey([32]byte{31: 1})
	if err != nil {
		t.Fatal(err)
	}
	other, err := mesh.NewSecretKey([32]byte{31: 2})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	signed := []TopicMap{{Topic: mesh.TopicMail, Channel: 1, Form: FormSigned}}
	alerts := []TopicMap{{Topic: mesh.TopicAlerts, Channel: 1, Form: FormSigned}}
	text := []TopicMap{{Topic: mesh.TopicMail, Channel: 1, Form: FormText}}
	for _, c := range []struct {
		name    string
		kind    mesh.Kind
		maps    []TopicMap
		private bool // the radio has the community's channel
		spared  bool
		age     time.Duration
		want    bool
	}{
		{"a letter, with the private channel", mesh.KindLetter, nil, true, false, 0, true},
		{"a letter, where another topic is signed", mesh.KindLetter, alerts, false, false, 0, true},
		{"a letter, without any channel for it", mesh.KindLetter, nil, false, false, 0, false},
		{"an old letter", mesh.KindLetter, nil, true, false, 2 * time.Hour, false},
		{"a wrap, where mail is mapped", mesh.KindGiftWrap, signed, true, false, 40 * time.Hour, true},
		{"a wrap for a machine", mesh.KindGiftWrap, signed, true, true, 0, false},
		{"a wrap, where mail is not mapped", mesh.KindGiftWrap, alerts, true, false, 0, false},
		{"a wrap as a text", mesh.KindGiftWrap, text, true, false, 0, false},
		{"what was taken", mesh.KindTaken, signed, true, false, 0, false},
	} {
		r := New(Config{Maps: c.maps, Signer: key, Spared: func(*mesh.Record) bool { return c.spared }})
		r.private.Store(c.private)
		e, err := other.Sign(mesh.Draft{Kind: c.kind, CreatedAt: mesh.UnixOf(now.Add(-c.age))})
		if err != nil {
			t.Fatal(err)
		}
		got := r.Targets(&mesh.Record{Event: e, Topic: mesh.TopicMail, Received: now})
		if want := []string{targetSigned}; c.want != slices.Equal(got, want) || !c.want && got != nil {
			t.Errorf("%s: %q, want it to go: %v", c.name, got, c.want)
		}
	}
}

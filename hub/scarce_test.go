package hub

import (
	"testing"

	"drey/mesh"
)

// TestScarceless asks what is nothing for a scarce medium: history and what
// machines say, but not who belongs.
func TestScarceless(t *testing.T) {
	key, err := mesh.NewSecretKey([32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		kind  mesh.Kind
		topic mesh.Topic
		p     mesh.Priority
		want  bool
	}{
		{"a note", mesh.KindNote, "alerts", mesh.Chat, false},
		{"history", mesh.KindNote, "alerts", mesh.Sync, true},
		{"a decision", mesh.KindRoster, mesh.TopicRegistry, mesh.Direct, false},
		{"a pass", mesh.KindPass, mesh.TopicRegistry, mesh.Direct, true},
		{"a topic", mesh.KindTopic, mesh.TopicRegistry, mesh.Chat, true},
		{"a machine's record", mesh.KindPeerRecord, mesh.TopicRegistry, mesh.Beacon, true},
	} {
		e, err := key.Sign(mesh.Draft{CreatedAt: 1, Kind: c.kind})
		if err != nil {
			t.Fatal(err)
		}
		if got := scarceless(&mesh.Record{Event: e, Topic: c.topic}, c.p); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

package hub

import (
	"fmt"
	"testing"
	"time"

	"drey/mesh"
)

// In an open community what a gateway tells its colleagues, be it a word every
// two seconds because strangers make it, is not taken from what its people may
// say.
func TestWordsLeaveRoomForMessages(t *testing.T) {
	w := newWorld(t)
	w.roster.community = mesh.OpenCommunity("Riverside")
	hear := func(d mesh.Draft, topic mesh.Topic) error {
		d.CreatedAt = mesh.UnixOf(w.now())
		e, err := w.key("clinic").Sign(d)
		if err != nil {
			t.Fatal(err)
		}
		return w.hub.Port("gossip").Receive(t.Context(), e, mesh.Origin{Topic: topic})
	}
	for i := range 1800 {
		if err := hear(mesh.Draft{Kind: mesh.KindGateway, Tags: [][]string{{"alone"}}}, mesh.TopicRegistry); err != nil {
			t.Fatalf("word %d: %v", i, err)
		}
		w.clock.add(2 * time.Second)
	}
	for i := range openRate - 1 {
		if err := hear(mesh.Draft{Kind: mesh.KindNote, Content: fmt.Sprint(i)}, "commons"); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

package nostrbridge

import (
	"testing"
	"time"

	"drey/hub"
	"drey/mesh"
)

// Two gateways on two islands hear one text on the air, and each publishes its
// translation. When the islands meet one of the two wins, and the other's
// gateway deletes it where it was published; nothing else is deleted.
func TestSupersededTranslation(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newTown(t, "one", "two")
		a, b := w.add("hill", nil), w.add("school", nil)
		w.split(a, b)
		passes(2 * time.Minute)
		translate := func(m *machine, text, packet string) *mesh.Event {
			d := mesh.Draft{Kind: mesh.KindNote, Content: text, Tags: [][]string{{"proxy", packet, "meshtastic"}}}
			d.Tags = append(d.Tags, mesh.LabelTags(mesh.LabelUnsignedRadio)...)
			r, err := m.hub.Publish(t.Context(), "alerts", d, hub.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return r.Event
		}
		pair := []*mesh.Event{translate(a, "the river rises", "!a1b2c3d4:00000001"), translate(b, "the river rises", "!a1b2c3d4:00000001")}
		alone := translate(a, "another matter", "!a1b2c3d4:00000002")
		passes(20 * time.Second)
		for _, r := range w.relays {
			for _, e := range append(pair, alone) {
				if !r.Holds(e.ID()) {
					t.Fatalf("%s is not at the relay", e.ID())
				}
			}
		}
		w.heal(a, b)
		passes(2 * time.Minute)
		loser := pair[0]
		if id, other := pair[0].ID(), pair[1].ID(); string(id[:]) < string(other[:]) {
			loser = pair[1]
		}
		for name, r := range w.relays {
			var deleted []string
			for _, e := range r.Events() {
				if e.Kind() != mesh.KindDeletion {
					continue
				}
				if e.Author() != loser.Author() {
					t.Errorf("relay %s: somebody else than its author deletes", name)
				}
				deleted = append(deleted, e.TagValues("e")...)
			}
			if len(deleted) != 1 || deleted[0] != loser.ID().String() {
				t.Errorf("relay %s: deleted are %q, want once %s", name, deleted, loser.ID())
			}
		}
		w.close()
	})
}

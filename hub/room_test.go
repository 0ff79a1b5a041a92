package hub

import (
	"strings"
	"testing"
	"time"

	"drey/mesh"
)

func TestRoomIsBounded(t *testing.T) {
	w := newWorld(t)
	now := w.now()
	r := newRoom()
	stand := func(author, text string) bool {
		return r.add(&arrival{event: w.sign(author, text, nil), at: now}, now)
	}
	for i := range roomPerAuthor + 5 {
		if got, want := stand("zoe", strings.Repeat("x", i+1)), i < roomPerAuthor; got != want {
			t.Fatalf("event %d of one author: add = %v, want %v", i+1, got, want)
		}
	}
	if !stand("max", "me too") {
		t.Error("another author found no room")
	}
	if !stand("max", "me too") || len(r.order) != roomPerAuthor+1 {
		t.Errorf("the same event again: %d wait, want %d", len(r.order), roomPerAuthor+1)
	}
	big := strings.Repeat("y", 60<<10)
	for i := range 100 {
		stand(string(rune('a'+i%26))+"big", big[:50<<10+i])
	}
	if r.bytes > roomBytes {
		t.Errorf("%d bytes wait, limit %d", r.bytes, roomBytes)
	}
	sum := 0
	for _, a := range r.by {
		sum += sizeOf(a.event)
	}
	if sum != r.bytes || len(r.by) != len(r.order) {
		t.Errorf("the books say %d bytes and %d events, there are %d and %d", r.bytes, len(r.order), sum, len(r.by))
	}
	now = now.Add(roomAge + time.Second)
	stand("late", "anybody here?")
	if len(r.order) != 1 {
		t.Errorf("%d wait after the others' time was over, want 1", len(r.order))
	}
	r.remove(r.order[0])
	if len(r.byAuthor) != 0 || r.bytes != 0 {
		t.Errorf("an empty room has %d authors and %d bytes", len(r.byAuthor), r.bytes)
	}
}

// Whoever is held while the store has no room is not lost.
func TestWaitingRoomSurvivesABusyStore(t *testing.T) {
	w := newWorld(t)
	p := w.hub.Port("gossip")
	e := w.sign("zoe", "hello", nil)
	if err := p.Receive(t.Context(), e, mesh.Origin{Topic: "commons"}); answer(err) != "waits: unknown author" {
		t.Fatalf("Receive = %v", err)
	}
	w.store.busy.Store(true)
	w.roster.set(w.key("zoe").PubKey(), mesh.Person)
	w.hub.retry(t.Context(), true)
	if n := w.hub.Stats().Waiting; n != 1 {
		t.Fatalf("%d wait after the store was busy, want 1", n)
	}
	w.store.busy.Store(false)
	w.hub.retry(t.Context(), false)
	if _, err := w.store.Record(t.Context(), e.ID(), mesh.Self); err != nil {
		t.Errorf("the event was lost: %v", err)
	}
}

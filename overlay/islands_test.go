package overlay

import (
	"testing"

	"drey/mesh"
)

// Two machines that were admitted on two islands know nothing of each other.
// When one has reason to believe that the other belongs, both show what proves
// them, and are members to each other; a machine that nobody admitted is sent
// away, and learns no more than what proves who called.
func TestIslandsMeet(t *testing.T) {
	founder := publicOf(testKey(t, 1))
	one, two, bad := testKey(t, 2), testKey(t, 3), testKey(t, 4)
	others := mesh.NodeKey{9}
	ours, ourBook := bookOf(t, "town", founder, publicOf(one), others)
	theirs, theirBook := bookOf(t, "town", founder, publicOf(two))
	_, badBook := bookOf(t, "town")
	a := start(t, Config{Key: one, Roster: ours, Book: ourBook})
	b := start(t, Config{Key: two, Roster: theirs, Book: theirBook})
	thief := start(t, Config{Key: bad, Roster: badBook.roster, Book: badBook})
	for _, o := range []*Overlay{b, thief} {
		if key, err := a.Call(t.Context(), o.Listening()[0], "mdns"); err != nil || key != o.Key() {
			t.Fatalf("Call says %v, %v", key, err)
		}
	}
	if err := a.Meet(t.Context(), b.Key()); err != nil || !a.Met(b.Key()) {
		t.Errorf("Meet says %v, met %v", err, a.Met(b.Key()))
	}
	if !ours.Admits(b.Key()) || !theirs.Admits(a.Key()) {
		t.Errorf("admitted: the other here %v, this one there %v; want both", ours.Admits(b.Key()), theirs.Admits(a.Key()))
	}
	if err := a.Meet(t.Context(), thief.Key()); err == nil || a.Met(thief.Key()) || ours.Admits(thief.Key()) {
		t.Errorf("Meet with a machine that nobody admitted says %v, met %v", err, a.Met(thief.Key()))
	}
	if badBook.roster.Admits(others) {
		t.Error("it was shown who else belongs")
	}
}

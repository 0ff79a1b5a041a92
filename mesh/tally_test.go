package mesh

import (
	"maps"
	"testing"
)

func TestTally(t *testing.T) {
	var all Tally
	if got := all.All("a"); !maps.Equal(got, map[string]uint64{"a": 0}) {
		t.Errorf("the empty tally has %v", got)
	}
	for _, why := range []string{"b", "a", "b"} {
		all.Add(why)
	}
	got := all.All("a", "c")
	if want := map[string]uint64{"a": 1, "b": 2, "c": 0}; !maps.Equal(got, want) {
		t.Errorf("it has %v, want %v", got, want)
	}
	if got["a"] = 9; all.All()["a"] != 1 {
		t.Error("the map that it gives away is its own")
	}
}

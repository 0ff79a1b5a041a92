package radio

import "testing"

func TestHopsFor(t *testing.T) {
	for _, c := range []struct {
		far  [maxHops + 1]int
		want uint32 // 0: too little is known
	}{
		{[maxHops + 1]int{}, 0},
		{[maxHops + 1]int{7}, 0},
		{[maxHops + 1]int{8}, 2},
		{[maxHops + 1]int{36, 23}, 2},
		{[maxHops + 1]int{35, 24}, 4},
		{[maxHops + 1]int{24, 32, 3}, 4},
		{[maxHops + 1]int{15, 33, 10, 1}, 3},
		{[maxHops + 1]int{10, 24, 18, 7}, 4},
		{[maxHops + 1]int{6, 21, 16, 15, 1}, 4},
		{[maxHops + 1]int{2, 2, 2, 2, 2, 2}, 5}, // a chain
		{[maxHops + 1]int{1, 1, 1, 1, 1, 1, 1, 1}, 5},
	} {
		got, ok := hopsFor(c.far)
		if got != c.want || ok != (c.want > 0) {
			t.Errorf("radios at distances %v: %d hops, %v; want %d", c.far, got, ok, c.want)
		}
	}
}

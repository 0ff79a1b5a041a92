package hub

import (
	"testing"
	"time"
)

func TestReckonAndStamp(t *testing.T) {
	built := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	right := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	y1970 := time.Unix(100, 0).UTC()
	y2040 := time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
	ahead := func(own time.Time, by ...time.Duration) Clocks {
		var c Clocks
		for _, d := range by {
			c.Peers = append(c.Peers, right.Add(d).Sub(own))
		}
		return c
	}
	for _, c := range []struct {
		name    string
		now     time.Time
		clocks  Clocks
		want    time.Time
		trusted bool
		lost    bool
		stamp   time.Time
	}{
		{"kept right", right, Clocks{Synced: true}, right, true, false, right},
		{"kept right, peers are not", right, Clocks{Synced: true, Peers: []time.Duration{1e15, 1e15, 1e15}}, right, true, false, right},
		{"alone", right, Clocks{}, right, false, false, right},
		{"alone in 1970", y1970, Clocks{}, built, false, true, built},
		{"said to be right in 1970", y1970, Clocks{Synced: true}, built, false, true, built},
		{"alone in 2040", y2040, Clocks{}, y2040, false, false, y2040},
		{"two peers are too few", y2040, ahead(y2040, 0, 0), y2040, false, false, y2040},
		{"three peers", y2040, ahead(y2040, 0, 0, 0), right, true, false, right},
		{"one of three is stale", y1970, ahead(y1970, 0, -50*365*24*time.Hour, time.Second), right, true, false, right},
		{"an even number", y1970, ahead(y1970, -time.Second, time.Second, -time.Hour, time.Hour), right, true, false, right},
		{"peers before the build date", y1970, ahead(y1970, -24*365*time.Hour, -24*365*time.Hour, -24*365*time.Hour), built, false, true, built},
		{"half a minute is nothing", right.Add(30 * time.Second), ahead(right.Add(30*time.Second), 0, 0, 0), right, true, false, right.Add(30 * time.Second)},
	} {
		r := reckon(c.now, built, c.clocks)
		if !r.now.Equal(c.want) || r.trusted != c.trusted || r.lost != c.lost {
			t.Errorf("%s: reckon = %v, trusted %v, lost %v; want %v, %v, %v", c.name, r.now, r.trusted, r.lost, c.want, c.trusted, c.lost)
		}
		if got := stamp(c.now, built, c.clocks).Time(); !got.Equal(c.stamp) {
			t.Errorf("%s: stamp = %v, want %v", c.name, got, c.stamp)
		}
	}
}

package hub

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	p := newPace[string](2)
	use := func(key string, n int) (granted int) {
		for range n {
			if p.allow(key, 6, now) {
				granted++
			}
		}
		return granted
	}
	if got := use("ana", 10); got != 6 {
		t.Errorf("at once %d of 10 were granted, want 6", got)
	}
	now = now.Add(10 * time.Minute)
	if got := use("ana", 10); got != 1 {
		t.Errorf("after a sixth of the hour %d were granted, want 1", got)
	}
	if got := use("ben", 10); got != 6 {
		t.Errorf("another key was granted %d, want 6", got)
	}
	use("cora", 1)
	if len(p.free) > 2 {
		t.Errorf("%d keys are kept, want at most 2", len(p.free))
	}
	now = now.Add(-365 * 24 * time.Hour)
	if got := use("ben", 10); got != 0 && got != 6 {
		t.Errorf("with the clock set back %d were granted", got)
	}
	now = now.Add(time.Hour)
	if got := use("ben", 10); got != 6 {
		t.Errorf("an hour after the clock was set back %d were granted, want 6", got)
	}
	if p.allow("dan", 0, now) {
		t.Error("a rate of none was granted one")
	}
}

func TestQuota(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	q := newQuota[string](3, 2)
	for i, want := range []bool{true, true, true, false} {
		if got := q.take("ana", now.Add(time.Duration(i)*time.Minute)); got != want {
			t.Errorf("take %d = %v, want %v", i+1, got, want)
		}
	}
	if q.take("ana", now.Add(59*time.Minute)) {
		t.Error("a fourth was granted within the hour")
	}
	if !q.take("ana", now.Add(61*time.Minute)) {
		t.Error("none was granted when the first was an hour old")
	}
	at := now.Add(62 * time.Minute)
	if !q.take("ana", at) {
		t.Error("none was granted when the second was an hour old")
	}
	q.giveBack("ana", at)
	if !q.take("ana", at) {
		t.Error("what was given back was not granted again")
	}
	if !q.take("ben", at) || q.take("cora", at) {
		t.Error("with room for two keys, a third was served or the second was not")
	}
	if !q.take("cora", at.Add(2*time.Hour)) {
		t.Error("rested keys hold the room")
	}
}

package hub

import (
	"encoding/binary"
	"testing"
	"time"

	"drey/mesh"
)

func numbered(n int) mesh.EventID {
	var id mesh.EventID
	binary.BigEndian.PutUint64(id[:], uint64(n))
	return id
}

func TestSeenForgetsByAgeAndBySize(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := newSeen(time.Hour, 3)
	for _, c := range []struct {
		what  string
		id    int
		after time.Duration
		isNew bool
	}{
		{"the first", 1, 0, true},
		{"again", 1, 59 * time.Minute, false},
		{"after the ttl", 1, time.Minute, true},
		{"others", 2, 0, true},
		{"others", 3, 0, true},
		{"one too many pushes out the oldest", 4, 0, true},
		{"the oldest is forgotten", 1, 0, true},
		{"and with it the next", 3, 0, false},
		{"which is still there", 4, 0, false},
	} {
		now = now.Add(c.after)
		if got := s.add(numbered(c.id), now); got != c.isNew {
			t.Errorf("%s: add(%d) = %v, want %v", c.what, c.id, got, c.isNew)
		}
	}
	for i := range 10_000 {
		s.add(numbered(100+i), now.Add(time.Duration(i)*time.Hour))
	}
	if len(s.when) > 3 || len(s.queue) > 6 {
		t.Errorf("after many ids %d are remembered and %d queued, want at most 3 and 6", len(s.when), len(s.queue))
	}
}

func TestSeenSurvivesAClockSetBack(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := newSeen(time.Hour, 100)
	s.add(numbered(1), now)
	if s.add(numbered(1), now.Add(-100*time.Hour)) {
		t.Error("an id counts as new because the clock was set back")
	}
}

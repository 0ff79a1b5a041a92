package air

import (
	"testing"
	"time"

	"drey/mesh"
)

// TestSetHeard has a colleague say some of a set: these are not said again, and
// nothing but the fragments themselves counts.
func TestSetHeard(t *testing.T) {
	_, _, s := set(t, 1000)
	_, _, theirs := set(t, 1000)
	_, _, another := set(t, 1100)
	s.Begin(0)
	theirs.Begin(0)
	another.Begin(0)
	forged := append([]byte(nil), theirs.frame(setSize-1)...)
	forged[len(forged)-1] ^= 1
	id := s.ID()
	short := append(append([]byte{headFragment | byte(s.Data()-1)}, id[:]...), setSize-1, 0)
	foreign, _ := another.Next()
	for name, b := range map[string][]byte{"changed": forged, "short": short, "another set's": foreign, "empty": nil} {
		if s.Heard(b) || s.Owed() != s.Data() || s.Sent() != 0 {
			t.Errorf("%s: believed; %d owed, %d sent", name, s.Owed(), s.Sent())
		}
	}
	first, _ := theirs.Next()
	if !s.Heard(first) || s.Heard(first) {
		t.Error("a fragment counts otherwise than once")
	}
	if s.Owed() != s.Data()-1 || s.Sent() != 1 {
		t.Errorf("%d owed, %d sent", s.Owed(), s.Sent())
	}
	if !s.Heard(theirs.frame(setSize-1)) || s.Owed() != s.Data()-2 {
		t.Errorf("the last fragment leaves %d owed, want %d", s.Owed(), s.Data()-2)
	}
	seen := map[byte]bool{0: true, setSize - 1: true}
	for s.Owed() > 0 {
		f, _ := s.Next()
		if seen[f[7]] {
			t.Errorf("fragment %d is said again", f[7])
		}
		seen[f[7]] = true
	}
}

// TestSetHeardWhole hears all fragments there are: what is asked for then goes
// round.
func TestSetHeardWhole(t *testing.T) {
	_, _, s := set(t, 1000)
	s.Begin(0)
	for i := range setSize {
		if !s.Heard(s.frame(i)) {
			t.Fatalf("fragment %d does not count", i)
		}
	}
	if _, more := s.Next(); more || !s.Nacked(2) || s.Owed() != 2 {
		t.Fatalf("%d owed", s.Owed())
	}
	if f, ok := s.Next(); !ok || f == nil {
		t.Error("nothing goes round")
	}
}

// TestRepeatedFragmentAsksNothing repeats one fragment for ever: that draws no
// more nacks than the first did.
func TestRepeatedFragmentAsksNothing(t *testing.T) {
	_, _, s := set(t, 1000)
	s.Begin(0)
	f, _ := s.Next()
	a := NewAssembly(chance(5))
	asked := 0
	for at := start; at.Before(start.Add(5 * time.Hour)); at = at.Add(20 * time.Second) {
		if _, err := a.Add(f, at); err != nil {
			t.Fatal(err)
		}
		asked += len(a.Due(at))
	}
	if asked == 0 || asked > askLeast+1 {
		t.Errorf("asked %d times, want 1 to %d", asked, askLeast+1)
	}
	if !a.Holds(s.ID()) || a.Holds(SetID{}) {
		t.Error("the assembly does not know what it holds")
	}
}

// TestCounterDoubtsTheClock has a clock of all ones: the numbers are not used up.
func TestCounterDoubtsTheClock(t *testing.T) {
	c := NewCounter(0)
	save := func(uint32) error { return nil }
	for _, now := range []mesh.Unix{1000, 1<<32 - 1, lastClock + 1, 2000} {
		n, err := c.Next(now, save)
		if err != nil || n > 2000 {
			t.Errorf("at %d: number %d, %v", now, n, err)
		}
	}
}

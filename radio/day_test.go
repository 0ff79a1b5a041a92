package radio

import (
	"bytes"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"drey/radio/radiotest"
)

// noon is a time at the beginning of a slot.
var noon = time.Unix(1_800_000_000, 0)

// TestDaySlots checks where measurements land, and that a slot holds the mean.
func TestDaySlots(t *testing.T) {
	d := newDay()
	d.measured(noon, 10)
	d.measured(noon.Add(time.Minute), 20)
	d.heard(noon, 6, false)
	d.heard(noon, -2, false)
	d.heard(noon, 12, true) // over the internet
	d.spent(noon.Add(DaySlot), 1500*time.Millisecond)

	st := d.status(noon.Add(2 * DaySlot))
	if want := noon.Add(3 * DaySlot); !st.End.Equal(want) || len(st.Slots) != DaySlots {
		t.Fatalf("%d slots until %v, want %d until %v", len(st.Slots), st.End, DaySlots, want)
	}
	first, second, third := st.Slots[DaySlots-3], st.Slots[DaySlots-2], st.Slots[DaySlots-1]
	if first.Use != 0.15 || first.Heard != 2 || first.SNR != 2 || first.Air != 0 {
		t.Errorf("the first slot is %+v, want use 0.15, 2 heard at 2 dB", first)
	}
	if second.Air != 1500*time.Millisecond || second.Use >= 0 || !math.IsNaN(second.SNR) {
		t.Errorf("the second slot is %+v, want 1.5 s of air and nothing measured", second)
	}
	if third.Air != 0 || third.Heard != 0 {
		t.Errorf("the third slot is %+v, want nothing", third)
	}
}

// TestDayForgets checks that nothing is older than a day, whatever the clock does.
func TestDayForgets(t *testing.T) {
	for _, c := range []struct {
		name string
		then time.Time
		age  int // of the slot with the second of air; -1 when it is forgotten
	}{
		{"23 h later", noon.Add(23 * time.Hour), 23 * 12},
		{"a day later", noon.Add(24 * time.Hour), -1},
		{"a year later", noon.AddDate(1, 0, 0), -1},
		{"the clock went back", noon.AddDate(-1, 0, 0), 0},
	} {
		d := newDay()
		d.spent(noon, time.Second)
		for i, s := range d.status(c.then).Slots {
			if age := DaySlots - 1 - i; (s.Air == time.Second) != (age == c.age) {
				t.Errorf("%s: the slot of age %d has %v of air", c.name, age, s.Air)
			}
		}
	}
	d := newDay()
	d.spent(time.Unix(1000, 0), time.Second) // before the machine knew the time
	if s := d.status(noon).Slots[DaySlots-1]; s.Air != time.Second {
		t.Errorf("what a machine without a clock saw is gone when it learns the time: %+v", s)
	}
}

// TestDayKeeps checks how often the diary is written.
func TestDayKeeps(t *testing.T) {
	d := newDay()
	if d.due(noon) != nil || d.rest() != nil {
		t.Error("an empty diary is written")
	}
	writes := 0
	for s := range 24 * 3600 / 5 {
		now := noon.Add(time.Duration(s) * 5 * time.Second)
		d.measured(now, 10)
		if b := d.due(now); b != nil {
			writes++
		}
	}
	if writes != 96 {
		t.Errorf("a day was written %d times, want 96", writes)
	}
	if b := d.rest(); len(b) != daySize {
		t.Errorf("at the end %d bytes are written, want %d", len(b), daySize)
	}
}

// TestCarrierKeepsTheDay runs a gateway on a simulated ether: what it says and
// hears is in its diary, and on the shelf when it has stopped.
func TestCarrierKeepsTheDay(t *testing.T) {
	check := func(when string, st DayStatus) {
		t.Helper()
		var air time.Duration
		heard, measured := 0, 0
		for _, s := range st.Slots {
			air += s.Air
			heard += s.Heard
			if s.Use >= 0 {
				measured++
			}
		}
		if air <= 0 || heard == 0 || measured == 0 {
			t.Errorf("%s the diary has %v of air, %d packets heard, %d slots measured", when, air, heard, measured)
		}
	}
	var hub *fakeHub
	inTown(t, 1, radiotest.Config{Seed: 4}, private(), nil, func(t *testing.T, w *town) {
		hub = w.hubs[0]
		hand := w.air.NewHandheld("bob", private())
		time.Sleep(2 * time.Minute)
		hub.say(t, "alerts", "bridge closed")
		hand.Send("I see")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		check("at first", hub.radio.Day())
	})
	kept := newDay()
	if fault, err := kept.load(t.Context(), hub); fault != nil || err != nil {
		t.Fatal(fault, err)
	}
	check("after a stop", kept.status(time.Unix(kept.mu.last*int64(DaySlot/time.Second), 0)))
	hub.mu.Lock()
	defer hub.mu.Unlock()
	if n := len(hub.mu.shelf[dayKey]); n != daySize {
		t.Errorf("%d bytes are kept, want %d", n, daySize)
	}
}

// FuzzDay checks that a diary that can be read is written back as it was
// understood, and tells nothing impossible.
func FuzzDay(f *testing.F) {
	d := newDay()
	d.measured(noon, 12)
	d.heard(noon, -7.25, false)
	d.spent(noon, time.Second)
	f.Add(d.rest())
	f.Add(make([]byte, daySize))
	f.Add(append([]byte{1}, bytes.Repeat([]byte{0xff}, daySize-1)...))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		d := newDay()
		if d.decode(b) != nil {
			return
		}
		again := newDay()
		if err := again.decode(d.encodeLocked()); err != nil {
			t.Fatalf("%x was written back and not understood: %v", b, err)
		}
		now := time.Unix(min(d.mu.last, 1<<32)*int64(DaySlot/time.Second), 0)
		x, y := d.status(now), again.status(now)
		for i := range x.Slots {
			p, q := x.Slots[i], y.Slots[i]
			if p.Use != q.Use || p.Air != q.Air || p.Heard != q.Heard || p.SNR != q.SNR && !(math.IsNaN(p.SNR) && math.IsNaN(q.SNR)) {
				t.Fatalf("slot %d: %+v was written back as %+v", i, p, q)
			}
			if p.Use > 1 || p.Air < 0 || p.Air > DaySlot || p.SNR > 31 || p.SNR < -32 {
				t.Fatalf("slot %d is impossible: %+v", i, p)
			}
		}
	})
}

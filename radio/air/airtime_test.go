package air

import (
	"testing"
	"time"
)

// TestTime compares with what was measured on the real firmware and read off
// its own calculations.
func TestTime(t *testing.T) {
	fast, _ := PresetOf(0)
	medium, _ := PresetOf(4)
	turbo, _ := PresetOf(8)
	for _, c := range []struct {
		p     Preset
		frame int
		want  time.Duration
	}{
		{fast, 255, 2156 * time.Millisecond},
		{fast, 26, 436 * time.Millisecond},
		{fast, FrameSize(20, false), 559 * time.Millisecond},
		{fast, FrameSize(20, true), 1051 * time.Millisecond},
		{medium, 255, 640 * time.Millisecond},
		{turbo, 255, 102 * time.Millisecond},
	} {
		got := c.p.Time(c.frame)
		if d := got - c.want; d > c.want/50 || d < -c.want/50 {
			t.Errorf("%s, %d bytes: %v, want %v ± 2 %%", c.p.Name, c.frame, got, c.want)
		}
	}
}

func TestFrameSize(t *testing.T) {
	for _, c := range []struct {
		payload int
		signed  bool
		want    int
	}{{0, false, 23}, {127, false, 150}, {128, false, 152}, {200, false, 224}, {20, true, 109}, {165, true, 255}, {166, true, 190}, {231, false, 255}, {233, true, 255}} {
		if got := FrameSize(c.payload, c.signed); got != c.want {
			t.Errorf("FrameSize(%d, %v) = %d, want %d", c.payload, c.signed, got, c.want)
		}
	}
}

func TestSlot(t *testing.T) {
	fast, _ := PresetOf(0)
	if got := fast.Slot().Round(time.Millisecond); got != 28*time.Millisecond {
		t.Errorf("LongFast's slot is %v, want 28 ms", got)
	}
}

// TestTimeRises checks that a longer frame never takes less time, whatever
// the modulation.
func TestTimeRises(t *testing.T) {
	for n := range uint32(12) {
		p, _ := PresetOf(n)
		for frame := 1; frame <= MaxFrame; frame++ {
			if p.Time(frame) < p.Time(frame-1) || p.Time(frame) <= 0 {
				t.Fatalf("%s: %d bytes take %v, one less %v", p.Name, frame, p.Time(frame), p.Time(frame-1))
			}
		}
	}
}

// TestCeiling computes what one sender can get through LongFast when it sends
// the longest payloads without a pause: 107 bytes a second.
func TestCeiling(t *testing.T) {
	fast, _ := PresetOf(0)
	got := MaxPayload / fast.Time(FrameSize(MaxPayload, true)).Seconds()
	if got < 106 || got > 108 {
		t.Errorf("%.1f B/s, want 107", got)
	}
	if got := FrameSize(MaxPayload, true); got != MaxFrame {
		t.Errorf("the longest payload makes %d bytes, want %d", got, MaxFrame)
	}
}

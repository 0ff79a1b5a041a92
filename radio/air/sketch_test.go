package air

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"drey/mesh"
)

// TestField checks the field against a product bit by bit, and that every
// element but 0 has an inverse.
func TestField(t *testing.T) {
	slow := func(a, b uint32) uint32 {
		var r uint64
		for i := range 32 {
			r ^= uint64(a) << i & -(uint64(b) >> i & 1)
		}
		for i := 63; i >= 32; i-- {
			if r>>i&1 == 1 {
				r ^= (1<<32 | 0x8d) << (i - 32)
			}
		}
		return uint32(r)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		a, b := r.Uint32(), r.Uint32()
		if got, want := mul(a, b), slow(a, b); got != want {
			t.Fatalf("%#x × %#x = %#x, want %#x", a, b, got, want)
		}
		if got, want := square(a), slow(a, a); got != want {
			t.Fatalf("%#x² = %#x, want %#x", a, got, want)
		}
		if a != 0 && mul(a, inverse(a)) != 1 {
			t.Fatalf("1/%#x = %#x", a, inverse(a))
		}
	}
}

func number(i uint32) mesh.EventID {
	return sha256.Sum256(binary.BigEndian.AppendUint32([]byte("event"), i))
}

// islands returns the sketches of two sets of common events and of only
// differences that one of them lacks, and the differing short ids.
func islands(capacity, common, differences int, r *rand.Rand) (a, b Sketch, want []uint32) {
	w := Window{Until: noon, Hours: 24, Salt: uint16(r.Uint32())}
	a, b = NewSketch(w, capacity), NewSketch(w, capacity)
	next := r.Uint32()
	for range common {
		a.Add(number(next))
		b.Add(number(next))
		next++
	}
	for i := range differences {
		if i%2 == 0 {
			a.Add(number(next))
		} else {
			b.Add(number(next))
		}
		want = append(want, w.Short(number(next)))
		next++
	}
	slices.Sort(want)
	return a, b, want
}

// TestSketchFindsDifferences finds every number of differences up to the
// capacity, and says so when there are more.
func TestSketchFindsDifferences(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, capacity := range []int{1, SketchBeacon, SketchReply, SketchFull} {
		for d := range capacity + 1 {
			a, b, want := islands(capacity, 20, d, r)
			got, err := a.Differences(b)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("capacity %d, %d differences: %x, %v; want %x", capacity, d, got, err, want)
			}
		}
	}
	wrong := 0
	for i := range 300 {
		a, b, _ := islands(SketchBeacon, 20, SketchBeacon+1+i%30, r)
		if got, err := a.Differences(b); !errors.Is(err, ErrOverflow) {
			wrong++
			t.Errorf("%d differences decoded as %x, %v; want ErrOverflow", SketchBeacon+1+i%30, got, err)
		}
	}
	t.Logf("false decodes in 300 overflows: %d", wrong)
	a, b, _ := islands(SketchBeacon, 3, 1, r)
	b.Window.Salt++
	if _, err := a.Differences(b); !errors.Is(err, ErrWindow) {
		t.Errorf("two windows: %v, want ErrWindow", err)
	}
	wide, _, _ := islands(SketchFull, 0, 0, r)
	narrow := NewSketch(wide.Window, SketchBeacon)
	wide.Add(number(1))
	if got, err := narrow.Differences(wide); err != nil || !slices.Equal(got, []uint32{wide.Window.Short(number(1))}) {
		t.Errorf("sketches of two sizes: %x, %v", got, err)
	}
}

// TestTenDifferencesInTwoSeconds adds up what finding ten differences costs on
// LongFast: a beacon, which overflows, and the reply to it.
func TestTenDifferencesInTwoSeconds(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	fast, _ := PresetOf(0)
	d := NewDoor([]mesh.Secret{secret(1)})
	var spent time.Duration
	send := func(what string, capacity int, want error) {
		a, b, ids := islands(capacity, 1000, 10, r)
		payload, err := d.Seal(maria, 1, a)
		if err != nil {
			t.Fatal(err)
		}
		airtime := fast.Time(FrameSize(len(payload), false))
		spent += airtime
		got, err := a.Differences(b)
		if !errors.Is(err, want) || want == nil && !slices.Equal(got, ids) {
			t.Errorf("%s: %x, %v; want %x, %v", what, got, err, ids, want)
		}
		t.Logf("%s: sketch %d bytes, payload %d, %v on LongFast", what, windowSize+4*capacity, len(payload), airtime.Round(time.Millisecond))
	}
	send("beacon", SketchBeacon, ErrOverflow)
	send("reply", SketchReply, nil)
	t.Logf("10 differences found with %v of airtime", spent.Round(time.Millisecond))
	if spent > 2*time.Second {
		t.Errorf("10 differences cost %v, want at most 2 s", spent)
	}
}

// cpuTime is what this process has used of the processors. The clock also counts
// the time in which others had them.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestHostileSketch decodes sketches made to cost as much as they can: random
// sums, and ids that almost no trace parts.
func TestHostileSketch(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	w := Window{Until: noon, Hours: 1}
	var worst time.Duration
	try := func(what string, s Sketch) {
		began := cpuTime(t)
		s.Differences(NewSketch(w, SketchFull))
		took := cpuTime(t) - began
		worst = max(worst, took)
		if took > 2*time.Second { // some 100 times what it takes
			t.Errorf("%s: %v", what, took)
		}
	}
	for range 20 {
		s := NewSketch(w, SketchFull)
		for i := range s.Sums {
			s.Sums[i] = r.Uint32()
		}
		try("random", s)
		s = NewSketch(w, SketchFull)
		for range SketchFull {
			s.add(r.Uint32() | 1)
		}
		try("honest", s)
	}
	// Ids whose traces with 1, x, x² … are equal for as long as possible.
	var alike []uint32
	for len(alike) < SketchFull {
		id := r.Uint32()
		equal := true
		for b := range 9 {
			tr, x := uint32(0), mul(id, 1<<b)
			for range 32 {
				tr ^= x
				x = square(x)
			}
			equal = equal && tr == 0
		}
		if equal && id != 0 && !slices.Contains(alike, id) {
			alike = append(alike, id)
		}
	}
	s := NewSketch(w, SketchFull)
	for _, id := range alike {
		s.add(id)
	}
	try("alike", s)
	got, err := s.Differences(NewSketch(w, SketchFull))
	slices.Sort(alike)
	if err != nil || !slices.Equal(got, alike) {
		t.Errorf("ids that are alike: %d found, %v", len(got), err)
	}
	t.Logf("the costliest took %v", worst)
}

func BenchmarkSketch(b *testing.B) {
	r := rand.New(rand.NewPCG(9, 10))
	s := NewSketch(Window{Until: noon, Hours: 24}, SketchFull)
	b.Run("add to 48 sums", func(b *testing.B) {
		id := number(1)
		for b.Loop() {
			s.Add(id)
		}
	})
	for _, c := range []struct {
		name        string
		capacity, d int
	}{{"8 of 8", SketchBeacon, 8}, {"20 of 20", SketchReply, 20}, {"48 of 48", SketchFull, 48}, {"overflow of 48", SketchFull, 60}} {
		b.Run("decode "+c.name, func(b *testing.B) {
			x, y, _ := islands(c.capacity, 50, c.d, r)
			for b.Loop() {
				x.Differences(y)
			}
		})
	}
}

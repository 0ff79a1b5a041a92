package air

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// letter returns a text of so many bytes that no coder makes shorter.
func letter(r *rand.Rand, size int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:-"
	b := make([]byte, size)
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}

func chance(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// set cuts an event with a text of so many bytes.
func set(t testing.TB, size int) (*Codec, Item, *Set) {
	t.Helper()
	c := &Codec{Text: Plain{}, Directory: newVillage()}
	it := Item{say(t, 1, 1, noon, letter(chance(1), size), []string{"t", "alerts"}), "alerts"}
	s, err := c.Split(it)
	if err != nil {
		t.Fatal(err)
	}
	return c, it, s
}

// drain returns all that the set owes.
func drain(t testing.TB, s *Set) [][]byte {
	t.Helper()
	var all [][]byte
	for {
		b, ok := s.Next()
		if !ok {
			return all
		}
		if len(b) > MaxPayload || len(b) != s.Size() || FormOf(b) != FormFragment {
			t.Fatalf("fragment of %d bytes and form %d; Size is %d, limit %d", len(b), FormOf(b), s.Size(), MaxPayload)
		}
		all = append(all, b)
	}
}

// TestFragmentsOfAllSizes cuts events of every number of fragments and puts
// them together from the last fragments that there are, repair alone.
func TestFragmentsOfAllSizes(t *testing.T) {
	seen := map[int]bool{}
	for _, size := range []int{1, 100, 146, 147, 300, 368, 369, 370, 700, 1000, 1150, 1300, 1500, 1800, 2000, 2125} {
		c, it, s := set(t, size)
		seen[s.Data()] = true
		s.Begin(0)
		if first := drain(t, s); len(first) != s.Data() {
			t.Errorf("%d bytes: %d fragments without loss, want %d", size, len(first), s.Data())
		}
		a := NewAssembly(chance(2))
		var whole []byte
		for i := range s.Data() {
			var err error
			if whole, err = a.Add(s.frame(setSize-1-i), start); err != nil {
				t.Fatal(err)
			}
			if (whole != nil) != (i == s.Data()-1) {
				t.Fatalf("%d bytes: after %d of %d fragments: %d bytes", size, i+1, s.Data(), len(whole))
			}
		}
		res, err := c.UnpackWhole(whole)
		if err != nil || len(res.Items) != 1 || !equal(res.Items[0], it) {
			t.Errorf("%d bytes: rebuilt as %v, %v", size, res, err)
		}
	}
	for n := 1; n <= MaxFragments; n++ {
		if !seen[n] {
			t.Errorf("no event of %d fragments was tried", n)
		}
	}
}

// TestNeverFits takes the longest event that ten fragments carry, and refuses
// one byte more with the reason.
func TestNeverFits(t *testing.T) {
	c, _, s := set(t, MaxWhole-104)
	if s.Data() != MaxFragments {
		t.Fatalf("%d fragments, want %d", s.Data(), MaxFragments)
	}
	it := Item{say(t, 1, 1, noon, letter(chance(1), MaxWhole-103), []string{"t", "alerts"}), "alerts"}
	_, err := c.Split(it)
	var long *TooLongError
	if !errors.As(err, &long) || !long.Never || long.Size != MaxWhole+1 || long.Limit != MaxWhole {
		t.Fatalf("%v, want one that never fits, of %d bytes", err, MaxWhole+1)
	}
	if want := "too long for the radio: 2230 bytes after compression, at most 2229 (10 fragments) can be sent"; err.Error() != want {
		t.Errorf("reason %q, want %q", err, want)
	}
}

// TestRepair adds ⌈K·p/(1−p)⌉ fragments.
func TestRepair(t *testing.T) {
	for _, c := range []struct {
		data int
		p    float64
		want int
	}{{10, 0, 0}, {10, -1, 0}, {10, .05, 1}, {10, .1, 2}, {10, .15, 2}, {10, .3, 5}, {3, .25, 1}, {10, .5, 10}, {10, 7, 10}, {1, .1, 1}} {
		if got := Repair(c.data, c.p); got != c.want {
			t.Errorf("Repair(%d, %v) = %d, want %d", c.data, c.p, got, c.want)
		}
	}
	var l Loss
	if l.Share() != firstLoss {
		t.Errorf("%v before anything is known", l.Share())
	}
	for range 40 {
		l.Observe(3, 10)
		l.Observe(1, 0) // nothing was sent
	}
	if l.Share() < .29 || l.Share() > .31 {
		t.Errorf("%v after 3 of 10 were lost for long", l.Share())
	}
	l.Observe(99, 10)
	if l.Share() > 1 {
		t.Errorf("%v after nonsense", l.Share())
	}
}

// TestLossyChannel brings an event of 10 fragments to 20 receivers over a
// channel that loses them, with Nacks that others overhear, and prints the
// airtime against the ideal.
func TestLossyChannel(t *testing.T) {
	_, _, probe := set(t, 2100)
	fast, _ := PresetOf(0)
	fragment := fast.Time(FrameSize(probe.Size(), false))
	nack := fast.Time(FrameSize(ControlOverhead+7, false))
	for _, p := range []float64{.05, .15, .3} {
		for _, receivers := range []int{1, 5, 20} {
			r := chance(uint64(p*100) + uint64(receivers))
			var spent, ideal time.Duration
			nacks, rounds := 0, 0
			const runs = 20
			for range runs {
				_, _, s := set(t, 2100)
				s.Begin(p)
				now := start
				nodes := make([]*Assembly, receivers)
				done := make([]bool, receivers)
				for i := range nodes {
					nodes[i] = NewAssembly(chance(r.Uint64()))
				}
				for slices.Contains(done, false) {
					for {
						b, ok := s.Next()
						if !ok {
							break
						}
						spent += fragment
						now = now.Add(fragment)
						for i, n := range nodes {
							if done[i] || r.Float64() < p {
								continue
							}
							whole, err := n.Add(b, now)
							if err != nil {
								t.Fatal(err)
							}
							done[i] = whole != nil
						}
					}
					// Whoever lacks some asks when his time comes, unless he hears
					// somebody who asks for as much.
					var wake time.Time
					for i, n := range nodes {
						if w := n.Wake(); !done[i] && !w.IsZero() && (wake.IsZero() || w.Before(wake)) {
							wake = w
						}
					}
					if wake.IsZero() {
						break
					}
					now = wake
					for i, n := range nodes {
						if done[i] {
							continue
						}
						due := n.Due(now)
						if len(due) == 0 {
							continue
						}
						spent += nack
						nacks++
						for j, other := range nodes {
							if j != i && r.Float64() >= p {
								other.Heard(Nack{due}, now)
							}
						}
						if r.Float64() >= p && !s.Nacked(int(due[0].Count)) {
							t.Fatalf("asked for more than %d times", maxRounds)
						}
					}
					rounds++
				}
				if i := slices.Index(done, false); i >= 0 {
					t.Fatalf("loss %v: receiver %d of %d never had the whole", p, i, receivers)
				}
				ideal += time.Duration(s.Data()) * fragment
			}
			t.Logf("loss %2.0f %%, %2d receivers: %.2f × the ideal airtime, %.1f Nacks a set", 100*p, receivers, float64(spent)/float64(ideal), float64(nacks)/runs)
			if most := 1.4 + 3*p; float64(spent)/float64(ideal) > most {
				t.Errorf("loss %v, %d receivers: %.2f × the ideal airtime, want at most %.2f", p, receivers, float64(spent)/float64(ideal), most)
			}
		}
	}
}

// TestSetResumes goes on after either side began anew in the middle: the name
// of the set and its fragments are the same, and what was there counts.
func TestSetResumes(t *testing.T) {
	c, it, s := set(t, 1500)
	s.Begin(0.2)
	a := NewAssembly(chance(3))
	for range 3 {
		b, _ := s.Next()
		if _, err := a.Add(b, start); err != nil {
			t.Fatal(err)
		}
	}
	kept := a.Fragments()
	if len(kept) != 3 {
		t.Fatalf("%d fragments kept, want 3", len(kept))
	}
	b := NewAssembly(chance(4)) // the receiver restarts
	for _, f := range kept {
		if _, err := b.Add(f, start.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	again, err := c.Split(it) // the sender restarts
	if err != nil {
		t.Fatal(err)
	}
	if again.ID() != s.ID() {
		t.Fatalf("the set is %s after a restart, was %s", again.ID(), s.ID())
	}
	again.Resume(s.Sent(), 0.2)
	var whole []byte
	n := 0
	for whole == nil {
		f, ok := again.Next()
		if !ok {
			t.Fatalf("nothing more after %d", n)
		}
		n++
		if whole, err = b.Add(f, start.Add(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if n != s.Data()-3 {
		t.Errorf("%d more fragments were needed, want %d", n, s.Data()-3)
	}
	if res, err := c.UnpackWhole(whole); err != nil || !equal(res.Items[0], it) {
		t.Errorf("rebuilt as %v, %v", res, err)
	}
	if _, err := b.Add(kept[0], start.Add(2*time.Hour)); !errors.Is(err, ErrComplete) {
		t.Errorf("a late fragment: %v, want ErrComplete", err)
	}
	// Another gateway, which knows other events, makes the same set.
	other := &Codec{Text: Plain{}, Directory: newVillage(it.Event)}
	if o, err := other.Split(it); err != nil || o.ID() != s.ID() {
		t.Errorf("another gateway's set is %v, %v; want %s", o.ID(), err, s.ID())
	}
}

// TestForgedFragment puts the set together in spite of one forged fragment, as
// soon as there is one more than needed.
func TestForgedFragment(t *testing.T) {
	c, it, s := set(t, 1000)
	forged := s.frame(1)
	forged[20] ^= 1
	a := NewAssembly(chance(5))
	var whole []byte
	for _, f := range [][]byte{s.frame(0), forged, s.frame(2), s.frame(3), s.frame(4), s.frame(5)} {
		if whole != nil {
			t.Fatal("complete without the last fragment")
		}
		var err error
		if whole, err = a.Add(f, start); err != nil {
			t.Fatal(err)
		}
		if s.Data() != 5 {
			t.Fatalf("%d data fragments, want 5", s.Data())
		}
	}
	if whole == nil {
		t.Fatal("not complete")
	}
	if res, err := c.UnpackWhole(whole); err != nil || !equal(res.Items[0], it) {
		t.Errorf("rebuilt as %v, %v", res, err)
	}
}

// TestAssemblyBounds keeps MaxSets sets, each of few fragments, for a while;
// one more costs the emptiest. Forged sets are given up after maxTrials.
func TestAssemblyBounds(t *testing.T) {
	a := NewAssembly(chance(6))
	most := MaxSets * (MaxFragments + maxSpare) * MaxShard
	t.Logf("an assembly holds at most %d sets, %d fragments of each: %d bytes; for %v after the last; %d are put together in vain", MaxSets, MaxFragments+maxSpare, most, setLifetime, maxTrials)
	fragment := func(set, index int) []byte {
		b := append([]byte{headFragment | (MaxFragments - 1), byte(set), byte(set >> 8), 9, 9, 9, 9}, byte(index))
		return append(b, bytes.Repeat([]byte{byte(index)}, MaxShard)...)
	}
	for i := range MaxSets {
		for f := range MaxFragments - 1 {
			if _, err := a.Add(fragment(i, f), start.Add(time.Duration(i)*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if a.Sets() != MaxSets || a.Dropped() != 0 {
		t.Errorf("%d sets, %d dropped; want %d, 0", a.Sets(), a.Dropped(), MaxSets)
	}
	for i := range 3 {
		if _, err := a.Add(fragment(990+i, 0), start.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if a.Sets() != MaxSets || a.Dropped() != 3 {
		t.Errorf("three sets more: %d sets, %d dropped; want %d, 3", a.Sets(), a.Dropped(), MaxSets)
	}
	if n := len(a.Fragments()); n != (MaxSets-1)*(MaxFragments-1)+1 {
		t.Errorf("%d fragments kept: invented sets have to push out each other", n)
	}
	// What is silent for long gives way before what is emptier.
	stale := NewAssembly(chance(6))
	for i := range MaxSets {
		for f := range 3 {
			if i > 0 && f == 2 {
				continue
			}
			if _, err := stale.Add(fragment(i, f), start.Add(time.Duration(min(i, 1))*time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 2 {
		if _, err := stale.Add(fragment(990+i, 0), start.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(stale.Fragments()); n != 2*(MaxSets-1)+1 {
		t.Errorf("%d fragments kept, want %d: of the stale set none", n, 2*(MaxSets-1)+1)
	}
	held := func() (n int) {
		for _, f := range a.Fragments() {
			n += len(f) - fragmentHead
		}
		return n
	}
	// A set that never fits together costs maxTrials, then it is gone.
	for f := range setSize {
		if _, err := a.Add(fragment(1, f), start.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if held() > most {
			t.Fatalf("%d bytes held, bound %d", held(), most)
		}
		if a.Dropped() == 4 {
			break
		}
	}
	if a.Dropped() != 4 {
		t.Errorf("%d dropped after a set that does not fit together, want 4", a.Dropped())
	}
	a.Due(start.Add(time.Minute + setLifetime + 1))
	if a.Sets() != 0 {
		t.Errorf("%d sets when their time is over", a.Sets())
	}
	for _, b := range [][]byte{
		nil, {headFragment}, fragment(1, setSize), append([]byte{headFragment | MaxFragments}, make([]byte, 20)...),
		make([]byte, MaxPayload+1), fragment(1, 1)[:fragmentHead], append(fragment(1, 1), 0),
	} {
		if _, err := a.Add(b, start); !errors.Is(err, ErrForm) && !errors.Is(err, ErrUnknown) {
			t.Errorf("%.20x: %v", b, err)
		}
	}
}

// TestNacks asks after a pause that doubles, for what is missing, not at all
// while somebody else asks for as much, and not for ever.
func TestNacks(t *testing.T) {
	_, _, s := set(t, 1000)
	a := NewAssembly(chance(7))
	for i := range 3 {
		if _, err := a.Add(s.frame(i), start); err != nil {
			t.Fatal(err)
		}
	}
	if due := a.Due(start.Add(nackQuiet - 1)); len(due) != 0 {
		t.Errorf("asks at once: %v", due)
	}
	first := a.Wake()
	if first.Before(start.Add(nackQuiet)) || first.After(start.Add(nackQuiet+nackSpread)) {
		t.Errorf("asks at %v", first.Sub(start))
	}
	a.Heard(Nack{[]Missing{{s.ID(), 1}, {SetID{1}, 9}}}, first)
	if a.Wake() != first {
		t.Error("silenced by one that asks for less")
	}
	a.Heard(Nack{[]Missing{{s.ID(), 2}}}, first)
	if !a.Wake().After(first) {
		t.Error("not silenced by one that asks for as much")
	}
	asked, last := 0, start
	for wake := a.Wake(); !wake.IsZero(); wake = a.Wake() {
		due := a.Due(wake)
		if !slices.Equal(due, []Missing{{s.ID(), 2}}) {
			t.Fatalf("asks for %v, want 2 of %s", due, s.ID())
		}
		if asked > 0 && asked < 6 && wake.Sub(last) < nackQuiet<<asked {
			t.Errorf("asks again after %v", wake.Sub(last))
		}
		asked++
		last = wake
	}
	if asked != askLeast+3 {
		t.Errorf("asked %d times with 3 fragments, want %d", asked, askLeast+3)
	}
	if _, err := a.Add(s.frame(3), last.Add(time.Minute)); err != nil || a.Wake().IsZero() {
		t.Errorf("does not ask again after a new fragment: %v", err)
	}
}

// TestNacked sends the largest number asked for, fresh ones first, and not for
// ever.
func TestNacked(t *testing.T) {
	_, _, s := set(t, 1000)
	s.Begin(0)
	first := drain(t, s)
	s.Nacked(1)
	s.Nacked(3)
	s.Nacked(2)
	fresh := drain(t, s)
	if len(fresh) != 3 {
		t.Errorf("%d fragments after Nacks for 1, 3 and 2; want 3", len(fresh))
	}
	for _, f := range fresh {
		if slices.ContainsFunc(first, func(g []byte) bool { return bytes.Equal(f, g) }) {
			t.Errorf("fragment %d was sent before", f[7])
		}
	}
	rounds := 1
	for s.Nacked(99) {
		if n := len(drain(t, s)); n != s.Data() {
			t.Fatalf("%d fragments after a Nack for 99, want %d", n, s.Data())
		}
		rounds++
	}
	if rounds != maxRounds {
		t.Errorf("%d rounds, want %d", rounds, maxRounds)
	}
}

func BenchmarkFragments(b *testing.B) {
	c, it, s := set(b, 2100)
	b.Run("split into 10", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.Split(it); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("join 10 of repair alone", func(b *testing.B) {
		for b.Loop() {
			a := NewAssembly(chance(1))
			for i := range 10 {
				if _, err := a.Add(s.frame(20+i), start); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

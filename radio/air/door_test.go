package air

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"drey/mesh"
)

// secret returns one that is made of this byte.
func secret(b byte) mesh.Secret {
	var s mesh.Secret
	for i := range s {
		s[i] = b
	}
	return s
}

const (
	maria = 0xa1b2c3d4 // a radio's node number
	jose  = 0xb2c3d4e5
)

var start = time.Date(2025, 11, 21, 12, 0, 0, 0, time.UTC)

// messages are one of each kind, at their smallest and largest.
func messages() map[string]Message {
	w := Window{Until: noon, Hours: 24, Salt: 0xbeef, Scope: 0x5a}
	return map[string]Message{
		"who-is":         WhoIs{[]Hint{{1, 2, 3, 4}}},
		"who-is, most":   WhoIs{make([]Hint, MaxHints)},
		"keys":           Keys{[]mesh.PubKey{{9}}},
		"keys, most":     Keys{make([]mesh.PubKey, MaxKeys)},
		"nack":           Nack{[]Missing{{SetID{1, 2, 3, 4, 5, 6}, 7}}},
		"resend":         Resend{[]Handle{{0xde, 0xad, 0xbe, 0xef}}},
		"resend, most":   Resend{make([]Handle, MaxHandles)},
		"sketch":         Sketch{w, []uint32{1, 2, 3, 4, 5, 6, 7, 8}},
		"sketch, most":   Sketch{w, make([]uint32, SketchFull)},
		"overheard":      Overheard{Said: []Short{{1}, {2}}, Heard: []Short{{3}}},
		"sign of life":   Overheard{Said: []Short{}, Heard: []Short{}},
		"overheard most": Overheard{Said: []Short{}, Heard: make([]Short, MaxShorts)},
		"want":           Want{w, []uint32{0xdeadbeef}},
		"want, most":     Want{w, make([]uint32, MaxWants)},
		"record":         Record{[]byte("here I am")},
		"record, most":   Record{make([]byte, MaxRecord)},
	}
}

func TestControlFrames(t *testing.T) {
	counter := uint32(0)
	for name, m := range messages() {
		counter++
		b, err := NewDoor([]mesh.Secret{secret(1)}).Seal(maria, counter, m)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(b) > MaxPayload || FormOf(b) != FormControl {
			t.Errorf("%s: %d bytes of form %d, limit %d", name, len(b), FormOf(b), MaxPayload)
		}
		got, err := NewDoor([]mesh.Secret{secret(1)}).Open(maria, b, start)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%s: opened as %v, %v; want %v", name, got, err, m)
		}
	}
}

// TestControlRefusesWhatIsTooLong seals no message beyond its bounds.
func TestControlRefusesWhatIsTooLong(t *testing.T) {
	d := NewDoor([]mesh.Secret{secret(1)})
	w := Window{Hours: 1}
	for name, m := range map[string]Message{
		"no hints":         WhoIs{},
		"hints":            WhoIs{make([]Hint, MaxHints+1)},
		"keys":             Keys{make([]mesh.PubKey, MaxKeys+1)},
		"sets":             Nack{make([]Missing, 1)},
		"handles":          Resend{make([]Handle, MaxHandles+1)},
		"sums":             Sketch{w, make([]uint32, SketchFull+1)},
		"no sums":          Sketch{w, nil},
		"window of 0 h":    Sketch{Window{}, make([]uint32, 8)},
		"overheard":        Overheard{Said: make([]Short, MaxShorts), Heard: make([]Short, 1)},
		"want":             Want{w, make([]uint32, MaxWants+1)},
		"record":           Record{make([]byte, MaxRecord+1)},
		"record of nobody": Record{},
	} {
		if b, err := d.Seal(maria, 1, m); !errors.Is(err, ErrForm) {
			t.Errorf("%s: sealed as %d bytes, %v; want ErrForm", name, len(b), err)
		}
	}
}

// TestDoorRefuses counts every refusal under its reason.
func TestDoorRefuses(t *testing.T) {
	ours := NewDoor([]mesh.Secret{secret(1)})
	m := WhoIs{[]Hint{{1, 2, 3, 4}}}
	b, err := ours.Seal(maria, 100, m)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := NewDoor([]mesh.Secret{secret(2)}).Seal(maria, 100, m)
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(what string, from uint32, payload []byte, want error) {
		t.Helper()
		if got, err := ours.Open(from, payload, start); !errors.Is(err, want) {
			t.Errorf("%s: %v, %v; want %v", what, got, err, want)
		}
	}
	for i := range 8 * len(b) {
		flipped := append([]byte(nil), b...)
		flipped[i/8] ^= 1 << (i % 8)
		if i < 4 {
			continue // another kind of message
		}
		want := ErrForged
		if i < 8 {
			want = ErrUnknown // another form
		}
		refuse("a flipped bit", maria, flipped, want)
	}
	refuse("another community", maria, theirs, ErrForged)
	refuse("another radio", jose, b, ErrForged)
	refuse("cut off", maria, b[:ControlOverhead-1], ErrForm)
	refuse("too long", maria, append([]byte{headControl}, make([]byte, MaxPayload)...), ErrForm)
	if got, err := ours.Open(maria, b, start); err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("the honest frame: %v, %v", got, err)
	}
	refuse("heard before", maria, b, ErrReplay)
	if r := ours.Refused(); r["forged"] != uint64(8*len(b)-8+2) || r["replay"] != 1 || r["form"] != 2 || r["version"] != 4 {
		t.Errorf("counted %v", r)
	}
	// With the right key but of a kind of later versions.
	later := []byte{headControl | 15, 0, 0, 1, 0}
	mac := controlMAC(secret(1).RadioMAC(), maria, later)
	refuse("a later kind", maria, append(later, mac[:]...), ErrUnknown)
}

// TestDoorDuringRotation opens what either secret sealed, and seals with the
// newer; when the old one is gone its frames are refused.
func TestDoorDuringRotation(t *testing.T) {
	older, newer := NewDoor([]mesh.Secret{secret(1)}), NewDoor([]mesh.Secret{secret(2)})
	both := NewDoor([]mesh.Secret{secret(2), secret(1)})
	m := Overheard{Said: []Short{}, Heard: []Short{}}
	counter := uint32(0)
	pass := func(what string, from, to *Door, want error) {
		t.Helper()
		counter++
		b, err := from.Seal(maria, counter, m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.Open(maria, b, start); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	pass("old to both", older, both, nil)
	pass("new to both", newer, both, nil)
	pass("both to new", both, newer, nil)
	pass("both to old", both, older, ErrForged)
	both.SetSecrets([]mesh.Secret{secret(2)})
	pass("old after its end", older, both, ErrForged)
	if _, err := NewDoor(nil).Seal(maria, 1, m); err == nil {
		t.Error("sealed without a secret")
	}
}

// TestReplayWindow takes each counter once, in any near order, and none from
// before what it remembers.
func TestReplayWindow(t *testing.T) {
	d := NewDoor(nil)
	for _, c := range []struct {
		counter uint32
		want    bool
	}{
		{100, true}, {100, false}, {90, true}, {90, false}, {500, true}, {100, false}, {499, true},
	} {
		if got := d.fresh(maria, c.counter, start); got != c.want {
			t.Errorf("counter %d: %v, want %v", c.counter, got, c.want)
		}
	}
	for n := range uint32(replayDepth) {
		if !d.fresh(maria, 1000+n, start) {
			t.Errorf("counter %d refused", 1000+n)
		}
	}
	if d.fresh(maria, 600, start) {
		t.Error("a counter from before the window was taken")
	}
	if !d.fresh(jose, 600, start) {
		t.Error("counters of one radio bind another")
	}
	if !d.fresh(maria, 600, start.Add(forgetAfter+1)) {
		t.Error("a radio silent for a week cannot begin again")
	}
}

// TestDoorForgetsTheSilent remembers maxSenders radios at most; one more costs
// the one that was silent for longest.
func TestDoorForgetsTheSilent(t *testing.T) {
	d := NewDoor(nil)
	for i := range uint32(maxSenders + 1) {
		d.fresh(i, 7, start.Add(time.Duration(i)*time.Second))
	}
	if len(d.senders) != maxSenders || d.senders[0] != nil || d.senders[1] == nil {
		t.Errorf("%d senders remembered, want %d without the first", len(d.senders), maxSenders)
	}
}

// TestCounter never gives a number twice: with a clock that stands still or
// falls back, and across restarts at any moment.
func TestCounter(t *testing.T) {
	var saved, last uint32
	save := func(n uint32) error { saved = n; return nil }
	c := NewCounter(0)
	clock := []mesh.Unix{noon, noon, noon + 1, noon - 500, noon + 2, 0, noon + 9}
	for i := range 2000 {
		if i%70 == 69 {
			c = NewCounter(saved)
		}
		n, err := c.Next(clock[i%len(clock)], save)
		if err != nil {
			t.Fatal(err)
		}
		if n <= last {
			t.Fatalf("number %d after %d", n, last)
		}
		last = n
	}
	failing := NewCounter(0)
	if _, err := failing.Next(5, func(uint32) error { return errors.New("disk full") }); err == nil {
		t.Error("a number was given out that is not on disk")
	}
	if n, err := NewCounter(^uint32(0)).Next(5, save); err == nil {
		t.Errorf("number %d after the last", n)
	}
}

// TestDoorSealsUnderWhatOthersHave has secrets take each other's place: frames
// are sealed under the older one until the others have changed.
func TestDoorSealsUnderWhatOthersHave(t *testing.T) {
	older, newer := secret(1), secret(2)
	mine := NewDoor([]mesh.Secret{newer, older})
	counter := uint32(0)
	under := func() (list []mesh.Secret) {
		for range 2 {
			counter++
			b, err := mine.Seal(maria, counter, Overheard{})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range []mesh.Secret{older, newer} {
				if _, err := NewDoor([]mesh.Secret{s}).Open(maria, b, start); err == nil {
					list = append(list, s)
				}
			}
		}
		return list
	}
	says := func(from uint32, s mesh.Secret) {
		counter++
		b, err := NewDoor([]mesh.Secret{s}).Seal(from, counter, Overheard{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mine.Open(from, b, start); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		what string
		do   func()
		want []mesh.Secret
	}{
		{"nobody was heard", func() {}, []mesh.Secret{older, older}},
		{"one uses the newer", func() { says(jose, newer) }, []mesh.Secret{newer, newer}},
		{"another the older", func() { says(jose+1, older) }, []mesh.Secret{newer, older}},
		{"that one changed too", func() { says(jose+1, newer) }, []mesh.Secret{newer, newer}},
		{"the older is over", func() { mine.SetSecrets([]mesh.Secret{newer}) }, []mesh.Secret{newer, newer}},
	} {
		step.do()
		got := under()
		if len(got) == 2 && got[0] != got[1] && got[0] == older {
			got[0], got[1] = got[1], got[0] // they take turns; who begins does not matter
		}
		if !reflect.DeepEqual(got, step.want) {
			t.Errorf("%s: sealed under %v, want %v", step.what, got, step.want)
		}
	}
}

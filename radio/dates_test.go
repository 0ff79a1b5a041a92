package radio

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/radio/air"
	"drey/radio/meshtastic"
	"drey/radio/radiotest"
)

// TestDater knows the date by its own clock where that may be right, and by the
// newest event that was heard; an event of the future counts for a while only.
func TestDater(t *testing.T) {
	noon := time.Date(2026, time.June, 1, 12, 0, 0, 0, time.UTC)
	at := mesh.UnixOf(noon)
	var own time.Time
	d := &dater{clock: func() time.Time { return own }}
	steady := time.Now()
	for _, step := range []struct {
		what  string
		after time.Duration
		own   time.Time
		heard mesh.Unix // 0: nothing
		want  []mesh.Unix
	}{
		{"no clock", 0, time.Unix(1000, 0), 0, nil},
		{"an event is heard", time.Minute, time.Unix(1060, 0), at, []mesh.Unix{at}},
		{"time passes", time.Minute, time.Unix(1120, 0), 0, []mesh.Unix{at + 60}},
		{"an old one is heard", 0, time.Unix(1120, 0), at - 9999, []mesh.Unix{at + 60}},
		{"a clock is set", 0, noon.Add(63 * time.Second), 0, []mesh.Unix{at + 63, at + 60}},
		{"one of the future", 0, noon.Add(63 * time.Second), at + 999_999, []mesh.Unix{at + 63, at + 999_999}},
		{"it counts for a while", datesFor - 1, noon.Add(datesFor), at, []mesh.Unix{at + 7200, at + 999_999 + 7199}},
		{"not for ever", 1, noon.Add(datesFor), at + 7180, []mesh.Unix{at + 7200, at + 7180}},
	} {
		steady, own = steady.Add(step.after), step.own
		if step.heard != 0 {
			d.heard(step.heard, steady)
		}
		if got := d.near(steady); !slices.Equal(got, step.want) {
			t.Errorf("%s: %d, want %d", step.what, got, step.want)
		}
	}
}

// withoutClock has every gateway but the first be a machine that does not know
// the time.
func withoutClock() func(*Config) {
	machines, began := 0, time.Now()
	return func(c *Config) {
		signedForm(c)
		if machines++; machines > 1 {
			c.Clock = func() time.Time { return time.Unix(1000, 0).Add(time.Since(began)) }
		}
	}
}

// TestShortTimesOnTheAir has machines with a clock say notes with short times;
// one without asks for the first in full, and understands the others.
func TestShortTimesOnTheAir(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(townDay))
		var heads []byte
		took := func(r radiotest.Reception) {
			if r.Port == meshtastic.PortPrivate && air.FormOf(r.Payload) == air.FormEvents {
				heads = append(heads, r.Payload[0]&0xf0)
			}
		}
		runTown(t, 2, radiotest.Config{Seed: 1, Taken: took}, private(), withoutClock(), func(t *testing.T, w *town) {
			islands(w)
			time.Sleep(30 * time.Second)
			for range 2 {
				e := w.hubs[0].say(t, "alerts", "water is back")
				w.hubs[1].await(t, "the event", 2*time.Minute, func() bool { return w.hubs[1].holds(e.ID()) })
			}
			if want := []byte{0xc0, 0x00, 0xc0}; !slices.Equal(heads, want) {
				t.Errorf("frames begin with %x, want %x: short, whole, short", heads, want)
			}
		})
	})
}

// TestParkedUntilTheTimeIsKnown has a machine without a clock, whose questions
// nobody hears, understand a note with a short time as soon as another frame has
// told it the time.
func TestParkedUntilTheTimeIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(townDay))
		runTown(t, 2, radiotest.Config{Seed: 1}, private(), withoutClock(), func(t *testing.T, w *town) {
			islands(w)
			time.Sleep(30 * time.Second)
			w.air.Link(func(from, to *radiotest.Radio) bool { return from == w.gear[0] })
			note := w.hubs[0].say(t, "alerts", "water is back")
			time.Sleep(time.Minute)
			if w.hubs[1].holds(note.ID()) {
				t.Fatal("the note was understood without the time")
			}
			whole := w.hubs[0].say(t, "alerts", "come", []string{"p", w.hubs[1].signer.PubKey().String()})
			w.hubs[1].await(t, "what tells the time", time.Minute, func() bool { return w.hubs[1].holds(whole.ID()) })
			w.hubs[1].await(t, "the note before", time.Second, func() bool { return w.hubs[1].holds(note.ID()) })
		})
	})
}

// TestOutgrown has a note that fills a frame with a short time wait until its
// date is far: then it goes in fragments.
func TestOutgrown(t *testing.T) {
	h := newFakeHub(t, "a")
	date := mesh.UnixOf(time.Date(2026, time.June, 1, 12, 0, 0, 0, time.UTC))
	const text = air.MaxPayload - (1 + 1 + 1 + 1 + 60)
	e, err := h.signer.Sign(mesh.Draft{CreatedAt: date, Kind: mesh.KindNote, Tags: [][]string{{"t", "alerts"}}, Content: strings.Repeat("a", text)})
	if err != nil {
		t.Fatal(err)
	}
	now := date
	x := newIndex()
	x.setMembers([]mesh.PubKey{h.signer.PubKey()})
	o := &owner{codec: &air.Codec{Text: air.Plain{}, Directory: ours{x}, Near: func() []mesh.Unix { return []mesh.Unix{now} }}}
	out := &outgoing{event: e, topic: "alerts", signed: true}
	if err := o.measure(out); err != nil || out.set != nil || out.size != air.MaxPayload {
		t.Fatalf("measured as %d bytes, %v, in fragments: %v", out.size, err, out.set != nil)
	}
	now += 9 * 3600
	payload, _, err := o.pack(out, nil)
	if err != nil || air.FormOf(payload) != air.FormFragment || out.set == nil {
		t.Errorf("it goes as %x, %v; want a fragment", payload, err)
	}
}

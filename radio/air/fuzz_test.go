package air

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"drey/mesh"
)

// FuzzUnpack checks that no payload costs more than the bound, and that what
// is not refused says what it lacks.
func FuzzUnpack(f *testing.F) {
	root := say(f, 2, 1, noon-900, "root")
	known := newVillage(root)
	c := &Codec{Text: Plain{}, Directory: known, Near: at(noon), Verify: trusting}
	for i, it := range nastyItems(f) {
		if b, _, err := c.Pack([]Item{it}, 0, i%2 == 0); err == nil && i%7 == 0 {
			f.Add(b)
		}
	}
	reply := Item{say(f, 1, 1, noon, "yes", []string{"e", root.ID().String(), "", "root", pub(2)}, []string{"p", pub(3)}), "alerts"}
	f.Add(carry(f, c, reply, Item{say(f, 3, 7, noon, "+", []string{"e", reply.Event.ID().String()}), "quay"}))
	f.Add(appendRaw(nil, reply))
	f.Add(carry(f, c, Item{say(f, 1, 1, noon, "a\nb", []string{"t", "alerts"}), "alerts"}, Item{say(f, 3, 1, noon+9, "c", []string{"t", "alerts"}), "alerts"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		res, err := c.Unpack(b)
		if err != nil {
			if !errors.Is(err, ErrForm) && !errors.Is(err, ErrUnknown) {
				t.Errorf("refused without a reason: %v", err)
			}
			return
		}
		n := len(res.Items) + len(res.Missing)
		if n == 0 || n > MaxEvents || res.Work.Checks > MaxChecks || res.Work.Rebuilds > MaxRebuilds*MaxEvents {
			t.Errorf("%d events, %+v", n, res.Work)
		}
		for _, m := range res.Missing {
			if len(m.Authors) == 0 && len(m.Targets) == 0 && !m.Resend {
				t.Errorf("missing without a need: %+v", m)
			}
		}
	})
}

// FuzzPack checks that an event of any tags and text comes back bit for bit:
// as a whole, and in one payload where it fits.
func FuzzPack(f *testing.F) {
	for i, s := range nasty {
		for j, tags := range nastyTags(s) {
			if (i+j)%5 == 0 {
				var lines []string
				for _, t := range tags {
					lines = append(lines, strings.Join(t, "\x1f"))
				}
				f.Add(uint16(i), uint32(noon), "alerts", strings.Join(lines, "\x1e"), s)
			}
		}
	}
	f.Add(uint16(1), uint32(0), "quay/north", "t\x1fquay/north\x1ee\x1f"+strings.Repeat("0f", 32), "hello")
	sig := mesh.Signature{1, 2, 3}
	root, err := mesh.NewEvent(keys()[2].PubKey(), sig, mesh.Draft{CreatedAt: noon, Kind: 1})
	if err != nil {
		f.Fatal(err)
	}
	c := &Codec{Text: Plain{}, Directory: newVillage(root), Near: at(noon), Verify: trusting}
	f.Fuzz(func(t *testing.T, kind uint16, at uint32, topic, tags, text string) {
		name, err := mesh.ParseTopic(topic)
		if err != nil {
			return
		}
		d := mesh.Draft{CreatedAt: mesh.Unix(at), Kind: mesh.Kind(kind), Content: text}
		for line := range strings.SplitSeq(tags, "\x1e") {
			d.Tags = append(d.Tags, strings.Split(line, "\x1f"))
		}
		e, err := mesh.NewEvent(keys()[1].PubKey(), sig, d)
		if err != nil {
			return // not an event
		}
		again := d
		again.Tags = append([][]string{{"e", e.ID().String()}, {"e", root.ID().String(), "", "reply"}}, d.Tags...)
		answer, err := mesh.NewEvent(keys()[3].PubKey(), sig, again)
		if err != nil {
			return
		}
		items := []Item{{e, name}, {answer, name}}
		b := c.encode(items, false)
		res, err := c.unpack(b, 1<<20, compare(items), nil)
		if err != nil || !slices.EqualFunc(res.Items, items, equal) {
			t.Fatalf("%q %q: packed as %x, rebuilt as %+v, %v", tags, text, b, res, err)
		}
		b, n, err := c.Pack(items, 0, false)
		if err != nil {
			return
		}
		if res, err := c.Unpack(b); err != nil || !slices.EqualFunc(res.Items, items[:n], equal) {
			t.Fatalf("%x: %+v, %v", b, res, err)
		}
	})
}

// FuzzControl checks that a control message that is read is written back byte
// for byte, and that a frame with another's mac is refused.
func FuzzControl(f *testing.F) {
	for _, m := range messages() {
		b, err := m.appendBody(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(m.kind(), b)
	}
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		m, err := parseBody(kind, body)
		if err != nil {
			if !errors.Is(err, ErrForm) && !errors.Is(err, ErrUnknown) {
				t.Errorf("refused without a reason: %v", err)
			}
		} else if b, err := m.appendBody(nil); err != nil || m.kind() != kind || !bytes.Equal(b, body) {
			t.Errorf("%x was written back as %x, %v", body, b, err)
		}
		d := NewDoor([]mesh.Secret{secret(1)})
		if m, err := d.Open(maria, append([]byte{headControl | kind&0x0f}, body...), start); err == nil {
			t.Errorf("opened %v", m)
		}
	})
}

// FuzzFragment checks that no fragments make an assembly hold more than its
// bounds, and that what it keeps is what came.
func FuzzFragment(f *testing.F) {
	_, _, s := set(f, 500)
	f.Add(slices.Concat(s.frame(0), s.frame(1), s.frame(5)), uint8(s.Size()))
	f.Add(slices.Concat(s.frame(0), s.frame(0), s.frame(9), s.frame(8), s.frame(63)), uint8(s.Size()))
	f.Add(bytes.Repeat([]byte{headFragment, 1, 2, 3, 4, 5, 6, 0, 1}, 30), uint8(9))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		a := NewAssembly(rand.New(rand.NewPCG(1, 1)))
		now := start
		for chunk := range slices.Chunk(b, max(int(size), 1)) {
			now = now.Add(time.Minute)
			whole, err := a.Add(chunk, now)
			if err != nil && !errors.Is(err, ErrForm) && !errors.Is(err, ErrUnknown) && !errors.Is(err, ErrComplete) {
				t.Errorf("refused without a reason: %v", err)
			}
			if len(whole) > MaxWhole {
				t.Errorf("whole of %d bytes, limit %d", len(whole), MaxWhole)
			}
			for _, m := range a.Due(now) {
				if m.Count < 1 || m.Count > MaxFragments {
					t.Errorf("asks for %d fragments", m.Count)
				}
			}
		}
		kept := a.Fragments()
		if a.Sets() > MaxSets || len(kept) > MaxSets*(MaxFragments+maxSpare) {
			t.Errorf("%d sets, %d fragments", a.Sets(), len(kept))
		}
		for _, k := range kept {
			if !bytes.Contains(b, k) {
				t.Errorf("kept %x, which never came", k)
			}
		}
	})
}

// FuzzSketch checks that whatever is found sums up to what was given.
func FuzzSketch(f *testing.F) {
	r := chance(9)
	for _, n := range []int{0, 1, 8, 12} {
		a, _, _ := islands(SketchBeacon, 2, n, r)
		b, err := a.appendBody(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseSketch(b)
		if err != nil {
			return
		}
		s := m.(Sketch)
		ids, err := s.Differences(NewSketch(s.Window, SketchFull))
		if err != nil {
			if !errors.Is(err, ErrOverflow) {
				t.Errorf("refused without a reason: %v", err)
			}
			return
		}
		again := NewSketch(s.Window, len(s.Sums))
		for _, id := range ids {
			again.add(id)
		}
		if len(ids) > len(s.Sums) || !slices.Equal(again.Sums, s.Sums) {
			t.Errorf("%x decoded as %x, which sums up to %x", s.Sums, ids, again.Sums)
		}
	})
}

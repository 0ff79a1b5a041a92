package air

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"testing"

	"drey/mesh"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/vectors.json anew: the wire format changes")

const vectorsFile = "testdata/vectors.json"

// Vectors are the wire format by example, as docs/PROTOCOL.md names them.
type vectors struct {
	About string `json:"about"`
	// Frames are payloads whose texts are not compressed.
	Frames    []frameVector    `json:"frames"`
	Controls  []controlVector  `json:"controls"`
	Fragments []fragmentVector `json:"fragments"`
	Sketches  []sketchVector   `json:"sketches"`
}

type frameVector struct {
	Name      string            `json:"name"`
	Authors   []string          `json:"authors"`   // the keys that the receiver knows
	Travelled []json.RawMessage `json:"travelled"` // events that it knows
	Near      []mesh.Unix       `json:"near"`      // when events are dated, as it knows
	Topics    []mesh.Topic      `json:"topics"`    // of the events' envelopes
	Events    []json.RawMessage `json:"events"`
	Payload   string            `json:"payload"`
}

type controlVector struct {
	Name    string `json:"name"`
	Secret  string `json:"secret"`
	From    uint32 `json:"from"`
	Counter uint32 `json:"counter"`
	Body    string `json:"body"`
	Payload string `json:"payload"`
}

type fragmentVector struct {
	Name    string         `json:"name"`
	Whole   string         `json:"whole"`
	Set     string         `json:"set"`
	Data    int            `json:"data"`
	Indices map[int]string `json:"payloads"` // some of the fragments, by index
}

type sketchVector struct {
	Name   string   `json:"name"`
	Window string   `json:"window"`
	IDs    []string `json:"ids"`
	Shorts []uint32 `json:"short_ids"`
	Sums   string   `json:"sums"`
}

// frameCases are the frames of the vectors.
func frameCases(t testing.TB) []struct {
	name  string
	known *village
	full  bool
	items []Item
} {
	root := say(t, 2, 1, noon-900, "Is the water at the north well safe?", []string{"t", "water"})
	reply := say(t, 3, 1, noon, "They tested it on Monday", []string{"e", root.ID().String(), "", "root", pub(2)}, []string{"p", pub(2)})
	note := say(t, 1, 1, noon, "Power is back on in the lower town.", []string{"t", "alerts"})
	old := say(t, 1, 1, noon-86400, "Power is gone.", []string{"t", "alerts"})
	tap := say(t, 3, 1, noon+12, "Only on the left bank.", []string{"t", "alerts"})
	quay := say(t, 1, 1, noon+7, "Boat at\n6 or 7?", []string{"t", "quay/north"})
	odd := say(t, 4, 31234, noon, "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo=", []string{"x", "deadbeef", "007", "42", "", pub(5)},
		[]string{"expiration", "1763725200"}, []string{"a", "33739:" + pub(1) + ":quay"}, []string{"d", "x"}, []string{"k", "1"}, []string{"r", "a\nb"})
	urgent := say(t, 5, 1, noon, "flood", []string{"t", "alerts"}, []string{"L", "drey"}, []string{"l", "emergency", "drey"},
		[]string{"proxy", "!a1b2c3d4:9f3c21aa", "meshtastic"}, []string{"q", root.ID().String(), "wss://r.example", pub(2)}, []string{"t", "water"})
	everybody, nobody := newVillage(root), &village{}
	for _, v := range []*village{everybody} {
		v.people = v.people[:6]
	}
	return []struct {
		name  string
		known *village
		full  bool
		items []Item
	}{
		{"a note", everybody, false, []Item{{note, "alerts"}}},
		{"two notes", everybody, false, []Item{{note, "alerts"}, {tap, "alerts"}}},
		{"a note of the day before", everybody, false, []Item{{old, "alerts"}}},
		{"a note by somebody unknown", nobody, false, []Item{{note, "alerts"}}},
		{"a note in a topic without a code", everybody, false, []Item{{quay, "quay/north"}}},
		{"a reply by prefix", everybody, false, []Item{{reply, "water"}}},
		{"a reply in full", everybody, true, []Item{{reply, "water"}}},
		{"question and reply in one frame", &village{people: everybody.people}, false, []Item{{root, "water"}, {reply, "water"}}},
		{"two topics, one author", everybody, false, []Item{{quay, "quay/north"}, {note, "alerts"}}},
		{"every sort of value", everybody, false, []Item{{odd, "commons"}}},
		{"labels, proxy, quote", everybody, false, []Item{{urgent, "alerts"}}},
	}
}

// makeVectors writes the format as this code does.
func makeVectors(t testing.TB) vectors {
	v := vectors{About: "docs/PROTOCOL.md, section Radio: frames between nodes. Texts in these frames are as they are, not compressed."}
	for _, c := range frameCases(t) {
		f := frameVector{Name: c.name}
		for _, k := range c.known.people {
			f.Authors = append(f.Authors, k.String())
		}
		for _, e := range c.known.events {
			f.Travelled = append(f.Travelled, e.AppendJSON(nil))
		}
		for _, it := range c.items {
			f.Topics = append(f.Topics, it.Topic)
			f.Events = append(f.Events, it.Event.AppendJSON(nil))
		}
		f.Near = []mesh.Unix{noon + 100}
		b, n, err := (&Codec{Text: Plain{}, Directory: c.known, Near: at(f.Near...)}).Pack(c.items, 0, c.full)
		if err != nil || n != len(c.items) {
			t.Fatalf("%s: %d of %d events packed, %v", c.name, n, len(c.items), err)
		}
		f.Payload = hex.EncodeToString(b)
		v.Frames = append(v.Frames, f)
	}
	note := frameCases(t)[0].items[0]
	raw := frameVector{Name: "raw", Topics: []mesh.Topic{"quay"}, Events: []json.RawMessage{note.Event.AppendJSON(nil)}}
	raw.Payload = hex.EncodeToString(appendRaw(nil, Item{note.Event, "quay"}))
	v.Frames = append(v.Frames, raw)

	s := secret(7)
	all := messages()
	for i, name := range []string{"who-is", "keys", "nack", "resend", "sketch", "overheard", "want", "record"} {
		counter := uint32(noon) + uint32(i)
		b, err := NewDoor([]mesh.Secret{s}).Seal(maria, counter, all[name])
		if err != nil {
			t.Fatal(err)
		}
		body := b[controlHead : len(b)-macSize]
		v.Controls = append(v.Controls, controlVector{name, hex.EncodeToString(s[:]), maria, counter, hex.EncodeToString(body), hex.EncodeToString(b)})
	}

	for _, size := range []int{10, 500} {
		whole := make([]byte, size)
		for i := range whole {
			whole[i] = byte(i * 7)
		}
		set, err := newSet(whole)
		if err != nil {
			t.Fatal(err)
		}
		f := fragmentVector{Name: "made-up bytes", Whole: hex.EncodeToString(whole), Set: set.ID().String(), Data: set.Data(), Indices: map[int]string{}}
		for _, i := range []int{0, set.Data() - 1, set.Data(), 20, setSize - 1} {
			f.Indices[i] = hex.EncodeToString(set.frame(i))
		}
		v.Fragments = append(v.Fragments, f)
	}

	w := Window{Until: noon, Hours: 24, Salt: 0xbeef, Scope: Scope([]mesh.Topic{"water", "alerts"})}
	for _, n := range []uint32{0, 1, 5} {
		sk := NewSketch(w, SketchBeacon)
		x := sketchVector{Name: "the set of these events", Window: hex.EncodeToString(w.append(nil))}
		for i := range n {
			id := number(i)
			x.IDs, x.Shorts = append(x.IDs, id.String()), append(x.Shorts, w.Short(id))
			sk.Add(id)
		}
		b, err := sk.appendBody(nil)
		if err != nil {
			t.Fatal(err)
		}
		x.Sums = hex.EncodeToString(b[windowSize:])
		v.Sketches = append(v.Sketches, x)
	}
	return v
}

// TestVectors compares the code with what was written down, both ways.
func TestVectors(t *testing.T) {
	now, err := json.MarshalIndent(makeVectors(t), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	now = append(now, '\n')
	if *rewrite {
		if err := os.WriteFile(vectorsFile, now, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, now) {
		t.Errorf("%s is not what the code writes now; -rewrite changes the wire format", vectorsFile)
	}
	var v vectors
	if err := json.Unmarshal(kept, &v); err != nil {
		t.Fatal(err)
	}
	for _, f := range v.Frames {
		known := &village{}
		for _, a := range f.Authors {
			k, err := mesh.ParsePubKey(a)
			if err != nil {
				t.Fatal(err)
			}
			known.people = append(known.people, k)
		}
		known.events = parseEvents(t, f.Travelled)
		res, err := (&Codec{Text: Plain{}, Directory: known, Near: at(f.Near...)}).Unpack(unhexed(t, f.Payload))
		if err != nil || len(res.Missing) > 0 {
			t.Errorf("%s: %+v, %v", f.Name, res, err)
			continue
		}
		for i, e := range parseEvents(t, f.Events) {
			if !equal(res.Items[i], Item{e, f.Topics[i]}) {
				t.Errorf("%s: event %d is %v", f.Name, i, res.Items[i])
			}
		}
	}
	for _, c := range v.Controls {
		d := NewDoor([]mesh.Secret{mesh.Secret(unhexed(t, c.Secret))})
		m, err := d.Open(c.From, unhexed(t, c.Payload), start)
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if b, err := m.appendBody(nil); err != nil || hex.EncodeToString(b) != c.Body {
			t.Errorf("%s: body %x, %v; want %s", c.Name, b, err, c.Body)
		}
	}
	for _, f := range v.Fragments {
		a := NewAssembly(chance(1))
		var got []byte
		for i := setSize - 1; i >= 0 && got == nil; i-- {
			if p := f.Indices[i]; p != "" {
				if got, err = a.Add(unhexed(t, p), start); err != nil {
					t.Errorf("fragment %d: %v", i, err)
				}
			}
		}
		if hex.EncodeToString(got) != f.Whole {
			t.Errorf("set %s gives %x", f.Set, got)
		}
	}
	for _, x := range v.Sketches {
		m, err := parseSketch(unhexed(t, x.Window+x.Sums))
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		got, err := m.(Sketch).Differences(NewSketch(m.(Sketch).Window, SketchBeacon))
		want := slices.Sorted(slices.Values(x.Shorts))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("sums %s tell %x, %v; want %x", x.Sums, got, err, want)
		}
	}
}

func parseEvents(t testing.TB, raw []json.RawMessage) []*mesh.Event {
	t.Helper()
	var list []*mesh.Event
	for _, r := range raw {
		e, err := mesh.ParseJSON(r)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

func unhexed(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

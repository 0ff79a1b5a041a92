package air

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"drey/mesh"

	"github.com/btcsuite/btcd/btcec/v2"
)

// counting returns a codec that counts the signatures it checks.
func counting(d Directory, checks *int) *Codec {
	return &Codec{Text: Plain{}, Directory: d, Verify: func(e *mesh.Event) error {
		*checks++
		return e.Verify()
	}}
}

// TestParkedUntilKnown parks what it cannot rebuild and says what it needs;
// with the answers the same payload gives the events.
func TestParkedUntilKnown(t *testing.T) {
	root := say(t, 2, 1, noon-900, "root")
	answer := Item{say(t, 1, 1, noon, "yes", []string{"e", root.ID().String(), "", "root"}, []string{"p", pub(2)}, []string{"p", pub(3)}), "alerts"}
	follow := Item{say(t, 4, 7, noon, "+", []string{"e", answer.Event.ID().String()}), "alerts"}
	sender := &Codec{Text: Plain{}, Directory: newVillage(root)}
	b := carry(t, sender, answer, follow)

	known := newVillage()
	everybody := known.people
	known.people = nil
	receiver := &Codec{Text: Plain{}, Directory: known}
	k1, k3, k4 := HintOf(keys()[1].PubKey()), HintOf(keys()[3].PubKey()), HintOf(keys()[4].PubKey())
	for _, step := range []struct {
		what    string
		learn   func()
		rebuilt int
		authors [][]Hint
		targets [][]Prefix
	}{
		{"nothing is known", func() {}, 0, [][]Hint{{k1, k3}, {k4, k1, k3}}, [][]Prefix{{PrefixOf(root.ID())}, {PrefixOf(root.ID())}}},
		{"the keys came", func() { known.people = everybody }, 0, [][]Hint{nil, nil}, [][]Prefix{{PrefixOf(root.ID())}, {PrefixOf(root.ID())}}},
		{"the root travelled", func() { known.events = []*mesh.Event{root} }, 2, nil, nil},
	} {
		step.learn()
		res, err := receiver.Unpack(b)
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Items) != step.rebuilt || len(res.Missing) != len(step.authors) {
			t.Errorf("%s: %d rebuilt, missing %+v", step.what, len(res.Items), res.Missing)
			continue
		}
		for i, need := range res.Missing {
			if !slices.Equal(need.Authors, step.authors[i]) || !slices.Equal(need.Targets, step.targets[i]) || need.Resend {
				t.Errorf("%s: event %d needs %+v, want %v and %v", step.what, i, need, step.authors[i], step.targets[i])
			}
			if want := HandleOf([]Item{answer, follow}[i].Event); need.Handle != want {
				t.Errorf("%s: handle %x, want %x", step.what, need.Handle, want)
			}
		}
	}
}

// TestPrefixOnlyWhereUnique writes a reference out when its target did not
// travel here, or when another event has the same prefix.
func TestPrefixOnlyWhereUnique(t *testing.T) {
	root := say(t, 2, 1, noon-900, "root")
	it := Item{say(t, 1, 1, noon, "yes", []string{"e", root.ID().String()}), "alerts"}
	short := len(carry(t, &Codec{Text: Plain{}, Directory: newVillage(root)}, it))
	long := len(carry(t, &Codec{Text: Plain{}, Directory: newVillage()}, it))
	if long != short+26 {
		t.Errorf("%d bytes in full, %d by prefix; want 26 more", long, short)
	}
	twins := &twinned{newVillage(root), 1}
	if got := len(carry(t, &Codec{Text: Plain{}, Directory: twins}, it)); got != long {
		t.Errorf("%d bytes although the prefix is not unique, want %d", got, long)
	}
}

// twinned knows so many forged twins of everything beside the true ones, which
// come last.
type twinned struct {
	*village
	twins int
}

func (d *twinned) Authors(begin []byte) []mesh.PubKey {
	var list []mesh.PubKey
	for _, k := range d.village.Authors(begin) {
		for i := range d.twins {
			twin := k
			binary.BigEndian.PutUint32(twin[28:], uint32(i))
			list = append(list, twin)
		}
		list = append(list, k)
	}
	return list
}

func (d *twinned) Travelled(p Prefix) []Reference {
	var list []Reference
	for _, r := range d.village.Travelled(p) {
		for i := range d.twins {
			twin := r
			binary.BigEndian.PutUint32(twin.ID[28:], uint32(i))
			list = append(list, twin)
		}
		list = append(list, r)
	}
	return list
}

// TestGroundHints finds the true ones among ground keys and ids, for the price
// of hashes: one signature is checked. One candidate more than is tried, and
// the event is asked for in full.
func TestGroundHints(t *testing.T) {
	root := say(t, 2, 1, noon-900, "root")
	note := Item{say(t, 1, 1, noon, "hello"), "alerts"}
	reply := Item{say(t, 1, 1, noon, "hello", []string{"e", root.ID().String()}), "alerts"}
	both := Item{say(t, 1, 1, noon, "hello", []string{"e", root.ID().String()}, []string{"p", pub(3)}), "alerts"}
	all := Item{say(t, 1, 1, noon, "hello", []string{"e", root.ID().String()}, []string{"p", pub(3)}, []string{"p", pub(4)}), "alerts"}
	honest := newVillage(root)
	for _, c := range []struct {
		name  string
		it    Item
		twins int
		found bool
	}{
		{"author among 8", note, MaxCandidates - 1, true},
		{"author among 9", note, MaxCandidates, false},
		{"8 authors × 8 targets", reply, MaxCandidates - 1, true},
		{"9 authors × 9 targets", reply, MaxCandidates, false},
		{"4 authors × 4 targets × 4 named", both, 3, true},
		{"8 authors × 8 targets × 8 named", both, MaxCandidates - 1, true},
		{"5 authors × 5 targets × 5 × 5 named", all, 4, true},
		{"6 authors × 6 targets × 6 × 6 named", all, 5, false},
	} {
		b := carry(t, &Codec{Text: Plain{}, Directory: honest}, c.it)
		checks := 0
		res, err := counting(&twinned{honest, c.twins}, &checks).Unpack(b)
		if err != nil {
			t.Fatal(err)
		}
		if found := len(res.Items) == 1; found != c.found {
			t.Errorf("%s: found %v, want %v", c.name, found, c.found)
		}
		if !c.found && (len(res.Missing) != 1 || !res.Missing[0].Resend) {
			t.Errorf("%s: missing %+v, want Resend", c.name, res.Missing)
		}
		if checks > 1 || res.Work.Checks != checks*searchChecks || res.Work.Rebuilds > MaxRebuilds {
			t.Errorf("%s: %d signatures checked, %+v", c.name, checks, res.Work)
		}
		t.Logf("%-36s %4d hashes, %d signatures", c.name, res.Work.Rebuilds, res.Work.Checks)
	}
}

// TestWorkBound prints the bound, and sends what would exceed it: three events
// with as many candidates each as are tried, all of whose ids begin as the
// frame says, and no signature that holds.
func TestWorkBound(t *testing.T) {
	t.Logf("one payload costs at most: %d signature checks or a search for %d ends, %d events hashed for each of %d events, %d candidates for a short name, %d bytes of text (%d in fragments)",
		MaxChecks, MaxChecks/searchChecks, MaxRebuilds, MaxEvents, MaxCandidates, MaxText, maxWholeText)
	// Every candidate passes the 2 bytes, as if somebody had ground the keys.
	var people []mesh.PubKey
	at := noon
	for i := range MaxEvents {
		var check [2]byte
		for n := uint32(0); len(people) < (i+1)*3; n++ {
			k := mesh.PubKey{byte(i), 7, 7, 7}
			binary.BigEndian.PutUint32(k[20:], n)
			e, err := mesh.NewEvent(k, mesh.Signature{byte(i)}, mesh.Draft{CreatedAt: at, Kind: 1})
			if err != nil {
				t.Fatal(err)
			}
			id := e.ID()
			if len(people)%3 == 0 {
				check = [2]byte(id[:2])
			}
			if [2]byte(id[:2]) == check {
				people = append(people, k)
			}
		}
	}
	for _, head := range []byte{headPacked, headCut} {
		b := []byte{head | (MaxEvents-1)<<4}
		b = binary.BigEndian.AppendUint32(b, uint32(at))
		for i := range MaxEvents {
			// The x of the generator: there is such a point, and no such signature.
			sig := mesh.Signature(slices.Concat(btcec.Generator().SerializeCompressed()[1:], make([]byte, 32)))
			e, err := mesh.NewEvent(people[i*3], sig, mesh.Draft{CreatedAt: at, Kind: 1})
			if err != nil {
				t.Fatal(err)
			}
			id := e.ID()
			b = append(b, 1<<4|authorHint<<2|contentNone, 0)
			if i > 0 {
				b = append(b, 0)
			}
			b = append(b, byte(i), 7, 7, 7)
			b = append(append(b, id[:2]...), sig[:len(sig)-int(head/headCut)*cutBytes]...)
		}
		checks := 0
		c := counting(&village{people: people}, &checks)
		res, err := c.Unpack(b)
		if err != nil {
			t.Fatal(err)
		}
		// 3 + 3 + 3 candidates pass the hash: the ninth signature is not checked,
		// and the end of the fifth is not looked for.
		hashes := 3 + 3 + 3
		if head == headCut {
			hashes = 3 + 2 + 1
		}
		if head == headPacked && checks != MaxChecks || len(res.Items) != 0 || len(res.Missing) != MaxEvents {
			t.Errorf("%d signatures checked, %d events, %d missing; want %d, 0, %d", checks, len(res.Items), len(res.Missing), MaxChecks, MaxEvents)
		}
		if got := fmt.Sprint(res.Work); got != fmt.Sprintf("{%d %d}", MaxChecks, hashes) {
			t.Errorf("head %02x: work %v", head, got)
		}
	}
}

// TestHeldIsNotCheckedAgain takes an event that is held for good without
// checking its signature, but only with the signature that is held.
func TestHeldIsNotCheckedAgain(t *testing.T) {
	it := Item{say(t, 1, 1, noon, "hello"), "alerts"}
	checks := 0
	c := counting(newVillage(), &checks)
	c.Held = func(id mesh.EventID) *mesh.Event {
		if id == it.Event.ID() {
			return it.Event
		}
		return nil
	}
	b := carry(t, c, it)
	if checks != 0 {
		t.Errorf("%d signatures of a held event checked", checks)
	}
	forged := slices.Clone(b)
	forged[packedHead+1+1+4+2+40] ^= 1 // in the signature
	res, err := c.Unpack(forged)
	if err != nil || len(res.Items) != 0 || res.Work.Checks != searchChecks || !res.Missing[0].Resend {
		t.Errorf("a forged copy: %+v, %v, %d signatures checked", res, err, checks)
	}
}

// TestEveryFlippedBit changes nothing that could be mistaken for the event: it
// is refused, asked for, or, where the topic alone changed, the same event.
func TestEveryFlippedBit(t *testing.T) {
	it := Item{say(t, 1, 1, noon, "the bridge is closed", []string{"t", "alerts"}, []string{"p", pub(2)}), "alerts"}
	c := &Codec{Text: Plain{}, Directory: newVillage(), Verify: compare([]Item{it})}
	b := carry(t, c, it)
	outcome := map[string]int{}
	const first = packedHead + 1 + 1 + 4 + 2 // of the signature
	for i := range 8 * len(b) {
		if i/8 >= first && i/8 < first+64-cutBytes && i%8 != i/8%8 {
			continue // one of a byte is enough: each costs a search
		}
		flipped := slices.Clone(b)
		flipped[i/8] ^= 1 << (i % 8)
		res, err := c.Unpack(flipped)
		switch {
		case err != nil:
			outcome["refused"]++
		case len(res.Items) == 0:
			outcome["asked for"]++
		case res.Items[0].Event.ID() != it.Event.ID():
			t.Errorf("bit %d: another event: %v", i, res.Items[0])
		default:
			outcome["the same event"]++
		}
	}
	t.Logf("%d bytes: %v", len(b), outcome)
}

// TestTextBound refuses texts of one byte more than a payload may yield, and
// takes those of exactly so many.
func TestTextBound(t *testing.T) {
	for _, c := range []struct {
		size int
		ok   bool
	}{{MaxText, true}, {MaxText + 1, false}} {
		codec := &Codec{Text: bomb{}, Directory: newVillage()}
		_, err := codec.Unpack(codec.encode([]Item{{say(t, 1, 1, noon, strings.Repeat("a", c.size)), "alerts"}}, false))
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrForm) {
			t.Errorf("%d bytes of text: %v", c.size, err)
		}
	}
	long := strings.Repeat("a", maxWholeText)
	codec := &Codec{Text: bomb{}, Directory: newVillage()}
	if _, err := codec.Split(Item{say(t, 1, 1, noon, long), "alerts"}); err != nil {
		t.Errorf("%d bytes in fragments: %v", len(long), err)
	}
	var never *TooLongError
	if _, err := codec.Split(Item{say(t, 1, 1, noon, long+"a"), "alerts"}); !errors.As(err, &never) || !never.Never {
		t.Errorf("%d bytes in fragments: %v, want one that never fits", len(long)+1, err)
	}
}

// bomb is a coder for texts of one letter: it says how many.
type bomb struct{}

func (bomb) Encode(text []byte) []byte {
	if len(text) == 0 {
		return nil
	}
	return binary.BigEndian.AppendUint32([]byte{text[0]}, uint32(len(text)))
}

func (bomb) Decode(b []byte, limit int) ([]byte, error) {
	if len(b) != 5 {
		return nil, errors.New("not mine")
	}
	n := binary.BigEndian.Uint32(b[1:])
	if n > uint32(limit) {
		return nil, fmt.Errorf("%d bytes, limit %d", n, limit)
	}
	return slices.Repeat(b[:1], int(n)), nil
}

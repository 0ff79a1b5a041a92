package air

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// frameOf writes a packed frame of one event of kind 1 whose author is written
// out, with so many tags, the bytes of the tags, and what follows them.
func frameOf(content byte, count int, tags ...byte) []byte {
	b := append([]byte{0x01}, 0, 0, 0, 0)
	b = append(b, 1<<4|authorWhole<<2|content, byte(count))
	b = append(b, make([]byte, 32+2+64)...)
	return append(b, tags...)
}

// TestMalformed refuses what no sender writes, each for its own reason.
func TestMalformed(t *testing.T) {
	c := &Codec{Text: Plain{}, Directory: newVillage()}
	whole := bytes.Repeat([]byte{0xab}, 32)
	second := slices.Concat([]byte{0x11, 0, 0, 0, 0}, frameOf(0, 0)[5:]) // of two events; the other follows
	two := func(tagsByte byte, rest ...byte) []byte {
		return slices.Concat(second, []byte{1<<4 | authorSame<<2, tagsByte}, rest)
	}
	sig := make([]byte, 66)
	for name, b := range map[string][]byte{
		"nothing":                              {},
		"a head alone":                         {0x01},
		"four events":                          {0x31, 0, 0, 0, 0},
		"cut off in a signature":               frameOf(0, 0)[:60],
		"bytes behind the end":                 append(frameOf(0, 0), 7),
		"author of mode 3":                     slices.Replace(frameOf(0, 0), 5, 6, 1<<4|3<<2),
		"first author as before":               slices.Replace(frameOf(0, 0), 5, 6, 1<<4|authorSame<<2),
		"first event changes the topic":        slices.Replace(frameOf(0, 0), 6, 7, byte(tagsOther)),
		"topic code 16":                        two(tagsOther, append([]byte{16, 0}, sig...)...),
		"named topic that has a code":          append([]byte{0x0f, 0, 0, 0, 0, 0x14, 0}, append(make([]byte, 98), "alerts"...)...),
		"topic with a capital":                 append([]byte{0x0f, 0, 0, 0, 0, 0x14, 0}, append(make([]byte, 98), "Quay"...)...),
		"time before 1970":                     two(0, append([]byte{1}, sig...)...),
		"time in more bytes than it needs":     two(0, append([]byte{0x80, 0}, sig...)...),
		"kind beyond 65535":                    slices.Concat([]byte{0x01, 0, 0, 0, 0, 0xf4, 0x80, 0x80, 0x04, 0}, make([]byte, 98)),
		"62 tags in a byte of their own":       frameOf(0, tagsMany, 62),
		"255 tags":                             frameOf(0, tagsMany, 255),
		"tag cut off":                          frameOf(0, 1),
		"mode where there is none":             frameOf(0, 1, 1<<5|shapeK, 1),
		"label 3":                              frameOf(0, 1, 3<<5|shapeLabel),
		"reference of mode 4":                  append(frameOf(0, 1, 4<<5|shapeE), whole...),
		"reference to itself":                  frameOf(0, 1, refFrame<<5|shapeE, 0),
		"reference to a later event":           two(1, slices.Concat([]byte{0}, sig, []byte{refFrame<<5 | shapeE, 1})...),
		"no reference to repeat":               frameOf(0, 1, refAgain<<5|shapeE),
		"no key to repeat":                     frameOf(0, 1, keyAgain<<5|shapeP),
		"key of a reference that is not there": frameOf(0, 1, keyRef<<5|shapeP),
		"key where none is":                    append(frameOf(0, 1, refWhole<<5|shapeERoot), append(whole, 1<<5)...),
		"relay 4":                              append(frameOf(0, 1, refWhole<<5|shapeERoot), append(whole, 4)...),
		"value of code 10":                     frameOf(0, 1, 1<<5|shapeItems, 10),
		"word beyond the table":                frameOf(0, 1, 1<<5|shapeItems, valueWord+byte(len(words))),
		"six items as if they were many":       frameOf(0, 1, 7<<5|shapeItems, 6, 4, 4, 4, 4, 4, 4),
		"more items than a tag may have":       frameOf(0, 1, 7<<5|shapeItems, 0xc9, 1),
		"bytes beyond the end":                 frameOf(0, 1, 1<<5|shapeItems, valueHex, 9, 1),
		"number of 11 bytes":                   frameOf(0, 1, append([]byte{shapeK}, bytes.Repeat([]byte{0xff}, 11)...)...),
		"expiry before 1970":                   frameOf(0, 1, shapeExpires, 1),
		"lines in the last event":              frameOf(contentLines, 0, 1, 'a', '\n', 'b'),
		"text that is not UTF-8":               frameOf(contentText, 0, 0xff),
		"fewer texts than announced":           frameOf(contentText, 1, shapeD, 'x'),
		"raw: topic cut off":                   {headRaw | topicNamed, 5, 'q'},
		"raw: no event":                        {headRaw, 1, 2, 3},
		"a control frame":                      {headControl},
		"a later version":                      {0x70},
	} {
		res, err := c.Unpack(b)
		if !errors.Is(err, ErrForm) && !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %x gives %+v, %v; want ErrForm or ErrUnknown", name, b, res, err)
		}
	}
	if _, err := c.Unpack(frameOf(0, 0)); err != nil {
		t.Errorf("the frame that these are made from: %v", err)
	}
	if res, err := c.Unpack(two(0, slices.Concat([]byte{0}, sig)...)); err != nil || len(res.Missing) != 2 {
		t.Errorf("two such: %+v, %v", res, err)
	}
	for name, body := range map[string][]byte{
		"more said than there are": {2, 1, 2, 3, 4, 5, 6, 7, 8},
		"half an id":               {0, 1, 2, 3, 4},
		"nothing":                  {},
	} {
		if m, err := parseBody(kindOverheard, body); !errors.Is(err, ErrForm) || m != nil {
			t.Errorf("overheard, %s: %v, %v", name, m, err)
		}
	}
}

// TestKeyOfUnknownReference asks for the event in full when a key is said to be
// that of a reference whose author nobody can know.
func TestKeyOfUnknownReference(t *testing.T) {
	c := &Codec{Text: Plain{}, Directory: newVillage()}
	b := frameOf(0, 2, slices.Concat([]byte{refWhole<<5 | shapeE}, bytes.Repeat([]byte{0xab}, 32), []byte{keyRef<<5 | shapeP})...)
	res, err := c.Unpack(b)
	if err != nil || len(res.Missing) != 1 || !res.Missing[0].Resend || res.Work != (Work{}) {
		t.Errorf("%+v, %v; want Resend without work", res, err)
	}
}

// TestPrefixNotUnique writes the reference out when the event it means comes
// first among several of one prefix.
func TestPrefixNotUnique(t *testing.T) {
	root := say(t, 2, 1, noon-900, "root")
	it := Item{say(t, 1, 1, noon, "yes", []string{"e", root.ID().String()}), "alerts"}
	first := &orderly{newVillage(root)}
	one := carry(t, &Codec{Text: Plain{}, Directory: newVillage(root)}, it)
	many := carry(t, &Codec{Text: Plain{}, Directory: first}, it)
	if len(many) != len(one)+26 {
		t.Errorf("%d bytes where the prefix is not unique, %d where it is", len(many), len(one))
	}
}

// orderly knows a twin of every event, behind the true one.
type orderly struct{ *village }

func (d *orderly) Travelled(p Prefix) []Reference {
	var list []Reference
	for _, r := range d.village.Travelled(p) {
		twin := r
		twin.ID[31] ^= 1
		list = append(list, r, twin)
	}
	return list
}

// TestShardBounds keeps at most maxSpare fragments more than needed of a set
// whose fragments are forged, and makes no set of what is too long.
func TestShardBounds(t *testing.T) {
	a := NewAssembly(chance(1))
	for i := range 12 {
		b := append([]byte{headFragment, 9, 9, 9, 9, 9, 9, byte(i)}, byte(i))
		if _, err := a.Add(b, start); err != nil {
			t.Fatal(err)
		}
		if n := len(a.Fragments()); n > 1+maxSpare {
			t.Fatalf("%d fragments kept of a set of one, want at most %d", n, 1+maxSpare)
		}
	}
	if _, err := newSet(make([]byte, MaxWhole)); err != nil {
		t.Error(err)
	}
	var long *TooLongError
	if _, err := newSet(make([]byte, MaxWhole+1)); !errors.As(err, &long) {
		t.Errorf("a set of %d bytes: %v", MaxWhole+1, err)
	}
}

var _ Directory = (*orderly)(nil)

package air

import (
	"testing"

	"drey/mesh"
)

// TestInitials writes authors by their first byte where few that are known
// begin so, and finds them among as many as are tried, for the price of hashes.
func TestInitials(t *testing.T) {
	it := Item{say(t, 1, 1, noon, "The bridge is closed", []string{"t", "alerts"}), "alerts"}
	b := carry(t, &Codec{Text: Plain{}, Directory: newVillage(), Near: at(noon)}, it)
	for _, c := range []struct {
		twins        int // before the author
		short, found bool
	}{
		{0, true, true},
		{mostInitials - 1, true, true},
		{mostInitials, false, true},
		{MaxCandidates - 1, false, true},
		{MaxCandidates, false, false},
	} {
		known := &twinned{newVillage(), c.twins}
		if got, _, err := (&Codec{Text: Plain{}, Directory: known, Near: at(noon)}).Pack([]Item{it}, 0, false); err != nil || got[0] >= headNotes != c.short {
			t.Errorf("%d others with this initial: head %02x, %v; want an initial: %v", c.twins, got[0], err, c.short)
		}
		checks := 0
		reader := counting(known, &checks)
		reader.Near = at(noon)
		res, err := reader.Unpack(b)
		if err != nil {
			t.Fatal(err)
		}
		if found := len(res.Items) == 1; found != c.found {
			t.Errorf("%d others with this initial: found %v, want %v", c.twins, found, c.found)
		}
		if !c.found && (!res.Missing[0].Resend || res.Missing[0].Initials[0] != pubKey(1)[0]) {
			t.Errorf("%d others with this initial: %+v, want it asked for in full", c.twins, res.Missing)
		}
	}
}

// TestInitialOfNobody asks in full for a note of whom nobody is known, without a
// hash, and rebuilds it once somebody is.
func TestInitialOfNobody(t *testing.T) {
	it := Item{say(t, 1, 1, noon, "The bridge is closed", []string{"t", "alerts"}), "alerts"}
	b := carry(t, &Codec{Text: Plain{}, Directory: newVillage(), Near: at(noon)}, it)
	res, err := (&Codec{Text: Plain{}, Directory: &village{}, Near: at(noon)}).Unpack(b)
	if err != nil || len(res.Missing) != 1 || !res.Missing[0].Resend || res.Missing[0].Short || res.Work.Rebuilds > 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	if got := res.Missing[0].Initials; len(got) != 1 || got[0] != pubKey(1)[0] || len(res.Missing[0].Authors) > 0 {
		t.Errorf("missing %+v, want the initial %02x", res.Missing[0], pubKey(1)[0])
	}
	res, err = (&Codec{Text: Plain{}, Directory: &village{people: []mesh.PubKey{pubKey(1)}}, Near: at(noon)}).Unpack(b)
	if err != nil || len(res.Items) != 1 || !equal(res.Items[0], it) {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestOnlyNotes keeps the longer form for whatever says more than a note does.
func TestOnlyNotes(t *testing.T) {
	c := &Codec{Text: Plain{}, Directory: newVillage(), Near: at(noon)}
	topic := []string{"t", "alerts"}
	note := Item{say(t, 1, 1, noon, "one line", topic), "alerts"}
	lines := Item{say(t, 2, 1, noon+1, "two\nlines", topic), "alerts"}
	for name, c2 := range map[string]struct {
		items []Item
		short bool
	}{
		"a note":                     {[]Item{note}, true},
		"two notes of one author":    {[]Item{note, {say(t, 1, 1, noon+9, "again", topic), "alerts"}}, true},
		"lines at the end":           {[]Item{note, lines}, true},
		"lines before the end":       {[]Item{lines, note}, false},
		"no text":                    {[]Item{{say(t, 1, 1, noon, "", topic), "alerts"}}, false},
		"no tag":                     {[]Item{{say(t, 1, 1, noon, "hello"), "alerts"}}, false},
		"another topic than its tag": {[]Item{{say(t, 1, 1, noon, "hello", []string{"t", "water"}), "alerts"}}, false},
		"two tags":                   {[]Item{{say(t, 1, 1, noon, "hello", topic, topic), "alerts"}}, false},
		"a reaction":                 {[]Item{{say(t, 1, 7, noon, "+", topic), "alerts"}}, false},
		"two topics":                 {[]Item{note, {say(t, 2, 1, noon, "hello", []string{"t", "water"}), "water"}}, false},
		"a topic by name":            {[]Item{{say(t, 1, 1, noon, "hello", []string{"t", "quay"}), "quay"}}, true},
		"bytes":                      {[]Item{{say(t, 1, 1, noon, "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY0123", topic), "alerts"}}, false},
	} {
		if b := carry(t, c, c2.items...); b[0] >= headNotes != c2.short {
			t.Errorf("%s: head %02x, want a frame of notes: %v", name, b[0], c2.short)
		}
	}
}

func pubKey(i int) mesh.PubKey { return keys()[i].PubKey() }

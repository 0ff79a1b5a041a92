package nostrbridge

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"drey/mesh"
)

func draftWord(t testing.TB, tags ...[]string) *mesh.Event {
	t.Helper()
	e, err := keyOf("hill").Sign(mesh.Draft{Kind: mesh.KindGateway, Tags: tags})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func id(n byte) mesh.EventID { return mesh.EventID{31: n} }

func TestWordComesBack(t *testing.T) {
	w := &word{
		ready: map[string]time.Duration{"wss://relay.example.org": 90 * time.Second, "ws://10.0.0.1:7777": 0},
		out:   map[mesh.Topic]bool{"alerts": true, "town/news": true},
		on:    []landing{{"wss://relay.example.org", id(1), ""}, {"wss://relay.example.org", id(2), ""}},
		no:    []landing{{"ws://10.0.0.1:7777", id(3), "pow: 20 bits"}},
		in:    []mesh.EventID{id(4), id(5)},
		alone: true,
	}
	d := w.draft()
	e, err := keyOf("hill").Sign(d)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseWord(e)
	if err != nil || !reflect.DeepEqual(got, w) {
		t.Errorf("%v came back as %+v, %v", d.Tags, got, err)
	}
}

func TestWordsAreStrict(t *testing.T) {
	many := func(n int) (ids []string) {
		for i := range n {
			ids = append(ids, fmt.Sprintf("%064x", i))
		}
		return ids
	}
	var relays [][]string
	for i := range 33 {
		relays = append(relays, []string{"relay", fmt.Sprintf("wss://r%d.example.org", i), "1"})
	}
	const at = "wss://relay.example.org"
	for _, c := range []struct {
		name string
		tags [][]string
		ok   bool
	}{
		{"nothing", nil, true},
		{"a tag of a later version", [][]string{{"weather", "fine"}, {"relay", at, "1"}}, true},
		{"no seconds", [][]string{{"relay", at}}, false},
		{"seconds with a sign", [][]string{{"relay", at, "+1"}}, false},
		{"seconds with a nought", [][]string{{"relay", at, "01"}}, false},
		{"centuries", [][]string{{"relay", at, "99999999999"}}, false},
		{"another way to write the address", [][]string{{"relay", "WSS://relay.example.org/", "1"}}, false},
		{"a relay twice", [][]string{{"relay", at, "1"}, {"relay", at, "1"}}, false},
		{"32 relays", relays[:32], true},
		{"33 relays", relays, false},
		{"no topic", [][]string{{"out", "NO TOPIC"}}, false},
		{"events on no relay", [][]string{{"on", at}}, false},
		{"128 events", [][]string{append([]string{"on", at}, many(128)...)}, true},
		{"129 events", [][]string{append([]string{"on", at}, many(100)...), append([]string{"in"}, many(29)...)}, false},
		{"half an id", [][]string{{"on", at, "abcd"}}, false},
		{"a no without a reason", [][]string{{"no", at, many(1)[0]}}, false},
		{"a long reason", [][]string{{"no", at, many(1)[0], strings.Repeat("x", 161)}}, false},
		{"an empty tag", [][]string{{""}}, true},
	} {
		if _, err := parseWord(draftWord(t, c.tags...)); (err == nil) != c.ok {
			t.Errorf("%s: %v, want it taken: %v", c.name, err, c.ok)
		}
	}
	note, err := keyOf("hill").Sign(mesh.Draft{Kind: mesh.KindNote})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseWord(note); err == nil {
		t.Error("a note was taken for a word")
	}
}

// FuzzWord checks that what is taken says the same when it is said again.
func FuzzWord(f *testing.F) {
	f.Add("relay wss://relay.example.org 15\nout alerts commons")
	f.Add("on wss://relay.example.org " + strings.Repeat("ab", 32) + "\nno ws://10.0.0.1:7777 " + strings.Repeat("cd", 32) + " pow:")
	f.Add("in " + strings.Repeat("ef", 32) + "\nrelay wss://relay.example.org -1")
	f.Add("out ALERTS\non\nno\nin x")
	f.Fuzz(func(t *testing.T, text string) {
		var tags [][]string
		for line := range strings.Lines(text) {
			tags = append(tags, strings.Split(strings.TrimSuffix(line, "\n"), " "))
		}
		e, err := mesh.NewEvent(mesh.PubKey{1}, mesh.Signature{}, mesh.Draft{Kind: mesh.KindGateway, Tags: tags})
		if err != nil {
			return
		}
		w, err := parseWord(e)
		if err != nil {
			return
		}
		again, err := mesh.NewEvent(mesh.PubKey{1}, mesh.Signature{}, w.draft())
		if err != nil {
			t.Fatalf("%q was taken and cannot be said: %v", tags, err)
		}
		back, err := parseWord(again)
		if err != nil {
			t.Fatalf("%q, said again, is not taken: %v", tags, err)
		}
		byRelay := func(l []landing) map[string][]mesh.EventID {
			m := map[string][]mesh.EventID{}
			for _, x := range l {
				m[x.relay+" "+x.reason] = append(m[x.relay+" "+x.reason], x.id)
			}
			return m
		}
		if !maps.Equal(w.ready, back.ready) || !maps.Equal(w.out, back.out) || !slices.Equal(w.in, back.in) ||
			!reflect.DeepEqual(byRelay(w.on), byRelay(back.on)) || !slices.Equal(w.no, back.no) {
			t.Errorf("%+v came back as %+v", w, back)
		}
	})
}

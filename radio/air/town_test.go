package air

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"testing"

	"drey/mesh"
)

// noon is when everything in these tests happens.
const noon mesh.Unix = 1_763_721_600

// key returns the i-th villager's key.
func key(i int) *mesh.SecretKey {
	k, err := mesh.NewSecretKey(sha256.Sum256(fmt.Append(nil, "key", i)))
	if err != nil {
		panic(err)
	}
	return k
}

// keys are the first villagers', made once.
var keys = sync.OnceValue(func() []*mesh.SecretKey {
	var list []*mesh.SecretKey
	for i := range 20 {
		list = append(list, key(i))
	}
	return list
})

func pub(i int) string { return keys()[i].PubKey().String() }

// say signs an event by the i-th villager.
func say(t testing.TB, i int, kind mesh.Kind, at mesh.Unix, text string, tags ...[]string) *mesh.Event {
	t.Helper()
	e, err := keys()[i].Sign(mesh.Draft{CreatedAt: at, Kind: kind, Tags: tags, Content: text})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// write makes an event by the i-th villager whose signature nobody checks: it
// costs a hundredth of one that is signed.
func write(t testing.TB, i int, kind mesh.Kind, at mesh.Unix, text string, tags ...[]string) *mesh.Event {
	t.Helper()
	e, err := mesh.NewEvent(keys()[i].PubKey(), mesh.Signature{1, 2, 3}, mesh.Draft{CreatedAt: at, Kind: kind, Tags: tags, Content: text})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// trusting is a Codec.Verify for such events.
func trusting(*mesh.Event) error { return nil }

// A village is a directory of whom and what a node knows.
type village struct {
	people []mesh.PubKey
	events []*mesh.Event
}

// newVillage knows everybody and the given events.
func newVillage(events ...*mesh.Event) *village {
	v := &village{events: events}
	for _, k := range keys() {
		v.people = append(v.people, k.PubKey())
	}
	return v
}

func (v *village) Authors(begin []byte) []mesh.PubKey {
	var list []mesh.PubKey
	for _, k := range v.people {
		if bytes.HasPrefix(k[:], begin) {
			list = append(list, k)
		}
	}
	return list
}

func (v *village) Travelled(p Prefix) []Reference {
	var list []Reference
	for _, e := range v.events {
		if PrefixOf(e.ID()) == p {
			list = append(list, Reference{e.ID(), e.Author()})
		}
	}
	return list
}

// equal reports whether two items are the same bit for bit.
func equal(a, b Item) bool {
	return a.Topic == b.Topic && a.Event.ID() == b.Event.ID() && bytes.Equal(a.Event.AppendBinary(nil), b.Event.AppendBinary(nil))
}

// carry packs the items into one payload and rebuilds them at a node with the
// same knowledge; the payload is returned.
func carry(t testing.TB, c *Codec, items ...Item) []byte {
	t.Helper()
	b, n, err := c.Pack(items, 0, false)
	if err != nil {
		t.Fatalf("Pack: %v", err)
	}
	if n != len(items) {
		t.Fatalf("%d of %d events fit", n, len(items))
	}
	res, err := c.Unpack(b)
	if err != nil {
		t.Fatalf("Unpack(%x): %v", b, err)
	}
	if len(res.Missing) != 0 || !slices.EqualFunc(res.Items, items, equal) {
		t.Fatalf("Unpack(%x) = %v, missing %v", b, res.Items, res.Missing)
	}
	return b
}

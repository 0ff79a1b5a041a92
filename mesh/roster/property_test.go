package roster

import (
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"drey/mesh"
)

func TestMain(m *testing.M) {
	flag.Set("rapid.checks", "1500") // histories per property; the command line overrides it
	flag.Parse()
	os.Exit(m.Run())
}

// A cast is who acts in random histories: some hold one machine, some share
// one, some have two. Their proofs are made once, for they cost much.
type cast struct {
	town     *town
	names    []string
	machines []proof
	found    *op
	secrets  []mesh.Secret
	content  string // of a rotation
}

type proof struct {
	author mesh.PubKey
	tags   [][]string
	record *mesh.PeerRecord
	sig    mesh.Signature
}

func newCast(t *testing.T) *cast {
	t.Helper()
	w := newTown(t)
	c := &cast{town: w, names: []string{"founder", "ana", "ben", "cem", "dina", "eva"}}
	pairs := [][2]string{ // author, machine
		{"ana", "ana"}, {"ben", "ben"}, {"cem", "cem"}, {"dina", "dina"}, {"eva", "eva"},
		{"ben", "cem"}, {"eva", "spare"}, {"founder", "spare"},
	}
	tag := [8]byte(w.m.Community.ID[:8])
	for _, p := range pairs {
		id := &mesh.Identity{Author: w.id(p[0]).Author, Node: w.id(p[1]).Node}
		r, err := id.SignPeerRecord(mesh.PeerRecord{Community: tag})
		if err != nil {
			t.Fatal(err)
		}
		sig, err := id.Bind(tag)
		if err != nil {
			t.Fatal(err)
		}
		c.machines = append(c.machines, proof{r.Author, machineTags(r, sig), r, sig})
	}
	e := slices.Collect(w.book.Events())[0]
	o, err := parseOp(w.m.Community, e)
	if err != nil {
		t.Fatal(err)
	}
	c.found = o
	var all []mesh.NodeKey
	for _, n := range c.names[:3] {
		all = append(all, w.node(n))
	}
	for i := range 4 {
		c.secrets = append(c.secrets, mesh.Secret{byte(i)})
	}
	if c.content, err = wrap(c.secrets[0], 2, all); err != nil {
		t.Fatal(err)
	}
	return c
}

// history draws a random graph of decisions, most of them by people who had
// the right at some time, with whatever heads they claim to have seen.
func (c *cast) history(t *rapid.T) []*op {
	all := []*op{c.found}
	graph := newGraph(c.town.m.Community.Founder) // tells who may act at all
	if _, err := graph.add(c.found); err != nil {
		t.Fatal(err)
	}
	size := rapid.IntRange(8, 40).Draw(t, "size")
	for i := range size {
		o := c.decision(t, graph, all, i)
		if _, lacks := graph.missing(o); !lacks {
			if _, err := graph.add(o); err != nil && rapid.IntRange(0, 9).Draw(t, "keep") > 0 {
				continue
			}
		}
		all = append(all, o)
	}
	return all
}

func (c *cast) decision(t *rapid.T, graph *graph, seen []*op, i int) *op {
	name := func(label string) string { return rapid.SampledFrom(c.names).Draw(t, label) }
	signer := c.town.key(name("signer"))
	target := c.town.id(name("target"))
	verbs := []verb{verbPromote, verbPromote, verbPromote, verbAdmit, verbAdmit, verbDemote, verbRemove, verbBan, verbBan, verbRotate, verbRotate, "seat"}
	v := rapid.SampledFrom(verbs).Draw(t, "verb")
	tags := [][]string{{"op", string(v)}, {"c", c.town.m.Community.Tag()}}
	// Most look at what came last, as honest people do; some at anything.
	var heads []int
	for range rapid.IntRange(1, 3).Draw(t, "heads") {
		back := min(len(seen), 4)
		if rapid.IntRange(0, 3).Draw(t, "far") == 0 {
			back = len(seen)
		}
		heads = append(heads, len(seen)-rapid.IntRange(1, back).Draw(t, "back"))
	}
	slices.Sort(heads)
	for _, h := range slices.Compact(heads) {
		tags = append(tags, []string{"e", seen[h].id().String()})
	}
	content := ""
	switch v {
	case verbAdmit:
		m := rapid.SampledFrom(c.machines).Draw(t, "machine")
		tags = append(tags, []string{"name", "x"})
		if rapid.Bool().Draw(t, "person") {
			tags = append(tags, []string{"p", target.Author.PubKey().String()})
		} else {
			tags = append(append(tags, []string{"p", m.author.String()}), m.tags...)
		}
	case verbRemove, verbBan:
		kind := rapid.IntRange(0, 2).Draw(t, "names")
		if kind != 1 {
			tags = append(tags, []string{"p", target.Author.PubKey().String()})
		}
		if kind != 0 {
			tags = append(tags, []string{"node", target.NodeKey().String()})
		}
	case verbRotate:
		secret := rapid.SampledFrom(c.secrets).Draw(t, "secret").ID()
		var past bits
		for _, h := range heads {
			if v := graph.byID[seen[h].id()]; v != nil {
				past.addAll(graph.closure(v))
			}
		}
		epoch, _ := graph.epochAfter(past, secret)
		if rapid.IntRange(0, 9).Draw(t, "wrong") == 0 {
			epoch++
		}
		tags = append(tags, []string{"epoch", strconv.Itoa(int(epoch))}, []string{"secret", secret.String()}, []string{"overlap", "24"})
		content = c.content
	default:
		tags = append(tags, []string{"p", target.Author.PubKey().String()})
	}
	e, err := mesh.NewEvent(signer, mesh.Signature{}, mesh.Draft{CreatedAt: mesh.Unix(i), Kind: mesh.KindRoster, Tags: tags, Content: content})
	if err != nil {
		t.Fatal(err)
	}
	o, err := parseForm(c.town.m.Community, e) // bindings were made above
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (c *cast) book(t *rapid.T, ops []*op) *Book {
	b := New(c.town.m.Community)
	apply(b, ops)
	return b
}

// apply leaves out the refusals: a history holds such on purpose.
func apply(b *Book, ops []*op) {
	for _, o := range ops {
		b.applyOp(o)
	}
}

// digest writes down all that a book answers, for everybody in the cast.
func (c *cast) digest(b *Book) string {
	var s string
	for _, n := range append(slices.Clone(c.names), "spare") {
		s += fmt.Sprintf("%s %v %v %v\n", n, b.Standing(c.town.key(n), time.Unix(0, 0)), b.Admits(c.town.node(n)), b.Banned(c.town.node(n), c.town.key(n)))
	}
	for _, h := range b.Heads() {
		s += "head " + h.String() + "\n"
	}
	for _, n := range b.Nodes() {
		s += "node " + n.String() + "\n"
	}
	for _, m := range b.Members() {
		s += fmt.Sprintf("member %v %v %s %v\n", m.Standing, m.Decision, hex.EncodeToString(m.Node[:]), m.By)
	}
	for _, r := range b.Rotations() {
		s += fmt.Sprintf("rotation %d %s by %s of %d leaks\n", r.Epoch, r.Secret, r.By, r.Leaks)
	}
	counting := make(map[string]bool)
	for _, v := range b.mu.graph.order {
		counting[v.id().String()] = v.counts
	}
	for _, id := range slices.Sorted(maps.Keys(counting)) {
		s += fmt.Sprintf("%s %v\n", id, counting[id])
	}
	return s
}

func TestOrderDoesNotMatter(t *testing.T) {
	c := newCast(t)
	rapid.Check(t, func(t *rapid.T) {
		ops := c.history(t)
		want := c.digest(c.book(t, ops))
		for i := range 3 {
			mixed := rapid.Permutation(ops).Draw(t, "order")
			if got := c.digest(c.book(t, mixed)); got != want {
				t.Fatalf("order %d: the book says\n%s\nwant\n%s", i, got, want)
			}
		}
	})
}

func TestPartitionsConverge(t *testing.T) {
	c := newCast(t)
	rapid.Check(t, func(t *rapid.T) {
		ops := c.history(t)
		want := c.digest(c.book(t, ops))
		var islands [3][]*op
		for _, o := range ops {
			for i := range islands {
				if rapid.Bool().Draw(t, "heard") {
					islands[i] = append(islands[i], o)
				}
			}
		}
		var books [3]*Book
		for i, heard := range islands {
			books[i] = c.book(t, heard)
		}
		// They meet: the last two first, then all, and the rest comes by sync.
		meet := func(a, b *Book, x, y []*op) { apply(a, y); apply(b, x) }
		meet(books[1], books[2], islands[1], islands[2])
		both := append(slices.Clone(islands[1]), islands[2]...)
		meet(books[0], books[1], islands[0], both)
		meet(books[0], books[2], islands[0], both)
		apply(books[0], both)
		for i, b := range books {
			apply(b, ops)
			if got := c.digest(b); got != want {
				t.Fatalf("island %d says\n%s\nwant\n%s", i, got, want)
			}
		}
	})
}

func TestAgainstReference(t *testing.T) {
	c := newCast(t)
	seen := make(map[string]int)
	rapid.Check(t, func(t *rapid.T) {
		ops := c.history(t)
		b := c.book(t, rapid.Permutation(ops).Draw(t, "order"))
		r := newReference(c.town.m.Community.Founder, ops)
		if got, want := len(b.mu.graph.order), len(r.ops); got != want {
			t.Fatalf("the book holds %d decisions, the reference %d", got, want)
		}
		for _, v := range b.mu.graph.order {
			if got, want := v.counts, r.valid[v.id()]; got != want {
				t.Fatalf("%s %s counts: %v, the reference says %v", v.verb, v.id(), got, want)
			}
			if !v.counts {
				seen["void"]++
			}
			if v.verb.revokes() && v.counts {
				seen["revocations"]++
			}
		}
		for _, n := range append(slices.Clone(c.names), "spare") {
			got, want := b.Standing(c.town.key(n), time.Unix(0, 0)), r.standing(c.town.key(n))
			if got != want {
				t.Fatalf("%s is %v, the reference says %v", n, got, want)
			}
			seen[got.String()]++
			if got, want := b.Admits(c.town.node(n)), r.admits(c.town.node(n)); got != want {
				t.Fatalf("Admits(%s) = %v, the reference says %v", n, got, want)
			}
		}
	})
	for _, what := range []string{"void", "revocations", "stranger", "banned", "person", "machine", "admin"} {
		if seen[what] < 50 {
			t.Errorf("%q came up %d times in all histories, want at least 50: they test too little", what, seen[what])
		}
	}
}

// TestProofsAdmit checks that what a machine shows at a stranger's gate is
// enough, that Since brings another book up to date, and that Introduce can be
// cut anywhere.
func TestProofsAdmit(t *testing.T) {
	c := newCast(t)
	byID := func(ops []*op) map[mesh.EventID]*op {
		m := make(map[mesh.EventID]*op)
		for _, o := range ops {
			m[o.id()] = o
		}
		return m
	}
	rapid.Check(t, func(t *rapid.T) {
		ops := c.history(t)
		all := byID(ops)
		b := c.book(t, ops)
		other := c.book(t, ops[:rapid.IntRange(1, len(ops)).Draw(t, "known")])
		for _, e := range b.Since(other.Heads()) {
			other.applyOp(all[e.ID()])
		}
		if got, want := c.digest(other), c.digest(b); got != want {
			t.Fatalf("after Since the other says\n%s\nwant\n%s", got, want)
		}
		for _, n := range b.Nodes() {
			judge := New(c.town.m.Community)
			list := b.Proof(n)
			for _, e := range list {
				if _, lacks := judge.mu.graph.missing(all[e.ID()]); lacks {
					t.Fatal("a proof is not parents first")
				}
				judge.applyOp(all[e.ID()])
			}
			if !judge.Admits(n) {
				t.Fatalf("the proof of %s, %d decisions, does not admit it", n, len(list))
			}
			if len(b.Introduce(n)) != len(b.mu.graph.order) {
				t.Fatal("Introduce leaves something out")
			}
		}
	})
}

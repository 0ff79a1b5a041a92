package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"drey/mesh"
)

// seesAll reports whether a viewer sees every event, so that rows need not be
// opened to ask mesh.Visible. Only such viewers learn of tombstones: the event
// is gone and cannot be asked who may see it.
func seesAll(v mesh.Viewer) bool { return v.Self || v.Node }

// keptForever reports whether events of a kind are never deleted, replaced or
// expired: who belongs follows from all of them together.
func keptForever(k mesh.Kind) bool { return k == mesh.KindRoster || k == mesh.KindPass }

// deletable reports whether its author may take e back (NIP-09).
func deletable(e *mesh.Event) bool {
	return e.Kind() != mesh.KindDeletion && !keptForever(e.Kind())
}

// expiry returns when e ceases to be (NIP-40). Deletions outlive their
// targets, whatever they say.
func expiry(e *mesh.Event) (mesh.Unix, bool) {
	v, ok := e.Tag("expiration")
	if !ok || !deletable(e) {
		return 0, false
	}
	at, err := strconv.ParseUint(v, 10, 32)
	return mesh.Unix(at), err == nil
}

// An address is the place that newer versions of an event take over.
type address struct {
	author mesh.PubKey
	kind   mesh.Kind
	d      string
}

// addressOf returns the address of a replaceable or addressable event.
func addressOf(e *mesh.Event) (address, bool) {
	switch {
	case e.Kind().Replaceable():
		return address{e.Author(), e.Kind(), ""}, true
	case e.Kind().Addressable():
		d, _ := e.Tag("d")
		return address{e.Author(), e.Kind(), d}, true
	}
	return address{}, false
}

// parseAddress reads an "a" tag, in the one spelling that String writes.
func parseAddress(s string) (address, bool) {
	kind, rest, _ := strings.Cut(s, ":")
	author, d, ok := strings.Cut(rest, ":")
	k, err := strconv.ParseUint(kind, 10, 16)
	if err != nil || !ok {
		return address{}, false
	}
	p, err := mesh.ParsePubKey(author)
	if err != nil {
		return address{}, false
	}
	a := address{p, mesh.Kind(k), d}
	return a, a.String() == s
}

// String spells the address as an "a" tag does.
func (a address) String() string { return fmt.Sprintf("%d:%s:%s", a.kind, a.author, a.d) }

// A kill names what an author asked to delete, as the tag spells it.
type kill struct {
	author mesh.PubKey
	tag    string // "e" or "a"
	value  string
}

// killsOf returns what a deletion asks for, each once.
func killsOf(e *mesh.Event) []kill {
	if e.Kind() != mesh.KindDeletion {
		return nil
	}
	var kills []kill
	for _, t := range e.Tags() {
		if len(t) < 2 || t[0] != "e" && t[0] != "a" {
			continue
		}
		if k := (kill{e.Author(), t[0], t[1]}); !slices.Contains(kills, k) {
			kills = append(kills, k)
		}
	}
	return kills
}

// killersOf returns the requests that would delete e, whoever made them.
func killersOf(e *mesh.Event) []kill {
	if !deletable(e) {
		return nil
	}
	kills := []kill{{e.Author(), "e", e.ID().String()}}
	if a, ok := addressOf(e); ok {
		kills = append(kills, kill{e.Author(), "a", a.String()})
	}
	return kills
}

// covers reports whether a request made by d at its time reaches e: an address
// means the versions up to that time.
func (k kill) covers(d, e *mesh.Event) bool {
	return k.tag == "e" || e.CreatedAt() <= d.CreatedAt()
}

// A class is a record's turn when room is needed.
type class uint8

const (
	classPlain class = iota
	classDeletion
	classMail
	classPass
	classRoster // never pruned
)

func classOf(k mesh.Kind) class {
	switch k {
	case mesh.KindRoster:
		return classRoster
	case mesh.KindPass:
		return classPass
	case mesh.KindGiftWrap:
		return classMail
	case mesh.KindDeletion:
		return classDeletion
	}
	return classPlain
}

// termExpiry gathers what expires: its rows carry the expiration where others
// carry created_at.
const termExpiry int64 = 1

// The first byte of what a term's hash covers.
const (
	termAuthor  = 'u'
	termKind    = 'k'
	termTopic   = 't'
	termTag     = '#'
	termAddress = 'A'
	termKill    = 'K'
	termGram    = 'g' // only to remember a count by
)

// termOf returns the number under which an index keeps a value: 64 bits of a
// hash that nobody can aim, so that an author cannot make another's look-ups
// slow. Rows found by it are checked against the filter all the same.
func termOf(what byte, parts ...string) int64 {
	b := make([]byte, 1, 96)
	b[0] = what
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	h := sha256.Sum256(b)
	return int64(binary.BigEndian.Uint64(h[:]))
}

// idTerm is the term of an id, which is a hash already.
func idTerm(id mesh.EventID) int64 { return int64(binary.BigEndian.Uint64(id[:])) }

func authorTerm(k mesh.PubKey) int64 { return termOf(termAuthor, string(k[:])) }

func kindTerm(k mesh.Kind) int64 { return termOf(termKind, string([]byte{byte(k >> 8), byte(k)})) }

func topicTerm(t mesh.Topic) int64 { return termOf(termTopic, string(t)) }

func tagTerm(name, value string) int64 { return termOf(termTag, name, value) }

func addressTerm(a address) int64 { return termOf(termAddress, a.String()) }

func killTerm(k kill) int64 { return termOf(termKill, string(k.author[:]), k.tag, k.value) }

// indexed reports whether tags of a name can be asked for through the index.
func indexed(name string) bool {
	return name == "proxy" || len(name) == 1 && (name[0] >= 'a' && name[0] <= 'z' || name[0] >= 'A' && name[0] <= 'Z')
}

// A posting is one row of the index.
type posting struct {
	term    int64
	created mesh.Unix
	seq     uint64
}

// postings returns the rows that lead to r, its id's left out: that one stays
// when the event goes.
func postings(r *mesh.Record) []posting {
	e := r.Event
	terms := []int64{authorTerm(e.Author()), kindTerm(e.Kind()), topicTerm(r.Topic)}
	for _, t := range e.Tags() {
		if len(t) > 1 && indexed(t[0]) {
			terms = append(terms, tagTerm(t[0], t[1]))
		}
	}
	if a, ok := addressOf(e); ok {
		terms = append(terms, addressTerm(a))
	}
	for _, k := range killsOf(e) {
		terms = append(terms, killTerm(k))
	}
	slices.Sort(terms)
	terms = slices.Compact(terms)
	rows := make([]posting, 0, len(terms)+1)
	for _, t := range terms {
		rows = append(rows, posting{t, e.CreatedAt(), r.Seq})
	}
	if at, ok := expiry(e); ok {
		rows = append(rows, posting{termExpiry, at, r.Seq})
	}
	return rows
}

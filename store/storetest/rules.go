package storetest

import (
	"fmt"
	"strconv"

	"drey/mesh"
)

// seesTombs reports whether a viewer may learn of what is held no more. The
// event is gone and cannot be asked who may see it, so only those who
// reconcile whole sets are told.
func seesTombs(v mesh.Viewer) bool { return v.Self || v.Node }

// keptForever reports whether events of a kind are never deleted, replaced or
// expired: who belongs follows from all of them together.
func keptForever(k mesh.Kind) bool { return k == mesh.KindRoster || k == mesh.KindPass }

// deletable reports whether its author may take e back.
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

// String spells the address as an "a" tag does.
func (a address) String() string { return fmt.Sprintf("%d:%s:%s", a.kind, a.author, a.d) }

// killsOf returns what a deletion asks for.
func killsOf(e *mesh.Event) map[kill]bool {
	kills := make(map[kill]bool)
	for _, tag := range []string{"e", "a"} {
		for _, v := range e.TagValues(tag) {
			kills[kill{e.Author(), tag, v}] = true
		}
	}
	return kills
}

// targets reports whether a deletion made at a time asks for e. Only the author
// may ask, and an address means the versions up to that time.
func targets(k kill, at mesh.Unix, e *mesh.Event) bool {
	if k.author != e.Author() {
		return false
	}
	if k.tag == "e" {
		return k.value == e.ID().String()
	}
	a, ok := addressOf(e)
	return ok && k.value == a.String() && e.CreatedAt() <= at
}

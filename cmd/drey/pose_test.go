package main

import (
	"errors"
	"strings"
	"testing"

	"drey/bootstrap"
	"drey/mesh"
	"drey/overlay"
	"drey/web"
)

// A machine may ask to belong under any name, also under somebody's npub, key
// or address. Who is named by these is never whoever calls himself so.
func TestNamesPoseAsNobody(t *testing.T) {
	t.Parallel()
	one := settleNode(t, "one", nil)
	defer one.end()
	identity := func(n byte) *mesh.Identity {
		seed := mesh.Seed{n, 1}
		id, err := seed.Identity()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	friend := identity(9)
	for i, name := range []string{
		friend.Author.PubKey().NPub(), strings.ToUpper(friend.Author.PubKey().NPub()),
		friend.Author.PubKey().String(), friend.NodeKey().String(), overlay.AddressOf(friend.NodeKey()).String(),
	} {
		thief := identity(byte(20 + i))
		tag := [8]byte(one.membership.Community.ID[:8])
		record, err := thief.SignPeerRecord(mesh.PeerRecord{Community: tag, Seq: 1, Lifetime: recordLife})
		if err != nil {
			t.Fatal(err)
		}
		binding, err := thief.Bind(tag)
		if err != nil {
			t.Fatal(err)
		}
		asked := admitter{one.parts}.Ask(t.Context(), &bootstrap.Joiner{Name: name, Record: record, Binding: binding})
		if !errors.Is(asked, bootstrap.ErrWaiting) {
			t.Fatalf("%s asks: %v, want that it waits", name, asked)
		}
		if _, err := (api{one.parts}).ChangeMembers(t.Context(), web.MemberChange{Op: web.OpAdmit, Who: name, Name: "friend"}); err != nil {
			t.Logf("admit %s: %v", name, err)
		}
		if one.book.Admits(thief.NodeKey()) {
			t.Errorf("admit %s let in a machine that calls itself so", name)
		}
	}
}

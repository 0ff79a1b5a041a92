package bootstrap

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"drey/mesh"
	"drey/mesh/roster"
)

func TestWelcomeMustBeWhatWasPromised(t *testing.T) {
	h := newHouse(t)
	v := h.issue(1)
	p := &Preview{Community: h.member.Community}
	welcome := func(m *mesh.Membership, r *mesh.PeerRecord, events ...*mesh.Event) []byte {
		t.Helper()
		file, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return appendWelcome(nil, file, r, events)
	}
	event := h.book.Since(nil)[0]
	if _, err := checkWelcome(welcome(h.member, h.record, event), v, p); err != nil {
		t.Fatalf("an honest welcome: %v", err)
	}
	market, err := Open("market")
	if err != nil {
		t.Fatal(err)
	}
	other, err := identity(t, "thief").SignPeerRecord(mesh.PeerRecord{})
	if err != nil {
		t.Fatal(err)
	}
	unsigned := *h.record
	unsigned.Signature[0] ^= 1
	forged, err := mesh.NewEvent(event.Author(), mesh.Signature{}, event.Draft())
	if err != nil {
		t.Fatal(err)
	}
	chat, err := h.id.Author.Sign(mesh.Draft{Kind: mesh.KindNote})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		b    []byte
		says string
	}{
		"another community":       {welcome(market, h.record), "another community"},
		"another's record":        {welcome(h.member, other), "not the inviter's"},
		"an unsigned record":      {welcome(h.member, &unsigned), "signature"},
		"an unsigned event":       {welcome(h.member, h.record, forged), "signature"},
		"an event of another use": {welcome(h.member, h.record, chat), "kind 1"},
		"nothing":                 {nil, "cut off"},
		"cut off":                 {welcome(h.member, h.record, event)[:900], "cut off"},
	} {
		if _, err := checkWelcome(c.b, v, p); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.says)
		}
	}
}

func TestJoinOpenCommunity(t *testing.T) {
	h := newHouse(t)
	market, err := Open("market")
	if err != nil {
		t.Fatal(err)
	}
	h.member, h.book = market, roster.New(market.Community)
	w, err := Join(t.Context(), h.issue(1), self(t, "clinic"))
	if err != nil {
		t.Fatal(err)
	}
	if w.Membership.Community != market.Community || w.Membership.Secret() != market.Secret() || len(w.Events) != 0 {
		t.Errorf("the welcome is to %+v with %d events, want market without any", w.Membership.Community, len(w.Events))
	}
}

func TestAnswerSizeIsBounded(t *testing.T) {
	h := newHouse(t)
	v := h.issue(1)
	b, hs, err := appendRequest(nil, identity(t, "clinic").Node, v, &request{verb: verbPeek, token: v.Token})
	if err != nil {
		t.Fatal(err)
	}
	theirs, _, _, err := openRequest(h.id.Node, pskOf(v.Token), b[:requestHead], b[requestHead:])
	if err != nil {
		t.Fatal(err)
	}
	huge, _, _, err := theirs.WriteMessage(nil, binary.BigEndian.AppendUint32(nil, maxAnswer+1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readAnswer(bytes.NewReader(huge), hs); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("an answer said to be too long: %v, want the limit", err)
	}
}

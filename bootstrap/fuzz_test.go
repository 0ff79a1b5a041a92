package bootstrap

import (
	"bytes"
	"encoding/binary"
	"testing"

	"drey/mesh"
)

// FuzzParsePayload checks that whatever parses is written back byte for byte.
func FuzzParsePayload(f *testing.F) {
	s := self(f, "clinic")
	j, err := s.joiner(mesh.OpenCommunity("market"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(appendPayload(nil, &request{verb: verbPeek}))
	f.Add(appendPayload(nil, &request{verb: verbJoin, joiner: *j}))
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := parsePayload(b)
		if err != nil {
			return
		}
		if got := appendPayload(nil, q); !bytes.Equal(got, b) {
			t.Errorf("%x was written back as %x", b, got)
		}
	})
}

// FuzzParseWelcome checks that whatever parses is written back the same, the
// membership file apart, which people may have spaced differently.
func FuzzParseWelcome(f *testing.F) {
	m, err := Open("market")
	if err != nil {
		f.Fatal(err)
	}
	file, err := m.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	id := identity(f, "school")
	r, err := id.SignPeerRecord(mesh.PeerRecord{})
	if err != nil {
		f.Fatal(err)
	}
	e, err := id.Author.Sign(mesh.Draft{Kind: mesh.KindRoster, Content: "x"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(appendWelcome(nil, file, r, nil))
	f.Add(appendWelcome(nil, file, r, []*mesh.Event{e, e}))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := parseWelcome(b)
		if err != nil {
			return
		}
		n, size := binary.Uvarint(b)
		if got := appendWelcome(nil, b[size:size+int(n)], w.Inviter, w.Events); !bytes.Equal(got, b) {
			t.Errorf("%x was written back as %x", b, got)
		}
	})
}

func FuzzParsePreview(f *testing.F) {
	p := Preview{Community: mesh.OpenCommunity("market"), Inviter: "school", Members: 3}
	b, err := p.marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	p.Community = mesh.Found(mesh.PubKey{1}, "Riverside", [32]byte{2})
	if b, err = p.marshal(); err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePreview(b)
		if err != nil {
			return
		}
		again, err := p.marshal()
		if err != nil {
			t.Fatal(err)
		}
		if q, err := parsePreview(again); err != nil || *q != *p {
			t.Errorf("%s comes back as %+v, %v", b, q, err)
		}
	})
}

// FuzzRequest sends anything to the door: it may refuse, never admit.
func FuzzRequest(f *testing.F) {
	id := identity(f, "school")
	v := &mesh.Invite{Node: id.NodeKey(), Token: mesh.InviteToken{1}}
	b, _, err := appendRequest(nil, identity(f, "clinic").Node, v, &request{verb: verbPeek, token: v.Token})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:requestHead])
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, got, message, err := splitRequest(b)
		if err != nil {
			return
		}
		_, _, q, err := openRequest(id.Node, pskOf(v.Token), b[:requestHead], message)
		if err == nil && (got != idOf(v.Token) || q.token != v.Token) {
			t.Errorf("%x opens with a key it was not sealed with", b)
		}
	})
}

// FuzzReadAnswer answers anything to a joiner: it may only fail.
func FuzzReadAnswer(f *testing.F) {
	id := identity(f, "school")
	v := &mesh.Invite{Node: id.NodeKey()}
	f.Add(make([]byte, answerHead))
	f.Add(append(make([]byte, answerHead), 0xff, 0xff, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, hs, err := appendRequest(nil, identity(t, "clinic").Node, v, &request{verb: verbPeek})
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := readAnswer(bytes.NewReader(b), hs); err == nil {
			t.Errorf("%x reads as %q", b, plain)
		}
	})
}

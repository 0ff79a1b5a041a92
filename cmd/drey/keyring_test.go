package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"
	"time"

	"drey/mesh"
	"drey/mesh/roster"
)

// FuzzSecrets checks that an answer of a neighbour is read strictly: what is
// taken would be written back byte for byte.
func FuzzSecrets(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32})
	f.Add([]byte{0})
	f.Add([]byte{5})
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := parseSecrets(b)
		if err != nil {
			return
		}
		again := []byte{byte(len(all))}
		for _, e := range all {
			again = binary.BigEndian.AppendUint32(again, e.Number)
			again = append(again, e.Secret[:]...)
		}
		if !bytes.Equal(again, b) || len(all) > mesh.MaxEpochs {
			t.Errorf("%x was read as %d secrets", b, len(all))
		}
	})
}

// shelfOf is a shelf in memory.
type shelfOf map[string][]byte

func (s shelfOf) Value(_ context.Context, key string) ([]byte, error) {
	if b, ok := s[key]; ok {
		return b, nil
	}
	return nil, mesh.ErrNotFound
}
func (s shelfOf) Put(_ context.Context, key string, b []byte) error { s[key] = b; return nil }
func (s shelfOf) Delete(_ context.Context, key string) error        { delete(s, key); return nil }
func (s shelfOf) Keys(context.Context, string) ([]string, error)    { return nil, nil }

// TestOverlapPasses counts an overlap down while the node runs, and only then:
// a replaced secret goes when its time is over, and does not come back from the
// roster.
func TestOverlapPasses(t *testing.T) {
	who, err := mesh.Seed{1}.Identity()
	if err != nil {
		t.Fatal(err)
	}
	m := &mesh.Membership{Epochs: []mesh.Epoch{{Number: 1, Secret: mesh.Secret{1}}}}
	m.Community = mesh.Found(who.Author.PubKey(), "town", m.Nonce)
	book := roster.New(m.Community)
	record, err := who.SignPeerRecord(mesh.PeerRecord{Community: [8]byte(m.Community.ID[:8])})
	if err != nil {
		t.Fatal(err)
	}
	apply := func(e *mesh.Event, err error) {
		t.Helper()
		if err == nil {
			_, err = book.Apply(e)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	apply(roster.Found(who, m, record, "school", 1))
	rotate := func(s mesh.Secret, overlap time.Duration) {
		t.Helper()
		drafts, err := book.DraftRotation(s, book.Nodes(), overlap, 2)
		if err != nil {
			t.Fatal(err)
		}
		apply(who.Author.Sign(drafts[0]))
	}
	k := &keyring{who: who, book: book, shelf: shelfOf{}}
	held := m.Epochs
	step := func(passed time.Duration, want ...uint32) {
		t.Helper()
		next, lacks, err := k.choose(t.Context(), book.Rotations(), held, passed)
		if err != nil || lacks {
			t.Fatal(lacks, err)
		}
		held = next
		var got []uint32
		for _, e := range held {
			got = append(got, e.Number)
		}
		if len(got) != len(want) {
			t.Fatalf("after %v epochs %v are held, want %v", passed, got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("after %v epochs %v are held, want %v", passed, got, want)
			}
		}
	}
	step(0, 1)
	rotate(mesh.Secret{2}, 3*time.Hour)
	step(0, 2, 1)
	step(2*time.Hour, 2, 1)
	step(0, 2, 1) // a restart: the time that the node was off does not count
	step(time.Hour, 2)
	rotate(mesh.Secret{3}, 0)
	step(0, 3)
	step(time.Hour, 3)
	rotate(mesh.Secret{4}, time.Hour)
	step(0, 4, 3)
}

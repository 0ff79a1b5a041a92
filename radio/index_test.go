package radio

import (
	"encoding/binary"
	"slices"
	"testing"

	"drey/mesh"
	"drey/radio/air"
)

// keyOf makes a key that begins with four bytes and goes on with a number.
func keyOf(begin [4]byte, n int) (k mesh.PubKey) {
	copy(k[:], begin[:])
	binary.BigEndian.PutUint32(k[4:], uint32(n))
	return k
}

// TestIndexOrder lists members first, then who was on this channel, then others,
// by one byte and by four.
func TestIndexOrder(t *testing.T) {
	x := newIndex()
	other, heard, member, far := keyOf([4]byte{7, 1}, 1), keyOf([4]byte{7, 2}, 2), keyOf([4]byte{7, 2}, 3), keyOf([4]byte{8}, 4)
	x.learn(other)
	x.learnLocked(&x.mu.aired, heard)
	x.learn(heard)
	x.setMembers([]mesh.PubKey{far, member})
	for _, c := range []struct {
		begin []byte
		sorts int
		want  []mesh.PubKey
	}{
		{[]byte{7}, 3, []mesh.PubKey{member, heard, other}},
		{[]byte{7}, 2, []mesh.PubKey{member, heard}},
		{[]byte{7}, 1, []mesh.PubKey{member}},
		{[]byte{7, 2, 0, 0}, 3, []mesh.PubKey{member, heard}},
		{[]byte{7, 1, 0, 0}, 2, nil},
		{[]byte{9}, 3, nil},
	} {
		if got := x.authors(c.begin, c.sorts); !slices.Equal(got, c.want) {
			t.Errorf("%x, %d sorts: %x, want %x", c.begin, c.sorts, got, c.want)
		}
	}
}

// TestInitialsAreMembers names nobody else by one byte when we send, and finds
// whoever others named so.
func TestInitialsAreMembers(t *testing.T) {
	x := newIndex()
	member, other := keyOf([4]byte{7}, 1), keyOf([4]byte{7}, 2)
	x.setMembers([]mesh.PubKey{member})
	x.learnLocked(&x.mu.aired, other)
	if got := (ours{x}).Authors([]byte{7}); !slices.Equal(got, []mesh.PubKey{member}) {
		t.Errorf("named by one byte: %x, want the member", got)
	}
	if got := (ours{x}).Authors(other[:4]); !slices.Equal(got, []mesh.PubKey{member, other}) {
		t.Errorf("named by four: %x", got)
	}
	if got := (anyone{x}).Authors([]byte{7}); !slices.Equal(got, []mesh.PubKey{member, other}) {
		t.Errorf("understood by one byte: %x", got)
	}
}

// TestIndexFull has somebody invent keys that begin alike: of one hint few are
// kept, and when there is no more room he pushes out his own.
func TestIndexFull(t *testing.T) {
	x := newIndex()
	honest := keyOf([4]byte{1, 2, 3, 4}, 0)
	x.learn(honest)
	for n := range 2 * air.MaxCandidates {
		x.learn(keyOf([4]byte{9, 9, 9, 9}, n))
	}
	if got := len(x.authors([]byte{9, 9, 9, 9}, 3)); got != air.MaxCandidates {
		t.Errorf("%d keys of one hint, want %d", got, air.MaxCandidates)
	}
	for n := range maxAuthors + 100 {
		x.learn(keyOf([4]byte{9, byte(n >> 8), byte(n), 1}, n))
	}
	total := 0
	for _, keys := range x.mu.known {
		total += len(keys)
	}
	if total != maxAuthors || x.mu.authors != maxAuthors {
		t.Errorf("%d keys are held and %d counted, want %d", total, x.mu.authors, maxAuthors)
	}
	if !slices.Contains(x.authors(honest[:4], 3), honest) {
		t.Error("an honest key was pushed out")
	}
}

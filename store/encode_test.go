package store

import (
	"bytes"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"encoding/binary"

	"drey/mesh"
	"drey/store/storetest"
)

// ops returns one operation of each kind.
func ops(t testing.TB) []*op {
	r := storetest.Chat(t, 3, 2, morning)
	r.Seq, r.Received, r.Flags = 300, r.Received.Add(123), mesh.FlagGuest
	key := mesh.Key{ID: r.Event.ID(), Carrier: "relay", Target: "wss://relay.example"}
	return []*op{
		{what: opKeep, id: r.Event.ID(), seq: 300, created: r.Event.CreatedAt(), rec: r},
		{what: opBury, id: r.Event.ID(), seq: 300, created: 7, gone: mesh.ReasonBanned, fresh: true, at: morning},
		{what: opOwe, owed: mesh.Owed{Key: key, Priority: mesh.Sync, Seq: 300, Attempts: 200}},
		{what: opSettle, owed: mesh.Owed{Key: key}},
		{what: opNote, seq: 300, n: 1 << 40, step: mesh.Step{At: morning, Carrier: "radio", Target: "ch0", State: "on air"}},
		{what: opPut, name: "radio", key: "spent", value: []byte{0, 1, 2}},
		{what: opDrop, name: "radio", key: "spent"},
	}
}

func batchOf(all ...*op) []byte {
	b := []byte{batchVersion}
	for _, o := range all {
		b = appendOp(b, o)
	}
	return sealBatch(b)
}

func TestBatchComesBack(t *testing.T) {
	want := batchOf(ops(t)...)
	got, err := parseBatch(want)
	if err != nil {
		t.Fatalf("parseBatch = %v", err)
	}
	if again := batchOf(got...); !bytes.Equal(again, want) {
		t.Errorf("written back as\n%x, want\n%x", again, want)
	}
}

func TestDamagedBatchIsNoticed(t *testing.T) {
	whole := batchOf(ops(t)...)
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 0x10
		if _, err := parseBatch(b); err == nil {
			t.Errorf("byte %d was changed and nobody noticed", i)
		}
		if _, err := parseBatch(whole[:i]); err == nil {
			t.Errorf("the batch was cut to %d bytes and nobody noticed", i)
		}
	}
}

// FuzzBatch checks that a journal row either fails or is written back as it was.
func FuzzBatch(f *testing.F) {
	for _, o := range ops(f) {
		f.Add(batchOf(o)[:])
	}
	f.Add(batchOf(ops(f)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= 5 { // mend the sum, so that the fuzzer gets past it
			body := b[:len(b)-4]
			b = binary.BigEndian.AppendUint32(bytes.Clone(body), crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
		}
		got, err := parseBatch(b)
		if err != nil {
			return
		}
		if again := batchOf(got...); !bytes.Equal(again, b) {
			t.Errorf("%x was written back as %x", b, again)
		}
		l := newLayer() // and does no harm
		for _, o := range got {
			l.apply(o, nil)
		}
	})
}

// FuzzRecord checks the same for an event's row.
func FuzzRecord(f *testing.F) {
	f.Add(appendRecord(nil, ops(f)[0].rec))
	f.Add([]byte{})
	f.Add(make([]byte, 120))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b, 1)
		if err != nil {
			return
		}
		if again := appendRecord(nil, r); !bytes.Equal(again, b) {
			t.Errorf("%x was written back as %x", b, again)
		}
		postings(r)
	})
}

// FuzzStep checks the same for a line of history.
func FuzzStep(f *testing.F) {
	f.Add(appendStep(nil, &mesh.Step{At: morning, Carrier: "relay", Target: "a", State: "heard"}))
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseStep(b)
		if err != nil {
			return
		}
		if again := appendStep(nil, &s); !bytes.Equal(again, b) {
			t.Errorf("%x was written back as %x", b, again)
		}
	})
}

// FuzzAddress checks that an address has one spelling.
func FuzzAddress(f *testing.F) {
	f.Add(address{storetest.Author(1), 30000, "a:b"}.String())
	f.Add("0::")
	f.Fuzz(func(t *testing.T, s string) {
		if a, ok := parseAddress(s); ok && a.String() != s {
			t.Errorf("%q was written back as %q", s, a.String())
		}
	})
}

// FuzzFile opens whatever somebody left where the store should be: an error or
// a store, never a panic.
func FuzzFile(f *testing.F) {
	f.Add([]byte(strings.Repeat("x", 200)), uint16(0))
	f.Add([]byte{0xff}, uint16(30))
	f.Fuzz(func(t *testing.T, patch []byte, at uint16) {
		path := filepath.Join(t.TempDir(), "drey.db")
		s, err := Open(t.Context(), Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		copy(b[int(at)%len(b):], patch)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err = Open(t.Context(), Config{Path: path})
		if err != nil {
			return
		}
		defer s.Close()
		for range s.Records(t.Context(), mesh.Filter{}, mesh.Self) {
		}
		if _, _, err := s.Known(t.Context(), mesh.EventID{1}); err != nil {
			t.Log(err)
		}
	})
}

func TestWrapNamesTheCause(t *testing.T) {
	for _, cause := range []error{ErrInUse, ErrReadOnly, ErrFull, ErrCorrupt, ErrForeign, ErrNewer, ErrClosed, errors.New("other")} {
		err := wrap("open", "/home/x/drey.db", cause)
		var e *Error
		if !errors.Is(err, cause) || !errors.As(err, &e) || e.Hint() == "" || !strings.Contains(err.Error(), "/home/x/drey.db") {
			t.Errorf("wrap(%v) = %v", cause, err)
		}
		if again := wrap("read", "elsewhere", err); again != err {
			t.Errorf("wrapped twice: %v", again)
		}
	}
	if err := wrap("open", "x", nil); err != nil {
		t.Errorf("wrap(nil) = %v", err)
	}
}

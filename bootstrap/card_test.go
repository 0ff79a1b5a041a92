package bootstrap

import (
	"bytes"
	"testing"
	"time"

	"drey/mesh"
)

// A cardBox is a card over a shelf, whose clock and words a test sets.
type cardBox struct {
	*Card
	now   time.Time
	says  []mesh.Endpoint
	shelf *memory
}

func newCardBox(t testing.TB, shelf *memory) *cardBox {
	t.Helper()
	id, _ := someone(t, 1, mesh.OpenCommunity("town"), 1)
	b := &cardBox{now: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), shelf: shelf}
	b.Card = NewCard(CardConfig{
		Identity: id, Community: mesh.OpenCommunity("town"), Shelf: shelf,
		Say:   func(mesh.Abilities) (mesh.Abilities, []mesh.Endpoint) { return mesh.AbleTransit, b.says },
		Clock: func() time.Time { return b.now },
	})
	return b
}

func (b *cardBox) record(t testing.TB) *mesh.PeerRecord {
	t.Helper()
	r, err := b.Record(t.Context())
	if err != nil || r == nil {
		t.Fatalf("record %v, %v", r, err)
	}
	if err := r.Verify(); err != nil {
		t.Fatal(err)
	}
	return r
}

func endpoints(t testing.TB, uris ...string) []mesh.Endpoint {
	t.Helper()
	var all []mesh.Endpoint
	for _, uri := range uris {
		e, err := mesh.ParseEndpoint(uri)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// A record's number only ever rises: over restarts, and whatever the clock says.
func TestNumbersOfRecordsOnlyRise(t *testing.T) {
	shelf := &memory{}
	b := newCardBox(t, shelf)
	first := b.record(t)
	if first.Seq != uint32(mesh.UnixOf(b.now)) {
		t.Errorf("the first number is %d, want the time", first.Seq)
	}
	if again := b.record(t); again != first {
		t.Error("nothing has changed, and the record is another")
	}
	b.says = endpoints(t, "tls://192.0.2.1:3740")
	second := b.record(t)
	if second.Seq != first.Seq+1 || len(second.Endpoints) != 1 || !second.Supersedes(first) {
		t.Errorf("after a change: %+v", second)
	}

	b = newCardBox(t, shelf) // a restart, with a clock of years ago
	b.now = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	b.says = second.Endpoints
	third := b.record(t)
	if third.Seq != second.Seq+1 || third.Issued.Time().Year() != 2024 {
		t.Errorf("with a clock of 2024: %+v", third)
	}
	b.now = b.now.Add(time.Hour)
	if again := b.record(t); again != third {
		t.Error("an hour later the record is another")
	}

	b = newCardBox(t, shelf) // the same, and nothing has changed
	b.now, b.says = third.Issued.Time(), second.Endpoints
	if again := b.record(t); !bytes.Equal(wire(again), wire(third)) {
		t.Error("a restart alone made another record")
	}

	b.Outdo(4_000_000_000) // somebody shows a record that this node has forgotten
	if r := b.record(t); r.Seq != 4_000_000_001 {
		t.Errorf("after a forgotten record of 4000000000: %d", r.Seq)
	}
	b.Outdo(1<<32 - 1) // cannot be outdone, so it is not believed
	if r := b.record(t); r.Seq != 4_000_000_001 {
		t.Errorf("after the last number there is: %d", r.Seq)
	}
	b.now = b.now.Add(recordFresh + time.Hour)
	if r := b.record(t); r.Seq != 4_000_000_002 {
		t.Errorf("a week later: %d, want a fresh one", r.Seq)
	}
}

// What has no room in the budget is left out; what comes later and is shorter
// may still fit.
func TestRecordsKeepToTheBudget(t *testing.T) {
	b := newCardBox(t, &memory{})
	long := "tls://a-name-of-thirty.example.org:443"
	b.says = endpoints(t, long, "tls://[2001:db8::1]:3740", "tls://192.0.2.1:3740", "http://192.0.2.1:3739")
	r := b.record(t)
	if n := len(wire(r)); n > RecordBudget {
		t.Errorf("%d bytes, budget %d", n, RecordBudget)
	}
	if len(r.Endpoints) != 2 || r.Endpoints[0].String() != long || r.Endpoints[1].String() != "tls://192.0.2.1:3740" {
		t.Errorf("endpoints %v: want the first and the one that still has room", r.Endpoints)
	}
	b.says = b.says[1:]
	if r = b.record(t); len(r.Endpoints) != 3 {
		t.Errorf("endpoints %v: want three", r.Endpoints)
	}
	if n := len(Seal(r, mesh.Secret{1})); n > 219 {
		t.Errorf("sealed it has %d bytes, want at most 219", n)
	}
}

// A record that cannot be written down is not used, so that no number is ever
// used twice.
func TestNoRecordWithoutTheDisk(t *testing.T) {
	b := newCardBox(t, &memory{})
	first := b.record(t)
	b.shelf.full = true
	b.says = endpoints(t, "tls://192.0.2.1:3740")
	if r := b.record(t); r != first {
		t.Errorf("with a full disk: %+v, want the old record", r)
	}
	b.shelf.full = false
	if r := b.record(t); r.Seq != first.Seq+1 || len(r.Endpoints) != 1 {
		t.Errorf("with room again: %+v", r)
	}
}

// The form for strangers stays the same while nothing changes, and shows the
// key only where the operator said so.
func TestDisguise(t *testing.T) {
	_, r := someone(t, 1, mesh.OpenCommunity("town"), 1)
	var d disguise
	a, fresh := d.announcement(r, []mesh.Secret{{1}, {2}})
	if !fresh || bytes.Contains(a.Public, r.Node[:]) || len(a.Public) != len(wire(r))+29 {
		t.Errorf("sealed: fresh %v, %x", fresh, a.Public)
	}
	b, fresh := d.announcement(r, []mesh.Secret{{1}})
	if fresh || !bytes.Equal(a.Public, b.Public) {
		t.Error("nothing has changed, and the form is another")
	}
	if c, fresh := d.announcement(r, []mesh.Secret{{3}, {1}}); !fresh || bytes.Equal(c.Public, a.Public) {
		t.Error("a rotated secret did not change the form")
	}
	clear := disguise{clear: true}
	if c, _ := clear.announcement(r, []mesh.Secret{{1}}); !bytes.Equal(c.Public, wire(r)) {
		t.Errorf("in clear: %x", c.Public)
	}
}

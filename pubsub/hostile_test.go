package pubsub

import (
	"context"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"drey/mesh"
	"drey/pubsub/pubsubtest"
)

// A denier lists what it holds and calls it deleted when asked for it.
type denier struct{ mesh.Archive }

func (d denier) Records(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	if f.IDs != nil {
		return func(func(*mesh.Record, error) bool) {}
	}
	return d.Archive.Records(ctx, f, v)
}

func (d denier) Record(_ context.Context, id mesh.EventID, _ mesh.Viewer) (*mesh.Record, error) {
	return nil, &mesh.GoneError{ID: id, Reason: mesh.ReasonDeleted}
}

// In an open community neighbours cost nothing to make up, so no number of them
// can bury what others hold.
func TestNobodyBuriesInTheOpen(t *testing.T) {
	open := mesh.OpenCommunity("market")
	e := said(1, "held by some")
	a := newNode(t, open, 0) // an open community's roster lists nobody
	a.start(t)
	for range 2 {
		liar := newNode(t, open, 0)
		liar.Keep(mesh.TopicCommons, e)
		liar.carrier = New(Config{
			Host:      func(context.Context) (host.Host, error) { return liar.host, nil },
			Community: open, Roster: liar.roster, Archive: denier{liar.Hub}, Topics: liar.Topics,
		})
		liar.start(t)
		pubsubtest.Connect(t, a.host, liar.host)
		until(t, "the first sync is over on both sides", func() bool { return synced(a) && synced(liar) })
		ask(t, a, liar)
		if _, known, _ := a.Known(t.Context(), e.ID()); known {
			t.Fatal("strangers' word buried an event")
		}
	}
	honest := newNode(t, open, 0)
	honest.Keep(mesh.TopicCommons, e)
	honest.start(t)
	pubsubtest.Connect(t, a.host, honest.host)
	until(t, "the event comes from the one who gives it", func() bool { return a.Holds(e.ID()) })
}

// A neighbour that was asked for something and does not bring it cannot keep it
// from those who would, and what was fetched is not held against anybody for
// ever.
func TestClaimsRunOut(t *testing.T) {
	a := newAside()
	now := time.Unix(1_800_000_000, 0)
	slow, quick := peer.ID("slow"), peer.ID("quick")
	id := mesh.EventID{1}
	a.begin()
	a.begin()
	if !a.claim(slow, id, now) || a.claim(quick, id, now.Add(claimFor/2)) {
		t.Fatal("the first to ask does not have the claim alone")
	}
	if !a.claim(quick, id, now.Add(claimFor+time.Second)) {
		t.Error("who stalls keeps an event from others")
	}
	a.fetched(quick, id, now)
	if a.claim(slow, id, now.Add(claimFor/2)) {
		t.Error("what was fetched just now is fetched again")
	}
	for i := range 2 * maxClaims {
		a.claim(slow, mesh.EventID{2, byte(i), byte(i >> 8), byte(i >> 16)}, now)
	}
	if n := len(a.mu.claims); n > maxClaims {
		t.Errorf("%d claims are remembered while a session is under way, limit %d", n, maxClaims)
	}
}

// What calls itself expired need not be checked further to be refused, but a
// tombstone is kept for what a member has signed alone: made-up ids would fill
// the store with them, and push out those that matter.
func TestForgedExpiredLeavesNoTombstone(t *testing.T) {
	a, b := newNode(t, town, 2), newNode(t, town, 2)
	a.Answer = func(*mesh.Event, mesh.Origin) error { return mesh.ErrExpired }
	forged, err := mesh.NewEvent(author.PubKey(), mesh.Signature{1}, mesh.Draft{
		CreatedAt: began, Kind: mesh.KindNote, Content: "forged", Tags: [][]string{{"expiration", "1"}},
	})
	must(t, err)
	real := said(1, "real")
	b.carrier = New(Config{
		Host:      func(context.Context) (host.Host, error) { return b.host, nil },
		Community: town, Roster: b.roster, Archive: lister{b.Hub, []*mesh.Event{forged, real}}, Topics: b.Topics,
	})
	meet(t, a, b)
	ask(t, a, b)
	if n := a.Calls.Load(); n != 2 {
		t.Fatalf("%d events came, want 2", n)
	}
	if _, known, _ := a.Known(t.Context(), forged.ID()); known {
		t.Error("a forged event left a tombstone")
	}
	if gone, known, _ := a.Known(t.Context(), real.ID()); !known || gone != mesh.ReasonExpired {
		t.Errorf("a real one: gone %s, known %v", gone, known)
	}
	zero(t, a, b)
}

// A lister shows some events beside what it holds.
type lister struct {
	mesh.Archive
	more []*mesh.Event
}

func (l lister) Items(_ context.Context, since, until mesh.Unix, _ mesh.Viewer) iter.Seq2[mesh.Item, error] {
	return func(yield func(mesh.Item, error) bool) {
		for _, e := range slices.SortedFunc(slices.Values(l.more), byPlace) {
			if e.CreatedAt() >= since && e.CreatedAt() <= until && !yield(mesh.Item{CreatedAt: e.CreatedAt(), ID: e.ID()}, nil) {
				return
			}
		}
	}
}

func byPlace(a, b *mesh.Event) int {
	p, q := placeOf(mesh.Item{CreatedAt: a.CreatedAt(), ID: a.ID()}), placeOf(mesh.Item{CreatedAt: b.CreatedAt(), ID: b.ID()})
	return slices.Compare(p[:], q[:])
}

func (l lister) Records(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	return func(yield func(*mesh.Record, error) bool) {
		for _, e := range l.more {
			r := &mesh.Record{Event: e, Topic: mesh.TopicCommons}
			if f.Matches(r) && !yield(r, nil) {
				return
			}
		}
	}
}

package pubsub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"drey/mesh"
	"drey/pubsub/pubsubtest"
)

// pair starts two nodes, connects them and waits until the sync that follows is
// over, so that nothing but the test starts another.
func pair(t testing.TB, c mesh.Community, of int) (a, b *node) {
	t.Helper()
	a, b = newNode(t, c, of), newNode(t, c, of)
	meet(t, a, b)
	return a, b
}

func meet(t testing.TB, a, b *node) {
	t.Helper()
	a.start(t)
	b.start(t)
	pubsubtest.Connect(t, a.host, b.host)
	until(t, "the first sync is over on both sides", func() bool {
		return synced(a) && synced(b)
	})
}

func synced(n *node) bool { return len(n.carrier.Status().Sync) > 0 }

// ask lets a ask b everything, once b has time for it.
func ask(t testing.TB, a, b *node) (tally Tally) {
	t.Helper()
	until(t, "the neighbour has time", func() bool {
		var err error
		tally, err = a.carrier.running().ask(t.Context(), b.host.ID(), true)
		if err != nil && !errors.Is(err, errBusy) {
			t.Fatalf("sync: %v", err)
		}
		return err == nil
	})
	return tally
}

// zero checks that another pass in either direction finds nothing.
func zero(t testing.TB, a, b *node) {
	t.Helper()
	for i, pass := range [][2]*node{{a, b}, {b, a}} {
		if s := ask(t, pass[0], pass[1]); s.Missing != 0 || s.Extra != 0 || s.Received != 0 || s.Sent != 0 {
			t.Errorf("pass %d finds %d missing and %d extra, brings %d and gives %d, want nothing", i+2, s.Missing, s.Extra, s.Received, s.Sent)
		}
	}
}

func signed(t testing.TB, d mesh.Draft) *mesh.Event {
	t.Helper()
	e, err := author.Sign(d)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSecondPassFindsNothing(t *testing.T) {
	ctx := context.Background()
	target := said(1, "to be deleted")
	version := func(n mesh.Unix) *mesh.Event {
		return signed(t, mesh.Draft{CreatedAt: began + n, Kind: mesh.KindProfile, Content: fmt.Sprint("version ", n)})
	}
	var soon mesh.Unix
	for name, c := range map[string]struct {
		of      int // nodes in the roster
		arrange func(a, b *node)
		during  func(a, b *node)
	}{
		"plain differences": {2, func(a, b *node) {
			a.Keep(mesh.TopicCommons, said(1, "one"), said(2, "two"))
			b.Keep(mesh.TopicAlerts, said(3, "three"))
		}, nil},
		"deleted there, held here": {2, func(a, b *node) {
			a.Keep(mesh.TopicCommons, target)
			b.Keep(mesh.TopicCommons, target, signed(t, mesh.Draft{CreatedAt: began + 9, Kind: mesh.KindDeletion, Tags: [][]string{{"e", target.ID().String()}}}))
		}, nil},
		"deleted there, unknown here": {2, func(a, b *node) {
			b.Keep(mesh.TopicCommons, target, signed(t, mesh.Draft{CreatedAt: began + 9, Kind: mesh.KindDeletion, Tags: [][]string{{"e", target.ID().String()}}}))
		}, nil},
		"deleted there, unknown here, in a larger community": {5, func(a, b *node) {
			b.Keep(mesh.TopicCommons, target, signed(t, mesh.Draft{CreatedAt: began + 9, Kind: mesh.KindDeletion, Tags: [][]string{{"e", target.ID().String()}}}))
		}, nil},
		"pruned there, unknown here": {2, func(a, b *node) {
			for i := range 700 {
				e := said(i, fmt.Sprint("old ", i))
				b.Keep(mesh.TopicCommons, e)
				if i%2 == 0 {
					must(t, b.Bury(ctx, e.ID(), e.CreatedAt(), mesh.ReasonPruned))
				}
			}
		}, nil},
		"pruned here, held there": {2, func(a, b *node) {
			e := said(4, "old")
			a.Keep(mesh.TopicCommons, e)
			b.Keep(mesh.TopicCommons, e)
			must(t, a.Bury(ctx, e.ID(), e.CreatedAt(), mesh.ReasonPruned))
		}, nil},
		"superseded on both sides": {2, func(a, b *node) {
			a.Keep(mesh.TopicPeople, version(1), version(4))
			b.Keep(mesh.TopicPeople, version(2), version(3))
		}, nil},
		"expired between": {2, func(a, b *node) {
			soon = mesh.UnixOf(time.Now()) + 2
			b.Keep(mesh.TopicCommons, signed(t, mesh.Draft{
				CreatedAt: began + 5, Kind: mesh.KindNote, Content: "brief", Tags: [][]string{{"expiration", fmt.Sprint(soon)}},
			}))
		}, func(a, b *node) {
			until(t, "the time has come", func() bool { return time.Now().After(soon.Time()) })
		}},
		"registry": {2, func(a, b *node) {
			a.Keep(mesh.TopicRegistry, signed(t, mesh.Draft{CreatedAt: began, Kind: mesh.KindTopic, Tags: [][]string{{"d", "town"}}}))
			b.Keep(mesh.TopicRegistry, signed(t, mesh.Draft{CreatedAt: began + 1, Kind: mesh.KindTopic, Tags: [][]string{{"d", "town"}}}))
			b.Keep(mesh.TopicRegistry, signed(t, mesh.Draft{CreatedAt: began + 2, Kind: mesh.KindTopic, Tags: [][]string{{"d", "hill"}}}))
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, town, c.of)
			c.arrange(a, b)
			if c.during != nil {
				c.during(a, b)
			}
			ask(t, a, b)
			zero(t, a, b)
			for _, n := range []*node{a, b} {
				if n.Doubles.Load() > 0 {
					t.Errorf("%d events were brought to a node that knew them", n.Doubles.Load())
				}
			}
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestOnePrunedNeighbourHidesNothing lets a node hear from one neighbour that
// an event is gone before it meets one that holds it.
func TestOnePrunedNeighbourHidesNothing(t *testing.T) {
	for _, why := range []mesh.Reason{mesh.ReasonPruned, mesh.ReasonDeleted} {
		t.Run(why.String(), func(t *testing.T) {
			a, small := pair(t, town, 5)
			e := said(1, "kept by some")
			must(t, small.Bury(t.Context(), e.ID(), e.CreatedAt(), why))
			if s := ask(t, a, small); s.Gone != 1 {
				t.Fatalf("%d tombstones heard, want 1", s.Gone)
			}
			zero(t, a, small)
			large := newNode(t, town, 5)
			large.Keep(mesh.TopicCommons, e)
			large.start(t)
			pubsubtest.Connect(t, a.host, large.host)
			until(t, "the event comes from the one who holds it", func() bool { return a.Holds(e.ID()) })
		})
	}
}

func TestTwoNeighboursCanBury(t *testing.T) {
	a, b := pair(t, town, 5)
	e := said(1, "deleted everywhere")
	must(t, b.Bury(t.Context(), e.ID(), e.CreatedAt(), mesh.ReasonDeleted))
	ask(t, a, b)
	if _, known, _ := a.Known(t.Context(), e.ID()); known {
		t.Fatal("one neighbour's word was enough")
	}
	c := newNode(t, town, 5)
	must(t, c.Bury(t.Context(), e.ID(), e.CreatedAt(), mesh.ReasonDeleted))
	c.start(t)
	pubsubtest.Connect(t, a.host, c.host)
	until(t, "a second neighbour's word is enough", func() bool {
		gone, known, _ := a.Known(t.Context(), e.ID())
		return known && gone == mesh.ReasonDeleted
	})
}

// TestRefusedIsNotAskedForAgain refuses everything of one author until the
// roster changes.
func TestRefusedIsNotAskedForAgain(t *testing.T) {
	for _, refusal := range []error{mesh.ErrUnknownAuthor, mesh.ErrRefused} {
		t.Run(refusal.Error(), func(t *testing.T) {
			a, b := newNode(t, town, 2), newNode(t, town, 2)
			var mu sync.Mutex
			admitted := false
			a.Answer = func(*mesh.Event, mesh.Origin) error {
				mu.Lock()
				defer mu.Unlock()
				if admitted {
					return nil
				}
				return refusal
			}
			meet(t, a, b)
			for i := range 20 {
				b.Keep(mesh.TopicCommons, said(i, fmt.Sprint("hello ", i)))
			}
			if s := ask(t, a, b); s.Missing != 20 || s.Refused != 20 {
				t.Fatalf("%d missing, %d refused, want 20 of both", s.Missing, s.Refused)
			}
			calls := a.Calls.Load()
			zero(t, a, b)
			if a.Calls.Load() != calls {
				t.Errorf("%d events came again", a.Calls.Load()-calls)
			}
			mu.Lock()
			admitted = true
			mu.Unlock()
			a.roster.Shut(b.host.ID(), false)
			until(t, "all is taken after the roster changed", func() bool {
				return a.Holds(said(19, "hello 19").ID()) && a.Holds(said(0, "hello 0").ID())
			})
		})
	}
}

func TestOpenCommunityKeepsNoMail(t *testing.T) {
	open := mesh.OpenCommunity("square")
	a, b := pair(t, open, 2)
	wrap := signed(t, mesh.Draft{CreatedAt: began, Kind: mesh.KindGiftWrap, Tags: [][]string{{"p", author.PubKey().String()}}, Content: "sealed"})
	plain := said(1, "for all")
	a.Keep(mesh.TopicMail, wrap)
	a.Keep(mesh.TopicCommons, plain)
	ask(t, b, a)
	if !b.Holds(plain.ID()) || b.Holds(wrap.ID()) {
		t.Errorf("b holds the note: %v, the wrap: %v; want only the note", b.Holds(plain.ID()), b.Holds(wrap.ID()))
	}
	gossiping(t, 1, a, b)
	second := signed(t, mesh.Draft{CreatedAt: began + 1, Kind: mesh.KindGiftWrap, Tags: [][]string{{"p", author.PubKey().String()}}, Content: "sealed too"})
	a.Publish(mesh.TopicMail, second)
	until(t, "the wrap is refused", func() bool { return len(a.States(second.ID())) == 1 })
	if got := a.States(second.ID())[0]; got != "failed: an open community holds no sealed mail" {
		t.Errorf("the wrap's delivery says %q", got)
	}
}

func TestNewsSpreadsHopByHop(t *testing.T) {
	// a — b — c — d in a chain; d's history reaches a without waiting minutes.
	nodes := []*node{newNode(t, town, 4), newNode(t, town, 4), newNode(t, town, 4), newNode(t, town, 4)}
	for i, n := range nodes {
		n.start(t)
		if i > 0 {
			pubsubtest.Connect(t, nodes[i-1].host, n.host)
		}
	}
	for _, n := range nodes {
		until(t, "the first syncs are over", func() bool { return synced(n) })
	}
	last := nodes[3]
	for i := range 50 {
		last.Keep(mesh.TopicCommons, said(i, fmt.Sprint("far ", i)))
	}
	ask(t, nodes[2], last)
	for i := range 50 {
		until(t, fmt.Sprint("a holds event ", i), func() bool { return nodes[0].Holds(said(i, fmt.Sprint("far ", i)).ID()) })
	}
}

func TestWindowsBoundWhatIsCompared(t *testing.T) {
	a, b := newNode(t, town, 2), newNode(t, town, 2)
	a.carrier.windowItems, b.carrier.windowItems = 64, 48
	meet(t, a, b)
	var want []mesh.EventID
	for i := range 1000 {
		n := i * i // dense at first, then thin
		if i >= 900 {
			n = 900 * 900 // and a hundred in one second
		}
		e := said(n, fmt.Sprint("event ", i))
		want = append(want, e.ID())
		if i%3 != 0 {
			a.Keep(mesh.TopicCommons, e)
		}
		if i%3 != 1 {
			b.Keep(mesh.TopicCommons, e)
		}
	}
	s := ask(t, a, b)
	if s.Windows < 1000/64 || !s.Deep {
		t.Errorf("%d windows, deep: %v; want at least %d, down to the floor", s.Windows, s.Deep, 1000/64)
	}
	for i, id := range want {
		if !a.Holds(id) || !b.Holds(id) {
			t.Fatalf("event %d: a holds it: %v, b: %v", i, a.Holds(id), b.Holds(id))
		}
	}
	zero(t, a, b)
}

func TestNewsComesFirst(t *testing.T) {
	a, b := newNode(t, town, 2), newNode(t, town, 2)
	var mu sync.Mutex
	var order []mesh.Unix
	a.Answer = func(e *mesh.Event, _ mesh.Origin) error {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, e.CreatedAt())
		return nil
	}
	a.carrier.hands = make(chan struct{}, 1) // one worker, so that the order shows
	meet(t, a, b)
	for i := range 600 {
		b.Keep(mesh.TopicCommons, said(i, fmt.Sprint("event ", i)))
	}
	b.Keep(mesh.TopicRegistry, signed(t, mesh.Draft{CreatedAt: began, Kind: mesh.KindTopic, Tags: [][]string{{"d", "town"}}}))
	ask(t, a, b)
	mu.Lock()
	defer mu.Unlock()
	if len(order) != 601 || order[0] != began {
		t.Fatalf("%d events came, the first of second %d; want 601, the registry first", len(order), order[0])
	}
	for i, at := range order[1:] { // within a want, the store decides
		if lowest := began + 600 - mesh.Unix((i/maxIDs+1)*maxIDs); int64(at) < int64(lowest) {
			t.Fatalf("event %d is of second %d, want newer than %d", i, at-began, int64(lowest)-int64(began))
		}
	}
}

// TestInterruptedSyncGoesOn breaks the connection in the middle; what came
// stays, and the next session brings the rest and nothing twice.
func TestInterruptedSyncGoesOn(t *testing.T) {
	a, b := newNode(t, town, 2), newNode(t, town, 2)
	for i := range 2000 {
		b.Keep(mesh.TopicCommons, said(i, fmt.Sprint("event ", i)))
	}
	var once sync.Once
	a.Arrived = func(*mesh.Event, mesh.Origin) {
		if a.Calls.Load() > 700 {
			once.Do(func() { go a.host.Network().ClosePeer(b.host.ID()) })
		}
	}
	a.start(t)
	b.start(t)
	pubsubtest.Connect(t, a.host, b.host)
	until(t, "the connection is cut", func() bool { return len(a.host.Network().Peers()) == 0 })
	pubsubtest.Connect(t, a.host, b.host)
	until(t, "everything is there", func() bool { return a.Calls.Load() >= 2000 && a.Holds(said(0, "event 0").ID()) })
	if a.Doubles.Load() > 0 {
		t.Errorf("%d events came twice", a.Doubles.Load())
	}
}

// TestHostileAskers send what no asker should; each must end quickly.
func TestHostileAskers(t *testing.T) {
	hello := appendFrame(nil, frameHello, appendHello(nil, 0))
	all := appendOpen(nil, window{setEverything, place{}, lastPlace})
	frames := func(parts ...[]byte) []byte {
		return slices.Concat(append([][]byte{hello}, parts...)...)
	}
	id := make([]byte, 32)
	for name, bytes := range map[string][]byte{
		"an oversize frame":               {0xff, 0xff, 0x7f},
		"a frame of nothing":              {0},
		"no hello":                        appendFrame(nil, frameOpen, all),
		"a want before an open":           frames(appendFrame(nil, frameWant, id)),
		"an unknown type":                 frames(appendFrame(nil, 99, nil)),
		"a window from end to beginning":  frames(appendFrame(nil, frameOpen, appendPlace(appendPlace([]byte{1}, lastPlace, 0), firstAt(5), 0xff))),
		"a want of what was not compared": frames(appendFrame(nil, frameOpen, all), appendFrame(nil, frameWant, id)),
		"an empty want":                   frames(appendFrame(nil, frameOpen, all), appendFrame(nil, frameWant, nil)),
		"the same window again":           frames(appendFrame(nil, frameOpen, all), appendFrame(nil, frameOpen, all)),
		"half an id":                      frames(appendFrame(nil, frameOpen, all), appendFrame(nil, frameOffer, id[:16])),
		"an offer of nothing":             frames(appendFrame(nil, frameOpen, all), appendFrame(nil, frameOffer, nil)),
		"a malformed comparison":          frames(appendFrame(nil, frameOpen, all), appendFrame(nil, frameCompare, []byte{0x61, 1})),
		"a lie as floor":                  slices.Concat(appendFrame(nil, frameHello, []byte{1}), appendFrame(nil, frameBye, nil)),
		"a give out of turn":              frames(appendFrame(nil, frameOpen, all), appendFrame(nil, frameGive, []byte{entryNotHere})),
	} {
		t.Run(name, func(t *testing.T) {
			b := newNode(t, town, 2)
			b.Keep(mesh.TopicCommons, said(1, "one"))
			b.start(t)
			stranger := pubsubtest.NewHost(t)
			pubsubtest.Connect(t, stranger, b.host)
			var s network.Stream
			until(t, "sync is offered", func() bool {
				var err error
				s, err = stranger.NewStream(t.Context(), b.host.ID(), SyncProtocol)
				return err == nil
			})
			if _, err := s.Write(bytes); err != nil {
				t.Fatal(err)
			}
			must(t, s.SetReadDeadline(time.Now().Add(30*time.Second)))
			_, err := io.Copy(io.Discard, s)
			if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
				t.Errorf("%x keeps the answerer busy", bytes)
			}
			until(t, "it is counted", func() bool { return b.carrier.Status().SyncBad > 0 })
		})
	}
}

func TestGreedyAskerIsPutOff(t *testing.T) {
	a, b := pair(t, town, 2)
	began := time.Now()
	heard, busy := 0, uint64(0)
	for range 30 {
		if _, err := a.carrier.running().ask(t.Context(), b.host.ID(), true); err == nil {
			heard++
		} else if busy++; !errors.Is(err, errBusy) {
			t.Fatal(err)
		}
	}
	// A slow machine asks no faster than it may.
	if most := 8 + 1 + int(time.Since(began)/leastGap); heard > most {
		t.Errorf("%d of 30 sessions at once were heard, want at most %d", heard, most)
	}
	if n := b.carrier.Status().SyncBusy; n < busy {
		t.Errorf("%d were put off and %d counted", busy, n)
	}
}

// tenMissing lets a node that lacks ten of 10,000 events meet one that has all.
func tenMissing(t testing.TB, missing func(i int) bool) Tally {
	t.Helper()
	x, y := newNode(t, town, 2), newNode(t, town, 2)
	for i := range 10_000 {
		// Nobody checks these signatures; they only have to take their room.
		e, err := mesh.NewEvent(author.PubKey(), mesh.Signature{1, byte(i), byte(i >> 8)}, mesh.Draft{
			CreatedAt: began + mesh.Unix(260*i), Kind: mesh.KindNote, Tags: [][]string{{"t", "commons"}},
			Content: fmt.Sprintf("the water at the mill is back, bring bottles and tell the others, line %d", i),
		})
		if err != nil {
			t.Fatal(err)
		}
		y.Keep(mesh.TopicCommons, e)
		if !missing(i) {
			x.Keep(mesh.TopicCommons, e)
		}
	}
	meet(t, x, y)
	s := x.carrier.Status().Sync[0].Tally
	if s.Received != 10 {
		t.Fatalf("%d events came, want 10", s.Received)
	}
	return s
}

var tenOfTenThousand = map[string]func(i int) bool{
	"recent":    func(i int) bool { return i >= 9990 },
	"scattered": func(i int) bool { return i%1000 == 500 },
}

// TestTenMissingAreCheap counts every byte of the sync stream, the ten events
// among them.
func TestTenMissingAreCheap(t *testing.T) {
	for name, missing := range tenOfTenThousand {
		t.Run(name, func(t *testing.T) {
			s := tenMissing(t, missing)
			size := s.BytesIn + s.BytesOut
			t.Logf("%d bytes, %d rounds", size, s.Rounds)
			if size > 8000 {
				t.Errorf("%d bytes on the wire, want at most 8000", size)
			}
		})
	}
}

// BenchmarkSyncTen prints what bringing 10 of 10,000 events costs, connection
// included.
func BenchmarkSyncTen(b *testing.B) {
	for name, missing := range tenOfTenThousand {
		b.Run(name, func(b *testing.B) {
			var s Tally
			for b.Loop() {
				s = tenMissing(b, missing)
			}
			b.ReportMetric(float64(s.BytesIn+s.BytesOut), "wire-B")
			b.ReportMetric(float64(s.Rounds), "rounds")
		})
	}
}

// BenchmarkSyncTenThousand brings 10,000 events to an empty node that checks
// every signature, and compares with checking alone.
func BenchmarkSyncTenThousand(b *testing.B) {
	const n = 10_000
	events := make([]*mesh.Event, n)
	for i := range events {
		events[i] = said(260*i, fmt.Sprintf("the water at the mill is back, bring bottles and tell the others, line %d", i))
	}
	bare := func() time.Duration {
		at := time.Now()
		var wg sync.WaitGroup
		for part := range slices.Chunk(events, n/runtime.GOMAXPROCS(0)) {
			wg.Go(func() {
				for _, e := range part {
					if err := e.Verify(); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
		return time.Since(at)
	}
	var worst float64 = 100
	for b.Loop() {
		b.StopTimer()
		x, y := newNode(b, town, 2), newNode(b, town, 2)
		x.Verify = true
		stopX, stopY := x.start(b), y.start(b)
		pubsubtest.Connect(b, x.host, y.host)
		until(b, "the first sync is over", func() bool { return synced(x) && synced(y) })
		y.Keep(mesh.TopicCommons, events...)
		before := bare()
		b.StartTimer()
		at := time.Now()
		s := ask(b, x, y)
		took := time.Since(at)
		b.StopTimer()
		alone := (before + bare()) / 2
		if s.Received != n {
			b.Fatalf("%d events came, want %d", s.Received, n)
		}
		worst = min(worst, alone.Seconds()/took.Seconds())
		stopX()
		stopY()
		b.StartTimer()
	}
	b.ReportMetric(worst, "of-verify-rate")
}

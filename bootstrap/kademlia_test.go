package bootstrap

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"drey/mesh"
)

// hostOf makes a libp2p host with a node's key.
func hostOf(t testing.TB, id *mesh.Identity) host.Host {
	t.Helper()
	key, err := crypto.UnmarshalEd25519PrivateKey(id.Node)
	if err != nil {
		t.Fatal(err)
	}
	h, err := libp2p.New(libp2p.Identity(key), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay(),
		libp2p.DisableMetrics(), libp2p.DisableIdentifyAddressDiscovery())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func kademliaOf(id *mesh.Identity, h host.Host, roster mesh.Roster) *Kademlia {
	return NewKademlia(KademliaConfig{Self: id.NodeKey(), Roster: roster, Log: slog.New(slog.DiscardHandler), Clock: time.Now,
		Host: func(context.Context) (host.Host, error) { return h, nil }})
}

func connect(t testing.TB, a, b host.Host) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := a.Connect(ctx, peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		t.Fatal(err)
	}
}

// The first and the third know only the second, and find each other's records.
func TestKademliaFindsTheThirdThroughTheSecond(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t, leaks...) })
	roster := newFakeRoster(true)
	var hosts []host.Host
	var records []*mesh.PeerRecord
	got := make([]chan []byte, 3)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	for i := range 3 {
		id, r := someone(t, i+1, roster.community, 7, "tls://192.0.2.1:3740")
		h := hostOf(t, id)
		k := kademliaOf(id, h, roster)
		k.Announce(Announcement{Record: r})
		hosts, records = append(hosts, h), append(records, r)
		got[i] = make(chan []byte, 1024)
		go func() { ended <- k.Run(ctx, func(c Candidate) { got[i] <- slices.Clone(c.Record) }) }()
	}
	connect(t, hosts[0], hosts[1])
	connect(t, hosts[2], hosts[1])
	began := time.Now()
	for i, want := range map[int]*mesh.PeerRecord{0: records[2], 2: records[0]} {
		for late := time.After(time.Minute); ; {
			select {
			case b := <-got[i]:
				if string(b) != string(wire(want)) {
					continue
				}
			case err := <-ended:
				t.Fatalf("a finder gave up: %v", err)
			case <-late:
				t.Fatalf("node %d did not find the record of the one two steps away", i)
			}
			break
		}
	}
	t.Logf("found after %v", time.Since(began).Round(10*time.Millisecond))
	cancel()
	for range 3 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// leaks are goroutines of libraries that end in their own time.
var leaks = []goleak.Option{
	goleak.IgnoreAnyFunction("github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem.(*memoryAddrBook).background"),
}

// What the table is offered is let in only when its node belongs, signed it
// and stands at its place.
func TestKademliaRefuses(t *testing.T) {
	roster := newFakeRoster(false)
	self, own := someone(t, 1, roster.community, 7)
	member, record := someone(t, 2, roster.community, 7, "tls://192.0.2.1:3740")
	_, stranger := someone(t, 3, roster.community, 7)
	_, alien := someone(t, 2, mesh.Found(mesh.PubKey{9}, "elsewhere", [32]byte{}), 7)
	roster.nodes[self.NodeKey()], roster.nodes[member.NodeKey()] = true, true
	forged := *record
	forged.Seq++
	k := kademliaOf(self, nil, roster)
	met := 0
	shelf := &kadShelf{k: k, found: func(Candidate) { met++ }}
	for _, c := range []struct {
		name, key string
		value     []byte
		want      Refusal
	}{
		{"a member's", kadKey(record.Node), wire(record), ""},
		{"one's own", kadKey(own.Node), wire(own), ""},
		{"a stranger's", kadKey(stranger.Node), wire(stranger), RefusedStranger},
		{"another community's", kadKey(alien.Node), wire(alien), RefusedCommunity},
		{"changed", kadKey(record.Node), wire(&forged), RefusedForged},
		{"at another's place", kadKey(own.Node), wire(record), RefusedForged},
		{"in upper case", "/drey/" + string(append([]byte("AB"), kadKey(record.Node)[8:]...)), wire(record), RefusedForm},
		{"in another table", "/pk/" + record.Node.String(), wire(record), RefusedForm},
		{"oversized", kadKey(record.Node), make([]byte, mesh.MaxPeerRecord+1), RefusedSize},
		{"rubbish", kadKey(record.Node), []byte("rubbish"), RefusedForm},
	} {
		before, count := met, k.Refused()[c.want]
		err := shelf.Validate(c.key, c.value)
		if (err == nil) != (c.want == "") || c.want != "" && k.Refused()[c.want] != count+1 {
			t.Errorf("%s: %v, %v, want %q", c.name, err, k.Refused(), c.want)
		}
		if found := met > before; found != (c.name == "a member's") {
			t.Errorf("%s: found %v", c.name, found)
		}
	}
}

// An open community's strangers fill what there is room for and no more; this
// node still hears of everybody.
func TestKademliaIsBounded(t *testing.T) {
	roster := newFakeRoster(true)
	self, own := someone(t, 60_000, roster.community, 7)
	k := kademliaOf(self, nil, roster)
	now := time.Now()
	k.c.Clock = func() time.Time { return now }
	met, in := 0, 0
	shelf := &kadShelf{k: k, found: func(Candidate) { met++ }}
	offer := func(n int) {
		_, r := someone(t, n, roster.community, 7)
		if shelf.Validate(kadKey(r.Node), wire(r)) == nil {
			in++
		}
	}
	for i := range kadRecords + 1 {
		offer(i)
	}
	if in != kadRecords || met != kadRecords+1 {
		t.Errorf("%d of %d were let in, %d were found; want %d and all", in, kadRecords+1, met, kadRecords)
	}
	if err := shelf.Validate(kadKey(own.Node), wire(own)); err != nil {
		t.Errorf("no room for this node's own record: %v", err)
	}
	now = now.Add(kadRecordAge + time.Second)
	if offer(kadRecords + 1); in != kadRecords+1 {
		t.Error("no room a day later")
	}
}

func TestKademliaSelectsTheNewest(t *testing.T) {
	c := mesh.OpenCommunity("town")
	_, five := someone(t, 1, c, 5)
	_, nine := someone(t, 1, c, 9)
	var s kadShelf
	if i, err := s.Select("", [][]byte{[]byte("rubbish"), wire(five), wire(nine), wire(five)}); i != 2 || err != nil {
		t.Errorf("selected %d, %v, want 2", i, err)
	}
	if _, err := s.Select("", [][]byte{[]byte("rubbish")}); err == nil {
		t.Error("rubbish was selected")
	}
}

// A host that cannot be had is the finder's error; one alone waits and costs
// nothing.
func TestKademliaAlone(t *testing.T) {
	roster := newFakeRoster(true)
	id, _ := someone(t, 1, roster.community, 7)
	k := kademliaOf(id, nil, roster)
	broken := errors.New("the overlay has stopped")
	k.c.Host = func(context.Context) (host.Host, error) { return nil, broken }
	if err := k.Run(t.Context(), nil); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
}

// BenchmarkKademliaMemory tells what taking part costs a node that is
// connected to two others and idle.
func BenchmarkKademliaMemory(b *testing.B) {
	roster := newFakeRoster(true)
	var hosts []host.Host
	var finders []*Kademlia
	for i := range 3 {
		id, r := someone(b, i+1, roster.community, 7, "tls://192.0.2.1:3740")
		hosts = append(hosts, hostOf(b, id))
		k := kademliaOf(id, hosts[i], roster)
		k.Announce(Announcement{Record: r})
		finders = append(finders, k)
	}
	for i := range 3 {
		connect(b, hosts[i], hosts[(i+1)%3])
	}
	for b.Loop() {
		before, threads := live()
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error)
		heard := make(chan struct{}, 1024)
		for _, k := range finders {
			go func() { ended <- k.Run(ctx, func(Candidate) { heard <- struct{}{} }) }()
		}
		for range 12 {
			select {
			case <-heard:
			case err := <-ended:
				b.Fatal(err)
			}
		}
		after, more := live()
		b.ReportMetric(float64(after-before)/3/1024, "kB/node")
		b.ReportMetric(float64(more-threads)/3, "goroutines/node")
		cancel()
		for range finders {
			<-ended
		}
	}
}

// live returns the memory and goroutines in use, stacks included.
func live() (int64, int) {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse), runtime.NumGoroutine()
}

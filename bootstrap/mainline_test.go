package bootstrap

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"drey/bootstrap/mainline"
	"drey/bootstrap/mainline/mainlinetest"
	"drey/mesh"
)

func mainlineOf(id *mesh.Identity, nodes ...string) *Mainline {
	return NewMainline(MainlineConfig{Self: id.NodeKey(), Secrets: func() []mesh.Secret { return []mesh.Secret{townSecret} }, Nodes: nodes,
		Listen: func(context.Context) (net.PacketConn, error) { return net.ListenPacket("udp", "127.0.0.1:0") },
		Log:    slog.New(slog.DiscardHandler), Clock: time.Now})
}

// Nodes of a community that start at the same moment find each other in a table
// of foreign nodes; one of another community finds nobody.
func TestMainlineFinds(t *testing.T) {
	table := mainlinetest.Table(t, 3)
	leaks := goleak.IgnoreCurrent()
	community := mesh.Found(mesh.PubKey{1}, "town", [32]byte{})
	var records []*mesh.PeerRecord
	got := make(chan string, 64)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	run := func(m *Mainline, found func(Candidate)) {
		all.Go(func() {
			if err := m.Run(ctx, found); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 3 {
		id, r := someone(t, i+1, community, 7, "tls://192.0.2.1:3740")
		m := mainlineOf(id, table[i].String(), table[(i+1)%3].String())
		m.least = 200 * time.Millisecond
		m.Announce(Announcement{Record: r})
		records = append(records, r)
		run(m, func(c Candidate) {
			if !c.Proved || c.URI != "" {
				t.Errorf("candidate %+v is not proved", c)
			}
			got <- string(wire(r)) + string(c.Record)
		})
	}
	stranger, record := someone(t, 9, community, 7)
	alien := mainlineOf(stranger, table[0].String())
	alien.c.Secrets = func() []mesh.Secret { return []mesh.Secret{{9}} }
	alien.Announce(Announcement{Record: record})
	run(alien, func(Candidate) { t.Error("another community's node found somebody") })
	met := map[string]bool{}
	began := time.Now()
	for late := time.After(2 * time.Minute); len(met) < 6; {
		select {
		case pair := <-got:
			met[pair] = true
		case <-late:
			t.Fatalf("%d of 6 meetings in two minutes", len(met))
		}
	}
	t.Logf("all had met after %v", time.Since(began).Round(10*time.Millisecond))
	for _, r := range records {
		if met[string(wire(r))+string(wire(r))] {
			t.Error("a node found itself")
		}
	}
	cancel()
	all.Wait()
	goleak.VerifyNone(t, leaks)
}

// Of more announcements than an item has room for, those put last stay; one's
// own takes the place of one's older one.
func TestMainlineItemHoldsTheLast(t *testing.T) {
	table := mainlinetest.Table(t, 1)
	community := mesh.Found(mesh.PubKey{1}, "town", [32]byte{})
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := mainline.Open(conn)
	defer c.Close()
	s := slotOf(rendezvous{dayOf(time.Now()), townSecret}, 0)
	put := func(n int, seq uint32) {
		id, r := someone(t, n, community, seq)
		m := mainlineOf(id)
		m.Announce(Announcement{Record: r})
		if err := m.put(t.Context(), c, table, s, r, func(Candidate) {}); err != nil {
			t.Fatalf("node %d: %v", n, err)
		}
	}
	for n := 1; n <= 6; n++ {
		put(n, 1)
	}
	put(4, 2)
	item, _, err := c.Get(t.Context(), table, s.public(), s.salt)
	if err != nil || item == nil {
		t.Fatal(item, err)
	}
	id, _ := someone(t, 99, community, 1)
	var got []uint32
	var nodes []mesh.NodeKey
	mainlineOf(id).read(s, item, func(c Candidate) {
		r, err := mesh.ParsePeerRecord(c.Record)
		if err != nil {
			t.Fatal(err)
		}
		got, nodes = append(got, r.Seq), append(nodes, r.Node)
	})
	var want []mesh.NodeKey
	for _, n := range []int{4, 6, 5, 3} {
		id, _ := someone(t, n, community, 1)
		want = append(want, id.NodeKey())
	}
	if !slices.Equal(nodes, want) || !slices.Equal(got, []uint32{2, 1, 1, 1}) {
		t.Errorf("the item holds %v with numbers %v, want nodes 4, 6, 5 and 3", nodes, got)
	}
}

func TestMainlineRefuses(t *testing.T) {
	community := mesh.Found(mesh.PubKey{1}, "town", [32]byte{})
	id, _ := someone(t, 1, community, 7)
	_, record := someone(t, 2, community, 7)
	s := slotOf(rendezvous{20_778, townSecret}, 0)
	by := s.public()
	good, err := s.seal(record, by[:])
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := slotOf(rendezvous{20_779, townSecret}, 0)
	otherBy := elsewhere.public()
	foreign, err := elsewhere.seal(record, otherBy[:])
	if err != nil {
		t.Fatal(err)
	}
	var empty mesh.PeerRecord
	hollow, err := s.seal(&empty, by[:])
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		value []byte
		found int
		want  Refusal
	}{
		"good":              {good, 1, ""},
		"four":              {slices.Concat(good, good, good, good), 4, ""},
		"five":              {slices.Concat(good, good, good, good, good), 0, RefusedForm},
		"cut off":           {good[:len(good)-1], 0, RefusedForm},
		"another day's":     {foreign, 0, RefusedSealed},
		"good among others": {slices.Concat(foreign, good), 1, RefusedSealed},
		"hollow":            {hollow, 1, ""}, // the Manager checks signatures
	} {
		m := mainlineOf(id)
		n := 0
		m.read(s, &mainline.Item{Value: c.value}, func(Candidate) { n++ })
		if n != c.found || c.want != "" && m.Refused()[c.want] != 1 || c.want == "" && len(m.Refused()) > 0 {
			t.Errorf("%s: found %d, refused %v; want %d, %q", name, n, m.Refused(), c.found, c.want)
		}
	}
}

// Without internet the finder rests; it does not hang.
func TestMainlineWithoutInternet(t *testing.T) {
	id, _ := someone(t, 1, mesh.OpenCommunity("town"), 7)
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if err := mainlineOf(id, silent.LocalAddr().String()).Run(t.Context(), func(Candidate) {}); !errors.Is(err, mainline.ErrNobody) {
		t.Errorf("nobody answers: %v, want %v", err, mainline.ErrNobody)
	}
	for _, bad := range []string{"", "host", "127.0.0.1:99999"} {
		if err := mainlineOf(id, bad).Run(t.Context(), func(Candidate) {}); err == nil {
			t.Errorf("%q was taken as a way into the table", bad)
		}
	}
}

// The names under which a community's items lie are for it to know: the vector
// of docs/PROTOCOL.md.
func TestMainlineVector(t *testing.T) {
	s := slotOf(rendezvous{day: 20_778, secret: mesh.Secret{1}}, 1)
	if got, want := mesh.NodeKey(s.key.Public().(ed25519.PublicKey)).String(), "88824da34a72f3ffe334ab16951a48228d2d7b88046d713d428d0401cb58bb4f"; got != want || s.salt != "1" {
		t.Errorf("key %s, salt %s, want %s, 1", got, s.salt, want)
	}
}

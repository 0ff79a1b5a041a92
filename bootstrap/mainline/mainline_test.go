package mainline

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"drey/bootstrap/mainline/mainlinetest"
)

func client(t testing.TB) *Client {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := Open(conn)
	t.Cleanup(func() { c.Close() })
	return c
}

var testKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))

func public() [32]byte { return [32]byte(testKey.Public().(ed25519.PublicKey)) }

// Among twenty nodes of foreign code that know each other, what is put through
// one is got through another, the newest, and by others from nobody.
func TestItemThroughForeignNodes(t *testing.T) {
	nodes := mainlinetest.Table(t, 20)
	c := client(t)
	first, last := nodes[:1], nodes[19:]
	item, at, err := c.Get(t.Context(), first, public(), "0")
	if err != nil || item != nil || len(at) != nearest {
		t.Fatalf("in an empty table: item %v, %d holders, %v; want none, %d, nil", item, len(at), err, nearest)
	}
	if n, err := c.Put(t.Context(), at, testKey, "0", 5, []byte("five")); n < nearest/2 || err != nil {
		t.Fatalf("put at %d nodes, %v", n, err)
	}
	other := client(t)
	item, at, err = other.Get(t.Context(), last, public(), "0")
	if err != nil || item == nil || item.Seq != 5 || string(item.Value) != "five" {
		t.Fatalf("got %+v, %v, want five", item, err)
	}
	if _, err := other.Put(t.Context(), at, testKey, "0", 5, []byte("another five")); !errors.Is(err, ErrOvertaken) {
		t.Errorf("the same number again: %v, want %v", err, ErrOvertaken)
	}
	if _, err := other.Put(t.Context(), at, testKey, "0", 9, []byte("nine")); err != nil {
		t.Error(err)
	}
	if item, _, err = c.Get(t.Context(), first, public(), "0"); err != nil || item == nil || item.Seq != 9 {
		t.Errorf("got %+v, %v, want nine", item, err)
	}
	if item, _, err = c.Get(t.Context(), first, public(), "1"); err != nil || item != nil {
		t.Errorf("at another salt: %v, %v", item, err)
	}
}

// answering is a node that answers each query as a test says.
func answering(t *testing.T, answer func(m map[string]any) any) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { conn.Close(); <-ended })
	go func() {
		defer close(ended)
		b := make([]byte, 65536)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			v, err := parseBencode(b[:n])
			if err != nil {
				t.Errorf("a query that does not parse: %q", b[:n])
				continue
			}
			switch a := answer(v.(map[string]any)).(type) {
			case []byte:
				conn.WriteTo(a, from)
			case map[string]any:
				conn.WriteTo(appendBencode(nil, map[string]any{"t": v.(map[string]any)["t"], "y": "r", "r": a}), from)
			}
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// No answer that the key did not sign as it stands is believed.
func TestForgedItems(t *testing.T) {
	key, value := public(), []byte("value")
	good := func() map[string]any {
		return map[string]any{"id": strings.Repeat("n", 20), "token": "t", "k": string(key[:]), "seq": int64(3), "v": string(value),
			"sig": string(ed25519.Sign(testKey, signed("0", 3, value)))}
	}
	with := func(k string, v any) map[string]any {
		m := good()
		if m[k] = v; v == nil {
			delete(m, k)
		}
		return m
	}
	otherKey := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, 32))
	for name, c := range map[string]struct {
		answer any
		want   bool
	}{
		"as it is":           {good(), true},
		"another value":      {with("v", "other"), false},
		"another number":     {with("seq", int64(4)), false},
		"no number":          {with("seq", nil), false}, // a nil dereference elsewhere
		"number as text":     {with("seq", "3"), false},
		"no signature":       {with("sig", nil), false},
		"short signature":    {with("sig", "x"), false},
		"another key":        {with("k", string(otherKey.Public().(ed25519.PublicKey))), false},
		"another salt's":     {with("sig", string(ed25519.Sign(testKey, signed("1", 3, value)))), false},
		"value of a list":    {with("v", []any{"x"}), false},
		"value too large":    {with("v", strings.Repeat("v", MaxValue+1)), false},
		"nodes of nonsense":  {with("nodes", strings.Repeat("x", 25)), true},
		"nodes as number":    {with("nodes", int64(1)), true},
		"identity too short": {with("id", "n"), true},
	} {
		c2 := client(t)
		item, _, err := c2.Get(t.Context(), []netip.AddrPort{answering(t, func(map[string]any) any { return c.answer })}, key, "0")
		if err != nil || (item != nil) != c.want {
			t.Errorf("%s: %v, %v, want an item: %v", name, item, err, c.want)
		}
	}
}

// A hostile node that tells of ever new nodes costs a bounded number of
// queries, and none to this node's own network when it is on the internet.
func TestHostileNodeIsBounded(t *testing.T) {
	l := &lookup{target: place(public(), "0"), key: public(), salt: "0", seen: map[netip.AddrPort]bool{}}
	l.add(node{addr: netip.MustParseAddrPort("203.0.113.5:6881")})
	queries, told := 0, uint32(0)
	for {
		n, ok, _ := l.next()
		if !ok {
			break
		}
		queries++
		var nodes []byte
		for range 1000 { // each nearer than the last
			told++
			who := l.target
			far := ^told
			who[4] ^= byte(far >> 24)
			who[5] ^= byte(far >> 16)
			who[6] ^= byte(far >> 8)
			who[7] ^= byte(far)
			nodes = append(nodes, who[:]...)
			nodes = append(nodes, 203, byte(told>>16), byte(told>>8), byte(told), 1, 1)
		}
		l.answer(n, map[string]any{"id": string(n.id[:]), "token": "t", "nodes": string(nodes)}, nil)
		if len(l.choice) > mostChoice || len(l.seen) > mostAsked*maxTold {
			t.Fatalf("%d nodes wait, %d are remembered", len(l.choice), len(l.seen))
		}
	}
	if at := l.holders(); queries != mostAsked || len(at) > nearest {
		t.Errorf("%d queries, %d holders; want %d, and at most %d", queries, len(at), mostAsked, nearest)
	}
	lan := append(append([]byte(strings.Repeat("i", 20)), 192, 168, 0, 1), 1, 1)
	if got := parseNodes(string(lan), compact4, netip.MustParseAddr("203.0.113.5")); len(got) != 0 {
		t.Errorf("a node on the internet pointed at %v", got)
	}
	if got := parseNodes(string(lan), compact4, netip.MustParseAddr("192.168.0.9")); len(got) != 1 {
		t.Errorf("a neighbour could not point at a neighbour")
	}
}

// A table where nobody answers is left after a while, and nothing stays behind.
func TestNobody(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	silent := answering(t, func(map[string]any) any { return nil })
	for name, start := range map[string][]netip.AddrPort{"silence": {silent}, "nobody to ask": nil} {
		c := client(t)
		if _, _, err := c.Get(t.Context(), start, public(), "0"); !errors.Is(err, ErrNobody) {
			t.Errorf("%s: %v, want %v", name, err, ErrNobody)
		}
		c.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	c := client(t)
	loud := answering(t, func(map[string]any) any { cancel(); return nil })
	if _, _, err := c.Get(ctx, []netip.AddrPort{loud}, public(), "0"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	c.Close()
	if _, _, err := c.Get(t.Context(), []netip.AddrPort{silent}, public(), "0"); err == nil {
		t.Error("a closed client got something")
	}
}

// What is not an answer from whom it was asked is nothing.
func TestAnswersOfOthers(t *testing.T) {
	key, value := public(), "value"
	answer := map[string]any{"id": strings.Repeat("n", 20), "k": string(key[:]), "seq": int64(3), "v": value,
		"sig": string(ed25519.Sign(testKey, signed("0", 3, []byte(value))))}
	c := client(t)
	at := c.conn.LocalAddr()
	stranger, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	asked := answering(t, func(m map[string]any) any {
		stranger.WriteTo(appendBencode(nil, map[string]any{"t": m["t"], "y": "r", "r": answer}), at)
		return nil
	})
	if item, _, err := c.Get(t.Context(), []netip.AddrPort{asked}, key, "0"); item != nil || !errors.Is(err, ErrNobody) {
		t.Errorf("a stranger's answer gave %v, %v", item, err)
	}
}

func FuzzBencode(f *testing.F) {
	for _, s := range []string{"i-5e", "4:spam", "l4:spami1ee", "d1:ad2:id1:xe1:q3:get1:t1:a1:y1:qe", "i99999999999999999999e", "lllllllllle", "5:x", "d1:a", "1x"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parseBencode(b)
		if err != nil {
			return
		}
		again, err := parseBencode(appendBencode(nil, v))
		if err != nil || !reflect.DeepEqual(v, again) {
			t.Errorf("%q: %v was written back as %v, %v", b, v, again, err)
		}
	})
}

// FuzzPacket checks that no packet brings a client down.
func FuzzPacket(f *testing.F) {
	f.Add([]byte("d1:rd2:id20:nnnnnnnnnnnnnnnnnnnn5:nodes26:nnnnnnnnnnnnnnnnnnnn123456e1:t4:name1:y1:re"))
	f.Add([]byte("d1:eli302e3:olde1:t4:name1:y1:ee"))
	f.Add([]byte("d1:t4:name1:y1:re"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &Client{}
		from := netip.MustParseAddrPort("192.0.2.1:6881")
		q := &question{to: from, answer: make(chan map[string]any, 1)}
		c.mu.waiting = map[string]*question{"name": q}
		c.deliver(b, from)
		select {
		case m := <-q.answer:
			l := &lookup{target: place(public(), "0"), key: public(), salt: "0", seen: map[netip.AddrPort]bool{}}
			r, err := answered(m)
			l.answer(node{addr: from}, r, err)
			if l.best != nil || len(l.choice) > 2*maxTold {
				t.Errorf("%q made an item, or %d nodes", b, len(l.choice))
			}
		default:
		}
	})
}

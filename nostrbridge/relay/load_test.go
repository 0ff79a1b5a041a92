package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"drey/mesh"
)

// generous lifts what throttles a test that posts much.
func generous(c *Config) {
	c.Limits.MemberBurst, c.Limits.AskBurst = 1<<20, 1<<20
}

// While authors post, readers come and subscribe: each gets every event once,
// whether the store or the news brings it.
func TestLiveHasNoGapAndNoDouble(t *testing.T) {
	const authors, each, readers = 3, 40, 8
	w := newDiskWorld(t, generous)
	var wg sync.WaitGroup
	for a := range authors {
		c := w.connect(t)
		wg.Go(func() {
			for i := range each {
				c.posted(note("ana", fmt.Sprintf("%d/%d", a, i)))
			}
		})
	}
	for range readers {
		c := w.connectAs(t, "ben")
		wg.Go(func() {
			c.send(`["REQ","s",{"kinds":[1]}]`)
			seen := map[string]int{}
			for len(seen) < authors*each {
				m, err := c.read()
				if err != nil {
					t.Errorf("after %d events: %v", len(seen), err)
					return
				}
				if m[0] == "EVENT" {
					seen[m[2].(map[string]any)["content"].(string)]++
				}
			}
			c.send(`["REQ","fence",{"limit":0}]`) // what would still come comes before its answer
			for m := c.next(); m[0] != "EOSE" || m[1] != "fence"; m = c.next() {
				if m[0] == "EVENT" {
					seen[m[2].(map[string]any)["content"].(string)]++
				}
			}
			for text, n := range seen {
				if n != 1 {
					t.Errorf("%s came %d times", text, n)
				}
			}
		})
	}
	wg.Wait()
}

// What comes in while the store tells: known to both, only news, or told on its
// way from the one to the other. Each comes once, what is news after EOSE.
func TestBetweenStoredAndLive(t *testing.T) {
	f, n := bareFront(t, Limits{})
	rec := func(seq uint64, text string) *mesh.Record {
		return &mesh.Record{Event: at("ana", mesh.Unix(2000-seq), text), Topic: "commons", Seq: seq}
	}
	crossing, both, only := rec(7, "crossing"), rec(8, "both"), rec(9, "only news")
	n.stored = func(yield func(*mesh.Record, error) bool) {
		f.spread(crossing) // its position was known before, its way to the subscription is later
		f.spread(both)
		if !yield(crossing, nil) || !yield(both, nil) {
			return
		}
		f.spread(only)
	}
	server := httptest.NewServer(f)
	defer server.Close()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { f.Run(ctx) })
	w := &world{t: t, url: "ws" + strings.TrimPrefix(server.URL, "http") + "/"}
	c := w.connect(t)
	f.position.Store(7)
	got, end := c.req("s", `{"kinds":[1]}`)
	if fmt.Sprint(got) != "[crossing both]" || end[0] != "EOSE" {
		t.Errorf("stored came %q, then %v", got, end)
	}
	f.spread(rec(10, "later"))
	for _, want := range []string{"only news", "later"} {
		if m := c.next(); m[0] != "EVENT" || m[2].(map[string]any)["content"] != want {
			t.Errorf("live came %v, want %s", m, want)
		}
	}
	// More news than may wait for a slow query end the subscription, not the rest.
	flood := note("ana", "flood")
	n.stored = func(yield func(*mesh.Record, error) bool) {
		for i := range pendingMost + 1 {
			f.spread(&mesh.Record{Event: flood, Topic: "commons", Seq: uint64(20 + i)})
		}
	}
	c.send(`["CLOSE","s"]`)
	if got, end := c.req("t", `{"kinds":[1]}`); len(got) != 0 || end[0] != "EOSE" {
		t.Errorf("came %q, then %v", got, end)
	}
	if m := c.next(); m[0] != "CLOSED" || !strings.HasPrefix(m[2].(string), "error: more came in") {
		t.Errorf("after a flood came %v", m)
	}
	cancel()
	wg.Wait()
}

// OK is true only after the disk: a store that cannot flush lets nobody
// believe otherwise.
func TestOKWaitsForTheDisk(t *testing.T) {
	w := newWorld(t, nil)
	flush := make(chan error)
	asked := make(chan struct{})
	w.node.sync = func(ctx context.Context) error {
		select {
		case asked <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case err := <-flush:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	c := w.connectAs(t, "ana")
	for _, fault := range []error{nil, errors.New("no space left on device")} {
		e := note("ana", fmt.Sprint("with ", fault))
		c.send(`["EVENT",` + string(e.AppendJSON(nil)) + `]`)
		<-asked
		if got := c.ask(`["COUNT","c",{"kinds":[9]}]`); got[0] != "COUNT" {
			t.Errorf("before the disk answered came %v", got)
		}
		flush <- fault
		got := c.next()
		if ok := fault == nil; got[0] != "OK" || got[1] != e.ID().String() || got[2] != ok || !ok && !strings.HasPrefix(got[3].(string), "error: ") {
			t.Errorf("with disk error %v came %v", fault, got)
		}
	}
}

func TestLimitsOfOneConnection(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Limits.Subs, c.Limits.Weight, c.Limits.AskBurst, c.Limits.AskEvery = 3, 100, 12, time.Hour
		c.Limits.GuestBurst, c.Limits.GuestEvery = 2, time.Hour
	})
	c := w.connect(t)
	for i := range 3 {
		if _, end := c.req(fmt.Sprint(i), `{"kinds":[9]}`); end[0] != "EOSE" {
			t.Fatalf("subscription %d: %v", i, end)
		}
	}
	if _, end := c.req("more", `{}`); !strings.HasPrefix(words(end), "CLOSED more rate-limited: too many subscriptions") {
		t.Errorf("one more: %v", end)
	}
	if _, end := c.req("1", `{"kinds":[2]}`); end[0] != "EOSE" {
		t.Errorf("one in the place of another: %v", end)
	}
	c.send(`["CLOSE","0"]`)
	if _, end := c.req("large", `{"authors":["`+strings.Repeat(keyHex("ana")+`","`, 97)+keyHex("ana")+`"]}`); !strings.HasPrefix(words(end), "CLOSED large rate-limited: your filters are too large together") {
		t.Errorf("large: %v", end)
	}
	if _, end := c.req("small", `{"kinds":[9]}`); end[0] != "EOSE" {
		t.Errorf("small: %v", end)
	}
	for i := 8; ; i++ { // seven questions were asked
		_, end := c.req("small", `{"kinds":[9]}`)
		if end[0] == "EOSE" && i <= 12 {
			continue
		}
		if i != 13 || !strings.HasPrefix(words(end), "CLOSED small rate-limited: ") {
			t.Errorf("question %d: %v", i, end)
		}
		break
	}
	for i := range 3 {
		if ok, why := c.post(note("carl", fmt.Sprint(i))); ok != (i < 2) || !ok && !strings.HasPrefix(why, "rate-limited: ") {
			t.Errorf("a guest's note %d: %v %q", i, ok, why)
		}
	}
	c.posted(note("ana", "a member's word is not of the guests' allowance"))
	if ok, _ := w.connect(t).post(note("carl", "the next connection")); !ok {
		t.Error("one connection used up another's allowance")
	}
	if n := w.front.weight.Load(); n <= 0 {
		t.Errorf("the filters weigh %d", n)
	}
	c.ws.CloseNow()
	for w.front.Stats().Conns > 1 {
		runtime.Gosched()
	}
	if n := w.front.weight.Load(); n != 0 {
		t.Errorf("after the connection the filters weigh %d", n)
	}
}

func TestTooManyFaultsEndTheConnection(t *testing.T) {
	w := newWorld(t, still)
	c := w.connect(t)
	for i := 0; ; i++ {
		c.send(`nonsense`)
		if _, err := c.read(); err != nil {
			if i != faultBurst || websocket.CloseStatus(err) != websocket.StatusPolicyViolation || !strings.Contains(err.Error(), errFaults.Error()) {
				t.Errorf("after %d faults: %v", i, err)
			}
			return
		}
	}
}

func TestMessageTooLarge(t *testing.T) {
	w := newWorld(t, nil)
	c := w.connect(t)
	if ok, why := w.connectAs(t, "ana").post(note("ana", strings.Repeat("x", 60_000))); !ok {
		t.Errorf("a note of 60 kB was refused: %s", why)
	}
	c.send(`["EVENT","` + strings.Repeat("x", 256<<10) + `"]`)
	if _, err := c.read(); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Errorf("more than 256 KiB: %v, want status 1009", err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.Conns = 2 })
	w.connect(t)
	w.connect(t)
	_, resp, err := websocket.Dial(t.Context(), w.url, nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the third: %v, %v; want 503", resp, err)
	}
	if s := w.front.Stats(); s.Full != 1 || s.Conns != 2 {
		t.Errorf("Stats = %+v", s)
	}
	f, err := New(Config{Node: w.node, Limits: Limits{ConnsEach: 2}})
	if err != nil {
		t.Fatal(err)
	}
	f.mu.ctx = t.Context()
	for i, addr := range []string{"192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3", "192.0.2.2:1", "[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1", "[::1]:1", "[::1]:2", "[::1]:3"} {
		_, err := f.enter(&conn{front: f, addr: addrOf(addr)})
		if want := i != 2 && i != 6; (err == nil) != want {
			t.Errorf("%s: %v, want room %v", addr, err, want)
		}
	}
}

func TestInfo(t *testing.T) {
	w := newWorld(t, nil)
	r, _ := http.NewRequest("GET", "http"+strings.TrimPrefix(w.url, "ws"), nil)
	r.Header.Set("Accept", "application/nostr+json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var doc info
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Content-Type") != "application/nostr+json" {
		t.Errorf("headers %v", resp.Header)
	}
	if fmt.Sprint(doc.NIPs) != "[1 2 9 11 17 40 42 45 50 59 65 70 77]" || doc.Name != "school" || doc.Limits.Subs != 128 || doc.Limits.Limit != 500 {
		t.Errorf("document %+v", doc)
	}
	http.DefaultClient.CloseIdleConnections()
}

// pipeListener hands out pipes, whose buffers are none: a reader that does not
// read is felt at once.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { close(l.done); return nil }
func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

// dial connects a client that has not asked for anything yet.
func (l *pipeListener) dial(t *testing.T, ctx context.Context) *client {
	t.Helper()
	ws, _, err := websocket.Dial(ctx, "ws://relay/", &websocket.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			a, b := net.Pipe()
			l.conns <- b
			return a, nil
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, ws: ws}
	c.next() // AUTH
	return c
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "127.0.0.1:1" }

// A reader that stops reading is closed with the reason; those who post and the
// other readers have not waited for it.
func TestSlowReaderHurtsOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := bareFront(t, Limits{Queue: 20})
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() { f.Run(ctx) })
		l := &pipeListener{make(chan net.Conn), make(chan struct{})}
		server := &http.Server{Handler: f}
		wg.Go(func() { server.Serve(l) })
		dial := func() *client {
			c := l.dial(t, ctx)
			c.req("s", `{}`)
			return c
		}
		slow, quick := dial(), dial()
		got := make(chan string, 100)
		wg.Go(func() {
			for {
				_, b, err := quick.ws.Read(ctx)
				if err != nil {
					return
				}
				var m []any
				if json.Unmarshal(b, &m) == nil && m[0] == "EVENT" {
					got <- m[2].(map[string]any)["content"].(string)
				}
			}
		})
		began := time.Now()
		for i := range 60 {
			n.news <- &mesh.Record{Event: note("ana", fmt.Sprint(i)), Topic: "commons", Seq: uint64(i + 1)}
			if text := <-got; text != fmt.Sprint(i) {
				t.Fatalf("the quick one got %s, want %d", text, i)
			}
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("the quick one waited %v for the slow one", d)
		}
		synctest.Wait()
		if s := f.Stats(); s.Conns != 2 {
			t.Errorf("%d connections while the slow one may still mend, want 2", s.Conns)
		}
		var err error
		for err == nil {
			_, err = slow.read()
		}
		var why websocket.CloseError
		if !errors.As(err, &why) || why.Code != websocket.StatusPolicyViolation || !strings.HasPrefix(why.Reason, "too slow") {
			t.Errorf("the slow one was closed with %v", err)
		}
		synctest.Wait()
		if s := f.Stats(); s.Slow != 1 || s.Dropped == 0 || s.Conns != 1 {
			t.Errorf("Stats = %+v, want one that was slow", s)
		}

		// One that reads nothing at all goes when a message is not taken in time.
		stuck := dial()
		for i := range 3 {
			n.news <- &mesh.Record{Event: note("ana", fmt.Sprint("more ", i)), Topic: "commons", Seq: uint64(i + 100)}
			<-got
		}
		time.Sleep(writeFor + time.Second) // of the test's own clock
		synctest.Wait()
		if s := f.Stats(); s.Slow != 2 || s.Conns != 1 {
			t.Errorf("Stats = %+v, want two that were slow", s)
		}
		stuck.ws.CloseNow()
		slow.ws.CloseNow()
		quick.ws.CloseNow()
		cancel()
		server.Close()
		wg.Wait()
	})
}

// Who reads nothing does not keep the node from ending: neither while it is sent
// what it asked for, nor while a good-bye is on its way to it.
func TestEndsBesideOneWhoDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, n := bareFront(t, Limits{})
		n.stored = func(yield func(*mesh.Record, error) bool) {
			for i := 0; yield(&mesh.Record{Event: note("ana", fmt.Sprint(i)), Topic: "commons", Seq: uint64(i + 1)}, nil); i++ {
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { f.Run(ctx) })
		l := &pipeListener{make(chan net.Conn), make(chan struct{})}
		server := &http.Server{Handler: f}
		var serving sync.WaitGroup
		serving.Go(func() { server.Serve(l) })
		idle, asking := l.dial(t, ctx), l.dial(t, ctx)
		asking.send(`["REQ","s",{}]`)
		synctest.Wait()
		began := time.Now()
		cancel()
		running.Wait()
		if d := time.Since(began); d > closeFor {
			t.Errorf("the relay ended after %v, want %v", d, closeFor)
		}
		if s := f.Stats(); s.Conns != 0 {
			t.Errorf("%d connections are left", s.Conns)
		}
		idle.ws.CloseNow()
		asking.ws.CloseNow()
		server.Close()
		serving.Wait()
	})
}

// bareFront is a relay whose news a test makes.
func bareFront(t testing.TB, l Limits) (*Front, *bareNode) {
	n := &bareNode{news: make(chan *mesh.Record)}
	f, err := New(Config{Node: n, Limits: l, GuestTopics: []mesh.Topic{"commons"}})
	if err != nil {
		t.Fatal(err)
	}
	return f, n
}

func TestAddrOf(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:5": "192.0.2.1", "[::ffff:192.0.2.1]:5": "192.0.2.1", "[2001:db8:1:2:3::4]:5": "2001:db8:1:2::", "[::1]:5": "::1",
		"[fe80::1%eth0]:5": "fe80::", "@": "invalid IP",
	} {
		if got := addrOf(in); got.String() != want {
			t.Errorf("addrOf(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestForeign(t *testing.T) {
	for origin, want := range map[string]bool{
		"": false, "http://192.0.2.7:3739": false, "http://localhost": false, "https://localhost": false, "http://127.0.0.1:8080": false,
		"capacitor://localhost": false, "tauri://localhost": false, "file://": false,
		"null": true, "http://evil.example": true, "https://evil.example": true, "http://192.0.2.8": true, "http://localhost.evil.example": true, "%zz": true,
	} {
		r := &http.Request{Host: "192.0.2.7:3739", Header: http.Header{}}
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		if got := foreign(r); got != want {
			t.Errorf("foreign(%q) = %v, want %v", origin, got, want)
		}
	}
}

func TestPassesForget(t *testing.T) {
	p := newPasses(Limits{PassBurstAll: 1 << 20, PassBurst: 1}.filled())
	at := time.Unix(1e9, 0)
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
	for i := range passAddresses {
		if !p.allow(addr(i), at) {
			t.Fatalf("address %d was refused", i)
		}
	}
	if p.allow(addr(passAddresses), at) {
		t.Error("one address more was remembered")
	}
	if !p.allow(addr(passAddresses), at.Add(time.Hour)) {
		t.Error("after an hour there is still no room")
	}
	if n := len(p.mu.each); n != 1 {
		t.Errorf("%d addresses are remembered, want 1", n)
	}
}

// Idle connections cost little: the figure is in docs/BENCHMARKS.md.
func TestThousandIdleConnections(t *testing.T) {
	const conns = 1000
	w := newWorld(t, nil)
	before := heap()
	var all []net.Conn
	defer func() {
		for _, c := range all {
			c.Close()
		}
	}()
	for range conns {
		c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(w.url, "ws://"), "/"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
		b := make([]byte, 12)
		if _, err := io.ReadFull(c, b); err != nil || string(b) != "HTTP/1.1 101" {
			t.Fatalf("answered %q, %v", b, err)
		}
	}
	each := (heap() - before) / conns
	t.Logf("%d bytes of heap and stack for one idle connection", each)
	if each > 48<<10 {
		t.Errorf("%d bytes for one idle connection, want at most 48 KiB", each)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

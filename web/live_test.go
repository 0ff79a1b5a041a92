package web_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"drey/mesh"
	"drey/web"
	"drey/web/webtest"
)

// stream opens a stream and returns its lines; closing the body ends it.
func stream(t *testing.T, c *http.Client, base, path string, headers ...string) (*http.Response, *bufio.Reader) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		if name, value, ok := strings.Cut(h, ": "); ok {
			req.Header.Set(name, value)
		}
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 {
		t.Fatalf("GET %s: %s %s", path, resp.Status, readAll(resp.Body))
	}
	return resp, bufio.NewReader(resp.Body)
}

func next(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	s, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("the stream ended: %v", err)
	}
	return strings.TrimSuffix(s, "\n")
}

// TestLinesAreTheAuthorsBytes: what is sent is exactly what was signed, in
// every form, whatever the text holds.
func TestLinesAreTheAuthorsBytes(t *testing.T) {
	s, n := newServer(t, nil)
	d := open(t, s, os.Getuid(), socket)
	nasty := []string{"plain", "<script>&amp;</script>", "line\nbreak\r\x00\x1f\"\\", "\u2028\u2029\u0085", "\U0001f9d1\u200d\U0001f33e مرحبا", strings.Repeat("é", 20000)}
	var want strings.Builder
	for i, text := range nasty {
		e, err := newKey(t, 5).Sign(mesh.Draft{CreatedAt: mesh.Unix(i), Kind: 1, Tags: [][]string{{"t", "commons"}, {"", ""}, {}, {"x", string([]rune(text)[:1])}}, Content: text})
		if err != nil {
			t.Fatal(err)
		}
		n.Receive(e, "commons", "gossip", 0)
		want.Write(e.AppendJSON(nil))
		want.WriteByte('\n')
	}
	if got := d.do("GET", "/v1/topics/commons/messages", "").body; got != want.String() {
		t.Errorf("history:\n%q, want\n%q", got, want.String())
	}
	resp, lines := stream(t, http.DefaultClient, d.base, "/v1/topics/commons/messages?since=all", "Accept: text/event-stream")
	defer resp.Body.Close()
	for i, line := range strings.Split(strings.TrimSuffix(want.String(), "\n"), "\n") {
		if got := next(t, lines); got != fmt.Sprintf("id: %d", i+1) {
			t.Errorf("event %d: %q", i, got)
		}
		if got := next(t, lines); got != "data: "+line {
			t.Errorf("event %d: data %q, want %q", i, got, line)
		}
		next(t, lines)
	}
	records := strings.Split(strings.TrimSpace(d.do("GET", "/v1/events?form=record", "").body), "\n")
	for i, line := range strings.Split(strings.TrimSuffix(want.String(), "\n"), "\n") {
		if !strings.HasSuffix(records[i], `"event":`+line+"}") {
			t.Errorf("record %d does not carry the signed bytes: %q", i, records[i])
		}
	}
}

func TestHistoryChooses(t *testing.T) {
	s, n := newServer(t, nil)
	d := open(t, s, os.Getuid(), socket)
	var ids []string
	for i := range 130 {
		topic := mesh.Topic("commons")
		if i%2 == 1 {
			topic = "alerts"
		}
		ids = append(ids, n.Receive(sign(t, 5, string(topic), fmt.Sprint("message ", i)), topic, "gossip", 0).Event.ID().String())
	}
	reaction, err := newKey(t, 6).Sign(mesh.Draft{Kind: mesh.KindReaction, Content: "+"})
	if err != nil {
		t.Fatal(err)
	}
	n.Receive(reaction, "commons", "gossip", 0)
	for _, c := range []struct {
		path        string
		first, last string
		count       int
	}{
		{"/v1/events", "message 31", "", 100},
		{"/v1/events?since=all", "message 0", "", 131},
		{"/v1/events?since=1h&kind=1", "message 0", "message 129", 130},
		{"/v1/events?since=0&limit=3&kind=1", "message 127", "message 129", 3},
		{"/v1/events?after=10&limit=3", "message 10", "message 12", 3},
		{"/v1/events?since=" + ids[126] + "&kind=1", "message 127", "message 129", 3},
		{"/v1/topics/alerts/messages?since=all", "message 1", "message 129", 65},
		{"/v1/topics/alerts/messages?limit=2", "message 127", "message 129", 2},
		{"/v1/events?topic=alerts&topic=commons&limit=2&kind=1", "message 128", "message 129", 2},
		{"/v1/events?kind=7", "", "", 1},
		{"/v1/events?author=" + newKey(t, 6).PubKey().String(), "", "", 1},
		{"/v1/topics/nothing/here/messages", "", "", 0},
	} {
		a := d.do("GET", c.path, "")
		lines := strings.Split(strings.TrimSuffix(a.body, "\n"), "\n")
		if a.body == "" {
			lines = nil
		}
		if a.status != 200 || len(lines) != c.count {
			t.Errorf("%s: %d, %d lines, want %d", c.path, a.status, len(lines), c.count)
			continue
		}
		if c.first != "" && !strings.Contains(lines[0], `"`+c.first+`"`) {
			t.Errorf("%s begins with %s, want %s", c.path, lines[0], c.first)
		}
		if c.last != "" && !strings.Contains(lines[len(lines)-1], `"`+c.last+`"`) {
			t.Errorf("%s ends with %s, want %s", c.path, lines[len(lines)-1], c.last)
		}
	}
}

// TestFollowHasNoGap publishes while readers join; each gets everything after
// its beginning, once, in order.
func TestFollowHasNoGap(t *testing.T) {
	s, n := newServer(t, nil)
	d := open(t, s, os.Getuid(), socket)
	const all = 300
	say := func(i int) {
		n.Receive(sign(t, 5, "commons", fmt.Sprint("message ", i)), "commons", "gossip", 0)
	}
	for i := range all / 3 {
		say(i)
	}
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := all / 3; i < all; i++ {
			say(i)
		}
	})
	defer writer.Wait()
	for _, path := range []string{
		"/v1/events?since=all&follow",
		"/v1/topics/commons/messages?after=3&follow=1",
		"/v1/topics/*/messages?since=1h&follow=1",
		"/v1/events?limit=20&follow=1&form=record",
	} {
		resp, lines := stream(t, http.DefaultClient, d.base, path)
		for expect := -1; expect < all; {
			line := next(t, lines)
			var i int
			_, text, _ := strings.Cut(line, `"content":"message `)
			if _, err := fmt.Sscanf(text, "%d", &i); err != nil {
				t.Fatalf("%s: line %s", path, line)
			}
			if expect >= 0 && i != expect {
				t.Fatalf("%s: message %d came, want %d", path, i, expect)
			}
			expect = i + 1
		}
		resp.Body.Close()
	}
	writer.Wait()
	resp, lines := stream(t, http.DefaultClient, d.base, "/v1/events?follow=1")
	defer resp.Body.Close()
	if got := resp.Header.Get("Drey-Seq"); got != fmt.Sprint(all) {
		t.Errorf("Drey-Seq = %s, want %d", got, all)
	}
	say(all)
	if got := next(t, lines); !strings.Contains(got, fmt.Sprintf(`"message %d"`, all)) {
		t.Errorf("a stream that begins now begins with %s", got)
	}
}

func TestFollowResumesWhereItWasCut(t *testing.T) {
	s, n := newServer(t, nil)
	d := open(t, s, os.Getuid(), socket)
	for i := range 3 {
		n.Receive(sign(t, 5, "commons", fmt.Sprint("message ", i)), "commons", "gossip", 0)
	}
	resp, lines := stream(t, http.DefaultClient, d.base, "/v1/events?since=all", "Accept: text/event-stream", "Last-Event-ID: 2")
	defer resp.Body.Close()
	if got := next(t, lines); got != "id: 3" {
		t.Errorf("after event 2 comes %q", got)
	}
	if a := d.do("GET", "/v1/events", "", "Accept: text/event-stream", "Last-Event-ID: x"); a.status != 400 {
		t.Errorf("a Last-Event-ID that is no number: %d", a.status)
	}
}

func TestStreamStaysAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newServer(t, nil)
		network, stop := inBubble(t, s)
		defer stop()
		resp, lines := stream(t, network.from("192.0.2.50"), "http://192.0.2.1", "/v1/events", "Accept: text/event-stream")
		defer resp.Body.Close()
		began := time.Now()
		for range 10 {
			if got := next(t, lines); got != ": " {
				t.Fatalf("a quiet stream says %q", got)
			}
			next(t, lines)
		}
		if quiet := time.Since(began); quiet != 250*time.Second {
			t.Errorf("ten comments came in %s, want 250 s", quiet)
		}
		n.Receive(sign(t, 5, "commons", "at last"), "commons", "gossip", 0)
		if got := next(t, lines); got != "id: 1" {
			t.Errorf("then came %q", got)
		}
	})
}

func TestStopEndsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newServer(t, nil)
		network, stop := inBubble(t, s)
		c := network.from("127.0.0.1")
		r := n.Receive(sign(t, 5, "commons", "x"), "commons", "gossip", 0)
		var readers sync.WaitGroup
		for _, e := range []struct{ name, path, accept, want string }{
			{"bare", "/v1/events?follow=1", "", ""},
			{"record", "/v1/events?follow=1&form=record", "", `"code":"stopping"`},
			{"sse", "/v1/events", "Accept: text/event-stream", `"code":"stopping"`},
			{"steps", "/v1/messages/" + r.Event.ID().String() + "?follow=1", "", `"code":"stopping"`},
		} {
			resp, _ := stream(t, c, "http://192.0.2.1", e.path, e.accept)
			readers.Go(func() {
				defer resp.Body.Close()
				b, err := io.ReadAll(resp.Body)
				if got := string(b); err != nil || !strings.Contains(got, e.want) || e.want == "" && got != "" {
					t.Errorf("%s stream ended with %q, %v, want %q", e.name, got, err, e.want)
				}
			})
		}
		time.Sleep(24 * time.Minute) // the bubble's clock: a quiet stream still gets its last words out
		began := time.Now()
		stop()
		readers.Wait()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("stopping took %s", took)
		}
	})
}

// TestStopCutsOffWhoIsStuck: browsers keep connections in reserve, phones go out
// of reach within a request. None of them makes a service manager impatient.
func TestStopCutsOffWhoIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newServer(t, nil)
		network, stop := inBubble(t, s)
		for _, said := range []string{
			"GET / HT",
			"POST /v1/topics/commons/messages HTTP/1.1\r\nHost: 192.0.2.1\r\nContent-Length: 9\r\n\r\nhalf",
			"GET /v1/events?follow=1 HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n", // and reads nothing
		} {
			c, err := network.dial(t.Context(), "192.0.2.50")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			fmt.Fprint(c, said)
		}
		synctest.Wait()
		n.Receive(sign(t, 5, "commons", "x"), "commons", "gossip", 0)
		synctest.Wait()
		began := time.Now()
		stop()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("stopping took %s", took)
		}
	})
}

// TestSlowReaderIsCutOff: a reader that takes nothing holds a bounded number
// of messages and is gone after a while.
func TestSlowReaderIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newServer(t, nil)
		network, stop := inBubble(t, s)
		defer stop()
		slow, err := network.dial(t.Context(), "192.0.2.50")
		if err != nil {
			t.Fatal(err)
		}
		defer slow.Close()
		fmt.Fprint(slow, "GET /v1/events?follow=1 HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n")
		head := bufio.NewReader(slow)
		if status := next(t, head); !strings.Contains(status, "200") {
			t.Fatal(status)
		}
		for i := range 1000 {
			n.Receive(sign(t, 5, "commons", fmt.Sprint("message ", i)), "commons", "gossip", 0)
		}
		began := time.Now()
		time.Sleep(web.Slowest + time.Second) // the bubble's clock: nothing really waits
		synctest.Wait()
		if _, err := slow.Write([]byte("x")); err == nil {
			t.Errorf("after %s the slow reader is still connected", time.Since(began))
		}
		quick := network.from("192.0.2.51")
		if a := request(t, quick, "GET", "/v1/events?limit=1", ""); a.status != 200 || !strings.Contains(a.body, "message 999") {
			t.Errorf("another reader: %d %s", a.status, a.body)
		}
	})
}

func TestGuestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newServer(t, func(c *web.Config) { c.Guests = web.GuestLimits{AllBurst: 12} })
		network, stop := inBubble(t, s)
		defer stop()
		post := func(from string) answer {
			return request(t, network.from(from), "POST", "/v1/topics/commons/messages", "hello")
		}
		ok, tooFast := 0, 0
		for range 40 {
			switch a := post("192.0.2.50"); a.status {
			case 202:
				ok++
			case 429:
				tooFast++
				if a.code() != web.CodeTooFast || a.header.Get("Retry-After") == "" {
					t.Fatalf("%s %v", a.body, a.header)
				}
			}
		}
		if ok != 5 || tooFast != 35 {
			t.Errorf("one guest: %d taken, %d refused; want 5 and 35", ok, tooFast)
		}
		if a := post("192.0.2.51"); a.status != 202 {
			t.Errorf("another guest: %d %s", a.status, a.body)
		}
		time.Sleep(6 * time.Second) // the bubble's clock
		if a := post("192.0.2.50"); a.status != 202 {
			t.Errorf("the first guest after 6 s: %d %s", a.status, a.body)
		}
		ok = 0
		for i := range 100 { // one machine with many addresses of one network
			if post(fmt.Sprintf("2001:db8::%x", i+1)).status == 202 {
				ok++
			}
		}
		if ok != 5 {
			t.Errorf("one IPv6 network posted %d times at once, want 5", ok)
		}
		ok = 0
		for i := range 100 { // many guests together
			if post(fmt.Sprintf("192.0.3.%d", i)).status == 202 {
				ok++
			}
		}
		if ok > 12 {
			t.Errorf("all guests together posted %d times at once, want at most 12", ok)
		}
		before := n.Posts()
		if a := request(t, network.from("127.0.0.1"), "POST", "/v1/topics/commons/messages", "hello", "Authorization: Bearer "+testToken); a.status != 202 || n.Posts() != before+1 {
			t.Errorf("the operator during the flood: %d %s", a.status, a.body)
		}
		refused := 0
		for range 200 {
			if request(t, network.from("192.0.4.1"), "GET", "/v1/topics", "").status == 429 {
				refused++
			}
		}
		if refused != 100 {
			t.Errorf("of 200 requests at once %d were refused, want 100", refused)
		}
	})
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newServer(t, nil)
		network, stop := inBubble(t, s)
		defer stop()
		for _, c := range []struct {
			query   string
			news    []string // "carrier state", one per second
			outcome string
			state   string
			took    time.Duration
		}{
			{"", nil, web.Reached, "saved", 0},
			{"wait=saved", []string{"gossip gossiped to 1"}, web.Reached, "saved", 0},
			{"wait=gossip", []string{"gossip gossiped to 0", "gossip gossiped to 3"}, web.Reached, "gossiped to 3", 2 * time.Second},
			{"wait=air", []string{"gossip gossiped to 3", "radio waiting: airtime, 4 min", "radio on air"}, web.Reached, "on air", 3 * time.Second},
			{"wait=air", []string{" superseded by 1234"}, web.Failed, "superseded by 1234", time.Second},
			{"wait=air", []string{"radio failed: too long"}, web.Failed, "failed: too long", time.Second},
			{"wait=relay&timeout=2500ms", []string{"nostr on 0 of 3 relays", "nostr waiting: no internet"}, web.TimedOut, "waiting: no internet", 2500 * time.Millisecond},
			{"wait=relay", []string{"nostr on 2 of 3 relays"}, web.Reached, "on 2 of 3 relays", time.Second},
			{"wait=gossip&timeout=10m", nil, web.TimedOut, "saved", 10 * time.Minute},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			var news sync.WaitGroup
			news.Go(func() {
				var r *mesh.Record
				for rec := range n.Watch(ctx, mesh.Filter{From: time.Now()}, mesh.Self) {
					r = rec
					break
				}
				for _, line := range c.news {
					select {
					case <-time.After(time.Second):
					case <-ctx.Done():
						return
					}
					carrier, state, _ := strings.Cut(line, " ")
					n.Note(r.Event.ID(), carrier, state)
				}
			})
			began := time.Now()
			a := request(t, network.from("192.0.2.50"), "POST", "/v1/topics/commons/messages?"+c.query, "hello")
			if a.status != 202 || !strings.Contains(a.body, fmt.Sprintf(`"outcome":%q`, c.outcome)) || !strings.Contains(a.body, fmt.Sprintf(`"state":%q`, c.state)) {
				t.Errorf("%s with %v: %d %s, want %s, %q", c.query, c.news, a.status, a.body, c.outcome, c.state)
			}
			if took := time.Since(began); took != c.took {
				t.Errorf("%s with %v took %s, want %s", c.query, c.news, took, c.took)
			}
			cancel()
			news.Wait()
			time.Sleep(time.Minute) // the bubble's clock: the guest's rate recovers
		}
		began := time.Now()
		a := request(t, network.from("192.0.2.50"), "POST", "/v1/topics/alerts/messages?wait=air", "hello")
		if a.status != 202 || !strings.Contains(a.body, "failed: topic alerts does not go by radio") || time.Since(began) != 0 {
			t.Errorf("a topic that does not go by radio: %d %s after %s, want so at once", a.status, a.body, time.Since(began))
		}
		n.Carriers("none", "off")
		for wait, why := range map[string]string{"air": "failed: this machine has no radio", "relay": "failed: this machine is no gateway"} {
			began := time.Now()
			a := request(t, network.from("192.0.2.50"), "POST", "/v1/topics/commons/messages?wait="+wait, "hello")
			if a.status != 202 || !strings.Contains(a.body, `"outcome":"failed"`) || !strings.Contains(a.body, why) || time.Since(began) != 0 {
				t.Errorf("wait=%s where it is in vain: %d %s after %s, want %q at once", wait, a.status, a.body, time.Since(began), why)
			}
		}
	})
}

// TestConnLimit fills all places: a newcomer gets one of whoever has the most,
// nobody more than his share, and the machine itself has its own. Who has his
// share loses his oldest to his newest.
func TestConnLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := newPipes()
		l := web.NewConnLimit(network, 10, 3)
		var server sync.WaitGroup
		server.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				server.Go(func() {
					c.Read(make([]byte, 1))
					c.Close()
				})
			}
		})
		// count dials and tells how many of these are open in the end.
		count := func(from func(int) string, tries int) (open int, closeAll func()) {
			var conns []net.Conn
			for i := range tries {
				c, err := network.dial(t.Context(), from(i))
				if err != nil {
					t.Fatal(err)
				}
				conns = append(conns, c)
				synctest.Wait()
			}
			for _, c := range conns {
				c.SetReadDeadline(time.Now().Add(time.Millisecond))
				if _, err := c.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
					open++
				}
			}
			return open, func() {
				for _, c := range conns {
					c.Close()
				}
				synctest.Wait()
			}
		}
		one := func(int) string { return "192.0.2.50" }
		many := func(i int) string { return fmt.Sprintf("192.0.3.%d", i) }
		home := func(i int) string { return fmt.Sprintf("2001:db8:0:1::%x", i) }
		here := func(i int) string { return fmt.Sprintf("127.0.0.%d", i) }
		open1, close1 := count(one, 5)
		if open1 != 3 {
			t.Errorf("one address opened %d connections, want 3", open1)
		}
		open2, close2 := count(many, 20)
		if open2 != 9 {
			t.Errorf("others opened %d connections, want the 7 that were left and 2 of who had most", open2)
		}
		open3, close3 := count(here, 5)
		if open3 != 3 {
			t.Errorf("while all are taken this machine opened %d, want 3", open3)
		}
		close1()
		close2()
		close3()
		if again, closeAll := count(one, 5); again != 3 {
			t.Errorf("after closing, one address opened %d, want 3", again)
		} else {
			closeAll()
		}
		if again, closeAll := count(home, 5); again != 3 {
			t.Errorf("the addresses of one network opened %d, want 3", again)
		} else {
			closeAll()
		}
		// One phone holds all places of its network; its neighbours come in still.
		_, close1 = count(func(int) string { return home(1) }, 3)
		neighbour, close2 := count(func(int) string { return home(2) }, 1)
		_, close3 = count(func(int) string { return home(1) }, 5)
		if next, close4 := count(func(int) string { return home(3) }, 1); neighbour != 1 || next != 1 {
			t.Errorf("beside a phone that holds all, its neighbours opened %d and %d, want 1 each", neighbour, next)
		} else {
			close4()
		}
		close1()
		close2()
		close3()
		network.Close()
		server.Wait()
	})
}

// lively is a node to which a message comes in between the two looks at the
// history that a limit takes.
type lively struct {
	*webtest.Node
	more func()
}

func (n lively) Records(ctx context.Context, f mesh.Filter, v mesh.Viewer) iter.Seq2[*mesh.Record, error] {
	if f.Order == mesh.ReceiptFirst {
		n.more()
	}
	return n.Node.Records(ctx, f, v)
}

func TestHistoryMeetsLiveOnce(t *testing.T) {
	n := webtest.New(newKey(t, 3), nil)
	said := 0
	say := func() {
		n.Receive(sign(t, 5, "commons", fmt.Sprint("message ", said)), "commons", "gossip", 0)
		said++
	}
	for range 5 {
		say()
	}
	s, _ := newServer(t, func(c *web.Config) { c.Node = lively{n, sync.OnceFunc(say)} })
	resp, lines := stream(t, http.DefaultClient, open(t, s, os.Getuid(), socket).base, "/v1/events?limit=2&follow=1")
	defer resp.Body.Close()
	for _, want := range []string{"message 3", "message 4", "message 5", "message 6"} {
		if want == "message 6" {
			say()
		}
		if got := next(t, lines); !strings.Contains(got, `"`+want+`"`) {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}

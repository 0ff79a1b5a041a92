package web_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"drey/web"
)

// TestPreview tells what a text would cost before it is sent.
func TestPreview(t *testing.T) {
	s, n := newServer(t, nil)
	d := open(t, s, -1, lan)
	for _, c := range []struct {
		query, want string
		warned      bool
	}{
		{"topic=commons&bytes=10", "10 of 2000 bytes", false},
		{"topic=alerts&text=fire", "4 of 2000 bytes · fits one radio packet", false},
		{"topic=alerts&bytes=390", "390 of 2000 bytes · 2 radio packets · about 2 min of waiting", true},
		{"topic=alerts&bytes=1500", "1500 of 2000 bytes · too long for the radio: only the beginning goes on the air", true},
		{"topic=alerts&bytes=2001", "Too long: 2001 bytes, 2000 fit. Shorten it or send it in parts.", true},
	} {
		a := d.do("GET", "/v1/preview?"+c.query, "")
		var p web.Preview
		if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.Words != c.want || p.Warned != c.warned || p.V != web.Version {
			t.Errorf("%s: %s %v, want %q warned %v", c.query, a.body, err, c.want, c.warned)
		}
	}
	if a := d.do("POST", "/v1/preview", `{"topic":"alerts","text":"пожежа"}`, "Accept-Language: uk"); !strings.Contains(a.body, "вміщується в один радіопакет") {
		t.Errorf("in Ukrainian: %s", a.body)
	}
	for _, bad := range []string{"topic=council&bytes=1", "topic=commons&bytes=-1", "topic=commons&bytes=x", "topic=../x"} {
		if a := d.do("GET", "/v1/preview?"+bad, ""); a.status/100 != 4 {
			t.Errorf("%s: %d", bad, a.status)
		}
	}
	// Without a script a button asks; nothing is sent and nothing is lost.
	a := d.do("POST", "/t/alerts", "text=fire&name=Ana&preview=1", form)
	p := parsePage(t, a.body)
	if a.status != 200 || !strings.Contains(text(p.one("output", "")), "fits one radio packet") || text(p.one("textarea", "")) != "fire" || n.Posts() != 0 {
		t.Errorf("the button: %d %s", a.status, text(p.one("form", "compose")))
	}
}

// TestLive: a stream brings the very list items that the page has, what became
// of messages, and signs of life.
func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newServer(t, nil)
		network, stop := inBubble(t, s)
		defer stop()
		c := network.from("192.0.2.50")
		n.Receive(sign(t, 5, "commons", "before"), "commons", "gossip", 0)
		resp, lines := stream(t, c, "http://192.0.2.1:3739", "/live?after=0&topic=commons")
		defer resp.Body.Close()
		read := func() (event, id, data string) {
			var parts []string
			for {
				line := next(t, lines)
				name, value, _ := strings.Cut(line, ": ")
				switch name {
				case "event":
					event = value
				case "id":
					id = value
				case "data":
					parts = append(parts, value)
				}
				if line == "" {
					if event == "" && id == "" && parts == nil {
						continue // a comment
					}
					return event, id, strings.Join(parts, "\n")
				}
			}
		}
		if event, _, data := read(); event != "count" || data != `{"commons":0}` {
			t.Errorf("first %s %s", event, data)
		}
		if event, id, data := read(); event != "message" || id != "1" || !strings.Contains(data, "before") {
			t.Errorf("then %s %s %s", event, id, data)
		}
		n.Receive(sign(t, 5, "alerts", "of another topic"), "alerts", "gossip", 0)
		rec, err := n.Publish(t.Context(), web.Post{Topic: "commons", Text: "two\nlines <b>", Guest: "Ana"})
		if err != nil {
			t.Fatal(err)
		}
		var item string
		for range 2 { // the message, and that it was saved, in either order
			event, _, data := read()
			switch event {
			case "message":
				item = data
			case "delivery":
				if !strings.Contains(data, rec.Event.ID().String()) || !strings.Contains(data, "saved") {
					t.Errorf("delivery %s", data)
				}
			default:
				t.Errorf("%s %s", event, data)
			}
		}
		page := request(t, c, "GET", "/t/commons", "").body
		if item == "" || !strings.Contains(page, item) || !strings.Contains(item, "two\nlines &lt;b&gt;") {
			t.Errorf("the stream has\n%s\nwhich is not in the page", item)
		}
		n.Note(rec.Event.ID(), "gossip", "gossiped to 2")
		if event, _, data := read(); event != "delivery" || !strings.Contains(data, "passed on to 2 machines") {
			t.Errorf("%s %s", event, data)
		}
		if event, _, data := read(); event != "alive" || !strings.Contains(data, fmt.Sprint(time.Now().UnixMilli())) {
			t.Errorf("%s %s", event, data)
		}
	})
}

// TestLiveCatchesUp: a stream goes on where it broke off; who missed too much,
// or comes from another life of the node, loads the page again.
func TestLiveCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newServer(t, nil)
		network, stop := inBubble(t, s)
		defer stop()
		c := network.from("192.0.2.50")
		for i := range 300 {
			n.Receive(sign(t, 5, "commons", fmt.Sprintf("message %d", i)), "commons", "gossip", 0)
		}
		for _, c2 := range []struct {
			path   string
			header string
			want   string
		}{
			{"/live", "Last-Event-ID: 298", "id: 299"},
			{"/live?after=299", "X: y", "id: 300"},
			{"/live?after=5", "X: y", "event: reset"},
			{"/live?after=1000", "X: y", "event: reset"},
		} {
			resp, lines := stream(t, c, "http://192.0.2.1:3739", c2.path, c2.header)
			for line := ""; line != c2.want; line = next(t, lines) {
				if strings.HasPrefix(line, "event: alive") {
					t.Errorf("%s %s: no %q", c2.path, c2.header, c2.want)
					break
				}
			}
			resp.Body.Close()
		}
		if a := request(t, c, "GET", "/live?topic=council", ""); a.status != 403 {
			t.Errorf("a guest follows a closed topic: %d", a.status)
		}
		if a := request(t, c, "GET", "/live?after=x", ""); a.status != 400 {
			t.Errorf("a cursor that is none: %d", a.status)
		}
	})
}

package web_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"testing"

	"drey/mesh"
	"drey/web"
	"drey/web/webtest"
)

// The places from which a request can come.
var (
	lan      = netip.MustParseAddr("192.0.2.50")
	loopback = netip.MustParseAddr("127.0.0.1")
	socket   = netip.Addr{}
)

const testToken = "0123456789abcdef0123456789abcdef"

// newServer builds a server that does not run.
func newServer(t testing.TB, change func(*web.Config)) (*web.Server, *webtest.Node) {
	t.Helper()
	key := newKey(t, 3)
	n := webtest.New(key, nil)
	c := web.Config{
		Home: t.TempDir(), Name: "Old School", Hosts: []string{"Drey.example"}, GuestTopics: []mesh.Topic{"commons", "alerts"},
		Token: testToken, Author: key.PubKey(), Node: n, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&c)
	}
	s, err := web.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s, n
}

// door is where a test knocks.
type door struct {
	t    testing.TB
	base string
}

// open serves s to a test as if it were elsewhere.
func open(t testing.TB, s *web.Server, uid int, from netip.Addr) *door {
	t.Helper()
	h := httptest.NewServer(s.As(uid, from))
	t.Cleanup(h.Close)
	return &door{t, h.URL}
}

type answer struct {
	status int
	header http.Header
	body   string
}

// code returns the error code of an answer, "" where it is none.
func (a answer) code() string {
	var b struct{ Error web.Problem }
	json.Unmarshal([]byte(a.body), &b)
	return b.Error.Code
}

// do sends a request with headers given as "Name: value".
func (d *door) do(method, path, body string, headers ...string) answer {
	d.t.Helper()
	return d.with(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, method, path, body, headers...)
}

func (d *door) with(client *http.Client, method, path, body string, headers ...string) answer {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.base+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
			continue
		}
		req.Header.Set(name, value)
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// TestScopes is the table of who may do what.
func TestScopes(t *testing.T) {
	const no = http.StatusForbidden
	jsonType := "Content-Type: application/json"
	requests := []struct {
		method, path, body            string
		guest, local, member, adminOK int // statuses
	}{
		{"GET", "/", "", 200, 200, 200, 200},
		{"GET", "/t/commons", "", 200, 200, 200, 200},
		{"GET", "/t/town/council", "", no, no, 200, 200},
		{"GET", "/search?q=x", "", 200, 200, 200, 200},
		{"GET", "/v1/preview?topic=commons&bytes=1", "", 200, 200, 200, 200},
		{"POST", "/v1/preview", `{"topic":"commons","text":"x"}`, 200, 200, 200, 200},
		{"GET", "/healthz", "", 200, 200, 200, 200},
		{"GET", "/readyz", "", 200, 200, 200, 200},
		{"GET", "/metrics", "", no, 200, 200, 200},
		{"GET", "/v1/openapi.json", "", 200, 200, 200, 200},
		{"GET", "/v1/status", "", 200, 200, 200, 200},
		{"GET", "/v1/topics", "", 200, 200, 200, 200},
		{"GET", "/v1/topics/commons/messages", "", 200, 200, 200, 200},
		{"GET", "/v1/topics/town/council/messages", "", no, no, 200, 200},
		{"GET", "/v1/topics/*/messages", "", 200, 200, 200, 200},
		{"GET", "/v1/events", "", 200, 200, 200, 200},
		{"GET", "/v1/events?topic=commons&topic=mail", "", no, no, 200, 200},
		{"POST", "/v1/topics/commons/messages", `{"text":"hello"}`, 202, 202, 202, 202},
		{"POST", "/v1/topics/town/council/messages", `{"text":"hello"}`, no, no, 202, 202},
		{"POST", "/v1/topics/alerts/messages", `{"text":"fire","urgent":true}`, no, no, 202, 202},
		{"GET", "/v1/peers", "", no, no, 200, 200},
		{"POST", "/v1/peers", `{"uri":"tls://192.0.2.9:1"}`, no, no, no, 200},
		{"DELETE", "/v1/peers?uri=tls://192.0.2.9:1", "", no, no, no, 200},
		{"POST", "/v1/peers/ping", `{"peer":"x"}`, no, no, 200, 200},
		{"GET", "/v1/radio", "", no, no, 200, 200},
		{"GET", "/v1/radio/nodes", "", no, no, 200, 200},
		{"GET", "/v1/radio/messages", "", no, no, no, 200},
		{"POST", "/v1/radio/messages", `{"to":"Maria","text":"hello"}`, no, no, no, 202},
		{"POST", "/v1/radio/test", "", no, no, 200, 200},
		{"POST", "/v1/radio/setup", `{"region":"US","apply":true}`, no, no, no, 200},
		{"GET", "/v1/relays", "", no, no, 200, 200},
		{"POST", "/v1/relays", `{"url":"wss://relay.example.org"}`, no, no, no, 200},
		{"POST", "/v1/relays", `{"url":"wss://relay.example.org","paused":true}`, no, no, no, 200},
		{"DELETE", "/v1/relays?url=wss://relay.example.org", "", no, no, no, 200},
		{"POST", "/v1/relays/test", `{"url":"wss://relay.example.org"}`, no, no, no, 200},
		{"GET", "/v1/members", "", no, no, 200, 200},
		{"POST", "/v1/invites", `{}`, no, no, no, 200},
		{"POST", "/v1/join", `{"invite":"x"}`, no, no, no, 200},
		{"POST", "/v1/import", "", no, no, no, 200},
		{"GET", "/v1/doctor", "", no, no, 200, 200},
	}
	s, _ := newServer(t, nil)
	guest, local := open(t, s, -1, lan), open(t, s, -1, loopback)
	member, admin := open(t, s, os.Getuid()+4242, socket), open(t, s, os.Getuid(), socket)
	for _, r := range requests {
		for _, c := range []struct {
			who     string
			d       *door
			headers []string
			want    int
		}{
			{"guest", guest, nil, r.guest},
			{"local", local, nil, r.local},
			{"member", member, nil, r.member},
			{"admin on the socket", admin, nil, r.adminOK},
			{"admin by token", local, []string{"Authorization: Bearer " + testToken}, r.adminOK},
		} {
			if r.method == "DELETE" && c.want == 200 {
				admin.do("POST", "/v1/peers", `{"uri":"tls://192.0.2.9:1"}`, jsonType)
			}
			a := c.d.do(r.method, r.path, r.body, append(c.headers, jsonType)...)
			if a.status != c.want {
				t.Errorf("%s %s as %s: %d %s, want %d", r.method, r.path, c.who, a.status, a.body, c.want)
			}
			if c.want == no && a.code() != web.CodeForbidden {
				t.Errorf("%s %s as %s: code %q", r.method, r.path, c.who, a.code())
			}
		}
	}
}

func TestTokenIsRefused(t *testing.T) {
	s, _ := newServer(t, nil)
	for _, c := range []struct {
		name string
		from netip.Addr
		head string
	}{
		{"wrong", loopback, "Authorization: Bearer wrong"},
		{"empty", loopback, "Authorization: Bearer "},
		{"in the clear over the network", lan, "Authorization: Bearer " + testToken},
	} {
		if a := open(t, s, -1, c.from).do("GET", "/v1/status", "", c.head); a.status != 403 || a.code() != web.CodeForbidden {
			t.Errorf("token %s: %d %s", c.name, a.status, a.body)
		}
	}
	none, _ := newServer(t, func(c *web.Config) { c.Token = "" })
	if a := open(t, none, -1, loopback).do("GET", "/v1/status", "", "Authorization: Bearer "); a.status != 403 {
		t.Errorf("an empty token on a server without one: %d %s", a.status, a.body)
	}
}

func TestGuestsSeeLess(t *testing.T) {
	s, n := newServer(t, nil)
	open(t, s, os.Getuid(), socket).do("POST", "/v1/peers", `{"uri":"tls://192.0.2.9:1"}`)
	secret := n.Receive(sign(t, 5, "council", "the key is under the mat"), "council", "gossip", 0)
	wrapped, err := newKey(t, 5).Sign(mesh.Draft{Kind: mesh.KindGiftWrap, Tags: [][]string{{"p", newKey(t, 3).PubKey().String()}}, Content: "sealed"})
	if err != nil {
		t.Fatal(err)
	}
	wrap := n.Receive(wrapped, "commons", "gossip", 0) // a hostile topic
	open1 := n.Receive(sign(t, 5, "commons", "hello all"), "commons", "gossip", 0)

	guest, member, admin := open(t, s, -1, lan), open(t, s, os.Getuid()+1, socket), open(t, s, os.Getuid(), socket)
	st := guest.do("GET", "/v1/status", "").body
	for _, hidden := range []string{"192.0.2.9", "200::1", "12D3KooW", "ttyACM0", "the clock is wrong", "invalid"} {
		if strings.Contains(st, hidden) {
			t.Errorf("a guest's status tells %q: %s", hidden, st)
		}
		if all := member.do("GET", "/v1/status", "").body; !strings.Contains(all, hidden) {
			t.Errorf("a member's status lacks %q: %s", hidden, all)
		}
	}
	for _, c := range []struct {
		who     string
		d       *door
		visible map[string]bool
	}{
		{"guest", guest, map[string]bool{secret.Event.ID().String(): false, wrap.Event.ID().String(): false, open1.Event.ID().String(): true}},
		{"member", member, map[string]bool{secret.Event.ID().String(): true, wrap.Event.ID().String(): false, open1.Event.ID().String(): true}},
		{"admin", admin, map[string]bool{secret.Event.ID().String(): true, wrap.Event.ID().String(): true, open1.Event.ID().String(): true}},
	} {
		all := c.d.do("GET", "/v1/events?since=all", "").body
		for id, want := range c.visible {
			if got := strings.Contains(all, id); got != want {
				t.Errorf("%s: message %s in the stream: %v, want %v", c.who, id, got, want)
			}
			if got := c.d.do("GET", "/v1/messages/"+id, "").status == 200; got != want {
				t.Errorf("%s: message %s by id: %v, want %v", c.who, id, got, want)
			}
			if got := c.d.do("GET", "/v1/messages/"+id[:8], "").status == 200; got != want {
				t.Errorf("%s: message %s by its first digits: %v, want %v", c.who, id, got, want)
			}
			if want && c.who == "guest" {
				continue
			}
			if got := c.d.do("GET", "/v1/events?since="+id, "").status == 200; got != want {
				t.Errorf("%s: since=%s: %v, want %v", c.who, id, got, want)
			}
		}
	}
}

func TestForeignHost(t *testing.T) {
	s, _ := newServer(t, nil)
	d := open(t, s, -1, lan)
	machine, _ := os.Hostname()
	for _, c := range []struct {
		host string
		want int
	}{
		{"192.0.2.1:3739", 200},       // the address the connection came to
		{"127.0.0.1:3739", 200},       // loopback
		{"[::1]:3739", 200},           //
		{"[::ffff:192.0.2.1]", 200},   // the same in IPv6 clothes
		{"localhost", 200},            //
		{"LOCALHOST:80", 200},         //
		{"old-school.local", 200},     // the node's own name
		{"old-school.local.:80", 200}, //
		{"drey.example", 200},         // configured
		{machine, 200},                //
		{"evil.example", 421},
		{"localhost.evil.example", 421},
		{"127.0.0.1.evil.example", 421},
		{"other.local", 421},
		{"8.8.8.8", 421},
		{"localhost:80:80", 421},
		{"2130706433", 421},
		{"0x7f000001", 421},
	} {
		a := d.do("GET", "/v1/status", "", "Host: "+c.host)
		if a.status != c.want {
			t.Errorf("Host %q: %d %s, want %d", c.host, a.status, a.body, c.want)
		}
		if c.want == 421 && !strings.Contains(a.body, "web.hosts") {
			t.Errorf("Host %q: no hint in %s", c.host, a.body)
		}
	}
	if a := open(t, s, 0, socket).do("GET", "/v1/status", "", "Host: whatever"); a.status != 200 {
		t.Errorf("any Host on the socket: %d", a.status)
	}
}

func TestCrossSite(t *testing.T) {
	s, n := newServer(t, nil)
	d := open(t, s, -1, loopback)
	token := "Authorization: Bearer " + testToken
	for _, c := range []struct {
		name    string
		headers []string
		want    int
	}{
		{"another site, old browser", []string{"Origin: http://evil.example"}, 403},
		{"another site, new browser", []string{"Sec-Fetch-Site: cross-site", "Origin: http://evil.example"}, 403},
		{"a sandboxed frame", []string{"Origin: null"}, 403},
		{"another port of this machine", []string{"Sec-Fetch-Site: same-site"}, 403},
		{"even with the token", []string{"Origin: http://evil.example", token}, 403},
		{"the page itself", []string{"Sec-Fetch-Site: same-origin"}, 202},
		{"the page itself, old browser", []string{"Origin: http://192.0.2.1:3739", "Host: 192.0.2.1:3739"}, 202},
		{"curl", nil, 202},
	} {
		a := d.do("POST", "/v1/topics/commons/messages", "x", append(c.headers, "Content-Type: text/plain")...)
		if a.status != c.want {
			t.Errorf("%s: %d %s, want %d", c.name, a.status, a.body, c.want)
		}
	}
	if n.Posts() != 3 {
		t.Errorf("%d messages were published, want 3", n.Posts())
	}
	if a := d.do("POST", "/", "topic=commons&text=x", "Origin: http://evil.example", "Content-Type: application/x-www-form-urlencoded"); a.status != 403 {
		t.Errorf("the form from another site: %d", a.status)
	}
}

func TestBodies(t *testing.T) {
	s, n := newServer(t, nil)
	d := open(t, s, os.Getuid(), socket)
	e := sign(t, 5, "alerts", "signed elsewhere")
	wrong := strings.Replace(string(e.AppendJSON(nil)), "elsewhere", "by nobody", 1)
	forged := []byte(string(e.AppendJSON(nil)))
	forged = bytes.Replace(forged, []byte(e.Sig().String()), []byte(strings.Repeat("00", 64)), 1)
	asJSON := "application/json"
	for _, c := range []struct {
		name, path, contentType, body string
		status                        int
		code                          string
	}{
		{"huge text", "/v1/topics/commons/messages", "text/plain", strings.Repeat("x", web.MaxBody+1), 413, web.CodeTooLarge},
		{"text over an event's limit", "/v1/topics/commons/messages", "text/plain", strings.Repeat("x", mesh.MaxEventSize+1), 413, web.CodeTooLarge},
		{"huge JSON", "/v1/peers", asJSON, `{"uri":"` + strings.Repeat("x", 20000) + `"}`, 413, web.CodeTooLarge},
		{"empty", "/v1/topics/commons/messages", "text/plain", " \n", 400, web.CodeUsage},
		{"not UTF-8", "/v1/topics/commons/messages", "text/plain", "\xff", 400, web.CodeUsage},
		{"not UTF-8 in JSON", "/v1/topics/commons/messages", asJSON, "{\"text\":\"\xff\"}", 400, web.CodeUsage},
		{"unknown field", "/v1/topics/commons/messages", asJSON, `{"text":"x","urgnt":true}`, 400, web.CodeUsage},
		{"no text", "/v1/topics/commons/messages", asJSON, `{}`, 400, web.CodeUsage},
		{"two objects", "/v1/topics/commons/messages", asJSON, `{"text":"x"}{}`, 400, web.CodeUsage},
		{"not JSON", "/v1/topics/commons/messages", asJSON, `hello`, 400, web.CodeUsage},
		{"a picture", "/v1/topics/commons/messages", "image/png", `x`, 400, web.CodeUsage},
		{"bad topic", "/v1/topics/Town/messages", "text/plain", `x`, 400, web.CodeUsage},
		{"all topics", "/v1/topics/*/messages", "text/plain", `x`, 400, web.CodeUsage},
		{"bad wait", "/v1/topics/commons/messages?wait=forever", "text/plain", `x`, 400, web.CodeUsage},
		{"bad timeout", "/v1/topics/commons/messages?timeout=1w", "text/plain", `x`, 400, web.CodeUsage},
		{"reply to nothing", "/v1/topics/commons/messages?reply_to=" + strings.Repeat("ab", 32), "text/plain", `x`, 404, web.CodeNotFound},
		{"reply to a bad id", "/v1/topics/commons/messages?reply_to=ab", "text/plain", `x`, 400, web.CodeUsage},
		{"bad guest name", "/v1/topics/commons/messages", asJSON, `{"text":"x","name":"a\u202eb"}`, 400, web.CodeUsage},
		{"an event with another id", "/v1/events", asJSON, wrong, 422, web.CodeInvalid},
		{"an event with another id, by topic", "/v1/topics/alerts/messages", asJSON, wrong, 422, web.CodeInvalid},
		{"a forged event", "/v1/events", asJSON, string(forged), 422, web.CodeInvalid},
		{"an event of another topic", "/v1/topics/commons/messages", asJSON, string(e.AppendJSON(nil)), 422, web.CodeWrongTopic},
		{"no peer", "/v1/peers", asJSON, `{}`, 400, web.CodeUsage},
		{"no invite", "/v1/join", asJSON, `{}`, 400, web.CodeUsage},
		{"an invite for a year", "/v1/invites", asJSON, `{"ttl_ms":31536000000}`, 400, web.CodeUsage},
		{"an invite for nobody", "/v1/invites", asJSON, `{"uses":-1}`, 400, web.CodeUsage},
	} {
		if a := d.do("POST", c.path, c.body, "Content-Type: "+c.contentType); a.status != c.status || a.code() != c.code {
			t.Errorf("%s: %d %.300s, want %d %s", c.name, a.status, a.body, c.status, c.code)
		}
	}
	if n.Posts() != 0 {
		t.Errorf("%d messages were published", n.Posts())
	}
}

func TestPostForms(t *testing.T) {
	s, n := newServer(t, nil)
	d := open(t, s, os.Getuid(), socket)
	e := sign(t, 5, "alerts", "signed elsewhere")
	last := func() *mesh.Record {
		for r := range n.Records(t.Context(), mesh.Filter{Order: mesh.ReceiptLatest, Limit: 1}, mesh.Self) {
			return r
		}
		return nil
	}
	first := d.do("POST", "/v1/topics/commons/messages", "as curl sends it", "Content-Type: application/x-www-form-urlencoded")
	var receipt web.Receipt
	if err := json.Unmarshal([]byte(first.body), &receipt); err != nil || first.status != 202 || receipt.V != 1 || receipt.State != "saved" || receipt.ID != last().Event.ID().String() {
		t.Fatalf("text: %d %s, kept %s", first.status, first.body, last().Event.ID())
	}
	if got := last().Event.Content(); got != "as curl sends it" {
		t.Errorf("text became %q", got)
	}
	root := last().Event
	if a := d.do("POST", "/v1/topics/commons/messages?reply_to="+root.ID().String(), "an answer"); a.status != 202 {
		t.Fatalf("answer: %d %s", a.status, a.body)
	}
	answer := last().Event
	if got := fmt.Sprint(answer.Tags()); got != fmt.Sprintf("[[t commons] [e %s  root] [p %s]]", root.ID(), root.Author()) {
		t.Errorf("an answer has the tags %s", got)
	}
	d.do("POST", "/v1/topics/commons/messages?reply_to="+answer.ID().String(), "an answer to the answer")
	if got := fmt.Sprint(last().Event.Tags()); got != fmt.Sprintf("[[t commons] [e %s  root] [e %s  reply] [p %s]]", root.ID(), answer.ID(), root.Author()) {
		t.Errorf("an answer to an answer has the tags %s", got)
	}
	if a := d.do("POST", "/v1/topics/alerts/messages?reply_to="+root.ID().String(), "elsewhere"); a.code() != web.CodeWrongTopic {
		t.Errorf("an answer in another topic: %d %s", a.status, a.body)
	}
	for i, path := range []string{"/v1/topics/alerts/messages", "/v1/events"} {
		a := d.do("POST", path, string(e.AppendJSON(nil)), "Content-Type: application/json")
		if a.status != 202 || !strings.Contains(a.body, e.ID().String()) || last().Event.ID() != e.ID() {
			t.Errorf("signed event, time %d: %d %s", i+1, a.status, a.body)
		}
	}
	if a := d.do("POST", "/v1/topics/commons/messages", `{"text":"hi","name":"Ana"}`, "Content-Type: application/json"); a.status != 202 {
		t.Fatalf("as a guest: %d %s", a.status, a.body)
	}
	if name, ok := mesh.GuestName(last().Event); !ok || name != "Ana" || last().Flags != mesh.FlagGuest {
		t.Errorf("a guest's note has the tags %v", last().Event.Tags())
	}
}

func TestWrongAddresses(t *testing.T) {
	s, _ := newServer(t, func(c *web.Config) {
		c.Invites = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "invite "+r.URL.Path) })
	})
	d := open(t, s, os.Getuid(), socket)
	for _, c := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/nowhere", 404, web.CodeNotFound},
		{"GET", "/v1/topics/commons", 404, web.CodeNotFound},
		{"DELETE", "/v1/status", 405, web.CodeUsage},
		{"GET", "/v1/messages/ab", 400, web.CodeUsage},
		{"GET", "/v1/messages/" + strings.Repeat("ab", 32), 404, web.CodeNotFound},
		{"GET", "/v1/messages/abababab", 404, web.CodeNotFound},
		{"GET", "/v1/messages/ABABABAB", 400, web.CodeUsage},
		{"GET", "/v1/messages/" + strings.Repeat("ab", 33), 400, web.CodeUsage},
		{"GET", "/v1/events?since=nonsense", 400, web.CodeUsage},
		{"GET", "/v1/events?after=99", 410, web.CodeGone},
		{"GET", "/v1/events?since=" + strings.Repeat("ab", 32), 404, web.CodeNotFound},
		{"GET", "/J/ABCD", 200, ""},
		{"POST", "/j/abcd", 200, ""},
	} {
		if a := d.do(c.method, c.path, ""); a.status != c.status || a.code() != c.code {
			t.Errorf("%s %s: %d %s, want %d %s", c.method, c.path, a.status, a.body, c.status, c.code)
		}
	}
	if a := d.do("HEAD", "/v1/events?follow=1", ""); a.status != 200 || a.header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("HEAD of a stream: %d %v", a.status, a.header)
	}
	if a := d.do("GET", "/", "", "Connection: Upgrade", "Upgrade: websocket"); a.status != 501 || a.code() != web.CodeNotBuilt {
		t.Errorf("websocket: %d %s", a.status, a.body)
	}
	if a := open(t, s, -1, lan).do("GET", "/J/ABCD", "", "Host: school.example"); a.status != 200 || a.body != "invite /J/ABCD" {
		t.Errorf("an invite under another name: %d %s", a.status, a.body)
	}
}

// The root is the relay's for websockets and for its information document
// (NIP-11), under the node's own names only; the page is there for all else.
func TestTheRelayHasTheRoot(t *testing.T) {
	s, _ := newServer(t, func(c *web.Config) {
		c.Relay = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "relay") })
	})
	d := open(t, s, -1, lan)
	upgrade, info := []string{"Connection: Upgrade", "Upgrade: websocket"}, []string{"Accept: application/nostr+json"}
	for _, c := range []struct {
		name, path string
		headers    []string
		status     int
		relay      bool
	}{
		{"websocket", "/", upgrade, 200, true},
		{"information", "/", info, 200, true},
		{"page", "/", []string{"Accept: text/html"}, 200, false},
		{"information elsewhere", "/healthz", info, 200, false},
		{"websocket for another name", "/", append([]string{"Host: evil.example"}, upgrade...), 421, false},
	} {
		if a := d.do("GET", c.path, "", c.headers...); a.status != c.status || (a.body == "relay") != c.relay {
			t.Errorf("%s: %d %.80s, want %d, relay %v", c.name, a.status, a.body, c.status, c.relay)
		}
	}
	plain, _ := newServer(t, nil)
	if a := open(t, plain, -1, lan).do("GET", "/", "", info...); a.status != 200 || !strings.Contains(a.body, "<html") {
		t.Errorf("without a relay: %d %.80s, want the page", a.status, a.body)
	}
}

func TestNodeFailures(t *testing.T) {
	s, n := newServer(t, nil)
	d := open(t, s, os.Getuid(), socket)
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{mesh.ErrBusy, 503, web.CodeBusy},
		{fmt.Errorf("%w: banned", mesh.ErrRefused), 403, web.CodeRefused},
		{mesh.ErrUnknownAuthor, 403, web.CodeUnknownAuthor},
		{mesh.ErrExpired, 422, web.CodeExpired},
		{web.NewError(web.CodeAirtime, "no air", "used up", "wait", nil), 429, web.CodeAirtime},
		{io.ErrUnexpectedEOF, 500, web.CodeInternal},
	} {
		n.Fail(c.err)
		a := d.do("POST", "/v1/topics/commons/messages", "x")
		if a.status != c.status || a.code() != c.code {
			t.Errorf("%v: %d %s, want %d %s", c.err, a.status, a.body, c.status, c.code)
		}
		if strings.Contains(a.body, "EOF") {
			t.Errorf("an internal cause was shown: %s", a.body)
		}
	}
	n.Fail(&os.PathError{Op: "write", Path: "/home/ana/drey.db", Err: io.ErrShortWrite})
	if a := d.do("POST", "/v1/topics/commons/messages", "x"); strings.Contains(a.body, "/home/ana") {
		t.Errorf("an internal cause was shown: %s", a.body)
	}
	n.Fail(fmt.Errorf("publish: %w", diskFull{}))
	if a := d.do("POST", "/v1/topics/commons/messages", "x"); a.status != 500 || !strings.Contains(a.body, "the disk is full") || !strings.Contains(a.body, "make room") {
		t.Errorf("an error written for people: %d %s", a.status, a.body)
	}
	for _, method := range []string{"/v1/topics/commons/messages", "/t/commons"} {
		if a := open(t, s, -1, lan).do("POST", method, "topic=commons&text=x"); a.status != 500 || strings.Contains(a.body, "/home/ana") {
			t.Errorf("a guest at %s sees %d %s", method, a.status, a.body)
		}
	}
	if a := d.do("GET", "/readyz", ""); a.status != 503 {
		t.Errorf("readyz of a broken node: %d", a.status)
	}
	if a := d.do("GET", "/healthz", ""); a.status != 200 {
		t.Errorf("healthz of a broken node: %d", a.status)
	}
}

// sign makes a note of key n in a topic.
func sign(t testing.TB, n byte, topic, text string) *mesh.Event {
	t.Helper()
	e, err := newKey(t, n).Sign(mesh.Draft{CreatedAt: 1772366400, Kind: mesh.KindNote, Tags: [][]string{{"t", topic}}, Content: text})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// diskFull is an error that knows what to do about it.
type diskFull struct{}

func (diskFull) Error() string { return "commit store /home/ana/drey.db: the disk is full" }
func (diskFull) Hint() string  { return "make room" }

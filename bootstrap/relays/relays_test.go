package relays

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"drey/bootstrap/relays/relaystest"
	"drey/mesh"
)

func key(t testing.TB, b byte) *mesh.SecretKey {
	t.Helper()
	k, err := mesh.NewSecretKey([32]byte{31: b})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func notice(t testing.TB, by *mesh.SecretKey, content string) *mesh.Event {
	t.Helper()
	e, err := by.Sign(mesh.Draft{CreatedAt: mesh.UnixOf(time.Now()), Kind: mesh.KindPeerRecord, Content: content,
		Tags: [][]string{{"d", "drey/peer/v1/1"}, {"t", "00ff"}}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func pool(t testing.TB, urls ...string) *Pool {
	t.Helper()
	return New(Config{URLs: urls, Log: slog.New(slog.DiscardHandler)})
}

var wanted = []mesh.Filter{{Kinds: []mesh.Kind{mesh.KindPeerRecord}, Tags: map[string][]string{"t": {"00ff"}}, Limit: 10}}

// What was announced before and what comes later both arrive, from a relay of
// foreign code.
func TestRecordsStoredAndLive(t *testing.T) {
	relay := relaystest.Serve(t, nil)
	leaks := goleak.IgnoreCurrent() // khatru keeps one of its own
	p := pool(t, relay.URL)
	ctx, cancel := context.WithCancel(t.Context())
	early, late := notice(t, key(t, 1), "early"), notice(t, key(t, 2), "late")
	if err := p.Announce(ctx, early); err != nil {
		t.Fatal(err)
	}
	got := make(chan *mesh.Event, 10)
	done := make(chan error)
	go func() {
		done <- p.Records(ctx, wanted, func(_ string, e *mesh.Event) { got <- e })
	}()
	for i, want := range []*mesh.Event{early, late} {
		select {
		case e := <-got:
			if e.ID() != want.ID() || e.Verify() != nil {
				t.Fatalf("event %d is %s, want %s", i, e.ID(), want.ID())
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("event %d did not come", i)
		}
		if i == 0 {
			if err := p.Announce(ctx, late); err != nil {
				t.Fatal(err)
			}
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, leaks)
}

// A relay that refuses, one that lies and one that is gone are named; the one
// that works holds the event, and is not asked again.
func TestAnnounceBelievesWhatItSees(t *testing.T) {
	good, refusing, lying := relaystest.Serve(t, nil), relaystest.Serve(t, nil), relaystest.Serve(t, nil)
	refusing.Refuse(true)
	lying.Lie(true)
	const dead = "ws://127.0.0.1:1"
	p := pool(t, good.URL, refusing.URL, lying.URL, dead)
	e := notice(t, key(t, 1), "here")
	err := p.Announce(t.Context(), e)
	for _, want := range []string{refusing.URL + ": refused: \"rate-limited", lying.URL + ": " + errNotShown.Error(), dead} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), good.URL) {
		t.Errorf("the good relay is blamed: %v", err)
	}
	refusing.Refuse(false)
	lying.Lie(false)
	if err := p.Announce(t.Context(), e); err == nil || strings.Count(err.Error(), "ws://") != 1 {
		t.Errorf("second attempt: %v, want only the dead relay named", err)
	}
	if n := good.Stored(); n != 1 {
		t.Errorf("the good relay was given the event %d times", n)
	}
}

// A relay that drops the connection before OK has acknowledged nothing.
func TestDroppedConnectionIsNoOK(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		c.Read(r.Context())
		c.CloseNow()
	}))
	defer server.Close()
	p := pool(t, "ws"+strings.TrimPrefix(server.URL, "http"))
	if err := p.Announce(t.Context(), notice(t, key(t, 1), "x")); err == nil {
		t.Error("a dropped connection counted as an acknowledgement")
	}
}

// A relay that sends rubbish, what nobody asked for and too much is survived,
// counted, and connected to again.
func TestHostileRelay(t *testing.T) {
	good, alien := notice(t, key(t, 1), "good"), notice(t, key(t, 2), "alien")
	alien, _ = key(t, 2).Sign(mesh.Draft{Kind: mesh.KindNote, CreatedAt: alien.CreatedAt(), Content: "alien"})
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.Read(r.Context())
		say := func(s string) { c.Write(r.Context(), websocket.MessageText, []byte(s)) }
		if calls.Add(1) == 1 {
			for _, s := range []string{"", "{}", "[]", "[1]", `["EVENT"]`, `["EVENT","peers",{}]`, `["EOSE",4]`, `["OK",true]`, "\xff"} {
				say(s)
			}
			say(`["EVENT","peers",` + string(alien.AppendJSON(nil)) + `]`)
			say(`["EVENT","other",` + string(good.AppendJSON(nil)) + `]`)
			say(strings.Repeat("x", maxMessage+1)) // ends the connection
			c.Read(r.Context())
			return
		}
		say(`["EVENT","peers",` + string(good.AppendJSON(nil)) + `]`)
		c.Read(r.Context())
	}))
	defer server.Close()
	p := pool(t, "ws"+strings.TrimPrefix(server.URL, "http"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got []*mesh.Event
	p.Records(ctx, wanted, func(_ string, e *mesh.Event) {
		got = append(got, e)
		cancel()
	})
	if len(got) != 1 || got[0].ID() != good.ID() {
		t.Fatalf("got %d events, want the good one", len(got))
	}
	if n := p.Garbled(); n != 11 {
		t.Errorf("%d messages were counted as garbled, want 11", n)
	}
}

// What is no relay's address is an error of that relay alone.
func TestBadAddresses(t *testing.T) {
	good := relaystest.Serve(t, nil)
	bad := []string{"", "relay.example", "ftp://relay.example", "wss://"}
	p := pool(t, append(bad, good.URL)...)
	err := p.Announce(t.Context(), notice(t, key(t, 1), "here"))
	if joined, ok := err.(interface{ Unwrap() []error }); !ok || len(joined.Unwrap()) != len(bad) || good.Stored() != 1 {
		t.Errorf("%v, and %d events at the good relay; want %d faults and one event", err, good.Stored(), len(bad))
	}
	var many []string
	for i := range MaxRelays + 1 {
		many = append(many, fmt.Sprintf("wss://relay%d.example", i))
	}
	if n := len(pool(t, many...).c.URLs); n != MaxRelays {
		t.Errorf("of %d relays %d are used, want %d", len(many), n, MaxRelays)
	}
}

func FuzzMessage(f *testing.F) {
	e := notice(f, key(f, 1), "x")
	f.Add([]byte(`["EVENT","peers",` + string(e.AppendJSON(nil)) + `]`))
	f.Add([]byte(`["OK","` + e.ID().String() + `",true,""]`))
	f.Add([]byte(`["OK","",false,"duplicate: have it"]`))
	f.Add([]byte(`["EOSE","peers"]`))
	f.Add([]byte(`["CLOSED","peers","auth-required: who are you"]`))
	f.Add([]byte(`["NOTICE","x"]`))
	f.Add([]byte(`["AUTH",1]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMessage(b)
		if err == nil && (m.verb == "EVENT") != (m.event != nil) {
			t.Errorf("%q: verb %q with event %v", b, m.verb, m.event)
		}
	})
}

package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"drey/mesh"
	"drey/web"
)

func TestVisitorsKeysAreJudged(t *testing.T) {
	var asked []netip.Addr
	var answer error
	s, node := newServer(t, func(c *web.Config) {
		c.Guests.Burst = 100
		c.Admit = func(_ context.Context, _ *mesh.Event, from netip.Addr) error {
			asked = append(asked, from)
			return answer
		}
	})
	guest := open(t, s, -1, lan)
	key := newKey(t, 9)
	for i, tc := range []struct {
		err    error
		status int
		code   string
		why    string
	}{
		{nil, http.StatusAccepted, "", ""},
		{errors.New("restricted: topic registry is not open to guests"), http.StatusForbidden, web.CodeForbidden, "topic registry is not open to guests"},
		{errors.New("blocked: the community has banned this key"), http.StatusForbidden, web.CodeRefused, "the community has banned this key"},
		{errors.New("rate-limited: too many new guests"), http.StatusTooManyRequests, web.CodeTooFast, "too many new guests"},
		{mesh.ErrInvalid, http.StatusUnprocessableEntity, web.CodeInvalid, ""},
		{errors.New("the disk is on fire"), http.StatusInternalServerError, web.CodeInternal, ""},
	} {
		answer = tc.err
		d := mesh.Draft{Kind: mesh.KindNote, CreatedAt: mesh.Unix(1_800_000_000 + i), Content: "hello", Tags: [][]string{{"t", "commons"}}}
		e, err := key.Sign(d)
		if err != nil {
			t.Fatal(err)
		}
		a := guest.do("POST", "/v1/events", string(e.AppendJSON(nil)), "Content-Type: application/json")
		if a.status != tc.status || a.code() != tc.code || !strings.Contains(a.body, tc.why) {
			t.Errorf("%v: answer %d %s, want %d %q %q", tc.err, a.status, a.body, tc.status, tc.code, tc.why)
		}
		_, err = node.Record(t.Context(), e.ID(), mesh.Self)
		if (err == nil) != (tc.err == nil) {
			t.Errorf("%v: the event is kept: %t", tc.err, err == nil)
		}
		if strings.Contains(a.body, "fire") {
			t.Errorf("a visitor is told %s", a.body)
		}
	}
	if len(asked) != 6 || asked[0] != lan {
		t.Errorf("asked about %v, want 6 times %v", asked, lan)
	}

	// Who holds the socket needs no pass.
	answer = errors.New("restricted: no")
	e, err := key.Sign(mesh.Draft{Kind: mesh.KindNote, CreatedAt: 1_800_000_100, Content: "from a program", Tags: [][]string{{"t", "commons"}}})
	if err != nil {
		t.Fatal(err)
	}
	if a := open(t, s, 4242, socket).do("POST", "/v1/events", string(e.AppendJSON(nil)), "Content-Type: application/json"); a.status != http.StatusAccepted || len(asked) != 6 {
		t.Errorf("a member's event was answered %d, asked %d times", a.status, len(asked))
	}
}

// A phone that comes back may have another address; its message is still one.
func TestThePagesKeysHoldFromEveryAddress(t *testing.T) {
	const key = "page-00112233445566778899aabbccddeeff"
	s, node := newServer(t, nil)
	send := func(from, key string) string {
		a := open(t, s, -1, netip.MustParseAddr(from)).do("POST", "/v1/topics/commons/messages", `{"text":"once"}`,
			"Content-Type: application/json", "Idempotency-Key: "+key)
		var body struct{ ID string }
		if err := json.Unmarshal([]byte(a.body), &body); err != nil || body.ID == "" {
			t.Fatalf("answer %d %s: %v", a.status, a.body, err)
		}
		return body.ID
	}
	if a, b := send("192.0.2.50", key), send("192.0.2.99", key); a != b || node.Posts() != 1 {
		t.Errorf("ids %s and %s, %d posts, want one", a, b, node.Posts())
	}
	// Other programs' keys are their own.
	if a, b := send("192.0.2.50", "1"), send("192.0.2.99", "1"); a == b || node.Posts() != 3 {
		t.Errorf("two programs with one key got %s and %s, %d posts", a, b, node.Posts())
	}
}

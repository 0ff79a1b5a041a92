package web_test

import (
	"net/http"
	"net/url"
	"os"
	"testing"

	"drey/web"
	"drey/web/webtest"
)

// TestWhatMustNotHappenTwice sends requests again after a restart: those that
// would do something twice are told so, the others act, and what failed the first
// time may be tried again.
func TestWhatMustNotHappenTwice(t *testing.T) {
	desk := &shelf{values: map[string][]byte{}}
	n := webtest.New(newKey(t, 3), nil)
	life := func() (*door, func() error) {
		r := run(t, func(c *web.Config) { c.Shelf, c.Node = desk, n })
		return open(t, r.Server, os.Getuid(), socket), r.stop
	}
	requests := []struct {
		path, body string
		again      int
	}{
		{"/v1/dm", `{"to":["Ana"],"text":"the key is under the mat"}`, http.StatusConflict},
		{"/v1/members", `{"op":"rotate"}`, http.StatusConflict},
		{"/v1/radio/messages", `{"to":"Maria","text":"hello"}`, http.StatusConflict},
		{"/v1/peers", `{"uri":"tls://192.0.2.9:1"}`, http.StatusOK},
		{"/v1/invites", `{}`, http.StatusOK},
	}
	first, stop := life()
	for _, r := range requests {
		bad := first.do("POST", r.path, `{"text":"x","op":"x"}`, "Idempotency-Key: tried")
		if bad.status < 400 && r.path != "/v1/invites" {
			t.Errorf("%s with nothing in it: %d", r.path, bad.status)
		}
		once := first.do("POST", r.path, r.body, "Idempotency-Key: k")
		if once.status >= 300 {
			t.Fatalf("%s: %d %s", r.path, once.status, once.body)
		}
		if same := first.do("POST", r.path, r.body, "Idempotency-Key: k"); same.status != once.status || same.body != once.body {
			t.Errorf("%s again: %d %s, want the first answer", r.path, same.status, same.body)
		}
	}
	form := url.Values{"to": {"Ana"}, "text": {"by form"}, "key": {"k"}}.Encode()
	if a := first.do("POST", "/private/machine", form, "Content-Type: application/x-www-form-urlencoded", "Accept: text/html"); a.status != http.StatusSeeOther {
		t.Fatalf("the form: %d", a.status)
	}

	if err := stop(); err != nil {
		t.Fatal(err)
	}
	second, _ := life()
	for _, r := range requests {
		if a := second.do("POST", r.path, r.body, "Idempotency-Key: k"); a.status != r.again || r.again == http.StatusConflict && a.code() != web.CodeKeySpent {
			t.Errorf("%s after a restart: %d %s, want %d", r.path, a.status, a.body, r.again)
		}
		if a := second.do("POST", r.path, r.body, "Idempotency-Key: new"); a.status >= 300 {
			t.Errorf("%s with a new key: %d %s", r.path, a.status, a.body)
		}
		if a := second.do("POST", r.path, r.body, "Idempotency-Key: tried"); a.status >= 300 && r.path != "/v1/invites" {
			t.Errorf("%s with the key of what was refused: %d %s", r.path, a.status, a.body)
		}
	}
	if a := second.do("POST", "/private/machine", form, "Content-Type: application/x-www-form-urlencoded", "Accept: text/html"); a.status != http.StatusConflict {
		t.Errorf("the form after a restart: %d", a.status)
	}
}

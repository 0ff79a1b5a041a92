package web_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"drey/web"
)

// Private mail is its admin's alone.
func TestMailIsForTheAdmin(t *testing.T) {
	s, _ := newServer(t, nil)
	for _, c := range []struct {
		who  string
		uid  int
		from netip.Addr
		want int
	}{
		{"a guest", -1, lan, http.StatusForbidden},
		{"a program here", -1, loopback, http.StatusForbidden},
		{"a member at the socket", os.Getuid() + 1, socket, http.StatusForbidden},
		{"the admin", os.Getuid(), socket, 0},
	} {
		d := open(t, s, c.uid, c.from)
		for _, r := range [][3]string{{"POST", "/v1/dm", `{"to":["ana"],"text":"hello"}`}, {"GET", "/v1/inbox", ""}, {"GET", "/v1/inbox/1234567890/file", ""}} {
			got := d.do(r[0], r[1], r[2])
			if forbidden := got.status == http.StatusForbidden; forbidden != (c.want == http.StatusForbidden) {
				t.Errorf("%s %s as %s: %d %s", r[0], r[1], c.who, got.status, got.body)
			}
		}
	}
}

func TestSendMail(t *testing.T) {
	s, n := newServer(t, nil)
	d := open(t, s, os.Getuid(), socket)
	for _, c := range []struct {
		name, body string
		status     int
		want       string // in the answer
	}{
		{"a text", `{"to":["ana"],"text":"hello","subject":"water"}`, 202, `"outcome":"reached"`},
		{"acknowledged", `{"to":["ana"],"text":"hello","wait":"acknowledged"}`, 202, `"acknowledged_ms"`},
		{"not in time", `{"to":["away"],"text":"hello","wait":"acknowledged","timeout_ms":20}`, 202, `"outcome":"timeout"`},
		{"a file", `{"to":["ana"],"file":{"name":"map.bin","bytes":"AAEC"}}`, 202, `"file":{"name":"map.bin","size":3}`},
		{"nobody", `{"to":[],"text":"hello"}`, 400, `0 readers`},
		{"too many", `{"to":["a","b","c","d","e","f","g","h","i","j","k"],"text":"hello"}`, 400, `11 readers`},
		{"nothing", `{"to":["ana"]}`, 400, `neither text nor file`},
		{"both", `{"to":["ana"],"text":"x","file":{"bytes":"AAEC"}}`, 400, `not both`},
		{"an odd wait", `{"to":["ana"],"text":"x","wait":"air"}`, 400, `allowed are saved and acknowledged`},
		{"too long a wait", `{"to":["ana"],"text":"x","timeout_ms":99999999}`, 400, `timeout_ms`},
		{"a misspelt field", `{"to":["ana"],"txt":"x"}`, 400, `txt`},
	} {
		got := d.do("POST", "/v1/dm", c.body)
		if got.status != c.status || !strings.Contains(got.body, c.want) {
			t.Errorf("%s: %d %s, want %d and %s", c.name, got.status, got.body, c.status, c.want)
		}
	}
	n.Fail(fmt.Errorf("the disk is gone"))
	if got := d.do("POST", "/v1/dm", `{"to":["ana"],"text":"hello"}`); got.status != http.StatusInternalServerError || strings.Contains(got.body, "disk") {
		t.Errorf("a node that fails: %d %s", got.status, got.body)
	}
}

// A message posted twice with one key is one message.
func TestSendMailOnce(t *testing.T) {
	s, _ := newServer(t, nil)
	d := open(t, s, os.Getuid(), socket)
	first := d.do("POST", "/v1/dm", `{"to":["ana"],"text":"hello"}`, "Idempotency-Key: a")
	again := d.do("POST", "/v1/dm", `{"to":["ana"],"text":"hello"}`, "Idempotency-Key: a")
	large := fmt.Sprintf(`{"to":["ana"],"file":{"bytes":"%s"}}`, strings.Repeat("AAAA", 20<<10))
	if got := d.do("POST", "/v1/dm", large, "Idempotency-Key: b"); got.status != http.StatusAccepted {
		t.Errorf("a file with a key: %d %s", got.status, got.body)
	}
	if first.body != again.body || strings.Count(d.do("GET", "/v1/inbox?since=all", "").body, "\n") != 2 {
		t.Errorf("%s, then %s", first.body, again.body)
	}
}

func TestInbox(t *testing.T) {
	s, _ := newServer(t, nil)
	d := open(t, s, os.Getuid(), socket)
	var ids []string
	for i := range 120 {
		got := d.do("POST", "/v1/dm", fmt.Sprintf(`{"to":["ana"],"text":"message %d"}`, i+1))
		var m web.MailMessage
		if err := json.Unmarshal([]byte(got.body), &m); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, m.ID)
	}
	for _, c := range []struct {
		query        string
		first, lines int
	}{
		{"", 21, 100}, {"?limit=3", 118, 3}, {"?since=all", 1, 120}, {"?since=1h", 1, 120}, {"?after=110", 111, 10},
		{"?since=" + ids[99], 101, 20}, {"?since=all&limit=5", 1, 5}, {"?since=2999-01-01", 0, 0},
	} {
		got := d.do("GET", "/v1/inbox"+c.query, "")
		lines := strings.Split(strings.TrimSuffix(got.body, "\n"), "\n")
		if got.body == "" {
			lines = nil
		}
		if got.status != http.StatusOK || len(lines) != c.lines || c.lines > 0 && !strings.Contains(lines[0], fmt.Sprintf(`"message %d"`, c.first)) {
			t.Errorf("%q: %d, %d lines, want %d from message %d; the first %.300s", c.query, got.status, len(lines), c.lines, c.first, got.body)
		}
	}
	for query, status := range map[string]int{"?since=never": 400, "?limit=0": 400, "?topic=mail": 400, "?since=" + strings.Repeat("f", 64): 404} {
		if got := d.do("GET", "/v1/inbox"+query, ""); got.status != status {
			t.Errorf("%q: %d %s, want %d", query, got.status, got.body, status)
		}
	}
}

// A program that follows gets what comes, and its file as it was sent.
func TestFollowInbox(t *testing.T) {
	r := run(t, nil)
	c := web.NewClient(r.home)
	defer c.Close()
	payload := bytes.Repeat([]byte("drey"), 16<<10)
	if _, err := c.SendMail(t.Context(), web.MailPost{To: []string{"ana"}, Text: "before"}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for m, err := range c.Inbox(t.Context(), "", 0, true) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 {
			if _, err := c.SendMail(t.Context(), web.MailPost{To: []string{"ana"}, File: &web.MailFile{Name: "map", Bytes: payload}}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		b, err := c.MailFile(t.Context(), m.ID)
		if err != nil || !bytes.Equal(b, payload) || m.File == nil || m.File.Size != len(payload) || time.Since(time.UnixMilli(m.ReceivedMS)) > time.Minute {
			t.Errorf("%+v with %d bytes (%v)", m, len(b), err)
		}
		break
	}
	if n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
	if _, err := c.MailFile(t.Context(), strings.Repeat("0", 63)+"1"); err == nil {
		t.Error("a text has a file")
	}
}

package web_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"drey/web"
)

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// openTLS serves s over https to a test as if it were elsewhere.
func openTLS(t testing.TB, s *web.Server, from netip.Addr) *door {
	t.Helper()
	h := httptest.NewUnstartedServer(s.As(-1, from))
	h.StartTLS()
	t.Cleanup(h.Close)
	return &door{t, h.URL}
}

// over sends a request, over TLS too.
func (d *door) over(method, path, body string, headers ...string) answer {
	d.t.Helper()
	client := insecureClient()
	defer client.CloseIdleConnections()
	return d.with(client, method, path, body, headers...)
}

const formType = "Content-Type: application/x-www-form-urlencoded"

// pair pairs with a code and returns the cookie as a header; "" where the
// server gave none.
func (d *door) pair(code string) (a answer, cookie string) {
	d.t.Helper()
	a = d.over("POST", "/pair", "code="+url.QueryEscape(code), formType, "Accept: text/html", "User-Agent: Mozilla/5.0 (Android 14; Mobile; rv:130.0) Gecko/130.0 Firefox/130.0")
	value, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	if value == "" {
		return a, ""
	}
	return a, "Cookie: " + value
}

func scopeAt(d *door, headers ...string) string {
	d.t.Helper()
	var st web.Status
	json.Unmarshal([]byte(d.over("GET", "/v1/status", "", headers...).body), &st)
	return st.Scope
}

// TestSessionWhere is the table of where a paired browser is the admin.
func TestSessionWhere(t *testing.T) {
	s, _ := newServer(t, nil)
	here, plain := open(t, s, -1, loopback), open(t, s, -1, lan)
	secureLAN, secureHere := openTLS(t, s, lan), openTLS(t, s, loopback)

	_, cookieHere := here.pair(s.IssueCode())
	_, cookieSecure := secureLAN.pair(s.IssueCode())
	if !strings.HasPrefix(cookieSecure, "Cookie: __Host-") || cookieHere == "" || strings.Contains(cookieHere, "__Host-") {
		t.Fatalf("cookies are %q and %q", cookieHere, cookieSecure)
	}
	renamed := func(from, to string) string { // the value under the other's name
		name, _, _ := strings.Cut(strings.TrimPrefix(to, "Cookie: "), "=")
		_, value, _ := strings.Cut(from, "=")
		return "Cookie: " + name + "=" + value
	}
	for _, c := range []struct {
		name   string
		d      *door
		cookie string
		want   string
	}{
		{"paired here, used here", here, cookieHere, "admin"},
		{"paired here, over the network in the clear", plain, cookieHere, "guest"},
		{"paired here, over https", secureLAN, cookieHere, "guest"},
		{"paired here, over https under the other name", secureLAN, renamed(cookieHere, cookieSecure), "guest"},
		{"paired over https, used so", secureLAN, cookieSecure, "admin"},
		{"paired over https, used so on the machine", secureHere, cookieSecure, "admin"},
		{"paired over https, in the clear", plain, cookieSecure, "guest"},
		{"paired over https, in the clear on the machine", here, cookieSecure, "local"},
		{"the same under the other name", here, renamed(cookieSecure, cookieHere), "local"},
		{"an invented cookie", secureLAN, "Cookie: __Host-drey=" + strings.Repeat("A", 43), "guest"},
		{"a huge cookie", secureLAN, "Cookie: __Host-drey=" + strings.Repeat("A", 4000), "guest"},
	} {
		if got := scopeAt(c.d, c.cookie); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	// What the cookie opens, and what it does not keep others from.
	if a := secureLAN.over("GET", "/v1/settings", "", cookieSecure); a.status != 501 {
		t.Errorf("settings of a node without any: %d %s", a.status, a.body)
	}
	if a := secureLAN.over("GET", "/v1/settings", ""); a.status != 403 {
		t.Errorf("settings without a cookie: %d", a.status)
	}
	for _, head := range []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"} {
		if a := secureLAN.over("POST", "/admin/sessions", "end=all", cookieSecure, formType, head); a.status != 403 || a.code() != web.CodeCrossSite {
			t.Errorf("a post with %s: %d %s", head, a.status, a.body)
		}
	}
	if a := secureLAN.over("GET", "/v1/sessions", "", cookieSecure, "Host: evil.example"); a.status != 421 {
		t.Errorf("a foreign name: %d", a.status)
	}
}

// TestPairing uses codes as people and thieves do.
func TestPairing(t *testing.T) {
	c := &clock{now: time.Now()}
	s, _ := newServer(t, func(conf *web.Config) { conf.Clock = c.Now })
	secure, plain := openTLS(t, s, lan), open(t, s, -1, lan)

	code := s.IssueCode()
	if a, cookie := plain.pair(code); a.status != 403 || cookie != "" {
		t.Errorf("over plain http: %d, cookie %q", a.status, cookie)
	}
	if a, cookie := secure.pair(strings.ToLower(strings.ReplaceAll(code, "-", " "))); a.status != 303 || a.header.Get("Location") != "/admin" || cookie == "" {
		t.Errorf("as people type it: %d %s, cookie %q", a.status, a.body, cookie)
	} else {
		for _, want := range []string{"HttpOnly", "Secure", "SameSite=Strict", "Path=/", "Max-Age="} {
			if !strings.Contains(a.header.Get("Set-Cookie"), want) {
				t.Errorf("the cookie %q lacks %s", a.header.Get("Set-Cookie"), want)
			}
		}
	}
	if a, cookie := secure.pair(code); a.status != 403 || cookie != "" {
		t.Errorf("the second use: %d, cookie %q", a.status, cookie)
	}
	late := s.IssueCode()
	c.add(web.PairingFor)
	if a, cookie := secure.pair(late); a.status != 403 || cookie != "" {
		t.Errorf("after ten minutes: %d, cookie %q", a.status, cookie)
	}
	for _, wrong := range []string{"", "AAAA-AAAA-AAAA-AAAA", strings.Repeat("A", 5000), "ü", late + "0"} {
		if a, cookie := secure.pair(wrong); a.status != 403 || cookie != "" {
			t.Errorf("code %.20q: %d, cookie %q", wrong, a.status, cookie)
		}
	}
	first := s.IssueCode()
	for range 8 {
		s.IssueCode()
	}
	if a, _ := secure.pair(first); a.status != 403 {
		t.Errorf("the oldest of nine open codes: %d", a.status)
	}
}

// TestSessionsEnd lets sessions end by themselves, by the operator, by their
// number, and keeps them over a restart.
func TestSessionsEnd(t *testing.T) {
	c := &clock{now: time.Now()}
	home := t.TempDir()
	make := func() (*web.Server, *door, *door) {
		s, _ := newServer(t, func(conf *web.Config) { conf.Clock, conf.Home = c.Now, home })
		return s, openTLS(t, s, lan), open(t, s, os.Getuid(), socket)
	}
	s, secure, admin := make()
	list := func() (all []web.Session) {
		t.Helper()
		var b struct{ Sessions []web.Session }
		if err := json.Unmarshal([]byte(admin.do("GET", "/v1/sessions", "").body), &b); err != nil {
			t.Fatal(err)
		}
		return b.Sessions
	}
	_, one := secure.pair(s.IssueCode())
	if all := list(); len(all) != 1 || all[0].Label != "Firefox, Android" || !all[0].Secure || all[0].From != lan.String() {
		t.Fatalf("sessions are %+v", all)
	}
	s, secure, admin = make()
	if got := scopeAt(secure, one); got != "admin" {
		t.Errorf("after a restart: %s", got)
	}
	file := filepath.Join(home, web.SessionsName)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if b, _ := os.ReadFile(file); strings.Contains(string(b), strings.TrimPrefix(one, "Cookie: __Host-drey=")) {
		t.Error("the file holds the cookie itself")
	}
	_, two := secure.pair(s.IssueCode())
	if all := list(); len(all) != 2 {
		t.Fatalf("sessions are %+v", all)
	} else if a := admin.do("DELETE", "/v1/sessions?id="+all[0].ID, ""); a.status != 200 {
		t.Errorf("ending one: %d %s", a.status, a.body)
	}
	left := list()
	if len(left) != 1 {
		t.Fatalf("after ending one there are %+v", left)
	}
	if a := admin.do("DELETE", "/v1/sessions?id="+strings.Repeat("0", 12), ""); a.status != 404 {
		t.Errorf("ending one that is not there: %d", a.status)
	}
	leaving := one
	if scopeAt(secure, one) != "admin" {
		leaving = two
	}
	if a := secure.over("POST", "/admin/sessions", "end="+left[0].ID, formType, leaving); a.status != 303 || len(list()) != 0 {
		t.Errorf("leaving on the page: %d %s", a.status, a.body)
	}
	secure.pair(s.IssueCode())
	admin.do("DELETE", "/v1/sessions?id=all", "")
	if got := scopeAt(secure, one) + scopeAt(secure, two); got != "guestguest" {
		t.Errorf("after the end of all: %s", got)
	}

	_, idle := secure.pair(s.IssueCode())
	_, used := secure.pair(s.IssueCode())
	for range int(web.SessionMost / (20 * 24 * time.Hour)) {
		if got := scopeAt(secure, used); got != "admin" {
			t.Fatalf("one that is used: %s", got)
		}
		c.add(20 * 24 * time.Hour)
	}
	if got := scopeAt(secure, idle); got != "guest" {
		t.Errorf("one that is unused for %s: %s", web.SessionIdle, got)
	}
	c.add(time.Hour)
	if got := scopeAt(secure, used); got != "guest" {
		t.Errorf("one of %s: %s", web.SessionMost, got)
	}
	for range web.MaxSessions + 3 {
		if a, _ := secure.pair(s.IssueCode()); a.status != 303 {
			t.Fatalf("pairing: %d", a.status)
		}
		c.add(time.Second)
	}
	if n := len(list()); n != web.MaxSessions {
		t.Errorf("%d sessions, want %d", n, web.MaxSessions)
	}
	os.WriteFile(file, []byte("garbage"), 0o600)
	s, secure, _ = make()
	if a, cookie := secure.pair(s.IssueCode()); a.status != 303 || scopeAt(secure, cookie) != "admin" {
		t.Errorf("with a damaged file: %d", a.status)
	}
}

// TestPairOverTheSocket takes the way of 'drey ui'.
func TestPairOverTheSocket(t *testing.T) {
	r := run(t, nil)
	p, err := r.client.Pair(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	base := r.Listening().String()
	if len(p.URLs) != 1 || p.URLs[0] != "http://"+base+"/pair#"+p.Code { // nobody else reaches a page on the loopback
		t.Errorf("links %q", p.URLs)
	}
	d := &door{t, "http://" + base}
	_, cookie := d.pair(p.Code)
	if !strings.Contains(cookie, "-"+strings.Split(base, ":")[1]+"=") && !strings.Contains(cookie, strings.Split(base, ":")[1]+"=") {
		t.Errorf("the cookie %q does not name the port: two nodes on one machine would share it", cookie)
	}
	if got := scopeAt(d, cookie); got != "admin" {
		t.Errorf("after pairing: %s", got)
	}
	all, err := r.client.Sessions(t.Context())
	if err != nil || len(all) != 1 || all[0].Secure {
		t.Errorf("sessions %+v, %v", all, err)
	}
	if err := r.client.EndSession(t.Context(), "all"); err != nil {
		t.Error(err)
	}
	if got := scopeAt(d, cookie); got != "local" {
		t.Errorf("after the end: %s", got)
	}
}

// TestActingOnce sends managing requests again with the same key.
func TestActingOnce(t *testing.T) {
	c := &clock{now: time.Now()}
	s, _ := newServer(t, func(conf *web.Config) { conf.Clock = c.Now })
	d := &door{t, serveSocket(t, s)}
	post := func(key, body string) answer {
		t.Helper()
		return d.do("POST", "/v1/invites", body, "Content-Type: application/json", "Idempotency-Key: "+key)
	}
	if a := post("k1", `{"uses":2}`); a.status != 200 || post("k1", `{"uses":2}`).body != a.body {
		t.Errorf("again: %d %s", a.status, a.body)
	}
	if a := post("k1", `{"uses":3}`); a.status != 422 || a.code() != web.CodeKeyReused {
		t.Errorf("another body: %d %s", a.status, a.body)
	}
	if a, b := post("bad", `{"uses":-1}`), post("bad", `{"uses":1}`); a.status != 400 || b.status != 200 {
		t.Errorf("after a failure: %d, then %d", a.status, b.status)
	}
	if a := post(strings.Repeat("k", 300), `{}`); a.status != 400 {
		t.Errorf("a huge key: %d", a.status)
	}
	if http.StatusText(post("k1", `{"uses":2}`).status) != "OK" {
		t.Error("the key is forgotten too early")
	}
}

func serveSocket(t *testing.T, s *web.Server) string {
	t.Helper()
	h := httptest.NewServer(s.As(os.Getuid(), socket))
	t.Cleanup(h.Close)
	return h.URL
}

// TestActingOnceIsBounded forgets keys by age and number.
func TestActingOnceIsBounded(t *testing.T) {
	c := &clock{now: time.Now()}
	r := run(t, func(conf *web.Config) { conf.Clock = c.Now })
	d := &door{t, "http://" + r.Listening().String()}
	code := func(key string) string {
		t.Helper()
		a := d.do("POST", "/v1/pairings", "", "Idempotency-Key: "+key, "Authorization: Bearer "+strings.Repeat("k", 40))
		var p web.Pairing
		if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.Code == "" {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return p.Code
	}
	first := code("first")
	if again := code("first"); again != first {
		t.Errorf("the same key made %s, then %s", first, again)
	}
	c.add(time.Hour)
	if again := code("first"); again == first {
		t.Error("a key lives longer than an hour")
	}
	second := code("second")
	for i := range 600 {
		code(fmt.Sprint(i))
	}
	if again := code("second"); again == second {
		t.Error("600 newer keys have not pushed out an old one")
	}
}

func FuzzCode(f *testing.F) {
	f.Add("7KQ2-M0XF-9TBD-E4HV")
	f.Add("oilu")
	f.Fuzz(func(t *testing.T, s string) {
		letters, ok := web.CodeOf(s)
		if ok && (len(letters) != 16 || strings.ContainsAny(letters, "ILOU- ")) {
			t.Errorf("%q is %q", s, letters)
		}
	})
}

func FuzzSessions(f *testing.F) {
	f.Add([]byte(`{"v":1,"sessions":[{"hash":"`+strings.Repeat("a", 64)+`","made":1,"seen":2,"label":"x","from":"y","secure":true}]}`), "Mozilla/5.0 (X11; Linux x86_64) Chrome/130 Safari/537")
	f.Add([]byte(`{"v":1,"sessions":[null]}`), "\xff\u202e")
	f.Fuzz(func(t *testing.T, b []byte, agent string) {
		if list, err := web.ParseSessions(b); err == nil && len(list) > web.MaxSessions {
			t.Errorf("%d sessions", len(list))
		}
		if name := web.BrowserName(agent); len([]rune(name)) > 90 || strings.ContainsAny(name, "\n\x00\u202e") {
			t.Errorf("%q is called %q", agent, name)
		}
	})
}

func insecureClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, Timeout: time.Minute}
}

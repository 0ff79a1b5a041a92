package web_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"drey/web"
)

// book is a web.Settings in memory, with one section.
type book struct {
	mu     sync.Mutex
	values map[string]string
	asked  []web.SettingsChange
}

func newBook() *book { return &book{values: map[string]string{"web.listen": ":3739", "log.level": ""}} }

func (b *book) Settings(context.Context) (*web.SettingsList, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &web.SettingsList{File: "/home/drey.toml", Sections: []web.Section{
		{Name: "web", Doc: "The page.", Settings: []web.Setting{
			{Key: "web.listen", Kind: "text", Doc: "Where <it> listens.", Value: b.values["web.listen"], Default: ":3739", Source: "default"},
			{Key: "web.guest_passes", Kind: "flag", Value: "true", Default: "true", Source: "file"},
			{Key: "web.hosts", Kind: "list", Value: "a\nb", Source: "flag", Fixed: "the command line"},
		}},
		{Name: "log", Settings: []web.Setting{{Key: "log.level", Kind: "text", Value: b.values["log.level"], Choices: []string{"", "info"}, Live: true, Source: "default"}}},
	}}, nil
}

func (b *book) ChangeSettings(_ context.Context, c web.SettingsChange) (*web.SettingsChanged, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, c)
	done := &web.SettingsChanged{File: "/home/drey.toml"}
	for k, v := range c.Set {
		if strings.Contains(v, "bad") {
			return nil, web.NewError(web.CodeSettings, "these settings cannot be used", k+": <bad>", "", nil)
		}
		done.Changes = append(done.Changes, web.SettingDifference{Key: k, From: b.values[k], To: v})
		done.Interrupts = done.Interrupts || k == "web.listen"
		if !c.Preview {
			b.values[k] = v
			done.Done = true
		}
	}
	return done, nil
}

// TestAdminPages walks the forms of the settings as a browser does.
func TestAdminPages(t *testing.T) {
	settings := newBook()
	s, _ := newServer(t, func(c *web.Config) { c.Settings = settings })
	secure, plain := openTLS(t, s, lan), open(t, s, -1, lan)
	_, cookie := secure.pair(s.IssueCode())
	get := func(path string) answer {
		t.Helper()
		return secure.over("GET", path, "", cookie, "Accept: text/html")
	}
	post := func(path string, form url.Values) answer {
		t.Helper()
		return secure.over("POST", path, form.Encode(), cookie, formType, "Accept: text/html")
	}
	if a := plain.over("GET", "/admin", "", "Accept: text/html"); a.status != 200 || !strings.Contains(a.body, `href="https://`) || strings.Contains(a.body, "/admin/settings") {
		t.Errorf("a guest at /admin: %d %s", a.status, a.body)
	}
	if a := plain.over("GET", "/admin/settings/web", "", "Accept: text/html"); a.status != 403 {
		t.Errorf("a guest at the settings: %d", a.status)
	}
	if a := get("/admin"); a.status != 200 || !strings.Contains(a.body, "/admin/settings/web") || !strings.Contains(a.body, "Firefox, Android") {
		t.Errorf("/admin: %d %s", a.status, a.body)
	}
	if a := get("/admin/settings/nothing"); a.status != 404 {
		t.Errorf("an unknown section: %d", a.status)
	}
	a := get("/admin/settings/web")
	if a.status != 200 || !strings.Contains(a.body, "Address and port; port 0 picks a free one; &#34;none&#34;") || !strings.Contains(a.body, "the command line") || !strings.Contains(a.body, "disabled") {
		t.Errorf("the section: %d %s", a.status, a.body)
	}
	form := url.Values{"set.web.listen": {":80"}, "set.web.guest_passes": {"true"}}
	if a = post("/admin/settings/web", form); a.status != 200 || !strings.Contains(a.body, `name="yes"`) || len(settings.asked) != 1 || !settings.asked[0].Preview {
		t.Errorf("the preview: %d, asked %+v", a.status, settings.asked)
	}
	form.Set("yes", "1")
	if a = post("/admin/settings/web", form); a.status != 200 || a.header.Get("Refresh") == "" || settings.values["web.listen"] != ":80" {
		t.Errorf("a change that interrupts: %d, Refresh %q, %v", a.status, a.header.Get("Refresh"), settings.values)
	}
	if a = post("/admin/settings/log", url.Values{"set.log.level": {"info"}, "yes": {"1"}}); a.status != 303 || settings.values["log.level"] != "info" {
		t.Errorf("a change that does not: %d, %v", a.status, settings.values)
	}
	if a = post("/admin/settings/web", url.Values{"set.web.listen": {"bad <b>"}, "set.web.guest_passes": {"true"}}); !strings.Contains(a.body, "&lt;bad&gt;") || !strings.Contains(a.body, `value="bad &lt;b&gt;"`) {
		t.Errorf("a refused change: %d %s", a.status, a.body)
	}
	n := len(settings.asked)
	if a = post("/admin/settings/web", url.Values{"set.web.listen": {":80"}, "set.web.guest_passes": {"true"}, "set.web.hosts": {"evil"}}); a.status != 200 || len(settings.asked) != n {
		t.Errorf("nothing changed, and a fixed key: %d, asked %+v", a.status, settings.asked[n:])
	}
	if a = post("/admin/settings/web", url.Values{"set.web.guest_passes": {"true"}, "reset.web.guest_passes": {"on"}, "set.web.listen": {":80"}}); len(settings.asked) != n+1 || len(settings.asked[n].Reset) != 1 {
		t.Errorf("a reset: %d, asked %+v", a.status, settings.asked[n:])
	}
}

// TestEveryViewIsGuarded asks for every page under a foreign name, and posts
// every form from another site: none is served.
func TestEveryViewIsGuarded(t *testing.T) {
	s, n := newServer(t, func(c *web.Config) { c.Settings = newBook() })
	guest, admin := open(t, s, -1, lan), openTLS(t, s, lan)
	_, cookie := admin.pair(s.IssueCode())
	gets, posts := web.ViewPaths(s)
	if len(gets) < 10 || len(posts) < 8 {
		t.Fatalf("there are %d views and %d forms", len(gets), len(posts))
	}
	for _, path := range gets {
		for _, host := range []string{"evil.example", "192.0.2.77", "drey.example.evil.example", ""} {
			if host == "" {
				continue
			}
			if a := guest.over("GET", path, "", "Host: "+host, "Accept: text/html"); a.status != http.StatusMisdirectedRequest {
				t.Errorf("GET %s for %s: %d", path, host, a.status)
			}
		}
		a := guest.over("GET", path, "", "Accept: text/html")
		if csp := a.header.Get("Content-Security-Policy"); strings.HasPrefix(a.header.Get("Content-Type"), "text/html") && (!strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "script-src 'self'") || strings.Contains(csp, "unsafe")) {
			t.Errorf("GET %s has the policy %q", path, csp)
		}
		if strings.Contains(a.body, "<script>") || strings.Contains(a.body, "onclick=") || strings.Contains(a.body, "style=\"") {
			t.Errorf("GET %s has a script or a style of its own", path)
		}
	}
	for _, path := range posts {
		for _, head := range []string{"Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"} {
			a := admin.over("POST", path, "text=x&topic=commons&yes=1&confirm=1", cookie, formType, head)
			if a.status != 403 || a.code() != web.CodeCrossSite {
				t.Errorf("POST %s with %s: %d %.200s", path, head, a.status, a.body)
			}
		}
		a := guest.over("POST", path, "text=x", "Host: evil.example", formType)
		if a.status != http.StatusMisdirectedRequest {
			t.Errorf("POST %s for another name: %d", path, a.status)
		}
	}
	if n.Posts() != 0 {
		t.Errorf("%d messages were posted", n.Posts())
	}
}

// TestSettingsAPI reads and changes settings over the API.
func TestSettingsAPI(t *testing.T) {
	settings := newBook()
	s, _ := newServer(t, func(c *web.Config) { c.Settings = settings })
	admin, member := open(t, s, os.Getuid(), socket), open(t, s, os.Getuid()+4242, socket)
	jsonType := "Content-Type: application/json"
	for _, c := range []struct {
		d            *door
		method, body string
		want         int
	}{
		{member, "GET", "", 403},
		{member, "POST", `{"set":{"log.level":"info"}}`, 403},
		{admin, "GET", "", 200},
		{admin, "POST", `{}`, 400},
		{admin, "POST", `{"set":{"log.level":"info"},"reset":["log.level"]}`, 400},
		{admin, "POST", `{"set":{"log.level":"bad"}}`, 409},
		{admin, "POST", `{"set":{"log.level":"info"},"preview":true}`, 200},
		{admin, "POST", `{"set":{"log.level":"info"}}`, 200},
	} {
		if a := c.d.do(c.method, "/v1/settings", c.body, jsonType); a.status != c.want {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.body, a.status, a.body, c.want)
		}
	}
	if settings.values["log.level"] != "info" {
		t.Errorf("the level is %q", settings.values["log.level"])
	}
}

// TestEveryRouteHasItsScope asks every route of the API as everybody: who has
// less than openapi.json says is refused, and nobody else is.
func TestEveryRouteHasItsScope(t *testing.T) {
	s, _ := newServer(t, func(c *web.Config) { c.Settings = newBook() })
	secure := openTLS(t, s, lan)
	_, cookie := secure.pair(s.IssueCode())
	local := open(t, s, -1, loopback)
	callers := []struct {
		who     string
		scope   web.Scope
		d       *door
		headers []string
	}{
		{"guest", web.ScopeGuest, open(t, s, -1, lan), nil},
		{"guest over https", web.ScopeGuest, secure, nil},
		{"local", web.ScopeLocal, local, nil},
		{"member", web.ScopeMember, open(t, s, os.Getuid()+4242, socket), nil},
		{"admin on the socket", web.ScopeAdmin, open(t, s, os.Getuid(), socket), nil},
		{"admin by token", web.ScopeAdmin, local, []string{"Authorization: Bearer " + testToken}},
		{"paired browser", web.ScopeAdmin, secure, []string{cookie}},
	}
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(local.do("GET", "/v1/openapi.json", "").body), &doc); err != nil {
		t.Fatal(err)
	}
	routes := 0
	for path, ops := range doc.Paths {
		address := strings.NewReplacer("{topic}", "commons", "{id}", strings.Repeat("0", 64)).Replace(path)
		for method, raw := range ops {
			var op struct {
				Scope string `json:"x-scope"`
			}
			if method == "parameters" {
				continue
			}
			if err := json.Unmarshal(raw, &op); err != nil || op.Scope == "" {
				t.Errorf("%s %s has the scope %q, %v", method, path, op.Scope, err)
			}
			routes++
			for _, c := range callers {
				a := c.d.over(strings.ToUpper(method), address, "", append(c.headers, "Content-Type: application/json")...)
				refused := a.status == http.StatusForbidden && a.code() == web.CodeForbidden
				if want := c.scope < scopeCalled(op.Scope); refused != want {
					t.Errorf("%s %s as %s: %d %.200s; it needs %s", method, path, c.who, a.status, a.body, op.Scope)
				}
			}
		}
	}
	if routes < 40 {
		t.Errorf("%d routes were asked", routes)
	}
}

func scopeCalled(name string) web.Scope {
	for _, s := range []web.Scope{web.ScopeGuest, web.ScopeLocal, web.ScopeMember, web.ScopeAdmin} {
		if s.String() == name {
			return s
		}
	}
	return web.ScopeAdmin + 1
}

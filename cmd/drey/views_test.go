package main

import (
	"bytes"
	"html"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"drey/mesh"
	"drey/web"
)

// page asks a node's page for something as its admin, over TCP, and returns
// what it shows.
func (r *resident) page(t *testing.T, method, path, kind string, body io.Reader) string {
	t.Helper()
	token, err := web.ReadToken(string(r.home))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.web.Listening().String()+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Authorization", "Bearer "+string(token))
	req.Header.Set("Content-Type", kind)
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s, %v\n%s", method, path, res.Status, err, b)
	}
	return string(b)
}

// field finds what a form of a page would send under a name.
func field(t *testing.T, page, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("nothing like %s in\n%s", pattern, page)
	}
	return html.UnescapeString(m[1])
}

// TestJoinByPhotographOnThePage has one node's page make an invite, and
// another's read a photograph of it, say what joining means, and join.
func TestJoinByPhotographOnThePage(t *testing.T) {
	t.Parallel()
	one, two := settleNode(t, "one", nil), settleNode(t, "two", nil)
	const form = "application/x-www-form-urlencoded"
	made := one.page(t, "POST", "/qr/invite", form, strings.NewReader("minutes=10&uses=1"))
	invite := field(t, made, `(HTTP://[^<"]*/J/[A-Z2-7]+)`)
	if _, err := mesh.ParseInvite(invite); err != nil {
		t.Fatalf("the page shows %q: %v", invite, err)
	}

	photo, err := qrPNG(invite)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	part, err := m.CreateFormFile("photo", "photo.png")
	if err != nil {
		t.Fatal(err)
	}
	part.Write(photo)
	m.Close()
	preview := two.page(t, "POST", "/qr/scan", m.FormDataContentType(), &b)
	if want := "one invites to "; !strings.Contains(preview, want) {
		t.Errorf("the preview does not say %q:\n%s", want, preview)
	}
	again := field(t, preview, `name="invite" value="([^"]*)"`)
	joined := two.page(t, "POST", "/qr/join", form, strings.NewReader(url.Values{"invite": {again}, "confirm": {"1"}}.Encode()))
	if !strings.Contains(joined, "belongs to") {
		t.Errorf("after joining the page says\n%s", joined)
	}
	if err := two.end(); err != nil {
		t.Error(err)
	}
	after, err := two.home.readMembership()
	if err != nil || after.Community.ID != one.membership.Community.ID {
		t.Errorf("two belongs to %v (%v), not to one's community", after, err)
	}
	people := one.page(t, "GET", "/people", "", nil)
	if !strings.Contains(people, `<bdi class="author">two</bdi>`) {
		t.Errorf("one's page does not list two:\n%s", people)
	}
	list, err := api{one.parts}.Invites(t.Context())
	if err != nil || len(list) != 1 || list[0].Used != 1 || list[0].Uses != 1 {
		t.Errorf("the invites are %+v, %v; want one, used up", list, err)
	}
	for _, path := range []string{"/map", "/radio", "/relays", "/health", "/qr"} {
		if page := one.page(t, "GET", path, "", nil); !strings.Contains(page, "<h1>") {
			t.Errorf("%s shows nothing", path)
		}
	}
	if err := one.end(); err != nil {
		t.Error(err)
	}
}

package web_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"
	"rsc.io/qr"

	"drey/mesh"
	"drey/web"
	"drey/web/scan"
	"drey/web/webtest"
)

// TestQRForPhones has the page's code lead to the page: the address where the
// server listens, and no token.
func TestQRForPhones(t *testing.T) {
	s, _ := newServer(t, func(c *web.Config) { c.Listen = "127.0.0.1:0" })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	<-s.Ready()
	guest := open(t, s, -1, lan)
	want := "http://" + s.Listening().String() + "/"
	for _, path := range []string{"/qr", "/qr/poster"} {
		doc := guest.seen(path)
		if text := words(mainOf(t, doc)); !strings.Contains(text, want) {
			t.Errorf("%s does not say %s: %s", path, want, text)
		}
		codes := find(doc, "svg", "class", "qr")
		if len(codes) != 1 || attrOf(codes[0], "role") != "img" {
			t.Fatalf("%s has %d codes", path, len(codes))
		}
		if got := readSVG(t, codes[0]); got != strings.ToUpper(want) {
			t.Errorf("%s: the code says %q, want %q", path, got, strings.ToUpper(want))
		}
	}
	form := url.Values{"wifi": {"Oak & Elm"}, "password": {"<b>123"}}
	text := words(mainOf(t, parsed(t, guest.posted("/qr/poster", form).body)))
	if !strings.Contains(text, "Oak & Elm") || !strings.Contains(text, "<b>123") {
		t.Errorf("the poster does not name the Wi-Fi: %s", text)
	}
}

// readSVG reads a code from the picture's path.
func readSVG(t *testing.T, svg *html.Node) string {
	t.Helper()
	var size int
	box := attrOf(svg, "viewBox")
	if box == "" {
		box = attrOf(svg, "viewbox")
	}
	if _, err := fmt.Sscanf(box, "0 0 %d", &size); err != nil {
		t.Fatalf("the code's size is %q: %v", box, err)
	}
	const cell = 4
	img := image.NewGray(image.Rect(0, 0, size*cell, size*cell))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	for step := range strings.SplitSeq(attrOf(find(svg, "path", "", "")[0], "d"), "M") {
		var x, y, w int
		if _, err := fmt.Sscanf(step, "%d %dh%d", &x, &y, &w); err != nil {
			continue
		}
		for py := y * cell; py < (y+1)*cell; py++ {
			clear(img.Pix[py*img.Stride+x*cell:][:w*cell])
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	text, err := scan.Read(t.Context(), b.Bytes(), 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestInviteForMachines makes an invite, shows it apart from the phones' code,
// and withdraws one.
func TestInviteForMachines(t *testing.T) {
	now := time.Now().Unix()
	guest, _, admin, n := townServer(t, func(town *webtest.Town) {
		town.Invites = []web.IssuedInvite{
			{ID: "open", Made: now - 60, Expires: now + 480, Uses: 5, Used: 2},
			{ID: "used", Made: now - 60, Expires: now + 480, Uses: 1, Used: 1},
			{ID: "late", Made: now - 900, Expires: now - 1, Uses: 1},
			{ID: "ended", Made: now - 60, Expires: now + 480, Uses: 1, Ended: true},
		}
	})
	if page := guest.seen("/qr"); len(find(page, "form", "action", "/qr/invite")) != 0 || len(find(page, "section", "class", "for-machine")) != 0 {
		t.Error("a visitor is offered an invite")
	}
	page := admin.seen("/qr")
	if forms := find(page, "form", "action", "/qr/withdraw"); len(forms) != 1 {
		t.Errorf("%d invites can be withdrawn, want the open one", len(forms))
	}
	text := words(mainOf(t, page))
	for _, want := range []string{"open , for 8 min more", "2 of 5 used", "used up", "expired", "withdrawn"} {
		if !strings.Contains(text, want) {
			t.Errorf("the list of invites lacks %q: %s", want, text)
		}
	}
	made := admin.posted("/qr/invite", url.Values{"minutes": {"60"}, "uses": {"2"}})
	section := find(parsed(t, made.body), "section", "class", "for-machine")
	if made.status != http.StatusOK || len(section) != 1 {
		t.Fatalf("making an invite: %d, %d codes for machines", made.status, len(section))
	}
	if got := readSVG(t, find(section[0], "svg", "class", "qr")[0]); got != "HTTP://192.0.2.1:3739/J/AAAA" {
		t.Errorf("the code says %q", got)
	}
	if text := words(section[0]); !strings.Contains(text, "admits 2 machines") || !strings.Contains(text, "For machines") {
		t.Errorf("beside the code it says %q", text)
	}
	if made.header.Get("Cache-Control") != "no-store" {
		t.Errorf("the invite may be cached: %q", made.header.Get("Cache-Control"))
	}
	for _, bad := range []url.Values{{}, {"minutes": {"0"}, "uses": {"1"}}, {"minutes": {"10"}, "uses": {"0"}}, {"minutes": {"99999999999"}, "uses": {"1"}}, {"minutes": {"10"}, "uses": {"1001"}}} {
		if a := admin.posted("/qr/invite", bad); a.status != http.StatusBadRequest {
			t.Errorf("%v: %d, want 400", bad, a.status)
		}
	}
	if a := admin.posted("/qr/withdraw", url.Values{"id": {"open"}}); a.status != http.StatusSeeOther {
		t.Errorf("withdraw: %d", a.status)
	}
	if list, _ := n.Invites(t.Context()); !list[0].Ended {
		t.Error("the invite is still open")
	}
	if a := admin.posted("/qr/withdraw", url.Values{"id": {"nothing"}}); a.status != http.StatusNotFound {
		t.Errorf("withdraw what is not there: %d, want 404", a.status)
	}
}

// someInvite is an invite as a machine makes it.
func someInvite(t testing.TB) string {
	t.Helper()
	at, err := mesh.ParseEndpoint("http://192.0.2.9:3739")
	if err != nil {
		t.Fatal(err)
	}
	v := &mesh.Invite{Node: mesh.NodeKey{1, 2, 3}, Token: mesh.InviteToken{9}, Expires: mesh.UnixOf(time.Now().Add(time.Hour)), Endpoints: []mesh.Endpoint{at}}
	return v.Link()
}

// upload sends a photograph and a text as the page's form does.
func (d *door) upload(photo []byte, text string) answer {
	d.t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	if photo != nil {
		part, err := m.CreateFormFile("photo", "photo.jpg")
		if err != nil {
			d.t.Fatal(err)
		}
		part.Write(photo)
	}
	m.WriteField("text", text)
	m.Close()
	return d.do("POST", "/qr/scan", b.String(), "Accept: text/html", "Content-Type: "+m.FormDataContentType())
}

// photoOf takes a photograph of a code.
func photoOf(t testing.TB, text string) []byte {
	t.Helper()
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(code.PNG()))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 70}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestScan reads codes of every sort, by photograph and as text.
func TestScan(t *testing.T) {
	guest, member, admin, n := townServer(t, nil)
	invite := someInvite(t)
	for _, c := range []struct {
		name  string
		who   *door
		photo []byte
		text  string
		says  string
		joins bool
	}{
		{"an invite, photographed by an admin", admin, photoOf(t, invite), "", "An invite for machines It leads to http://192.0.2.9:3739", true},
		{"an invite, pasted by an admin", admin, nil, strings.ToLower(invite), "An invite for machines", true},
		{"an invite, photographed by a visitor", guest, photoOf(t, invite), "", "Only an admin of this machine can go on", false},
		{"an invite, shown to a member", member, nil, invite, "Only an admin of this machine can go on", false},
		{"the code for phones", admin, photoOf(t, "HTTP://192.0.2.9:3739/"), "", "The page of a machine It leads to http://192.0.2.9:3739", true},
		{"a foreign website", guest, photoOf(t, "https://evil.example/login?x=1"), "", "A web address, not a code of drey It says: https://evil.example/login?x=1", false},
		{"a script", guest, nil, "javascript:alert(1)", "Some text, not a code of drey It says: javascript:alert(1)", false},
		{"what turns the letters around", guest, nil, "good\u202elive\x00", "good[U+202E]live[U+0000]", false},
		{"a long text", guest, nil, strings.Repeat("long ", 500), "…", false},
	} {
		a := c.who.upload(c.photo, c.text)
		doc := parsed(t, a.body)
		text := words(mainOf(t, doc))
		if a.status != http.StatusOK || !strings.Contains(text, c.says) {
			t.Errorf("%s: %d %q, want %q in it", c.name, a.status, text, c.says)
		}
		if joins := len(find(doc, "form", "action", "/qr/join")) == 1; joins != c.joins {
			t.Errorf("%s: one can join is %v", c.name, joins)
		}
		for _, x := range find(mainOf(t, doc), "a", "href", "*") {
			if href := attrOf(x, "href"); !strings.HasPrefix(href, "/") && !strings.HasPrefix(href, "https://127.0.0.1") {
				t.Errorf("%s: a link to %q", c.name, href)
			}
		}
		if !c.joins && strings.Contains(a.body, strings.TrimPrefix(invite, "HTTP://192.0.2.9:3739/J/")[:40]) {
			t.Errorf("%s: the page shows the secret again", c.name)
		}
	}
	if asked := n.Joins(); len(asked) != 3 {
		t.Errorf("the node was asked %d times, want for the admin's three", len(asked))
	} else {
		for _, j := range asked {
			if !j.Preview {
				t.Errorf("looking at a code joined: %+v", j)
			}
		}
	}
}

// TestScanRefusesPhotographs has what is no code, or no photograph, told in
// words, and what was typed stay.
func TestScanRefusesPhotographs(t *testing.T) {
	guest, _, _, _ := townServer(t, nil)
	blank := image.NewGray(image.Rect(0, 0, 300, 300))
	var paper bytes.Buffer
	png.Encode(&paper, blank)
	for _, c := range []struct {
		name  string
		photo []byte
		says  string
	}{
		{"nothing at all", nil, "Take a photo of a code, or paste its text."},
		{"a text file", []byte("hello"), "This is no photo that can be read here."},
		{"a photograph of nothing", paper.Bytes(), "No QR code was found."},
		{"a bomb", []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\xff\xff\x00\x00\xff\xff\x08\x06\x00\x00\x00\x00\x00\x00\x00"), "The photo is too large."},
	} {
		a := guest.upload(c.photo, "")
		if text := words(mainOf(t, parsed(t, a.body))); a.status != http.StatusUnprocessableEntity || !strings.Contains(text, c.says) {
			t.Errorf("%s: %d %q, want %q in it", c.name, a.status, text, c.says)
		}
	}
	if a := guest.upload(make([]byte, 13<<20), ""); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("13 MB: %d, want 413", a.status)
	}
	if a := guest.do("POST", "/qr/scan", "broken", "Accept: text/html", "Content-Type: multipart/form-data; boundary=x"); a.status != http.StatusUnprocessableEntity {
		t.Errorf("a form without a part: %d, want 422", a.status)
	}
}

// TestScanFlood has visitors who send photographs without end fill no memory,
// and keep neither members out nor others once they are gone.
func TestScanFlood(t *testing.T) {
	guest, member, _, _ := townServer(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	var hang []*io.PipeWriter
	for range 3 {
		body, begun := io.Pipe()
		hang = append(hang, begun)
		r, err := http.NewRequestWithContext(ctx, "POST", guest.base+"/qr/scan", body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
		ended.Go(func() {
			if a, err := http.DefaultTransport.RoundTrip(r); err == nil {
				a.Body.Close()
			}
		})
		if _, err := begun.Write(append([]byte("--x\r\nContent-Disposition: form-data; name=photo\r\n\r\n"), make([]byte, 1<<20)...)); err != nil {
			t.Fatal(err)
		}
	}
	paper := photoOf(t, "hello")
	a := guest.upload(paper, "")
	for began := time.Now(); a.status != http.StatusServiceUnavailable && time.Since(began) < 30*time.Second; { // the three may still be on their way to the server
		a = guest.upload(paper, "")
	}
	if a.status != http.StatusServiceUnavailable {
		t.Errorf("the fourth photograph at once: %d, want 503", a.status)
	}
	if a := member.upload(paper, ""); a.status != http.StatusOK {
		t.Errorf("a member's: %d, want 200", a.status)
	}
	cancel()
	for _, begun := range hang {
		begun.CloseWithError(io.ErrUnexpectedEOF)
	}
	ended.Wait()
	for began := time.Now(); a.status != http.StatusOK && time.Since(began) < 30*time.Second; { // and the server may still be at them
		a = guest.upload(paper, "")
	}
	if a.status != http.StatusOK {
		t.Errorf("when they are gone: %d, want 200", a.status)
	}
}

// TestScanJoins goes on from the preview.
func TestScanJoins(t *testing.T) {
	_, _, admin, n := townServer(t, nil)
	if a := admin.posted("/qr/join", url.Values{"invite": {"x"}}); a.status != http.StatusBadRequest || len(n.Joins()) != 0 {
		t.Errorf("joining without a yes: %d", a.status)
	}
	a := admin.posted("/qr/join", url.Values{"invite": {someInvite(t)}, "confirm": {"1"}})
	if text := words(mainOf(t, parsed(t, a.body))); a.status != http.StatusOK || !strings.Contains(text, "Elsewhere") {
		t.Errorf("joining: %d %q", a.status, text)
	}
	if j := n.Joins(); len(j) != 1 || j[0].Preview || j[0].Leave {
		t.Errorf("the node was asked %+v", j)
	}
	a = admin.posted("/qr/join", url.Values{"invite": {"burnt"}, "confirm": {"1"}, "leave": {"1"}})
	if a.status != http.StatusGone || !n.Joins()[1].Leave {
		t.Errorf("a burnt invite: %d, asked %+v", a.status, n.Joins()[1])
	}
}

// TestCameraIsExplained checks that the warning is explained where https is
// still to come, and only there.
func TestCameraIsExplained(t *testing.T) {
	guest, _, _, _ := townServer(t, nil)
	doc := guest.seen("/qr/scan")
	if links := find(mainOf(t, doc), "section", "aria-labelledby", "live"); len(links) != 1 || !strings.Contains(words(links[0]), "certificate") {
		t.Error("over http the live camera is not explained")
	}
	s, _ := newServer(t, nil)
	here := open(t, s, os.Getuid(), loopback)
	if len(find(mainOf(t, here.seen("/qr/scan")), "section", "aria-labelledby", "live")) != 0 {
		t.Error("on the machine itself there is nothing to explain")
	}
}

// FuzzScan sends forms of any shape: the page never fails by itself.
func FuzzScan(f *testing.F) {
	f.Add([]byte("--x\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nhello\r\n--x--\r\n"))
	f.Add([]byte("--x\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"a.png\"\r\n\r\n\x89PNG\r\n\x1a\n\r\n--x--\r\n"))
	f.Add([]byte("--x--"))
	f.Add([]byte(""))
	s, _ := newServer(f, nil)
	guest := s.As(os.Getuid()+1, socket)
	f.Fuzz(func(t *testing.T, b []byte) {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/qr/scan", bytes.NewReader(b))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=x")
		r.Header.Set("Accept", "text/html")
		w := newBodyRecorder()
		guest.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("%q: %d", b, w.Code)
		}
	})
}

// A bodyRecorder is a ResponseRecorder on which deadlines can be set.
type bodyRecorder struct{ *httptest.ResponseRecorder }

func newBodyRecorder() bodyRecorder { return bodyRecorder{httptest.NewRecorder()} }

func (bodyRecorder) SetReadDeadline(time.Time) error  { return nil }
func (bodyRecorder) SetWriteDeadline(time.Time) error { return nil }
